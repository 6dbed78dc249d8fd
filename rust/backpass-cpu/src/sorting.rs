//! The order that sorts along the last axis.

use std::ptr::null;

use backpass_kernels::isa::Isa;
use backpass_kernels::sorting::{MOST, sorted_order};
use pyo3::ffi;

use crate::api::api;
use crate::keywords::{each_keyword, one_axis};
use crate::operand::{Argument, Element, Kind, Outcome, Refused, finish, unlocked};
use crate::order::Dense;
use crate::views::{Dims, new_array_of};

/// `sorted_order(x, *, axis)`, called from Python.
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
            if nargs != 1 {
                return Err(Refused);
            }
            let mut axis = std::ptr::null_mut();
            each_keyword(kwnames, args.add(1), [api().axis], |_, value| {
                axis = value;
                Ok(())
            })?;
            let x = Argument::new(*args)?;
            let nd = x.ndim();
            if axis.is_null() || nd == 0 || one_axis(axis, nd)? != nd - 1 {
                return Err(Refused);
            }
            match x.kind {
                Kind::Single => typed::<f32>(isa, &x),
                Kind::Double => typed::<f64>(isa, &x),
                Kind::Weak => Err(Refused),
            }
        })
    }
}

unsafe fn typed<T: Element>(isa: Isa, x: &Argument) -> Outcome {
    let shape = x.shape();
    let n = shape[shape.len() - 1];
    let size = shape.iter().product::<usize>();
    if size == 0 || n > MOST {
        return Err(Refused);
    }
    // SAFETY: the lock is held; the operand is laid out contiguously.
    unsafe {
        let mut slot = T::ZERO;
        let dense = Dense::new(isa, &x.broadcast(shape, &mut slot)?, shape);
        let dims = Dims::of(x.array.cast())?;
        let bytes = size * size_of::<isize>();
        Ok(match new_array_of(api().descr_intp, dims.lengths(), null(), bytes) {
            Ok((array, out)) => {
                unlocked(size * 5000, || sorted_order(size / n, n, dense.as_ptr(), out.cast()));
                array
            }
            Err(null) => null,
        })
    }
}
