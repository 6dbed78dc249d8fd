//! What the kernels need of `NumPy` and Python, looked up once when the module is loaded.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;

use numpy::npyffi::{self, NPY_TYPES, PY_ARRAY_API, PyArray_Descr, npy_intp};
use pyo3::prelude::*;
use pyo3::{ffi, types::PyString};

use crate::block;
use crate::optimizers::numbers;

type NewFromDescr = unsafe extern "C" fn(
    *mut ffi::PyTypeObject,
    *mut PyArray_Descr,
    i32,
    *mut npy_intp,
    *mut npy_intp,
    *mut std::ffi::c_void,
    i32,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// Types, functions and names.
pub struct Api {
    /// `numpy.ndarray`
    pub array: *mut ffi::PyTypeObject,
    /// `numpy.float32`
    pub float32: *mut ffi::PyTypeObject,
    /// `numpy.float64`
    pub float64: *mut ffi::PyTypeObject,
    /// `numpy.dtype("float32")`
    pub descr32: *mut PyArray_Descr,
    /// `numpy.dtype("float64")`
    pub descr64: *mut PyArray_Descr,
    /// `numpy.int64`, or what indexes arrays here
    pub intp: *mut ffi::PyTypeObject,
    /// `numpy.dtype("intp")`
    pub descr_intp: *mut PyArray_Descr,
    /// `numpy.dtype("uint8")`
    pub descr_u8: *mut PyArray_Descr,
    /// `PyArray_NewFromDescr`
    pub new_array: NewFromDescr,
    /// `Block`
    pub block: *mut ffi::PyTypeObject,
    /// `"axis"`, interned
    pub axis: *mut ffi::PyObject,
    /// `"keepdims"`, interned
    pub keepdims: *mut ffi::PyObject,
    /// `"shape"`, interned
    pub shape: *mut ffi::PyObject,
    /// `"axes"`, interned
    pub axes: *mut ffi::PyObject,
    /// `"index"`, interned
    pub index: *mut ffi::PyObject,
    /// `"order"`, interned
    pub order: *mut ffi::PyObject,
    /// `"ddof"`, interned
    pub ddof: *mut ffi::PyObject,
    /// `"initial"`, interned
    pub initial: *mut ffi::PyObject,
    /// The keywords of the optimizers' updates, interned
    pub updates: [*mut ffi::PyObject; numbers::COUNT],
}

struct Cell(UnsafeCell<MaybeUninit<Api>>);

// SAFETY: written once by `load`, under the interpreter's lock, before any kernel can be called.
unsafe impl Sync for Cell {}

static API: Cell = Cell(UnsafeCell::new(MaybeUninit::uninit()));

/// The table.
///
/// # Safety
///
/// [`load`] has succeeded: it has, before any kernel is handed out.
#[inline(always)]
pub unsafe fn api() -> &'static Api {
    // SAFETY: the caller vouches for `load`.
    unsafe { (*API.0.get()).assume_init_ref() }
}

/// Fills the table.
pub fn load(py: Python<'_>) -> PyResult<()> {
    let intern = |name| PyString::intern(py, name).into_ptr();
    // SAFETY: the interpreter's lock is held; NumPy's table is loaded by the first use of it.
    let loaded = unsafe {
        let types = |which| npyffi::get_type_object(py, which);
        let array = types(npyffi::NpyTypes::PyArray_Type);
        let block = block::make_type();
        if block.is_null() {
            return Err(PyErr::fetch(py));
        }
        let descr_intp = numpy::dtype::<isize>(py).into_ptr().cast::<PyArray_Descr>();
        Api {
            array,
            float32: types(npyffi::NpyTypes::PyFloatArrType_Type),
            float64: types(npyffi::NpyTypes::PyDoubleArrType_Type),
            descr32: PY_ARRAY_API.PyArray_DescrFromType(py, NPY_TYPES::NPY_FLOAT as i32),
            descr64: PY_ARRAY_API.PyArray_DescrFromType(py, NPY_TYPES::NPY_DOUBLE as i32),
            intp: (*descr_intp).typeobj,
            descr_intp,
            descr_u8: PY_ARRAY_API.PyArray_DescrFromType(py, NPY_TYPES::NPY_UBYTE as i32),
            new_array: new_from_descr(py)?,
            block,
            axis: intern("axis"),
            keepdims: intern("keepdims"),
            shape: intern("shape"),
            axes: intern("axes"),
            index: intern("index"),
            order: intern("order"),
            ddof: intern("ddof"),
            initial: intern("initial"),
            updates: numbers::NAMES.map(intern),
        }
    };
    // SAFETY: the interpreter's lock is held and no kernel is out yet.
    unsafe { (*API.0.get()).write(loaded) };
    Ok(())
}

/// Entry 94 of `NumPy`'s table of functions, `PyArray_NewFromDescr`.
fn new_from_descr(py: Python<'_>) -> PyResult<NewFromDescr> {
    let capsule = py.import("numpy._core._multiarray_umath")?.getattr("_ARRAY_API")?;
    // SAFETY: the capsule holds NumPy's table, whose entries keep their places.
    unsafe {
        let table = ffi::PyCapsule_GetPointer(capsule.as_ptr(), std::ptr::null());
        if table.is_null() {
            return Err(PyErr::fetch(py));
        }
        let entry = table.cast::<*const std::ffi::c_void>().add(94).read();
        Ok(std::mem::transmute::<*const std::ffi::c_void, NewFromDescr>(entry))
    }
}
