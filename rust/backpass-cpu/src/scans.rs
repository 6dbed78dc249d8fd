//! `cumsum` and its rule.

use backpass_kernels::isa::Isa;
use backpass_kernels::reduce::Shape;
use backpass_kernels::scan::cumulative_sum;
use pyo3::ffi;

use crate::keywords::{Keywords, axes, one_axis};
use crate::operand::{Argument, Element, Kind, Outcome, Refused, finish, new_array, unlocked};
use crate::order::Dense;
use crate::reductions::plain;
use crate::views::Dims;

/// `cumsum(x, *, axis)`, or, with `rule`, `cumsum.vjp(g, x's node, *, axis)`. Called from Python.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
pub unsafe fn call(
    rule: bool,
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            if nargs != 1 + isize::from(rule) {
                return Err(Refused);
            }
            let axis = Keywords::read(false, false, args.offset(nargs), kwnames)?.axis;
            let x = Argument::new(*args)?;
            // The rule's result has the shape of the operand, which may not have been flat.
            let shape = Dims::of(if rule { *args.add(1) } else { *args })?;
            match x.kind {
                Kind::Single => typed::<f32>(rule, isa, &x, &shape, axis),
                Kind::Double => typed::<f64>(rule, isa, &x, &shape, axis),
                Kind::Weak => Err(Refused),
            }
        })
    }
}

unsafe fn typed<T: Element>(
    rule: bool,
    isa: Isa,
    x: &Argument,
    shape: &Dims,
    axis: *mut ffi::PyObject,
) -> Outcome {
    let own = x.shape();
    let whole = shape.lengths();
    let size = own.iter().product::<usize>();
    // SAFETY: the lock is held; the operand is laid out contiguously.
    unsafe {
        let flat = axis == ffi::Py_None();
        let (about, dims) = if flat {
            if own.is_empty()
                || whole.is_empty()
                || whole.iter().product::<isize>() as usize != size
            {
                return Err(Refused);
            }
            let flattened = [size as isize];
            let about = Shape { outer: 1, len: size, inner: 1 };
            if rule { (about, Dims::from(whole)?) } else { (about, Dims::from(&flattened)?) }
        } else {
            if own.iter().map(|&n| n as isize).ne(whole.iter().copied()) {
                return Err(Refused);
            }
            one_axis(axis, own.len())?;
            let about = plain(own, axes(axis, own.len())?).ok_or(Refused)?;
            (about, Dims::from(whole)?)
        };
        let mut slot = T::ZERO;
        let dense = Dense::new(isa, &x.broadcast(own, &mut slot)?, own);
        let dims = dims.lengths();
        let made = new_array::<T>(dims.len(), dims.as_ptr().cast(), std::ptr::null(), size);
        Ok(match made {
            Ok((array, out)) => {
                unlocked(size * 1000, || cumulative_sum(isa, rule, about, dense.as_ptr(), out));
                array
            }
            Err(null) => null,
        })
    }
}
