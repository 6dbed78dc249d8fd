//! Reading operands and making outputs.

use std::ptr::null_mut;

use backpass_kernels::elementwise::Pick;
use backpass_kernels::layout::{MAX_DIMS, Operand};
use numpy::npyffi::{
    NPY_ARRAY_ALIGNED, NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_CARRAY, NPY_TYPES, PyArray_Descr,
    PyArrayObject,
};
use pyo3::ffi;

use crate::api::api;
use crate::block::new_block;

/// `NotImplemented`: the caller turns to `NumPy`.
pub struct Refused;

/// What a kernel's body gives: a new reference, or `Refused`. Null stands for an exception.
pub type Outcome = Result<*mut ffi::PyObject, Refused>;

/// An element type as `NumPy` knows it.
pub trait Element: Pick {
    /// Whether this is float64.
    const DOUBLE: bool;
}

impl Element for f32 {
    const DOUBLE: bool = false;
}

impl Element for f64 {
    const DOUBLE: bool = true;
}

/// What an argument is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// float32
    Single,
    /// float64
    Double,
    /// A Python number: it takes the arrays' type.
    Weak,
}

/// An argument. The pointers live as long as the object, which the caller of the kernel holds.
#[derive(Clone, Copy)]
pub struct Argument {
    /// What it is.
    pub kind: Kind,
    /// The array, null for scalars.
    pub array: *mut PyArrayObject,
    /// The scalar's value.
    pub scalar: f64,
}

impl Argument {
    /// Reads an argument.
    ///
    /// # Safety
    ///
    /// `object` is a live object and the interpreter's lock is held.
    #[inline(always)]
    pub unsafe fn new(object: *mut ffi::PyObject) -> Result<Self, Refused> {
        // SAFETY: each cast follows a test of the exact type.
        unsafe {
            let api = api();
            let class = ffi::Py_TYPE(object);
            if class == api.array {
                let array = object.cast::<PyArrayObject>();
                let descr = (*array).descr;
                let kind = if descr == api.descr32 {
                    Kind::Single
                } else if descr == api.descr64 {
                    Kind::Double
                } else {
                    other_descr(descr)?
                };
                if (*array).flags & NPY_ARRAY_ALIGNED == 0 || (*array).nd as usize > MAX_DIMS {
                    return Err(Refused);
                }
                return Ok(Self { kind, array, scalar: 0.0 });
            }
            Self::new_scalar(object, class)
        }
    }

    unsafe fn new_scalar(
        object: *mut ffi::PyObject,
        class: *mut ffi::PyTypeObject,
    ) -> Result<Self, Refused> {
        // A NumPy scalar's value follows the object's head.
        // SAFETY: each cast follows a test of the exact type.
        unsafe {
            let api = api();
            let value = object.add(1);
            let (kind, scalar) = if class == &raw mut ffi::PyFloat_Type {
                (Kind::Weak, ffi::PyFloat_AS_DOUBLE(object))
            } else if class == api.float32 {
                (Kind::Single, f64::from(value.cast::<f32>().read()))
            } else if class == api.float64 {
                (Kind::Double, value.cast::<f64>().read())
            } else if class == &raw mut ffi::PyLong_Type {
                let number = ffi::PyLong_AsDouble(object);
                if number == -1.0 && !ffi::PyErr_Occurred().is_null() {
                    ffi::PyErr_Clear();
                    return Err(Refused);
                }
                (Kind::Weak, number)
            } else {
                return Err(Refused);
            };
            Ok(Self { kind, array: null_mut(), scalar })
        }
    }

    /// Dimensions.
    #[inline(always)]
    pub fn ndim(&self) -> usize {
        if self.array.is_null() {
            return 0;
        }
        // SAFETY: the array is alive.
        unsafe { (*self.array).nd as usize }
    }

    /// The shape.
    #[inline(always)]
    pub fn shape(&self) -> &[usize] {
        let n = self.ndim();
        if n == 0 {
            return &[];
        }
        // SAFETY: the array is alive, has `n` dimensions, and no dimension is negative.
        unsafe { std::slice::from_raw_parts((*self.array).dimensions.cast(), n) }
    }

    /// The stride of a dimension, in elements.
    #[inline(always)]
    pub fn stride<T>(&self, d: usize) -> isize {
        // SAFETY: the array is alive and has the dimension; an aligned array's strides are whole.
        unsafe { *(*self.array).strides.add(d) / size_of::<T>() as isize }
    }

    /// Where an array's first element lies.
    #[inline(always)]
    pub fn data<T>(&self) -> *const T {
        // SAFETY: the array is alive.
        unsafe { (*self.array).data.cast() }
    }

    /// Whether an array is contiguous in C order.
    #[inline(always)]
    pub fn contiguous(&self) -> bool {
        // SAFETY: the array is alive.
        unsafe { (*self.array).flags & NPY_ARRAY_C_CONTIGUOUS != 0 }
    }

    /// The value of a scalar or a 0-d array; refused where a Python number overflows.
    #[inline(always)]
    pub fn value<T: Element>(&self) -> Result<T, Refused> {
        if !self.array.is_null() {
            // SAFETY: the array is alive and has one element.
            return Ok(unsafe { *self.data::<T>() });
        }
        let value = T::of(self.scalar);
        if value.wide().is_infinite() && self.scalar.is_finite() {
            return Err(Refused);
        }
        Ok(value)
    }

    /// The argument as an operand of the shape `shape`, to which it must broadcast. A scalar's value
    /// is kept in `slot`.
    pub fn broadcast<T: Element>(
        &self,
        shape: &[usize],
        slot: &mut T,
    ) -> Result<Operand<T>, Refused> {
        let mut strides = [0; MAX_DIMS];
        if self.ndim() == 0 {
            *slot = self.value()?;
            return Ok(Operand { data: slot, strides });
        }
        let own = self.shape();
        let lead = shape.len().checked_sub(own.len()).ok_or(Refused)?;
        for (d, &size) in own.iter().enumerate() {
            if size == shape[lead + d] {
                strides[lead + d] = if size == 1 { 0 } else { self.stride::<T>(d) };
            } else if size != 1 {
                return Err(Refused);
            }
        }
        Ok(Operand { data: self.data(), strides })
    }
}

/// The kind of a descriptor that is not the type's own: an unpickled array has a copy.
#[cold]
unsafe fn other_descr(descr: *mut PyArray_Descr) -> Result<Kind, Refused> {
    // SAFETY: an array's descriptor is alive.
    let (number, order) = unsafe { ((*descr).type_num, (*descr).byteorder) };
    if order as u8 != b'=' {
        return Err(Refused);
    }
    if number == NPY_TYPES::NPY_FLOAT as i32 {
        Ok(Kind::Single)
    } else if number == NPY_TYPES::NPY_DOUBLE as i32 {
        Ok(Kind::Double)
    } else {
        Err(Refused)
    }
}

/// The kind of several arguments together: that of all that are not weak.
#[inline(always)]
pub fn common_kind(arguments: &[Argument]) -> Result<Kind, Refused> {
    let mut common = Kind::Weak;
    for argument in arguments {
        if argument.kind != Kind::Weak {
            if common != Kind::Weak && common != argument.kind {
                return Err(Refused);
            }
            common = argument.kind;
        }
    }
    if common == Kind::Weak { Err(Refused) } else { Ok(common) }
}

/// An uninitialised array over pool memory: a new reference and its data. `strides` are in bytes,
/// null for C order.
///
/// # Safety
///
/// The interpreter's lock is held; `dims` and `strides` have `nd` entries.
#[inline(always)]
pub unsafe fn new_array<T: Element>(
    nd: usize,
    dims: *const usize,
    strides: *const isize,
    size: usize,
) -> Result<(*mut ffi::PyObject, *mut T), *mut ffi::PyObject> {
    // SAFETY: the caller's; the descriptor is that of `T`.
    unsafe {
        let descr = if T::DOUBLE { api().descr64 } else { api().descr32 };
        new_array_of(descr, nd, dims, strides, size)
    }
}

/// The same of any type.
///
/// # Safety
///
/// As for [`new_array`]; `descr` is the descriptor of `P`.
#[inline(always)]
pub unsafe fn new_array_of<P>(
    descr: *mut PyArray_Descr,
    nd: usize,
    dims: *const usize,
    strides: *const isize,
    size: usize,
) -> Result<(*mut ffi::PyObject, *mut P), *mut ffi::PyObject> {
    // SAFETY: the interpreter's lock is held; `new_array` takes a reference to the descriptor.
    unsafe {
        let api = api();
        let Some((block, data)) = new_block(api.block, size * size_of::<P>()) else {
            return Err(ffi::PyErr_NoMemory());
        };
        ffi::Py_INCREF(descr.cast());
        let array = (api.new_array)(
            api.array,
            descr,
            nd as i32,
            dims as *mut isize,
            strides.cast_mut(),
            data.cast(),
            NPY_ARRAY_CARRAY,
            null_mut(),
        );
        if array.is_null() {
            ffi::Py_DECREF(block);
            return Err(array);
        }
        (*array.cast::<PyArrayObject>()).base = block;
        Ok((array, data.cast()))
    }
}

/// A `NumPy` scalar: a new reference, or null with an exception set.
///
/// # Safety
///
/// The interpreter's lock is held.
pub unsafe fn new_scalar<T: Element>(value: T) -> *mut ffi::PyObject {
    // SAFETY: the scalar types keep their value behind the object's head.
    unsafe {
        let api = api();
        let class = if T::DOUBLE { api.float64 } else { api.float32 };
        let object = ffi::PyType_GenericAlloc(class, 0);
        if !object.is_null() {
            object.add(1).cast::<T>().write(value);
        }
        object
    }
}

/// Runs `work`, without the interpreter's lock if it takes more than about 20 microseconds.
///
/// # Safety
///
/// The interpreter's lock is held; `work` touches no object.
#[inline(always)]
pub unsafe fn unlocked(picoseconds: usize, work: impl FnOnce()) {
    if picoseconds < 20_000_000 {
        return work();
    }
    // SAFETY: the lock is held, and taken again even if `work` panics.
    unsafe {
        struct Restore(*mut ffi::PyThreadState);
        impl Drop for Restore {
            fn drop(&mut self) {
                // SAFETY: this thread's own state.
                unsafe { ffi::PyEval_RestoreThread(self.0) };
            }
        }
        let _restore = Restore(ffi::PyEval_SaveThread());
        work();
    }
}

/// `body` as a kernel's result: refusal becomes `NotImplemented`, a panic an exception.
///
/// # Safety
///
/// The interpreter's lock is held.
#[inline(always)]
pub unsafe fn finish(body: impl FnOnce() -> Outcome) -> *mut ffi::PyObject {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)) {
        Ok(Ok(result)) => result,
        // SAFETY: the interpreter's lock is held.
        Ok(Err(Refused)) => unsafe {
            let refused = ffi::Py_NotImplemented();
            ffi::Py_INCREF(refused);
            refused
        },
        // SAFETY: the interpreter's lock is held.
        Err(_) => unsafe {
            ffi::PyErr_SetString(
                ffi::PyExc_SystemError,
                c"a kernel panicked: this is a defect of backpass-cpu".as_ptr(),
            );
            null_mut()
        },
    }
}
