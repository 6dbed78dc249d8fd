//! Layer norm and RMS norm.

use backpass_kernels::isa::Isa;
use backpass_kernels::network::layer_norm::{self, Rows};
use backpass_kernels::pool::Scratch;
use pyo3::ffi;

use super::Family;
use super::given::{dense, dense_or_none, none, optional, pointer, tuple};
use crate::keywords::{Names, axes, each_keyword, number, truth};
use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, unlocked,
};
use crate::table::{Args, Object, functions, isa};

/// The kernels.
pub static KERNELS: Family = &[
    ("layer_norm", layer_norm),
    ("layer_norm.vjp", layer_norm_back),
    ("layer_norm_back", layer_norm_back),
];

functions! {
    layer_norm: |a, n, k| finish(|| forward(isa(), a, n, k));
    layer_norm_back: |a, n, k| finish(|| back(isa(), a, n, k));
}

/// Keywords of layer norm.
struct Options {
    axes: Object,
    eps: f64,
    centred: bool,
}

impl Options {
    unsafe fn read(values: Args, kwnames: Object) -> Result<Self, Refused> {
        // Which cotangents are needed is left to the walk: they come together.
        static NAMES: Names<4> = Names::new([c"axes", c"eps", c"centred", c"needs"]);
        let mut found = Self { axes: std::ptr::null_mut(), eps: 0.0, centred: true };
        // SAFETY: the lock is held and the values are alive.
        unsafe {
            each_keyword(kwnames, values, NAMES.get()?, |place, value| {
                match place {
                    0 => found.axes = value,
                    1 => found.eps = number(value)?,
                    2 => found.centred = truth(value)?,
                    _ => (),
                }
                Ok(())
            })?;
        }
        if found.axes.is_null() { Err(Refused) } else { Ok(found) }
    }

    /// Where the last axes, which are normalised, begin.
    unsafe fn first(&self, nd: usize) -> Result<usize, Refused> {
        // SAFETY: the axes are a live object.
        let mask = unsafe { axes(self.axes, nd)? };
        let first = mask.trailing_zeros() as usize;
        if nd > 0 && mask >> first == (1 << (nd - first)) - 1 { Ok(first) } else { Err(Refused) }
    }
}

unsafe fn forward(isa: Isa, args: Args, nargs: isize, kwnames: Object) -> Outcome {
    // SAFETY: the lock is held and the arguments are alive.
    unsafe {
        if nargs != 3 {
            return Err(Refused);
        }
        let options = Options::read(args.add(3), kwnames)?;
        let x = Argument::new(*args)?;
        let parameters = [optional(*args.add(1))?, optional(*args.add(2))?];
        match x.kind {
            Kind::Single => typed_forward::<f32>(isa, &options, &x, parameters),
            Kind::Double => typed_forward::<f64>(isa, &options, &x, parameters),
            Kind::Weak => Err(Refused),
        }
    }
}

unsafe fn typed_forward<T: Element>(
    isa: Isa,
    options: &Options,
    x: &Argument,
    parameters: [Option<Argument>; 2],
) -> Outcome {
    let shape = x.shape();
    let size: usize = shape.iter().product();
    // SAFETY: the lock is held; the operands have the shapes.
    unsafe {
        let first = options.first(shape.len())?;
        if size == 0 {
            return Err(Refused);
        }
        let whole = dense::<T>(isa, x, shape)?;
        let weight = dense_or_none::<T>(isa, parameters[0].as_ref(), &shape[first..])?;
        let bias = dense_or_none::<T>(isa, parameters[1].as_ref(), &shape[first..])?;
        let rows = Rows {
            rows: shape[..first].iter().product(),
            len: shape[first..].iter().product(),
            x: whole.as_ptr(),
            weight: pointer(weight.as_ref()),
            bias: pointer(bias.as_ref()),
            eps: T::of(options.eps),
            centred: options.centred,
        };
        Ok(match new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), size) {
            Ok((array, out)) => {
                unlocked(size * 200, || layer_norm::layer_norm(isa, rows, out));
                array
            }
            Err(null) => null,
        })
    }
}

unsafe fn back(isa: Isa, args: Args, nargs: isize, kwnames: Object) -> Outcome {
    // SAFETY: the lock is held and the arguments are alive.
    unsafe {
        if nargs != 4 {
            return Err(Refused);
        }
        let options = Options::read(args.add(4), kwnames)?;
        let given = [Argument::new(*args)?, Argument::new(*args.add(1))?];
        let parameters = [optional(*args.add(2))?, optional(*args.add(3))?];
        match common_kind(&given)? {
            Kind::Single => typed_back::<f32>(isa, &options, &given, parameters),
            _ => typed_back::<f64>(isa, &options, &given, parameters),
        }
    }
}

unsafe fn typed_back<T: Element>(
    isa: Isa,
    options: &Options,
    [g, x]: &[Argument; 2],
    parameters: [Option<Argument>; 2],
) -> Outcome {
    let shape = x.shape();
    let size: usize = shape.iter().product();
    // SAFETY: the lock is held; the operands have the shapes.
    unsafe {
        let first = options.first(shape.len())?;
        if size == 0 {
            return Err(Refused);
        }
        let (g, whole) = (dense::<T>(isa, g, shape)?, dense::<T>(isa, x, shape)?);
        let weight = dense_or_none::<T>(isa, parameters[0].as_ref(), &shape[first..])?;
        let bias = dense_or_none::<T>(isa, parameters[1].as_ref(), &shape[first..])?;
        let rows = Rows {
            rows: shape[..first].iter().product(),
            len: shape[first..].iter().product(),
            x: whole.as_ptr(),
            weight: pointer(weight.as_ref()),
            bias: pointer(bias.as_ref()),
            eps: T::of(options.eps),
            centred: options.centred,
        };
        let made = new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), size);
        let (array, out) = match made {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        let sums = Scratch::<T>::new(2 * rows.len);
        unlocked(size * 400, || {
            layer_norm::layer_norm_back(isa, rows, g.as_ptr(), out, sums.as_ptr());
        });
        let parameter = |given: bool, sums: *const T| {
            if given { vector(&shape[first..], sums) } else { none() }
        };
        let to_weight = parameter(weight.is_some(), sums.as_ptr());
        let to_bias = parameter(bias.is_some(), sums.as_ptr().add(rows.len));
        tuple([array, to_weight, to_bias])
    }
}

/// An array of this shape with a copy of these numbers.
unsafe fn vector<T: Element>(shape: &[usize], from: *const T) -> *mut ffi::PyObject {
    let size = shape.iter().product();
    // SAFETY: the lock is held, and so many numbers are there.
    unsafe {
        match new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), size) {
            Ok((array, out)) => {
                from.copy_to_nonoverlapping(out, size);
                array
            }
            Err(null) => null,
        }
    }
}
