//! Activations: elementwise kernels, whose parameters come by keyword.

use backpass_kernels::elementwise::Elementwise;
use backpass_kernels::elementwise::activations as kernels;
use backpass_kernels::isa::Isa;
use pyo3::ffi;

use crate::elementwise::{Role, run};
use crate::keywords::{Names, each_keyword};
use crate::operand::{Argument, Kind, Refused, finish};
use crate::table::{Args, Object, functions, isa};

functions! {
    relu: |a, n, k| call(&kernels::RELU, &NONE, isa(), a, n, k);
    leaky_relu: |a, n, k| call(&kernels::LEAKY_RELU, &SLOPE, isa(), a, n, k);
    prelu: |a, n, k| call(&kernels::PRELU, &NONE, isa(), a, n, k);
    hardtanh: |a, n, k| call(&kernels::HARDTANH, &BOUNDS, isa(), a, n, k);
    hardsigmoid: |a, n, k| call(&kernels::HARDSIGMOID, &NONE, isa(), a, n, k);
    hardswish: |a, n, k| call(&kernels::HARDSWISH, &NONE, isa(), a, n, k);
    elu: |a, n, k| call(&kernels::ELU, &ALPHA, isa(), a, n, k);
    celu: |a, n, k| call(&kernels::CELU, &ALPHA, isa(), a, n, k);
    selu: |a, n, k| call(&kernels::SELU, &NONE, isa(), a, n, k);
    gelu: |a, n, k| either([&kernels::GELU, &kernels::GELU_TANH], isa(), a, n, k);
    silu: |a, n, k| call(&kernels::SILU, &NONE, isa(), a, n, k);
    mish: |a, n, k| call(&kernels::MISH, &NONE, isa(), a, n, k);
    softplus: |a, n, k| call(&kernels::SOFTPLUS, &BEND, isa(), a, n, k);
    softsign: |a, n, k| call(&kernels::SOFTSIGN, &NONE, isa(), a, n, k);
    relu_vjp: |a, n, k| call(&kernels::RELU_VJP, &NONE, isa(), a, n, k);
    leaky_relu_vjp: |a, n, k| call(&kernels::LEAKY_RELU_VJP, &SLOPE, isa(), a, n, k);
    prelu_vjp0: |a, n, k| call(&kernels::PRELU_VJP0, &NONE, isa(), a, n, k);
    prelu_vjp1: |a, n, k| call(&kernels::PRELU_VJP1, &NONE, isa(), a, n, k);
    hardtanh_vjp: |a, n, k| call(&kernels::HARDTANH_VJP, &BOUNDS, isa(), a, n, k);
    hardsigmoid_vjp: |a, n, k| call(&kernels::HARDSIGMOID_VJP, &NONE, isa(), a, n, k);
    hardswish_vjp: |a, n, k| call(&kernels::HARDSWISH_VJP, &NONE, isa(), a, n, k);
    elu_vjp: |a, n, k| call(&kernels::ELU_VJP, &ALPHA, isa(), a, n, k);
    celu_vjp: |a, n, k| call(&kernels::CELU_VJP, &ALPHA, isa(), a, n, k);
    selu_vjp: |a, n, k| call(&kernels::SELU_VJP, &NONE, isa(), a, n, k);
    gelu_vjp: |a, n, k| either([&kernels::GELU_VJP, &kernels::GELU_TANH_VJP], isa(), a, n, k);
    silu_vjp: |a, n, k| call(&kernels::SILU_VJP, &NONE, isa(), a, n, k);
    mish_vjp: |a, n, k| call(&kernels::MISH_VJP, &NONE, isa(), a, n, k);
    softplus_vjp: |a, n, k| call(&kernels::SOFTPLUS_VJP, &BEND, isa(), a, n, k);
    softsign_vjp: |a, n, k| call(&kernels::SOFTSIGN_VJP, &NONE, isa(), a, n, k);
}

/// Kernels by their names.
pub static KERNELS: super::Family = &[
    ("relu", relu),
    ("leaky_relu", leaky_relu),
    ("prelu", prelu),
    ("hardtanh", hardtanh),
    ("hardsigmoid", hardsigmoid),
    ("hardswish", hardswish),
    ("elu", elu),
    ("celu", celu),
    ("selu", selu),
    ("gelu", gelu),
    ("silu", silu),
    ("mish", mish),
    ("softplus", softplus),
    ("softsign", softsign),
    ("relu.vjp", relu_vjp),
    ("leaky_relu.vjp", leaky_relu_vjp),
    ("prelu.vjp0", prelu_vjp0),
    ("prelu.vjp1", prelu_vjp1),
    ("hardtanh.vjp", hardtanh_vjp),
    ("hardsigmoid.vjp", hardsigmoid_vjp),
    ("hardswish.vjp", hardswish_vjp),
    ("elu.vjp", elu_vjp),
    ("celu.vjp", celu_vjp),
    ("selu.vjp", selu_vjp),
    ("gelu.vjp", gelu_vjp),
    ("silu.vjp", silu_vjp),
    ("mish.vjp", mish_vjp),
    ("softplus.vjp", softplus_vjp),
    ("softsign.vjp", softsign_vjp),
];

/// Parameters, the kernel's last operands: their names, and what they are unless they are given.
struct Parameters<const P: usize> {
    names: Names<P>,
    defaults: [f64; P],
}

static NONE: Parameters<0> = Parameters { names: Names::new([]), defaults: [] };
static SLOPE: Parameters<1> =
    Parameters { names: Names::new([c"negative_slope"]), defaults: [0.01] };
static ALPHA: Parameters<1> = Parameters { names: Names::new([c"alpha"]), defaults: [1.0] };
static BOUNDS: Parameters<2> =
    Parameters { names: Names::new([c"min_val", c"max_val"]), defaults: [-1.0, 1.0] };
static BEND: Parameters<2> =
    Parameters { names: Names::new([c"beta", c"threshold"]), defaults: [1.0, 20.0] };

/// A rule's name has a dot.
fn role_of(name: &str) -> Role {
    if name.contains('.') { Role::Rule } else { Role::Function }
}

#[inline(always)]
unsafe fn call<const N: usize, const P: usize>(
    kernel: &'static Elementwise<N>,
    parameters: &'static Parameters<P>,
    isa: Isa,
    args: Args,
    nargs: isize,
    kwnames: Object,
) -> Object {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(
            #[inline(always)]
            || {
                let count = N - P;
                if nargs as usize != count {
                    return Err(Refused);
                }
                let weak =
                    |scalar| Argument { kind: Kind::Weak, array: std::ptr::null_mut(), scalar };
                let mut operands = [weak(0.0); N];
                for (i, operand) in operands[..count].iter_mut().enumerate() {
                    *operand = Argument::new(*args.add(i))?;
                }
                let given = &mut operands[count..];
                for (operand, &default) in given.iter_mut().zip(&parameters.defaults) {
                    *operand = weak(default);
                }
                let values = args.add(count);
                each_keyword(kwnames, values, parameters.names.get()?, |place, value| {
                    given[place] = Argument::new(value)?;
                    if given[place].kind == Kind::Weak { Ok(()) } else { Err(Refused) }
                })?;
                run(kernel, role_of(kernel.name), isa, &operands)
            },
        )
    }
}

static APPROXIMATE: Names<1> = Names::new([c"approximate"]);

/// The first of two kernels, or the second if `approximate` is "tanh".
unsafe fn either<const N: usize>(
    kernels: [&'static Elementwise<N>; 2],
    isa: Isa,
    args: Args,
    nargs: isize,
    kwnames: Object,
) -> Object {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        let mut which = Ok(0);
        let names = APPROXIMATE.get();
        let read = names.and_then(|names| {
            each_keyword(kwnames, args.offset(nargs), names, |_, value| {
                which = approximation(value);
                Ok(())
            })
        });
        match read.and(which) {
            Ok(i) => call(kernels[i], &NONE, isa, args, nargs, std::ptr::null_mut()),
            Err(refused) => finish(|| Err(refused)),
        }
    }
}

/// 0 for "none", 1 for "tanh".
unsafe fn approximation(value: Object) -> Result<usize, Refused> {
    // SAFETY: the comparison follows a test of the type.
    unsafe {
        if ffi::Py_TYPE(value) != &raw mut ffi::PyUnicode_Type {
            return Err(Refused);
        }
        let is = |text: &std::ffi::CStr| {
            ffi::PyUnicode_CompareWithASCIIString(value, text.as_ptr()) == 0
        };
        if is(c"none") {
            Ok(0)
        } else if is(c"tanh") {
            Ok(1)
        } else {
            Err(Refused)
        }
    }
}
