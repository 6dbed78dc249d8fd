//! The way of a cotangent through a call that an `Op` has recorded: `pullback` in `arity.py`.

use std::ptr::null_mut;

use pyo3::ffi::{self, PyObject};

use crate::engine::objects::engine;
use crate::engine::op::{MOST, Op};
use crate::engine::own::{Own, call_method};
use crate::engine::walk::parent;

impl Op {
    /// The rules for cotangents of a type, a tuple; null with an exception set.
    #[inline(always)]
    unsafe fn pulls_of(&self, g: *mut PyObject) -> Own {
        // SAFETY: the caller's object is alive; the table is a dictionary.
        unsafe {
            let class = ffi::Py_TYPE(g).cast();
            let found = Own::borrowed_or_null(ffi::PyDict_GetItemWithError(self.pulls, class));
            if !found.failed() {
                return found;
            }
            ffi::PyErr_Clear();
            call_method(engine().names.pull_of, [self.primitive, class])
        }
    }

    /// The cotangents of the operands of the call that `node` recorded, as the primitive's `pullback`
    /// gives them, null where nothing goes; `false` with an exception set.
    #[inline(always)]
    pub unsafe fn pull(
        &self,
        g: *mut PyObject,
        node: *mut PyObject,
        parents: *mut PyObject,
        wanted: *mut PyObject,
        gxs: &mut [Own; 2],
    ) -> bool {
        // SAFETY: the caller's objects are alive; what the node, which is not dead, holds is in the
        // layout of `hang_unary` and `hang_binary`.
        unsafe {
            let engine = engine();
            // Before anything that may let another thread run, and that free the node.
            let saved = Own::borrowed(engine.saved.read(node));
            let kwargs = Own::borrowed(engine.kwargs.read(node));
            let pulls = self.pulls_of(g);
            if pulls.failed() {
                return false;
            }
            for (i, slot) in gxs.iter_mut().enumerate().take(self.arity as usize) {
                let pull = ffi::PyTuple_GET_ITEM(pulls.get(), i as isize);
                if pull == ffi::Py_None() {
                    continue;
                }
                let values = if self.arity == 1 {
                    saved.get()
                } else {
                    ffi::PyTuple_GET_ITEM(saved.get(), i as isize)
                };
                if values == ffi::Py_None() {
                    continue;
                }
                if self.arity == 2 && wanted != ffi::Py_None() {
                    match ffi::PySequence_Contains(wanted, parent(parents, i as isize)) {
                        0 => continue,
                        1 => {}
                        _ => return false,
                    }
                }
                let gx = if self.passes[i] && pull == self.calls[i] {
                    Own::borrowed(g)
                } else {
                    self.pull_one(i, pull, g, values, kwargs.get())
                };
                if gx.failed() {
                    return false;
                }
                if gx.get() != ffi::Py_None() {
                    *slot = gx;
                }
            }
            true
        }
    }

    #[inline(always)]
    unsafe fn pull_one(
        &self,
        i: usize,
        pull: *mut PyObject,
        g: *mut PyObject,
        values: *mut PyObject,
        kwargs: *mut PyObject,
    ) -> Own {
        // SAFETY: the caller's objects are alive; the rule reads as many values as are kept for it.
        unsafe {
            let count = ffi::PyTuple_GET_SIZE(values) as usize;
            let mut args = [g; MOST + 1];
            for (j, place) in args[1..].iter_mut().take(count).enumerate() {
                *place = ffi::PyTuple_GET_ITEM(values, j as isize);
            }
            let none = ffi::Py_None();
            let named = kwargs != none;
            if pull != self.calls[i] {
                let kwargs = if named { kwargs } else { null_mut() };
                let gx =
                    Own::new(ffi::PyObject_VectorcallDict(pull, args.as_ptr(), 1 + count, kwargs));
                if gx.failed() || gx.get() != ffi::Py_NotImplemented() {
                    return gx;
                }
            }
            if named {
                let rule = ffi::PyTuple_GET_ITEM(self.rules, i as isize);
                return call_method(engine().names.run, [rule, g, values, kwargs]);
            }
            Own::new(ffi::PyObject_Vectorcall(self.calls[i], args.as_ptr(), 1 + count, null_mut()))
        }
    }
}
