//! Several outputs of one kernel.

use std::ptr::{null, null_mut};

use pyo3::ffi;

use crate::operand::{Element, new_array};
use crate::table::Object;

/// New contiguous arrays of these shapes, filled by `fill`: one, or a tuple.
///
/// # Safety
///
/// The interpreter's lock is held; `fill` writes all elements.
pub unsafe fn made<T: Element, const N: usize>(
    shapes: [&[usize]; N],
    fill: impl FnOnce([*mut T; N]),
) -> Object {
    let mut arrays = [null_mut(); N];
    let mut data = [null_mut(); N];
    // SAFETY: the lock is held.
    unsafe {
        for (i, shape) in shapes.into_iter().enumerate() {
            let size = shape.iter().product();
            match new_array::<T>(shape.len(), shape.as_ptr(), null(), size) {
                Ok(made) => (arrays[i], data[i]) = made,
                Err(null) => {
                    arrays[..i].iter().for_each(|&array| ffi::Py_DECREF(array));
                    return null;
                }
            }
        }
        fill(data);
        if N == 1 { arrays[0] } else { tuple(arrays) }
    }
}

/// A tuple that takes over its items.
///
/// # Safety
///
/// The interpreter's lock is held; the items are new references.
pub unsafe fn tuple<const N: usize>(items: [Object; N]) -> Object {
    // SAFETY: the caller's.
    unsafe {
        let made = ffi::PyTuple_New(N as isize);
        for (i, item) in items.into_iter().enumerate() {
            if made.is_null() {
                ffi::Py_DECREF(item);
            } else {
                ffi::PyTuple_SET_ITEM(made, i as isize, item);
            }
        }
        made
    }
}
