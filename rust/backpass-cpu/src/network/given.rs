//! What the families' kernels are given and give: integers, operands that may be missing, several
//! outputs.

use backpass_kernels::isa::Isa;
use backpass_kernels::layout::MAX_DIMS;
use backpass_kernels::pool::Scratch;
use numpy::npyffi::{NPY_ARRAY_ALIGNED, NPY_ARRAY_C_CONTIGUOUS, NPY_TYPES, PyArrayObject};
use pyo3::ffi;

use crate::api::api;
use crate::operand::{Argument, Element, Kind, Outcome, Refused};
use crate::order::Dense;

/// An operand, or `None`.
///
/// # Safety
///
/// `object` is a live object and the interpreter's lock is held.
pub unsafe fn optional(object: *mut ffi::PyObject) -> Result<Option<Argument>, Refused> {
    // SAFETY: the caller's.
    unsafe {
        if object == ffi::Py_None() {
            return Ok(None);
        }
        Argument::new(object).map(Some)
    }
}

/// An array of this shape and kind, laid out in C order.
pub fn dense<T: Element>(isa: Isa, x: &Argument, shape: &[usize]) -> Result<Dense<T>, Refused> {
    let kind = if T::DOUBLE { Kind::Double } else { Kind::Single };
    if x.array.is_null() || x.kind != kind || x.shape() != shape {
        return Err(Refused);
    }
    if x.contiguous() {
        return Ok(Dense::Itself(x.data()));
    }
    let mut slot = T::ZERO;
    Ok(Dense::new(isa, &x.broadcast(shape, &mut slot)?, shape))
}

/// The same of what may be missing.
pub fn dense_or_none<T: Element>(
    isa: Isa,
    x: Option<&Argument>,
    shape: &[usize],
) -> Result<Option<Dense<T>>, Refused> {
    x.map(|x| dense(isa, x, shape)).transpose()
}

/// Where it begins; null if it is missing.
pub fn pointer<T: Element>(dense: Option<&Dense<T>>) -> *const T {
    dense.map_or(std::ptr::null(), Dense::as_ptr)
}

/// `None`, a new reference.
///
/// # Safety
///
/// The interpreter's lock is held.
pub unsafe fn none() -> *mut ffi::PyObject {
    // SAFETY: the caller's.
    unsafe {
        let none = ffi::Py_None();
        ffi::Py_INCREF(none);
        none
    }
}

/// A tuple of the items, whose references it takes; null, with an exception set, if one is null.
///
/// # Safety
///
/// The interpreter's lock is held.
#[allow(clippy::unnecessary_wraps)] // it is what a kernel's body gives
pub unsafe fn tuple<const N: usize>(items: [*mut ffi::PyObject; N]) -> Outcome {
    // SAFETY: the caller's; an item that is not in the tuple is given back.
    unsafe {
        let whole = items.iter().all(|item| !item.is_null());
        let made = if whole { ffi::PyTuple_New(N as isize) } else { std::ptr::null_mut() };
        for (i, item) in items.into_iter().enumerate() {
            if made.is_null() {
                ffi::Py_XDECREF(item);
            } else {
                ffi::PyTuple_SET_ITEM(made, i as isize, item);
            }
        }
        Ok(made)
    }
}

/// The integers of an array, in C order.
pub struct Integers {
    shape: [usize; MAX_DIMS],
    nd: usize,
    values: Values,
}

enum Values {
    Itself(*const i64),
    Copied(Scratch<i64>),
}

impl Integers {
    /// Reads an array of integers of any size and signs; a number too large for `i64` is negative.
    ///
    /// # Safety
    ///
    /// `object` is a live object and the interpreter's lock is held.
    pub unsafe fn read(object: *mut ffi::PyObject) -> Result<Self, Refused> {
        // SAFETY: each cast follows a test of the exact type.
        unsafe {
            if ffi::Py_TYPE(object) != api().array {
                return Err(Refused);
            }
            let array = object.cast::<PyArrayObject>();
            let nd = (*array).nd as usize;
            let order = (*(*array).descr).byteorder as u8;
            if (*array).flags & NPY_ARRAY_ALIGNED == 0
                || nd > MAX_DIMS
                || (order != b'=' && order != b'|')
            {
                return Err(Refused);
            }
            let mut shape = [1; MAX_DIMS];
            for (d, slot) in shape[..nd].iter_mut().enumerate() {
                *slot = *(*array).dimensions.add(d) as usize;
            }
            let number = (*(*array).descr).type_num;
            let is = |kind: NPY_TYPES| number == kind as i32;
            let wide = is(NPY_TYPES::NPY_LONGLONG) || (is(NPY_TYPES::NPY_LONG) && LONG_IS_WIDE);
            #[allow(clippy::cast_ptr_alignment)] // the array is aligned
            if wide && (*array).flags & NPY_ARRAY_C_CONTIGUOUS != 0 {
                return Ok(Self { shape, nd, values: Values::Itself((*array).data.cast()) });
            }
            let read = match number {
                _ if wide => element::<i64>,
                _ if is(NPY_TYPES::NPY_BYTE) => element::<i8>,
                _ if is(NPY_TYPES::NPY_UBYTE) => element::<u8>,
                _ if is(NPY_TYPES::NPY_SHORT) => element::<i16>,
                _ if is(NPY_TYPES::NPY_USHORT) => element::<u16>,
                _ if is(NPY_TYPES::NPY_INT) || is(NPY_TYPES::NPY_LONG) => element::<i32>,
                _ if is(NPY_TYPES::NPY_UINT) => element::<u32>,
                _ if is(NPY_TYPES::NPY_ULONGLONG) => element::<u64>,
                _ if is(NPY_TYPES::NPY_ULONG) && LONG_IS_WIDE => element::<u64>,
                _ if is(NPY_TYPES::NPY_ULONG) => element::<u32>,
                _ => return Err(Refused),
            };
            let strides = std::slice::from_raw_parts((*array).strides, nd);
            let values = copied((*array).data.cast(), &shape[..nd], strides, read);
            Ok(Self { shape, nd, values: Values::Copied(values) })
        }
    }

    /// The shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape[..self.nd]
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shape().iter().product()
    }

    /// Where they begin.
    pub fn as_ptr(&self) -> *const i64 {
        match &self.values {
            Values::Itself(data) => *data,
            Values::Copied(copy) => copy.as_ptr(),
        }
    }

    /// All of them.
    pub fn as_slice(&self) -> &[i64] {
        // SAFETY: so many lie there.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.count()) }
    }
}

/// Whether C's `long` has 64 bits.
const LONG_IS_WIDE: bool = size_of::<std::ffi::c_long>() == 8;

/// An integer as `i64`.
unsafe fn element<I: Copy + Wide>(p: *const u8) -> i64 {
    // SAFETY: the caller vouches for the element; arrays are aligned.
    #[allow(clippy::cast_ptr_alignment)]
    unsafe { *p.cast::<I>() }.wide()
}

trait Wide {
    fn wide(self) -> i64;
}

macro_rules! wide {
    ($($t:ty)*) => {$(
        impl Wide for $t {
            #[allow(clippy::cast_lossless)] // a cast to itself, too
            fn wide(self) -> i64 {
                self as i64
            }
        }
    )*};
}

wide!(i8 u8 i16 u16 i32 u32 i64 u64);

/// The elements of a strided array, in C order.
unsafe fn copied(
    data: *const u8,
    shape: &[usize],
    strides: &[isize],
    read: unsafe fn(*const u8) -> i64,
) -> Scratch<i64> {
    let count = shape.iter().product();
    let copy = Scratch::<i64>::new(count);
    let mut index = [0; MAX_DIMS];
    let mut at = data;
    for i in 0..count {
        // SAFETY: within the array and the copy.
        unsafe { copy.as_ptr().add(i).write(read(at)) };
        for d in (0..shape.len()).rev() {
            index[d] += 1;
            at = at.wrapping_offset(strides[d]);
            if index[d] < shape[d] {
                break;
            }
            index[d] = 0;
            at = at.wrapping_offset(-strides[d] * shape[d] as isize);
        }
    }
    copy
}
