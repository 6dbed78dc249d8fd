//! `where`.

use backpass_kernels::choose::{Choice, choose};
use backpass_kernels::isa::Isa;
use numpy::npyffi::{NPY_TYPES, PyArrayObject};
use pyo3::ffi;

use crate::api::api;
use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, unlocked,
};

/// Calls `where` from Python: a contiguous array of truth values, and two operands that are of its
/// shape and contiguous, or repeat one element.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
pub unsafe fn call(
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            if nargs != 3 || !kwnames.is_null() {
                return Err(Refused);
            }
            let condition = truths(*args)?;
            let operands = [Argument::new(*args.add(1))?, Argument::new(*args.add(2))?];
            match common_kind(&operands)? {
                Kind::Single => typed::<f32>(isa, &condition, &operands),
                _ => typed::<f64>(isa, &condition, &operands),
            }
        })
    }
}

/// A contiguous array of truth values.
unsafe fn truths(object: *mut ffi::PyObject) -> Result<Argument, Refused> {
    // SAFETY: the cast follows a test of the exact type.
    unsafe {
        if ffi::Py_TYPE(object) != api().array {
            return Err(Refused);
        }
        let array = object.cast::<PyArrayObject>();
        let argument = Argument { kind: Kind::Weak, array, scalar: 0.0 };
        let is_bool = (*(*array).descr).type_num == NPY_TYPES::NPY_BOOL as i32;
        if is_bool && argument.contiguous() { Ok(argument) } else { Err(Refused) }
    }
}

unsafe fn typed<T: Element>(isa: Isa, condition: &Argument, operands: &[Argument; 2]) -> Outcome {
    let shape = condition.shape();
    if shape.is_empty() {
        return Err(Refused);
    }
    let size = shape.iter().product::<usize>();
    let mut slots = [T::ZERO; 2];
    let mut ins = [std::ptr::null::<T>(); 2];
    let mut advance = [1; 2];
    for i in 0..2 {
        let x = &operands[i];
        if x.ndim() == 0 {
            slots[i] = x.value()?;
            ins[i] = &raw const slots[i];
            advance[i] = 0;
        } else if x.shape() != shape {
            return Err(Refused);
        } else if x.contiguous() {
            ins[i] = x.data();
        } else if (0..x.ndim()).all(|d| x.stride::<T>(d) == 0) {
            ins[i] = x.data();
            advance[i] = 0;
        } else {
            return Err(Refused);
        }
    }
    // SAFETY: the condition and the operands are contiguous and of one shape, or repeat one element.
    unsafe {
        let (array, out) = match new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), size)
        {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        let choice = Choice { out, n: size, condition: condition.data(), ins, advance };
        unlocked(size * 60, || choose(isa, &choice));
        Ok(array)
    }
}
