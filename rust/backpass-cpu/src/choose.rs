//! `where`.

use backpass_kernels::choose::{Choice, choose, choose_lines};
use backpass_kernels::isa::Isa;
use backpass_kernels::layout::MAX_DIMS;
use numpy::npyffi::{NPY_TYPES, PyArrayObject};
use pyo3::ffi;

use crate::api::api;
use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, unlocked,
};

/// Calls `where` from Python, with an array of truth values and two operands.
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

/// An array of truth values.
unsafe fn truths(object: *mut ffi::PyObject) -> Result<Argument, Refused> {
    // SAFETY: the cast follows a test of the exact type.
    unsafe {
        if ffi::Py_TYPE(object) != api().array {
            return Err(Refused);
        }
        let array = object.cast::<PyArrayObject>();
        let argument = Argument { kind: Kind::Weak, array, scalar: 0.0 };
        let is_bool = (*(*array).descr).type_num == NPY_TYPES::NPY_BOOL as i32;
        if is_bool { Ok(argument) } else { Err(Refused) }
    }
}

unsafe fn typed<T: Element>(isa: Isa, condition: &Argument, operands: &[Argument; 2]) -> Outcome {
    let shape = condition.shape();
    if shape.is_empty() || !condition.contiguous() {
        // SAFETY: the lock is held.
        return unsafe { spread::<T>(isa, condition, operands) };
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
        } else if x.shape() == shape && x.contiguous() {
            ins[i] = x.data();
        } else {
            // SAFETY: the lock is held.
            return unsafe { spread::<T>(isa, condition, operands) };
        }
    }
    // SAFETY: the condition and the operands are contiguous and of one shape, or numbers.
    unsafe {
        let (array, out) = match new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), size)
        {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        let choice = Choice {
            out,
            n: size,
            condition: condition.data(),
            ins,
            advance,
            advance_condition: 1,
        };
        unlocked(size * 60, || choose(isa, &choice));
        Ok(array)
    }
}

/// A condition or operands that are broadcast; refused where one of them has gaps along the last
/// axis.
unsafe fn spread<T: Element>(isa: Isa, condition: &Argument, operands: &[Argument; 2]) -> Outcome {
    let [x, y] = operands;
    let shape = joint_shape(&[condition.shape(), x.shape(), y.shape()])?;
    if shape.is_empty() || shape.len() > MAX_DIMS {
        return Err(Refused);
    }
    let size = shape.iter().product::<usize>();
    let mut slots = [T::ZERO; 2];
    let [first, second] = &mut slots;
    let views = [x.broadcast(&shape, first)?, y.broadcast(&shape, second)?];
    let (mask, mask_steps) = bytes(condition, &shape);
    let strides = |d: usize| [mask_steps[d], views[0].strides[d], views[1].strides[d]];
    let dims = merged(&shape, strides);
    let (&(n, steps), outer) = dims.split_last().ok_or(Refused)?;
    if steps.iter().any(|&step| step != 0 && step != 1) {
        return Err(Refused);
    }
    let [advance_condition, ..] = steps.map(|step| step as usize);
    // SAFETY: the condition and the operands are readable at every index of the shape.
    unsafe {
        let (array, out) = match new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), size)
        {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        let line = Choice {
            out,
            n,
            condition: mask,
            ins: views.map(|view| view.data),
            advance: [steps[1] as usize, steps[2] as usize],
            advance_condition,
        };
        unlocked(size * 60, || {
            if outer.is_empty() {
                choose(isa, &line);
            } else {
                choose_lines(isa, &line, outer);
            }
        });
        Ok(array)
    }
}

/// The shape that all are broadcast to.
fn joint_shape(shapes: &[&[usize]]) -> Result<Vec<usize>, Refused> {
    let nd = shapes.iter().map(|shape| shape.len()).max().unwrap_or(0);
    let mut joint = vec![1; nd];
    for shape in shapes {
        for (joint, &size) in joint[nd - shape.len()..].iter_mut().zip(*shape) {
            if *joint == 1 {
                *joint = size;
            } else if size != 1 && size != *joint {
                return Err(Refused);
            }
        }
    }
    Ok(joint)
}

/// The dimensions, those joined along which all go on evenly: lengths, and the steps of each.
fn merged(shape: &[usize], steps: impl Fn(usize) -> [isize; 3]) -> Vec<(usize, [isize; 3])> {
    let mut found: Vec<(usize, [isize; 3])> = Vec::with_capacity(shape.len());
    for (d, &length) in shape.iter().enumerate() {
        let steps = steps(d);
        if length == 1 && !found.is_empty() {
            continue;
        }
        match found.last_mut() {
            Some((whole, outer))
                if *whole == 1 || (0..3).all(|i| outer[i] == steps[i] * length as isize) =>
            {
                *whole *= length;
                *outer = steps;
            }
            _ => found.push((length, steps)),
        }
    }
    found
}

/// An array of truth values, broadcast: where it begins, and its steps in bytes.
fn bytes(condition: &Argument, shape: &[usize]) -> (*const u8, Vec<isize>) {
    let own = condition.shape();
    let mut steps = vec![0; shape.len()];
    let lead = shape.len() - own.len();
    for (d, &size) in own.iter().enumerate() {
        if size != 1 {
            steps[lead + d] = condition.stride::<u8>(d);
        }
    }
    (condition.data(), steps)
}
