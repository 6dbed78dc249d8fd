//! Batch norm, with the channels' axis the second one, or the innermost in memory.

use backpass_kernels::isa::Isa;
use backpass_kernels::layout::{MAX_DIMS, Operand};
use backpass_kernels::network::batch_norm::{self, Batch, Cotangents, Given, Layout, Normalised};
use pyo3::ffi;

use super::Family;
use super::given::{dense_or_none, none, optional, pointer, tuple};
use crate::keywords::{Names, each_keyword, number};
use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, unlocked,
};
use crate::order::Dense;
use crate::table::{Args, Object, functions, isa};

/// The kernels.
pub static KERNELS: Family = &[("batch_norm", batch_norm), ("batch_norm_back", batch_norm_back)];

functions! {
    batch_norm: |a, n, k| finish(|| forward(isa(), a, n, k));
    batch_norm_back: |a, n, k| finish(|| back(isa(), a, n, k));
}

unsafe fn read_eps(values: Args, kwnames: Object) -> Result<f64, Refused> {
    static NAMES: Names<1> = Names::new([c"eps"]);
    let mut eps = None;
    // SAFETY: the lock is held and the values are alive.
    unsafe {
        each_keyword(kwnames, values, NAMES.get()?, |_, value| {
            eps = Some(number(value)?);
            Ok(())
        })?;
    }
    eps.ok_or(Refused)
}

/// The order in which a batch's axes lie.
#[derive(Clone, Copy)]
struct Axes {
    order: [usize; MAX_DIMS],
    nd: usize,
    last: bool,
    layout: Layout,
}

impl Axes {
    /// That of `x`; whatever is no other order counts as C order.
    fn of<T: Element>(x: &Argument) -> Result<Self, Refused> {
        let shape = x.shape();
        let nd = shape.len();
        if nd < 2 || shape.contains(&0) {
            return Err(Refused);
        }
        let mut order = std::array::from_fn(|d| d);
        order[1..nd].rotate_left(1);
        let mut expected = 1;
        let last = !x.contiguous()
            && order[..nd].iter().rev().all(|&d| {
                let fits = shape[d] == 1 || x.stride::<T>(d) == expected;
                expected *= shape[d] as isize;
                fits
            });
        let inner: usize = shape[2..].iter().product();
        let layout = if last || inner == 1 {
            Layout::Rows(shape[0] * inner, shape[1])
        } else {
            Layout::Planes(shape[0], shape[1], inner)
        };
        if !last {
            order = std::array::from_fn(|d| d);
        }
        Ok(Self { order, nd, last, layout })
    }

    /// An array of this shape in this order: itself, or a copy.
    fn laid<T: Element>(
        &self,
        isa: Isa,
        x: &Argument,
        shape: &[usize],
    ) -> Result<Dense<T>, Refused> {
        if x.shape() != shape {
            return Err(Refused);
        }
        let mut slot = T::ZERO;
        let whole = x.broadcast(shape, &mut slot)?;
        let order = &self.order[..self.nd];
        let mut view = Operand { data: whole.data, strides: [0; MAX_DIMS] };
        let mut dims = [1; MAX_DIMS];
        for (i, &d) in order.iter().enumerate() {
            view.strides[i] = whole.strides[d];
            dims[i] = shape[d];
        }
        Ok(Dense::new(isa, &view, &dims[..self.nd]))
    }

    /// An array of this shape that lies in this order.
    unsafe fn output<T: Element>(
        &self,
        shape: &[usize],
    ) -> Result<(*mut ffi::PyObject, *mut T), *mut ffi::PyObject> {
        let mut strides = [0; MAX_DIMS];
        let mut stride = size_of::<T>() as isize;
        for &d in self.order[..self.nd].iter().rev() {
            strides[d] = stride;
            stride *= shape[d] as isize;
        }
        let strides = if self.last { strides.as_ptr() } else { std::ptr::null() };
        // SAFETY: the lock is held; shape and strides have as many entries.
        unsafe { new_array(self.nd, shape.as_ptr(), strides, stride as usize / size_of::<T>()) }
    }
}

/// A new array with a number a channel.
unsafe fn vector<T: Element>(channels: usize) -> (*mut ffi::PyObject, *mut T) {
    // SAFETY: the lock is held.
    unsafe {
        new_array(1, &raw const channels, std::ptr::null(), channels)
            .unwrap_or_else(|null| (null, std::ptr::null_mut()))
    }
}

unsafe fn forward(isa: Isa, args: Args, nargs: isize, kwnames: Object) -> Outcome {
    // SAFETY: the lock is held and the arguments are alive.
    unsafe {
        if nargs != 3 {
            return Err(Refused);
        }
        let eps = read_eps(args.add(3), kwnames)?;
        let x = Argument::new(*args)?;
        let parameters = [optional(*args.add(1))?, optional(*args.add(2))?];
        match x.kind {
            Kind::Single => typed_forward::<f32>(isa, &x, parameters, eps),
            Kind::Double => typed_forward::<f64>(isa, &x, parameters, eps),
            Kind::Weak => Err(Refused),
        }
    }
}

unsafe fn typed_forward<T: Element>(
    isa: Isa,
    x: &Argument,
    parameters: [Option<Argument>; 2],
    eps: f64,
) -> Outcome {
    let shape = x.shape();
    let axes = Axes::of::<T>(x)?;
    let channels = axes.layout.channels();
    let weight = dense_or_none::<T>(isa, parameters[0].as_ref(), &[channels])?;
    let bias = dense_or_none::<T>(isa, parameters[1].as_ref(), &[channels])?;
    let x = axes.laid::<T>(isa, x, shape)?;
    let batch = Batch {
        layout: axes.layout,
        x: x.as_ptr(),
        weight: pointer(weight.as_ref()),
        bias: pointer(bias.as_ref()),
        eps,
    };
    // SAFETY: the lock is held; the outputs have the shapes.
    unsafe {
        let (array, y) = match axes.output::<T>(shape) {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        let (to_mean, mean) = vector::<T>(channels);
        let (to_variance, variance) = vector::<T>(channels);
        if !mean.is_null() && !variance.is_null() {
            unlocked(channels * axes.layout.length() * 300, || {
                batch_norm::batch_norm(isa, batch, Normalised { y, mean, variance });
            });
        }
        tuple([array, to_mean, to_variance])
    }
}

unsafe fn back(isa: Isa, args: Args, nargs: isize, kwnames: Object) -> Outcome {
    // SAFETY: the lock is held and the arguments are alive.
    unsafe {
        // x, weight, bias, mean, variance, and the cotangents of the outputs: of the statistics
        // there is none in training.
        if nargs != 8 {
            return Err(Refused);
        }
        let eps = read_eps(args.add(8), kwnames)?;
        let mut given = [None; 8];
        for (i, slot) in given.iter_mut().enumerate() {
            *slot = optional(*args.add(i))?;
        }
        let [Some(x), _, _, Some(_), Some(_), Some(g), None, None] = given else {
            return Err(Refused);
        };
        match common_kind(&[x, g])? {
            Kind::Single => typed_back::<f32>(isa, &given, eps),
            _ => typed_back::<f64>(isa, &given, eps),
        }
    }
}

unsafe fn typed_back<T: Element>(isa: Isa, given: &[Option<Argument>; 8], eps: f64) -> Outcome {
    let [Some(x), .., Some(g), _, _] = given else { return Err(Refused) };
    let shape = x.shape();
    let axes = Axes::of::<T>(x)?;
    let channels = axes.layout.channels();
    let of_channels = |i: usize| dense_or_none::<T>(isa, given[i].as_ref(), &[channels]);
    let (weight, bias) = (of_channels(1)?, of_channels(2)?);
    let (mean, variance) = (of_channels(3)?, of_channels(4)?);
    let (x, g) = (axes.laid::<T>(isa, x, shape)?, axes.laid::<T>(isa, g, shape)?);
    let batch = Batch {
        layout: axes.layout,
        x: x.as_ptr(),
        weight: pointer(weight.as_ref()),
        bias: std::ptr::null(),
        eps,
    };
    let from =
        Given { g: g.as_ptr(), mean: pointer(mean.as_ref()), variance: pointer(variance.as_ref()) };
    // SAFETY: the lock is held; the outputs have the shapes.
    unsafe {
        let (array, out) = match axes.output::<T>(shape) {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        let (of_weight, to_weight) = vector::<T>(channels);
        let (of_bias, to_bias) = vector::<T>(channels);
        if !to_weight.is_null() && !to_bias.is_null() {
            let to = Cotangents { x: out, weight: to_weight, bias: to_bias };
            unlocked(channels * axes.layout.length() * 400, || {
                batch_norm::batch_norm_back(isa, batch, from, to);
            });
        }
        let kept = |given: bool, made: *mut ffi::PyObject| {
            if given || made.is_null() {
                return made;
            }
            ffi::Py_DECREF(made);
            none()
        };
        tuple([array, kept(weight.is_some(), of_weight), kept(bias.is_some(), of_bias)])
    }
}
