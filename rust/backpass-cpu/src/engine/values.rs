//! Shape and dtype of values: read where they lie for `NumPy`'s own, asked for elsewhere.

use numpy::npyffi::PyArrayObject;
use pyo3::ffi::{self, PyObject};

use crate::api::api;
use crate::engine::objects::engine;
use crate::engine::own::Own;

/// What a value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Array,
    Double,
    Single,
    Other,
}

#[inline(always)]
unsafe fn kind_of(value: *mut PyObject) -> Kind {
    // SAFETY: the caller's object is alive.
    unsafe {
        let (class, api) = (ffi::Py_TYPE(value), api());
        if class == api.array {
            Kind::Array
        } else if class == api.float64 {
            Kind::Double
        } else if class == api.float32 {
            Kind::Single
        } else {
            Kind::Other
        }
    }
}

/// The lengths of an array's axes.
#[inline(always)]
unsafe fn lengths(array: *mut PyObject) -> &'static [isize] {
    // SAFETY: the caller's object is an array, and alive while the slice is used.
    unsafe {
        let array = array.cast::<PyArrayObject>();
        match (*array).nd {
            0 => &[],
            n => std::slice::from_raw_parts((*array).dimensions, n as usize),
        }
    }
}

/// The shape, as a tuple.
#[inline(always)]
pub unsafe fn shape_of(value: *mut PyObject) -> Own {
    // SAFETY: the caller's object is alive; the tuple is new and has room.
    unsafe {
        match kind_of(value) {
            Kind::Array => {
                let lengths = lengths(value);
                let made = Own::new(ffi::PyTuple_New(lengths.len() as isize));
                if !made.failed() {
                    for (i, &length) in lengths.iter().enumerate() {
                        ffi::PyTuple_SET_ITEM(
                            made.get(),
                            i as isize,
                            ffi::PyLong_FromSsize_t(length),
                        );
                    }
                }
                made
            }
            Kind::Double | Kind::Single => Own::new(ffi::PyTuple_New(0)),
            Kind::Other => Own::new(ffi::PyObject_GetAttr(value, engine().names.shape)),
        }
    }
}

/// The dtype.
#[inline(always)]
pub unsafe fn dtype_of(value: *mut PyObject) -> Own {
    // SAFETY: the caller's object is alive.
    unsafe {
        match kind_of(value) {
            Kind::Array => Own::borrowed((*value.cast::<PyArrayObject>()).descr.cast()),
            Kind::Double => Own::borrowed(api().descr64.cast()),
            Kind::Single => Own::borrowed(api().descr32.cast()),
            Kind::Other => Own::new(ffi::PyObject_GetAttr(value, engine().names.dtype)),
        }
    }
}

/// Whether a value holds floats or complex numbers; `None` with an exception set.
#[inline(always)]
pub unsafe fn is_inexact(value: *mut PyObject) -> Option<bool> {
    // SAFETY: the caller's object is alive.
    unsafe {
        match kind_of(value) {
            Kind::Array => {
                let descr = (*value.cast::<PyArrayObject>()).descr;
                // bfloat16 is of a kind with records.
                let brain = (*descr).type_ as u8 == b'E';
                Some(matches!((*descr).kind as u8, b'f' | b'c') || brain)
            }
            Kind::Double | Kind::Single => Some(true),
            Kind::Other => asked(value),
        }
    }
}

#[cold]
unsafe fn asked(value: *mut PyObject) -> Option<bool> {
    // SAFETY: the caller's object is alive.
    unsafe {
        let dtype = dtype_of(value);
        if dtype.failed() {
            return None;
        }
        let kind = Own::new(ffi::PyObject_GetAttr(dtype.get(), engine().names.kind));
        let character = Own::new(ffi::PyObject_GetAttr(dtype.get(), engine().names.char));
        if kind.failed() || character.failed() {
            return None;
        }
        let is = |text: &Own, letter: &std::ffi::CStr| {
            ffi::PyUnicode_CompareWithASCIIString(text.get(), letter.as_ptr()) == 0
        };
        Some(is(&kind, c"f") || is(&kind, c"c") || is(&character, c"E"))
    }
}

/// Whether a value of `NumPy`'s own has the shape `shape` (a tuple) and the dtype `dtype`; `false` for
/// what has to be asked.
#[inline(always)]
pub unsafe fn fits(value: *mut PyObject, shape: *mut PyObject, dtype: *mut PyObject) -> bool {
    // SAFETY: the caller's objects are alive.
    unsafe {
        let own = match kind_of(value) {
            Kind::Array => (*value.cast::<PyArrayObject>()).descr,
            Kind::Double => api().descr64,
            Kind::Single => api().descr32,
            Kind::Other => return false,
        };
        own.cast() == dtype && has_shape(value, shape)
    }
}

/// Whether a value has the shape `shape`, a tuple; `false` for what has to be asked.
#[inline(always)]
pub unsafe fn has_shape(value: *mut PyObject, shape: *mut PyObject) -> bool {
    // SAFETY: the caller's objects are alive.
    unsafe {
        if ffi::PyTuple_CheckExact(shape) == 0 {
            return false;
        }
        let count = ffi::PyTuple_GET_SIZE(shape);
        match kind_of(value) {
            Kind::Array => {
                let lengths = lengths(value);
                lengths.len() as isize == count
                    && lengths.iter().enumerate().all(|(i, &length)| {
                        ffi::PyLong_AsSsize_t(ffi::PyTuple_GET_ITEM(shape, i as isize)) == length
                    })
            }
            Kind::Double | Kind::Single => count == 0,
            Kind::Other => false,
        }
    }
}

/// Whether a value is an array or a scalar of `NumPy`'s, of single or double precision.
#[inline(always)]
pub unsafe fn is_plain(value: *mut PyObject) -> bool {
    // SAFETY: the caller's object is alive.
    unsafe { kind_of(value) != Kind::Other }
}

/// Whether a value of any library has the shape and the dtype of a node; `None` with an exception set.
#[cold]
pub unsafe fn asked_to_fit(
    value: *mut PyObject,
    shape: *mut PyObject,
    dtype: *mut PyObject,
) -> Option<bool> {
    // SAFETY: the caller's objects are alive.
    unsafe {
        let names = &engine().names;
        let own = Own::new(ffi::PyObject_GetAttr(value, names.dtype));
        if own.failed() {
            return None;
        }
        if own.get() != dtype {
            return Some(false);
        }
        let own = Own::new(ffi::PyObject_GetAttr(value, names.shape));
        if own.failed() {
            return None;
        }
        match ffi::PyObject_RichCompareBool(own.get(), shape, ffi::Py_EQ) {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}
