//! Adding up the cotangents of one node: `accumulate` in `cotangents.py`, in place where nobody sees it.

use backpass_kernels::elementwise::{BINARY, Elementwise, apply_contiguous};
use numpy::npyffi::{
    NPY_ARRAY_ALIGNED, NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_WRITEABLE, PyArrayObject,
};
use pyo3::ffi::{self, PyObject};

use crate::api::api;
use crate::engine::objects::engine;
use crate::engine::own::{Own, call};
use crate::operand::{Element, unlocked};
use crate::table::isa;

/// The sum of two cotangents of one shape and dtype; null with an exception set. `held` is how many
/// references there are to `old` that are of no interest.
#[inline(always)]
pub unsafe fn accumulate(old: &Own, held: isize, gx: &Own) -> Own {
    // SAFETY: the caller's objects are alive.
    unsafe {
        let (first, second) = (old.get(), gx.get());
        if is_dense(first) && is_dense(second) {
            let target = if is_alone(first, held) {
                first
            } else if is_alone(second, 1) {
                second
            } else {
                std::ptr::null_mut()
            };
            if !target.is_null() {
                let descr = (*first.cast::<PyArrayObject>()).descr;
                if descr == (*second.cast::<PyArrayObject>()).descr {
                    if descr == api().descr32 {
                        add::<f32>(first, second, target);
                        return Own::borrowed(target);
                    }
                    if descr == api().descr64 {
                        add::<f64>(first, second, target);
                        return Own::borrowed(target);
                    }
                }
            }
        }
        call(engine().accumulate, [first, second])
    }
}

/// Whether an object is an array of elements that lie one behind the other, where they may.
#[inline(always)]
pub unsafe fn is_dense(object: *mut PyObject) -> bool {
    // SAFETY: the caller's object is alive; the cast follows a test of the type.
    unsafe {
        let dense = NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED;
        ffi::Py_TYPE(object) == api().array
            && (*object.cast::<PyArrayObject>()).flags & dense == dense
    }
}

/// Whether an object is an array whose elements nobody but the walk can see: it owns a block of the
/// pool, and there are no more than `held` references to it.
#[inline(always)]
pub unsafe fn is_alone(array: *mut PyObject, held: isize) -> bool {
    // SAFETY: the caller's object is alive; the cast follows a test of the type.
    unsafe {
        if ffi::Py_TYPE(array) != api().array {
            return false;
        }
        let body = array.cast::<PyArrayObject>();
        let base = (*body).base;
        ffi::Py_REFCNT(array) <= held
            && !base.is_null()
            && ffi::Py_TYPE(base) == api().block
            && ffi::Py_REFCNT(base) == 1
            && (*body).flags & NPY_ARRAY_WRITEABLE != 0
    }
}

/// `target = first + second`, where `target` is one of the two.
unsafe fn add<T: Element>(first: *mut PyObject, second: *mut PyObject, target: *mut PyObject) {
    static KERNEL: std::sync::LazyLock<&Elementwise<2>> = std::sync::LazyLock::new(|| {
        BINARY.iter().find(|kernel| kernel.name == "add").expect("addition is a kernel")
    });
    // SAFETY: dense arrays of `T` and of one shape, as the caller has seen; an elementwise kernel reads
    // an element before it writes there.
    unsafe {
        let body = target.cast::<PyArrayObject>();
        let shape = match (*body).nd {
            0 => &[],
            n => std::slice::from_raw_parts((*body).dimensions, n as usize),
        };
        let size = shape.iter().product::<isize>() as usize;
        let data = |array: *mut PyObject| (*array.cast::<PyArrayObject>()).data.cast::<T>();
        let (out, ins) = (data(target), [data(first).cast_const(), data(second).cast_const()]);
        unlocked(size * KERNEL.cost as usize, || {
            apply_contiguous(isa(), *KERNEL, out, size, ins, [1, 1]);
        });
    }
}
