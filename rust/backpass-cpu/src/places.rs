//! `argmax` and `argmin`.

use std::ptr::null;

use backpass_kernels::extremes::{most_rows, places};
use backpass_kernels::isa::Isa;
use backpass_kernels::layout::MAX_DIMS;
use pyo3::ffi;

use crate::api::api;
use crate::keywords::{Keywords, one_axis};
use crate::operand::{Argument, Element, Kind, Outcome, Refused, finish, unlocked};
use crate::order::Dense;
use crate::reductions::plain;
use crate::views::new_array_of;

/// Calls a kernel from Python.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
pub unsafe fn call(
    largest: bool,
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
            let keywords = Keywords::read(true, false, args.add(1), kwnames)?;
            let x = Argument::new(*args)?;
            match x.kind {
                Kind::Single => typed::<f32>(largest, isa, &x, &keywords),
                Kind::Double => typed::<f64>(largest, isa, &x, &keywords),
                Kind::Weak => Err(Refused),
            }
        })
    }
}

unsafe fn typed<T: Element>(largest: bool, isa: Isa, x: &Argument, keywords: &Keywords) -> Outcome {
    let shape = x.shape();
    let nd = shape.len();
    if nd == 0 || shape.contains(&0) {
        return Err(Refused);
    }
    // SAFETY: the lock is held; the operand is laid out contiguously.
    unsafe {
        let whole = keywords.axis == ffi::Py_None();
        let axis = if whole { 0 } else { one_axis(keywords.axis, nd)? };
        let mask = if whole { (1 << nd) - 1 } else { 1 << axis };
        let mut slot = T::ZERO;
        let dense = Dense::new(isa, &x.broadcast(shape, &mut slot)?, shape);
        let about = plain(shape, mask).ok_or(Refused)?;
        if about.inner > 1 && about.len > most_rows::<T>() {
            return Err(Refused);
        }
        let cost = about.size() * 60;
        let mut dims = [1isize; MAX_DIMS];
        let mut left = 0;
        for (d, &n) in shape.iter().enumerate() {
            let reduced = mask >> d & 1 == 1;
            if !reduced || keywords.keepdims {
                dims[left] = if reduced { 1 } else { n as isize };
                left += 1;
            }
        }
        if left == 0 {
            let mut out = 0isize;
            unlocked(cost, || places(isa, largest, about, dense.as_ptr(), &raw mut out));
            let object = ffi::PyType_GenericAlloc(api().intp, 0);
            if !object.is_null() {
                object.add(1).cast::<isize>().write(out);
            }
            return Ok(object);
        }
        let bytes = about.groups() * size_of::<isize>();
        Ok(match new_array_of(api().descr_intp, &dims[..left], null(), bytes) {
            Ok((array, out)) => {
                unlocked(cost, || places(isa, largest, about, dense.as_ptr(), out.cast()));
                array
            }
            Err(null) => null,
        })
    }
}
