//! Copies of several arrays in one call.

use backpass_kernels::copies::{Span, copy_all};
use pyo3::ffi;

use crate::operand::{Argument, Element, Kind, Refused, finish, new_array, unlocked};

/// Calls `copies` from Python: a list of copies of the arrays, all contiguous.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
pub unsafe fn call(
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            if !kwnames.is_null() {
                return Err(Refused);
            }
            let mut arrays = Vec::with_capacity(nargs as usize);
            for i in 0..nargs as usize {
                let x = Argument::new(*args.add(i))?;
                if x.array.is_null() || !x.contiguous() || x.kind == Kind::Weak {
                    return Err(Refused);
                }
                arrays.push(x);
            }
            let list = ffi::PyList_New(nargs);
            if list.is_null() {
                return Ok(list);
            }
            let mut spans = Vec::with_capacity(arrays.len());
            for (i, x) in arrays.iter().enumerate() {
                let made = if x.kind == Kind::Single {
                    copy_of::<f32>(x, &mut spans)
                } else {
                    copy_of::<f64>(x, &mut spans)
                };
                if made.is_null() {
                    ffi::Py_DECREF(list);
                    return Ok(made);
                }
                ffi::PyList_SET_ITEM(list, i as isize, made);
            }
            let bytes: usize = spans.iter().map(|span| span.bytes).sum();
            unlocked(bytes * 20, || copy_all(&spans));
            Ok(list)
        })
    }
}

/// A new array like `x`, and what is to be copied into it; null with an exception set.
unsafe fn copy_of<T: Element>(x: &Argument, spans: &mut Vec<Span>) -> *mut ffi::PyObject {
    let shape = x.shape();
    let size: usize = shape.iter().product();
    // SAFETY: the lock is held; the shape is that of an array.
    match unsafe { new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), size) } {
        Ok((made, to)) => {
            spans.push(Span { from: x.data(), to: to.cast(), bytes: size * size_of::<T>() });
            made
        }
        Err(exception) => exception,
    }
}
