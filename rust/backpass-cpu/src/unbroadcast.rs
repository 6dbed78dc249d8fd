//! A cotangent in the shape and dtype of what it flows to, in one call.

use backpass_kernels::isa::Isa;
use backpass_kernels::reduce::Reduction;
use pyo3::ffi;

use crate::api::api;
use crate::operand::{Argument, Element, Kind, Outcome, Refused, finish, new_array, new_scalar};
use crate::order::Dense;
use crate::reductions::{Along, reduced};
use crate::views::{Dims, without_leading};

/// `unbroadcast(g, shape, dtype)`: `g`, summed over the axes along which the shape was broadcast.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
pub unsafe fn call(
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            if nargs != 3 || !kwnames.is_null() {
                return Err(Refused);
            }
            unbroadcast(isa, *args, *args.add(1), *args.add(2))
        })
    }
}

/// See [`call`]: a new reference.
///
/// # Safety
///
/// The interpreter's lock is held and the arguments are alive.
pub unsafe fn unbroadcast(
    isa: Isa,
    object: *mut ffi::PyObject,
    shape: *mut ffi::PyObject,
    dtype: *mut ffi::PyObject,
) -> Outcome {
    // SAFETY: the caller's.
    unsafe {
        let g = Argument::new(object)?;
        let double = if dtype == api().descr64.cast() {
            true
        } else if dtype == api().descr32.cast() {
            false
        } else {
            return Err(Refused);
        };
        let target = Dims::read(shape)?;
        match g.kind {
            Kind::Single => {
                let fitted = fit::<f32>(isa, object, &g, target.lengths())?;
                if double { converted::<f32, f64>(isa, fitted) } else { Ok(fitted) }
            }
            Kind::Double => {
                let fitted = fit::<f64>(isa, object, &g, target.lengths())?;
                if double { Ok(fitted) } else { converted::<f64, f32>(isa, fitted) }
            }
            Kind::Weak => Err(Refused),
        }
    }
}

/// `g` summed to the shape `target`.
unsafe fn fit<T: Element>(
    isa: Isa,
    object: *mut ffi::PyObject,
    g: &Argument,
    target: &[isize],
) -> Outcome {
    let shape = g.shape();
    let extra = shape.len().checked_sub(target.len()).ok_or(Refused)?;
    let mut mask = (1u64 << extra) - 1;
    let mut ones = 0;
    for (d, (&n, &wanted)) in shape[extra..].iter().zip(target).enumerate() {
        if n as isize != wanted {
            if wanted != 1 {
                return Err(Refused);
            }
            ones |= 1 << (extra + d);
        }
    }
    mask |= ones;
    // SAFETY: the interpreter's lock is held.
    unsafe {
        if ones == 0 && shape[..extra].iter().all(|&n| n == 1) {
            if target.is_empty() && !g.array.is_null() {
                return Ok(new_scalar(*g.data::<T>()));
            }
            if extra == 0 {
                ffi::Py_INCREF(object);
                return Ok(object);
            }
            return without_leading(object, extra);
        }
        if shape.contains(&0) {
            return Err(Refused);
        }
        reduced::<T>(Along::Reduce(Reduction::Sum), isa, g, mask, ones)
    }
}

/// `object`, a scalar or an array of `T`, whose reference is taken, as one of `U`.
unsafe fn converted<T: Element, U: Element>(isa: Isa, object: *mut ffi::PyObject) -> Outcome {
    if object.is_null() {
        return Ok(object);
    }
    // SAFETY: the interpreter's lock is held; the operand lies contiguously.
    unsafe {
        let made = (|| {
            let x = Argument::new(object)?;
            if x.ndim() == 0 {
                return Ok(new_scalar(U::of(x.value::<T>()?.wide())));
            }
            let shape = x.shape();
            let mut slot = T::ZERO;
            let dense = Dense::new(isa, &x.broadcast(shape, &mut slot)?, shape);
            let from = dense.as_ptr();
            let size = shape.iter().product();
            Ok(match new_array::<U>(shape.len(), shape.as_ptr(), std::ptr::null(), size) {
                Ok((array, out)) => {
                    for i in 0..size {
                        *out.add(i) = U::of((*from.add(i)).wide());
                    }
                    array
                }
                Err(null) => null,
            })
        })();
        ffi::Py_DECREF(object);
        made
    }
}
