//! The optimizers' updates, in place, and what is done to gradients before.

mod gradients;
mod leaves;
pub mod numbers;

use backpass_kernels::descent::{
    Adagrad, Adam, Average, Descent, Lion, Momentum, RmsProp, Step, Velocity,
};
use backpass_kernels::isa::Isa;
use pyo3::ffi;

use crate::network::Family;
use crate::operand::{Element, Kind, Outcome, Refused, finish};
use crate::table::{Args, Object, functions, isa};
use leaves::Leaves;
use numbers::{Name, Numbers};

/// All of them.
pub static KERNELS: Family = &[
    ("adagrad_update", adagrad_update),
    ("adam_update", adam_update),
    ("average_update", average_update),
    ("gradient_norm", gradient_norm),
    ("lion_update", lion_update),
    ("momentum_update", momentum_update),
    ("rmsprop_update", rmsprop_update),
    ("scaled_gradients", scaled_gradients),
    ("sgd_update", sgd_update),
    ("velocity_update", velocity_update),
];

functions! {
    adagrad_update: |a, n, k| call(adagrad, isa(), a, n, k);
    adam_update: |a, n, k| call(adam, isa(), a, n, k);
    average_update: |a, n, k| call(average, isa(), a, n, k);
    gradient_norm: |a, n, k| call(gradients::norm_of, isa(), a, n, k);
    lion_update: |a, n, k| call(lion, isa(), a, n, k);
    momentum_update: |a, n, k| call(momentum, isa(), a, n, k);
    rmsprop_update: |a, n, k| call(rmsprop, isa(), a, n, k);
    scaled_gradients: |a, n, k| call(gradients::scaled, isa(), a, n, k);
    sgd_update: |a, n, k| call(sgd, isa(), a, n, k);
    velocity_update: |a, n, k| call(velocity, isa(), a, n, k);
}

/// What a kernel does with the arrays and the numbers of a call.
type Body = unsafe fn(Isa, &Leaves, &mut Numbers) -> Outcome;

/// Calls a kernel from Python.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
unsafe fn call(body: Body, isa: Isa, args: Args, nargs: isize, kwnames: Object) -> Object {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            let arrays = Leaves::read(args, nargs as usize)?;
            let mut numbers = Numbers::read(args.offset(nargs), kwnames)?;
            body(isa, &arrays, &mut numbers)
        })
    }
}

/// Runs an expression with the arrays' element type by a name.
macro_rules! typed {
    ($kind:expr, $t:ident => $body:expr) => {
        match $kind {
            Kind::Single => {
                type $t = f32;
                $body
            }
            Kind::Double => {
                type $t = f64;
                $body
            }
            Kind::Weak => Err(Refused),
        }
    };
}

pub(crate) use typed;

/// Takes a step.
unsafe fn take<T: Element, P: Step<T, W>, const W: usize>(
    isa: Isa,
    arrays: &Leaves,
    numbers: &Numbers,
    step: P,
) -> Outcome {
    numbers.end()?;
    // SAFETY: the caller holds the interpreter's lock, and the arrays are alive.
    unsafe {
        arrays.update::<T, P, W>(isa, step)?;
        let none = ffi::Py_None();
        ffi::Py_INCREF(none);
        Ok(none)
    }
}

unsafe fn sgd(isa: Isa, arrays: &Leaves, numbers: &mut Numbers) -> Outcome {
    let learning_rate = numbers.number(Name::LearningRate)?;
    let weight_decay = numbers.number_or(Name::WeightDecay, 0.0)?;
    typed!(arrays.kind, T => {
        let step = Descent { learning_rate: learning_rate as T, weight_decay: weight_decay as T };
        // SAFETY: the caller's.
        unsafe { take::<T, _, 1>(isa, arrays, numbers, step) }
    })
}

unsafe fn momentum(isa: Isa, arrays: &Leaves, numbers: &mut Numbers) -> Outcome {
    let learning_rate = numbers.number(Name::LearningRate)?;
    let momentum = numbers.number(Name::Momentum)?;
    typed!(arrays.kind, T => {
        let step = Momentum {
            learning_rate: learning_rate as T,
            momentum: momentum as T,
            rest: (1.0 - momentum) as T,
        };
        // SAFETY: the caller's.
        unsafe { take::<T, _, 2>(isa, arrays, numbers, step) }
    })
}

unsafe fn velocity(isa: Isa, arrays: &Leaves, numbers: &mut Numbers) -> Outcome {
    let learning_rate = numbers.number(Name::LearningRate)?;
    let momentum = numbers.number(Name::Momentum)?;
    let dampening = numbers.number(Name::Dampening)?;
    let weight_decay = numbers.number(Name::WeightDecay)?;
    let nesterov = numbers.flag(Name::Nesterov)?;
    typed!(arrays.kind, T => {
        let step = Velocity {
            learning_rate: learning_rate as T,
            momentum: momentum as T,
            rest: (1.0 - dampening) as T,
            weight_decay: weight_decay as T,
            nesterov,
        };
        // SAFETY: the caller's.
        unsafe { take::<T, _, 2>(isa, arrays, numbers, step) }
    })
}

unsafe fn adam(isa: Isa, arrays: &Leaves, numbers: &mut Numbers) -> Outcome {
    let learning_rate = numbers.number(Name::LearningRate)?;
    let (beta1, beta2) = (numbers.number(Name::Beta1)?, numbers.number(Name::Beta2)?);
    let eps = numbers.number(Name::Eps)?;
    let weight_decay = numbers.number(Name::WeightDecay)?;
    let decoupled = numbers.flag(Name::Decoupled)?;
    let amsgrad = numbers.flag(Name::Amsgrad)?;
    let step = numbers.number(Name::Step)?;
    typed!(arrays.kind, T => {
        let step = Adam {
            length: (learning_rate / (1.0 - beta1.powf(step))) as T,
            spread: (1.0 / (1.0 - beta2.powf(step)).sqrt()) as T,
            rest1: (1.0 - beta1) as T,
            beta2: beta2 as T,
            rest2: (1.0 - beta2) as T,
            eps: eps as T,
            weight_decay: if decoupled { 0.0 } else { weight_decay as T },
            keep: if decoupled { (1.0 - learning_rate * weight_decay) as T } else { 1.0 },
        };
        // SAFETY: the caller's.
        unsafe {
            if amsgrad {
                take::<T, _, 4>(isa, arrays, numbers, step)
            } else {
                take::<T, _, 3>(isa, arrays, numbers, step)
            }
        }
    })
}

unsafe fn rmsprop(isa: Isa, arrays: &Leaves, numbers: &mut Numbers) -> Outcome {
    let learning_rate = numbers.number(Name::LearningRate)?;
    let alpha = numbers.number(Name::Alpha)?;
    let eps = numbers.number(Name::Eps)?;
    let weight_decay = numbers.number(Name::WeightDecay)?;
    let momentum = numbers.float(Name::Momentum)?;
    let centered = numbers.flag(Name::Centered)?;
    let moving = momentum != 0.0;
    typed!(arrays.kind, T => {
        let step = RmsProp {
            learning_rate: learning_rate as T,
            alpha: alpha as T,
            rest: (1.0 - alpha) as T,
            eps: eps as T,
            weight_decay: weight_decay as T,
            momentum: momentum as T,
            centered,
            moving,
        };
        // SAFETY: the caller's.
        unsafe {
            match usize::from(centered) + usize::from(moving) {
                0 => take::<T, _, 2>(isa, arrays, numbers, step),
                1 => take::<T, _, 3>(isa, arrays, numbers, step),
                _ => take::<T, _, 4>(isa, arrays, numbers, step),
            }
        }
    })
}

unsafe fn adagrad(isa: Isa, arrays: &Leaves, numbers: &mut Numbers) -> Outcome {
    let learning_rate = numbers.number(Name::LearningRate)?;
    let eps = numbers.number(Name::Eps)?;
    let weight_decay = numbers.number(Name::WeightDecay)?;
    typed!(arrays.kind, T => {
        let step = Adagrad {
            learning_rate: learning_rate as T,
            eps: eps as T,
            weight_decay: weight_decay as T,
        };
        // SAFETY: the caller's.
        unsafe { take::<T, _, 2>(isa, arrays, numbers, step) }
    })
}

unsafe fn lion(isa: Isa, arrays: &Leaves, numbers: &mut Numbers) -> Outcome {
    let learning_rate = numbers.number(Name::LearningRate)?;
    let (beta1, beta2) = (numbers.number(Name::Beta1)?, numbers.number(Name::Beta2)?);
    let weight_decay = numbers.number(Name::WeightDecay)?;
    typed!(arrays.kind, T => {
        let step = Lion {
            learning_rate: learning_rate as T,
            beta1: beta1 as T,
            rest1: (1.0 - beta1) as T,
            beta2: beta2 as T,
            rest2: (1.0 - beta2) as T,
            keep: (1.0 - learning_rate * weight_decay) as T,
        };
        // SAFETY: the caller's.
        unsafe { take::<T, _, 2>(isa, arrays, numbers, step) }
    })
}

unsafe fn average(isa: Isa, arrays: &Leaves, numbers: &mut Numbers) -> Outcome {
    let decay = numbers.number(Name::Decay)?;
    typed!(arrays.kind, T => {
        let step = Average { rest: (1.0 - decay) as T };
        // SAFETY: the caller's.
        unsafe { take::<T, _, 1>(isa, arrays, numbers, step) }
    })
}
