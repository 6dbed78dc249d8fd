//! The two ends of a transformation: fresh Tensors for its arguments, and the cotangents that come back.

use numpy::npyffi::{NPY_ARRAY_WRITEABLE, PyArrayObject};
use pyo3::ffi::{self, PyObject};

use crate::api::api;
use crate::engine::objects::{engine, installed};
use crate::engine::own::{Own, list, refused, tuple};
use crate::engine::values::{dtype_of, is_inexact, is_plain, shape_of};

/// `hang(leaves, targets, tensors_only)`: a Tensor on a fresh node for each leaf, the nodes added to
/// the set `targets`; `NotImplemented` for a leaf that is not usual.
pub unsafe extern "C" fn hang(
    _: *mut PyObject,
    args: *const *mut PyObject,
    nargs: isize,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter.
    unsafe {
        if nargs != 3
            || !installed()
            || ffi::PyList_CheckExact(*args) == 0
            || ffi::PySet_CheckExact(*args.add(1)) == 0
        {
            let words = c"hang(leaves, targets, tensors_only) takes a list and a set";
            return refused(ffi::PyExc_TypeError, words);
        }
        let [leaves, targets, tensors_only] = std::array::from_fn(|i| *args.add(i));
        let tensors_only = tensors_only == ffi::Py_True();
        list(ffi::PyList_GET_SIZE(leaves), |i| {
            hang_one(ffi::PyList_GET_ITEM(leaves, i), targets, tensors_only)
        })
        .give()
    }
}

#[inline(always)]
unsafe fn hang_one(leaf: *mut PyObject, targets: *mut PyObject, tensors_only: bool) -> Own {
    // SAFETY: the caller's objects are alive.
    unsafe {
        let (engine, none) = (engine(), ffi::Py_None());
        let mut value = leaf;
        if engine.is_tensor(leaf) && engine.node.read(leaf) == none {
            value = engine.value.read(leaf);
        } else if tensors_only {
            value = none;
        }
        if !is_plain(value) || is_inexact(value) != Some(true) {
            return Own::borrowed(ffi::Py_NotImplemented());
        }
        let (parents, shape, dtype) = (tuple([]), shape_of(value), dtype_of(value));
        if parents.failed() || shape.failed() {
            return Own::null();
        }
        let node = engine.new_node(none, parents, Own::none(), Own::none(), shape, dtype);
        if node.failed() || ffi::PySet_Add(targets, node.get()) < 0 {
            return Own::null();
        }
        engine.new_tensor(Own::borrowed(value), node)
    }
}

/// `collect(nodes, tensors, cotangents)`: what has reached each leaf, taken out of `cotangents`, if it
/// is an array that nobody else holds; `NotImplemented` for what has to be looked at.
pub unsafe extern "C" fn collect(
    _: *mut PyObject,
    args: *const *mut PyObject,
    nargs: isize,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter; both lists are as long.
    unsafe {
        if nargs != 3
            || !installed()
            || ffi::PyList_CheckExact(*args) == 0
            || ffi::PyList_CheckExact(*args.add(1)) == 0
            || ffi::PyDict_CheckExact(*args.add(2)) == 0
            || ffi::PyList_GET_SIZE(*args) != ffi::PyList_GET_SIZE(*args.add(1))
        {
            let words = c"collect(nodes, tensors, cotangents) takes two lists and a dict";
            return refused(ffi::PyExc_TypeError, words);
        }
        let [nodes, tensors, cotangents] = std::array::from_fn(|i| *args.add(i));
        list(ffi::PyList_GET_SIZE(nodes), |i| {
            let (node, tensor) = (ffi::PyList_GET_ITEM(nodes, i), ffi::PyList_GET_ITEM(tensors, i));
            collect_one(node, tensor, cotangents)
        })
        .give()
    }
}

#[inline(always)]
unsafe fn collect_one(
    node: *mut PyObject,
    tensor: *mut PyObject,
    cotangents: *mut PyObject,
) -> Own {
    // SAFETY: the caller's objects are alive; each cast follows a test of the type.
    unsafe {
        let engine = engine();
        let unusual = || Own::borrowed(ffi::Py_NotImplemented());
        if ffi::Py_TYPE(node) != engine.node_class || !engine.is_tensor(tensor) {
            return unusual();
        }
        let g = ffi::PyDict_GetItemWithError(cotangents, node);
        if g.is_null() {
            return if ffi::PyErr_Occurred().is_null() { unusual() } else { Own::null() };
        }
        let value = engine.value.read(tensor);
        let hooked = engine.primitive.read(node) != ffi::Py_None();
        if hooked || !is_plain(g) || ffi::Py_TYPE(g) != ffi::Py_TYPE(value) {
            return unusual();
        }
        if ffi::Py_TYPE(g) == api().array {
            let array = g.cast::<PyArrayObject>();
            let base = (*array).base;
            // A view of an array that nobody else holds owns what that owns.
            let owns = owns(base)
                || (ffi::Py_TYPE(base) == api().array
                    && ffi::Py_REFCNT(base) == 1
                    && owns((*base.cast::<PyArrayObject>()).base));
            if ffi::Py_REFCNT(g) != 1
                || !owns
                || (*array).flags & NPY_ARRAY_WRITEABLE == 0
                || (*array).descr.cast() != engine.dtype.read(node)
            {
                return unusual();
            }
        } else if dtype_of(g).get() != engine.dtype.read(node) {
            return unusual();
        }
        let g = Own::borrowed(g);
        if ffi::PyDict_DelItem(cotangents, node) < 0 {
            return Own::null();
        }
        g
    }
}

/// Whether an array with this base owns its elements.
#[inline(always)]
unsafe fn owns(base: *mut PyObject) -> bool {
    // SAFETY: the caller's object is null or alive.
    unsafe { base.is_null() || ffi::Py_TYPE(base) == api().block }
}
