//! Types of Python objects, made by hand: what a call of theirs costs is all that they are for.

use pyo3::ffi::{self, PyObject};
use std::ffi::{CStr, c_int};

use crate::engine::own::Own;

/// A member of an object's body, to be read.
pub fn member(name: &'static CStr, type_code: c_int, offset: usize) -> ffi::PyMemberDef {
    ffi::PyMemberDef {
        name: name.as_ptr(),
        type_code,
        offset: offset as isize,
        flags: ffi::Py_READONLY,
        doc: std::ptr::null(),
    }
}

/// A method.
pub fn method(name: &'static CStr, function: ffi::PyCFunction, flags: c_int) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: function },
        ml_flags: flags,
        ml_doc: std::ptr::null(),
    }
}

unsafe extern "C" {
    fn PyMethod_New(function: *mut PyObject, of: *mut PyObject) -> *mut PyObject;
}

/// As a function in a class becomes a method of its instances.
pub unsafe extern "C" fn bind(
    object: *mut PyObject,
    of: *mut PyObject,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter.
    unsafe {
        if of.is_null() || of == ffi::Py_None() {
            return Own::borrowed(object).give();
        }
        PyMethod_New(object, of)
    }
}

/// `__copy__` of what is never copied.
pub unsafe extern "C" fn itself(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter.
    unsafe { Own::borrowed(object).give() }
}
