//! References to Python objects, and the few things that are done with them.

use std::ffi::CStr;
use std::ptr::null_mut;

use pyo3::ffi::{self, PyObject};

/// A new reference, given back when it is dropped. Null stands for an exception.
pub struct Own(*mut PyObject);

impl Own {
    /// Takes a new reference over.
    #[inline(always)]
    pub unsafe fn new(object: *mut PyObject) -> Self {
        Self(object)
    }

    /// A reference of one's own to a live object.
    #[inline(always)]
    pub unsafe fn borrowed(object: *mut PyObject) -> Self {
        // SAFETY: the caller vouches for the object, and the interpreter's lock is held.
        unsafe { ffi::Py_INCREF(object) };
        Self(object)
    }

    /// A reference of one's own to a live object, or null.
    #[inline(always)]
    pub unsafe fn borrowed_or_null(object: *mut PyObject) -> Self {
        // SAFETY: the caller vouches for the object, and the interpreter's lock is held.
        unsafe { ffi::Py_XINCREF(object) };
        Self(object)
    }

    /// No reference.
    #[inline(always)]
    pub fn null() -> Self {
        Self(null_mut())
    }

    /// `None`.
    #[inline(always)]
    pub unsafe fn none() -> Self {
        // SAFETY: `None` is always alive.
        unsafe { Self::borrowed(ffi::Py_None()) }
    }

    /// The object, which stays this reference's.
    #[inline(always)]
    pub fn get(&self) -> *mut PyObject {
        self.0
    }

    /// The reference, to be given back by somebody else.
    #[inline(always)]
    pub fn give(self) -> *mut PyObject {
        let object = self.0;
        std::mem::forget(self);
        object
    }

    /// Whether an exception is set instead.
    #[inline(always)]
    pub fn failed(&self) -> bool {
        self.0.is_null()
    }
}

impl Drop for Own {
    #[inline(always)]
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the reference is this one's, and the interpreter's lock is held: references
            // live within calls from the interpreter.
            unsafe { ffi::Py_DECREF(self.0) };
        }
    }
}

/// A tuple of what is given; the references go into it.
#[inline(always)]
pub unsafe fn tuple<const N: usize>(items: [Own; N]) -> Own {
    // SAFETY: the tuple is new and has room for them.
    unsafe {
        let made = Own::new(ffi::PyTuple_New(N as isize));
        if !made.failed() {
            for (i, item) in items.into_iter().enumerate() {
                ffi::PyTuple_SET_ITEM(made.get(), i as isize, item.give());
            }
        }
        made
    }
}

/// Calls a function with positional arguments.
#[inline(always)]
pub unsafe fn call<const N: usize>(function: *mut PyObject, args: [*mut PyObject; N]) -> Own {
    // SAFETY: the caller's objects are alive.
    unsafe { Own::new(ffi::PyObject_Vectorcall(function, args.as_ptr(), N, null_mut())) }
}

/// Calls a method; the first argument is the object.
#[inline(always)]
pub unsafe fn call_method<const N: usize>(name: *mut PyObject, args: [*mut PyObject; N]) -> Own {
    // SAFETY: the caller's objects are alive, and there is at least one.
    unsafe { Own::new(ffi::PyObject_VectorcallMethod(name, args.as_ptr(), N, null_mut())) }
}

/// Sets an exception; null, to be returned.
#[cold]
pub unsafe fn refused(class: *mut PyObject, words: &CStr) -> *mut PyObject {
    // SAFETY: the caller's object is a class of exceptions.
    unsafe { ffi::PyErr_SetString(class, words.as_ptr()) };
    null_mut()
}

/// A list of what `item` gives for each place; null if it fails.
#[inline(always)]
pub unsafe fn list(count: isize, mut item: impl FnMut(isize) -> Own) -> Own {
    // SAFETY: the list is new and has room.
    unsafe {
        let made = Own::new(ffi::PyList_New(count));
        if made.failed() {
            return made;
        }
        for i in 0..count {
            let found = item(i);
            if found.failed() {
                return found;
            }
            ffi::PyList_SET_ITEM(made.get(), i, found.give());
        }
        made
    }
}
