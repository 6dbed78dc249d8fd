//! `Block`: the Python object that owns an output's memory.
//!
//! The object's head lies in the pool block's own header, so that an output costs one block and no
//! further allocation.

use std::ffi::c_void;
use std::ptr::{NonNull, null_mut};

use backpass_kernels::pool::{Header, allocate, release};
use pyo3::ffi;

const _: () = assert!(size_of::<ffi::PyObject>() <= size_of::<[usize; 4]>());

/// Memory for `bytes` of data: a new reference to a `Block`, and where the data lie. `None` if there
/// is no memory.
///
/// # Safety
///
/// The interpreter's lock is held, and `class` is the type that [`make_type`] made.
#[inline(always)]
pub unsafe fn new_block(
    class: *mut ffi::PyTypeObject,
    bytes: usize,
) -> Option<(*mut ffi::PyObject, *mut u8)> {
    let block = allocate(bytes)?;
    let object = block.as_ptr().cast::<ffi::PyObject>();
    // SAFETY: the header begins with room for an object's head; PyObject_Init also counts the
    // reference that an instance of a heap type holds to it.
    unsafe { ffi::PyObject_Init(object, class) };
    Some((object, Header::data(block)))
}

unsafe extern "C" fn deallocate(object: *mut ffi::PyObject) {
    // SAFETY: the object is an instance of `Block`, at the head of a pool block, and its last
    // reference is gone.
    unsafe {
        let class = ffi::Py_TYPE(object);
        #[allow(clippy::cast_ptr_alignment)] // the object is the head of a block
        let block = NonNull::new_unchecked(object.cast::<Header>());
        release(block);
        ffi::Py_DECREF(class.cast());
    }
}

/// The type `Block`: a new reference, or null with an exception set.
///
/// # Safety
///
/// The interpreter's lock is held.
pub unsafe fn make_type() -> *mut ffi::PyTypeObject {
    let doc = c"Pool memory that belongs to one array.

An array whose ``base`` is a ``Block`` owns its data: ``type(a.base) is Block``. The memory goes back
to the pool with the last array that uses it.";
    let mut slots = [
        ffi::PyType_Slot { slot: ffi::Py_tp_dealloc, pfunc: deallocate as *mut c_void },
        ffi::PyType_Slot { slot: ffi::Py_tp_doc, pfunc: doc.as_ptr() as *mut c_void },
        ffi::PyType_Slot { slot: 0, pfunc: null_mut() },
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"backpass.cpu._kernels.Block".as_ptr(),
        basicsize: size_of::<ffi::PyObject>() as i32,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT
            | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION
            | ffi::Py_TPFLAGS_IMMUTABLETYPE) as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the specification is complete; the interpreter copies what it keeps.
    unsafe { ffi::PyType_FromSpec(&raw mut spec).cast() }
}
