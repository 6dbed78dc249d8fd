//! Reading keywords and what they hold: axes, shapes, truth values.

use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use pyo3::ffi;

use crate::api::api;
use crate::operand::{Argument, Refused};

/// Calls `take` with the place in `known` and the value of each keyword; refused for any other.
///
/// # Safety
///
/// The interpreter hands over a tuple of names and as many values; `known` are strings.
#[inline(always)]
pub unsafe fn each_keyword<const N: usize>(
    kwnames: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    known: [*mut ffi::PyObject; N],
    mut take: impl FnMut(usize, *mut ffi::PyObject) -> Result<(), Refused>,
) -> Result<(), Refused> {
    if kwnames.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's.
    unsafe {
        for i in 0..ffi::PyTuple_GET_SIZE(kwnames) {
            let name = ffi::PyTuple_GET_ITEM(kwnames, i);
            // Names in calls are interned nearly always.
            let place = known.iter().position(|&k| k == name);
            let place = place.or_else(|| known.iter().position(|&k| same(name, k)));
            take(place.ok_or(Refused)?, *values.offset(i))?;
        }
    }
    Ok(())
}

/// Whether two names are the same: names in calls are interned nearly always.
///
/// # Safety
///
/// Both are strings.
#[inline(always)]
pub unsafe fn same(name: *mut ffi::PyObject, known: *mut ffi::PyObject) -> bool {
    // SAFETY: both are strings.
    name == known || unsafe { ffi::PyUnicode_Compare(name, known) == 0 }
}

/// `axis`, `keepdims` and `ddof` as given.
pub struct Keywords {
    /// The axis, axes or `None`.
    pub axis: *mut ffi::PyObject,
    /// Whether reduced axes stay, with length 1.
    pub keepdims: bool,
    /// What is taken from the number of elements.
    pub ddof: isize,
}

impl Keywords {
    /// Reads them; `keepdims` and `ddof` are refused where there is none.
    ///
    /// # Safety
    ///
    /// As the interpreter hands over names and values.
    pub unsafe fn read(
        has_keepdims: bool,
        has_ddof: bool,
        values: *const *mut ffi::PyObject,
        kwnames: *mut ffi::PyObject,
    ) -> Result<Self, Refused> {
        // SAFETY: the caller's.
        unsafe {
            let api = api();
            let mut found = Self { axis: ffi::Py_None(), keepdims: false, ddof: 0 };
            each_keyword(kwnames, values, [api.axis, api.keepdims, api.ddof], |place, value| {
                match place {
                    0 => found.axis = value,
                    1 if has_keepdims => found.keepdims = truth(value)?,
                    2 if has_ddof => found.ddof = integer(value)?,
                    _ => return Err(Refused),
                }
                Ok(())
            })?;
            Ok(found)
        }
    }
}

/// `True` or `False`.
///
/// # Safety
///
/// The interpreter's lock is held.
pub unsafe fn truth(value: *mut ffi::PyObject) -> Result<bool, Refused> {
    // SAFETY: the two objects live for ever.
    unsafe {
        if value == ffi::Py_True() {
            Ok(true)
        } else if value == ffi::Py_False() {
            Ok(false)
        } else {
            Err(Refused)
        }
    }
}

/// The dimensions that `axis` names, as bits.
///
/// # Safety
///
/// `axis` is a live object.
pub unsafe fn axes(axis: *mut ffi::PyObject, nd: usize) -> Result<u64, Refused> {
    // SAFETY: each use follows a test of the type.
    unsafe {
        if axis == ffi::Py_None() {
            return Ok((1 << nd) - 1);
        }
        if ffi::Py_TYPE(axis) == &raw mut ffi::PyTuple_Type {
            let mut mask = 0;
            for i in 0..ffi::PyTuple_GET_SIZE(axis) {
                let bit = 1 << one_axis(ffi::PyTuple_GET_ITEM(axis, i), nd)?;
                if mask & bit != 0 {
                    return Err(Refused);
                }
                mask |= bit;
            }
            return Ok(mask);
        }
        Ok(1 << one_axis(axis, nd)?)
    }
}

/// The dimension that `axis`, a Python integer, names.
///
/// # Safety
///
/// `axis` is a live object.
pub unsafe fn one_axis(axis: *mut ffi::PyObject, nd: usize) -> Result<usize, Refused> {
    // SAFETY: the caller's.
    let mut value = unsafe { integer(axis)? };
    if value < 0 {
        value += nd as isize;
    }
    if value < 0 || value as usize >= nd { Err(Refused) } else { Ok(value as usize) }
}

/// A Python integer that fits.
///
/// # Safety
///
/// `object` is a live object.
#[inline(always)]
pub unsafe fn integer(object: *mut ffi::PyObject) -> Result<isize, Refused> {
    // SAFETY: the test of the type comes first.
    unsafe {
        if ffi::Py_TYPE(object) != &raw mut ffi::PyLong_Type {
            return Err(Refused);
        }
        let value = ffi::PyLong_AsSsize_t(object);
        if value == -1 && !ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_Clear();
            return Err(Refused);
        }
        Ok(value)
    }
}

/// A number, Python's or one of `NumPy`'s scalars; an array is refused.
///
/// # Safety
///
/// `object` is a live object.
pub unsafe fn number(object: *mut ffi::PyObject) -> Result<f64, Refused> {
    // SAFETY: the caller's.
    let found = unsafe { Argument::new(object)? };
    if found.array.is_null() { Ok(found.scalar) } else { Err(Refused) }
}

/// A tuple of `N` Python integers.
///
/// # Safety
///
/// `object` is a live object.
pub unsafe fn integers<const N: usize>(object: *mut ffi::PyObject) -> Result<[isize; N], Refused> {
    // SAFETY: the items of a tuple of that size are live objects.
    unsafe {
        let mut found = [0; N];
        for (i, slot) in found.iter_mut().enumerate() {
            *slot = integer(item::<N>(object, i)?)?;
        }
        Ok(found)
    }
}

/// An item, borrowed, of what must be a tuple of `N`.
///
/// # Safety
///
/// `object` is a live object, and `i` less than `N`.
pub unsafe fn item<const N: usize>(
    object: *mut ffi::PyObject,
    i: usize,
) -> Result<*mut ffi::PyObject, Refused> {
    // SAFETY: the test of the type comes first.
    unsafe {
        if ffi::Py_TYPE(object) != &raw mut ffi::PyTuple_Type
            || ffi::PyTuple_GET_SIZE(object) != N as isize
        {
            return Err(Refused);
        }
        Ok(ffi::PyTuple_GET_ITEM(object, i as isize))
    }
}

/// The names of a kernel's keywords, interned when they are first used.
pub struct Names<const N: usize> {
    texts: [&'static CStr; N],
    interned: [AtomicPtr<ffi::PyObject>; N],
}

impl<const N: usize> Names<N> {
    /// The names of these texts.
    pub const fn new(texts: [&'static CStr; N]) -> Self {
        Self { texts, interned: [const { AtomicPtr::new(null_mut()) }; N] }
    }

    /// The names, for [`each_keyword`].
    ///
    /// # Safety
    ///
    /// The interpreter's lock is held.
    #[inline(always)]
    pub unsafe fn get(&self) -> Result<[*mut ffi::PyObject; N], Refused> {
        let mut names = [null_mut(); N];
        for (i, name) in names.iter_mut().enumerate() {
            *name = self.interned[i].load(Relaxed);
            if name.is_null() {
                // SAFETY: the caller's; what is interned here lives as long as the process.
                *name = unsafe { ffi::PyUnicode_InternFromString(self.texts[i].as_ptr()) };
                if name.is_null() {
                    // SAFETY: the caller's.
                    unsafe { ffi::PyErr_Clear() };
                    return Err(Refused);
                }
                self.interned[i].store(*name, Relaxed);
            }
        }
        Ok(names)
    }
}
