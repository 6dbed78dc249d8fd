//! The norm of gradients, and gradients scaled to one.

use backpass_kernels::descent::{self, Order, Scaled};
use backpass_kernels::isa::Isa;
use pyo3::ffi;

use super::leaves::Leaves;
use super::numbers::{Name, Numbers};
use super::typed;
use crate::operand::{Element, Kind, Outcome, Refused, new_array, new_scalar, unlocked};

/// The norm of all arrays together, a `numpy.float64`.
pub unsafe fn norm_of(isa: Isa, arrays: &Leaves, numbers: &mut Numbers) -> Outcome {
    let order = match numbers.number_or(Name::Order, 2.0)? {
        1.0 => Order::One,
        2.0 => Order::Two,
        f64::INFINITY => Order::Infinity,
        _ => return Err(Refused),
    };
    numbers.end()?;
    // SAFETY: the caller holds the interpreter's lock, and the arrays are alive.
    typed!(arrays.kind, T => unsafe { Ok(new_scalar(norm::<T>(isa, arrays, order))) })
}

unsafe fn norm<T: Element>(isa: Isa, arrays: &Leaves, order: Order) -> f64 {
    let parts: Vec<(*const T, usize)> =
        arrays.arrays.iter().map(|x| (x.data::<T>().cast_const(), x.size())).collect();
    let total: usize = parts.iter().map(|&(_, n)| n).sum();
    let mut found = 0.0;
    // SAFETY: the caller's.
    unsafe { unlocked(total * 25, || found = descent::norm(isa, &parts, order)) };
    found
}

/// A list of new arrays: each of the arrays times the number `by`.
pub unsafe fn scaled(isa: Isa, arrays: &Leaves, numbers: &mut Numbers) -> Outcome {
    let factor = numbers.number(Name::By)?;
    numbers.end()?;
    // SAFETY: the caller's.
    typed!(arrays.kind, T => unsafe { Ok(scaled_by::<T>(isa, arrays, factor)) })
}

unsafe fn scaled_by<T: Element>(isa: Isa, arrays: &Leaves, factor: f64) -> *mut ffi::PyObject {
    let count = arrays.arrays.len();
    // SAFETY: the interpreter's lock is held, and the arrays are alive.
    unsafe {
        let list = ffi::PyList_New(count as isize);
        if list.is_null() {
            return list;
        }
        let mut parts = Vec::with_capacity(count);
        let mut size = 0;
        for (i, x) in arrays.arrays.iter().enumerate() {
            let (shape, n) = (x.shape(), x.size());
            match new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), n) {
                Ok((made, to)) => {
                    ffi::PyList_SET_ITEM(list, i as isize, made);
                    parts.push(Scaled { from: x.data(), to, n });
                }
                Err(exception) => {
                    ffi::Py_DECREF(list);
                    return exception;
                }
            }
            size += n;
        }
        unlocked(size * 15, || descent::scale_all(isa, &parts, factor));
        list
    }
}
