//! `concatenate` and `stack`.

use backpass_kernels::layout::MAX_DIMS;
use backpass_kernels::pool::Scratch;
use pyo3::ffi;

use crate::api::api;
use crate::keywords::{each_keyword, one_axis};
use crate::operand::{Argument, Element, Kind, Outcome, Refused, finish, new_array, unlocked};

/// Joins arrays along an axis, or, if `stacked`, along a new one. Called from Python.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
pub unsafe fn call(
    stacked: bool,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            if nargs < 1 {
                return Err(Refused);
            }
            let mut axis = std::ptr::null_mut();
            each_keyword(kwnames, args.offset(nargs), [api().axis], |_, value| {
                axis = value;
                Ok(())
            })?;
            let operands = std::slice::from_raw_parts(args, nargs as usize);
            match Argument::new(operands[0])?.kind {
                Kind::Single => joined::<f32>(stacked, operands, axis),
                Kind::Double => joined::<f64>(stacked, operands, axis),
                Kind::Weak => Err(Refused),
            }
        })
    }
}

unsafe fn joined<T: Element>(
    stacked: bool,
    operands: &[*mut ffi::PyObject],
    axis: *mut ffi::PyObject,
) -> Outcome {
    let kind = if T::DOUBLE { Kind::Double } else { Kind::Single };
    // SAFETY: the lock is held and the operands are alive; the shapes are compared before anything
    // is copied.
    unsafe {
        let first = Argument::new(operands[0])?;
        let own = first.shape();
        let nd = own.len() + usize::from(stacked);
        if nd == 0 || nd > MAX_DIMS {
            return Err(Refused);
        }
        let axis = if axis.is_null() { 0 } else { one_axis(axis, nd)? };
        let mut length = 0;
        let before = own[..axis].iter().product::<usize>();
        let parts = Scratch::<(*const T, usize)>::new(operands.len());
        for (i, &object) in operands.iter().enumerate() {
            let x = Argument::new(object)?;
            let shape = x.shape();
            let alike = if stacked {
                shape == own
            } else {
                shape.len() == own.len()
                    && shape[..axis] == own[..axis]
                    && shape[axis + 1..] == own[axis + 1..]
            };
            if x.kind != kind || !alike || (!x.array.is_null() && !x.contiguous()) {
                return Err(Refused);
            }
            length += if stacked { 1 } else { shape[axis] };
            // A NumPy scalar's value follows the object's head.
            let data =
                if x.array.is_null() { object.add(1).cast() } else { x.data::<T>().cast_mut() };
            let elements = shape.iter().product::<usize>();
            parts.as_ptr().add(i).write((data, elements.checked_div(before).unwrap_or(0)));
        }
        let mut dims = [0; MAX_DIMS];
        dims[..axis].copy_from_slice(&own[..axis]);
        dims[axis] = length;
        dims[axis + 1..nd].copy_from_slice(&own[axis + usize::from(!stacked)..]);
        let dims = &dims[..nd];
        let size = dims.iter().product::<usize>();
        let (array, out) = match new_array::<T>(nd, dims.as_ptr(), std::ptr::null(), size) {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        if size == 0 {
            return Ok(array);
        }
        let (outer, whole) = (before, size / before);
        unlocked(size * 100, || {
            let mut start = 0;
            for i in 0..operands.len() {
                let (from, part) = *parts.as_ptr().add(i);
                for o in 0..outer {
                    let to = out.add(o * whole + start);
                    from.add(o * part).copy_to_nonoverlapping(to, part);
                }
                start += part;
            }
        });
        Ok(array)
    }
}
