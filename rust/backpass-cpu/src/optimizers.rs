//! The optimizers' updates, in place.

use backpass_kernels::descent::{self, Leaf};
use backpass_kernels::isa::Isa;
use numpy::npyffi::{NPY_ARRAY_WRITEABLE, PyArrayObject};
use pyo3::ffi;

use crate::api::api;
use crate::operand::{Argument, Element, Kind, Outcome, Refused, finish, unlocked};
use crate::reductions::same;

/// Calls `momentum_update` from Python.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
pub unsafe fn momentum_update(
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the caller vouches for the call.
    unsafe { update::<true>(isa, args, nargs, kwnames) }
}

/// Calls `sgd_update` from Python.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
pub unsafe fn sgd_update(
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the caller vouches for the call.
    unsafe { update::<false>(isa, args, nargs, kwnames) }
}

/// Arrays a leaf: weights, velocities (with momentum) and gradients, in this order; the last are
/// only read.
const fn roles(momentum: bool) -> usize {
    if momentum { 3 } else { 2 }
}

unsafe fn update<const MOMENTUM: bool>(
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            let count = nargs as usize;
            if count == 0 || !count.is_multiple_of(roles(MOMENTUM)) || kwnames.is_null() {
                return Err(Refused);
            }
            let (mut rate, mut decay) = (None, if MOMENTUM { None } else { Some(0.0) });
            for i in 0..ffi::PyTuple_GET_SIZE(kwnames) {
                let name = ffi::PyTuple_GET_ITEM(kwnames, i);
                let value = Argument::new(*args.add(count).offset(i))?;
                if !value.array.is_null() {
                    return Err(Refused);
                }
                if same(name, api().learning_rate) {
                    rate = Some(value.scalar);
                } else if MOMENTUM && same(name, api().momentum) {
                    decay = Some(value.scalar);
                } else {
                    return Err(Refused);
                }
            }
            let (Some(rate), Some(decay)) = (rate, decay) else { return Err(Refused) };
            let mut arrays = Vec::with_capacity(count);
            for i in 0..count {
                arrays.push(Argument::new(*args.add(i))?);
            }
            match arrays[0].kind {
                Kind::Single => typed::<f32, MOMENTUM>(isa, &arrays, rate, decay),
                Kind::Double => typed::<f64, MOMENTUM>(isa, &arrays, rate, decay),
                Kind::Weak => Err(Refused),
            }
        })
    }
}

/// Whether one of the first `written` arrays shares memory with another array.
fn overlap<T: Element>(arrays: &[Argument], written: usize) -> bool {
    let mut spans: Vec<(usize, usize, bool)> = arrays
        .iter()
        .enumerate()
        .map(|(i, x)| {
            let start = x.data::<T>() as usize;
            (start, start + x.shape().iter().product::<usize>() * size_of::<T>(), i < written)
        })
        .filter(|(start, end, _)| start < end)
        .collect();
    spans.sort_unstable();
    let (mut end, mut written_end) = (0, 0);
    spans.into_iter().any(|(start, stop, writes)| {
        let clash = start < written_end || (writes && start < end);
        end = end.max(stop);
        if writes {
            written_end = written_end.max(stop);
        }
        clash
    })
}

unsafe fn typed<T: Element, const MOMENTUM: bool>(
    isa: Isa,
    arrays: &[Argument],
    rate: f64,
    decay: f64,
) -> Outcome {
    let leaves = arrays.len() / roles(MOMENTUM);
    let written = arrays.len() - leaves;
    let kind = arrays[0].kind;
    let mut size = 0;
    for (i, x) in arrays.iter().enumerate() {
        if x.array.is_null() || x.kind != kind || !x.contiguous() {
            return Err(Refused);
        }
        // SAFETY: the array is alive.
        let flags = unsafe { (*x.array.cast::<PyArrayObject>()).flags };
        if i < written && flags & NPY_ARRAY_WRITEABLE == 0 {
            return Err(Refused);
        }
        if x.shape() != arrays[i % leaves].shape() {
            return Err(Refused);
        }
        size += x.shape().iter().product::<usize>();
    }
    if overlap::<T>(arrays, written) {
        return Err(Refused);
    }
    // SAFETY: the lock is held; the arrays are contiguous, of one shape a leaf, and apart.
    unsafe {
        let parts: Vec<Leaf<T>> = (0..leaves)
            .map(|i| Leaf {
                weights: arrays[i].data::<T>().cast_mut(),
                velocity: if MOMENTUM {
                    arrays[leaves + i].data::<T>().cast_mut()
                } else {
                    std::ptr::null_mut()
                },
                gradient: arrays[written + i].data(),
                n: arrays[i].shape().iter().product(),
            })
            .collect();
        unlocked(size * 15, || {
            if MOMENTUM {
                descent::momentum_update(isa, &parts, rate, decay);
            } else {
                descent::sgd_update(isa, &parts, rate);
            }
        });
        let none = ffi::Py_None();
        ffi::Py_INCREF(none);
        Ok(none)
    }
}
