//! `Op`: an object that stands before a function of the engine, and knows a shorter way.
//!
//! Before the function `op` of a primitive of one operand or two, and before its method `__call__`:
//! `call.rs` has the ways. What the function is asked for with unusual operands, it does itself.

use std::ffi::{c_int, c_void};
use std::mem::offset_of;
use std::ptr::null_mut;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::engine::call::{binary, entry, unary};
use crate::engine::class::{bind, itself, member, method};
use crate::engine::objects::installed;
use crate::engine::own::Own;

/// The most values that a rule reads, and the most keywords of a call, on the short way.
pub(super) const MOST: usize = 6;

/// What the rule of an operand reads of (output, operands).
#[derive(Clone, Copy, Default)]
pub(super) struct Reads {
    count: u8,
    positions: [u8; MOST],
}

impl Reads {
    fn new(positions: &[u8]) -> PyResult<Self> {
        let mut made = Self { count: positions.len() as u8, ..Self::default() };
        let room = made.positions.get_mut(..positions.len());
        let Some(room) = room.filter(|_| positions.iter().all(|&p| p < 3)) else {
            return Err(PyTypeError::new_err("Op: a rule reads the output and the operands only"));
        };
        room.copy_from_slice(positions);
        Ok(made)
    }

    /// Those values, as a tuple.
    #[inline(always)]
    pub(super) unsafe fn pack(&self, values: [*mut PyObject; 3]) -> Own {
        // SAFETY: the caller's objects are alive; the tuple is new and has room.
        unsafe {
            let made = Own::new(ffi::PyTuple_New(self.count as isize));
            if !made.failed() {
                for (i, &p) in self.positions[..self.count as usize].iter().enumerate() {
                    let value = Own::borrowed(values[p as usize]);
                    ffi::PyTuple_SET_ITEM(made.get(), i as isize, value.give());
                }
            }
            made
        }
    }
}

/// The Python object.
#[repr(C)]
pub struct Op {
    head: PyObject,
    vectorcall: ffi::vectorcallfunc,
    /// The primitive.
    pub(super) primitive: *mut PyObject,
    /// What this stands before: `op`, written in Python.
    pub(super) python: *mut PyObject,
    /// The primitive's kernels and rules, by type.
    pub(super) kernels: *mut PyObject,
    pub(super) pulls: *mut PyObject,
    /// The primitive's rules, `None` where there is none, and their functions.
    pub(super) rules: *mut PyObject,
    pub(super) calls: [*mut PyObject; 2],
    pub(super) reads: [Reads; 2],
    pub(super) passes: [bool; 2],
    /// How many operands: one or two.
    pub(super) arity: u8,
    pub(super) linear: bool,
    pub(super) same_shape: bool,
    pub(super) recordable: bool,
    pub(super) swapped: bool,
}

/// The type of `Op`: a new reference, or null with an exception set.
///
/// # Safety
///
/// The interpreter's lock is held.
pub unsafe fn make_type() -> *mut PyTypeObject {
    let doc = c"The short way of a primitive's call: `op` of the engine, without the interpreter.";
    let mut members = [
        member(c"__vectorcalloffset__", ffi::Py_T_PYSSIZET, offset_of!(Op, vectorcall)),
        member(c"__wrapped__", ffi::Py_T_OBJECT_EX, offset_of!(Op, python)),
        member(c"primitive", ffi::Py_T_OBJECT_EX, offset_of!(Op, primitive)),
        // SAFETY: all zeros end the table.
        unsafe { std::mem::zeroed() },
    ];
    // The interpreter copies the members, and uses the methods where they lie.
    let methods = Box::leak(Box::new([
        method(c"__copy__", itself, ffi::METH_NOARGS),
        method(c"__deepcopy__", itself, ffi::METH_O),
        method(c"swapped", reflected, ffi::METH_NOARGS),
        ffi::PyMethodDef::zeroed(),
    ]));
    let slot = |slot, pfunc| ffi::PyType_Slot { slot, pfunc };
    let mut slots = [
        slot(ffi::Py_tp_dealloc, deallocate as *mut c_void),
        slot(ffi::Py_tp_traverse, traverse as *mut c_void),
        slot(ffi::Py_tp_clear, clear as *mut c_void),
        slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
        slot(ffi::Py_tp_descr_get, bind as *mut c_void),
        slot(ffi::Py_tp_members, members.as_mut_ptr().cast()),
        slot(ffi::Py_tp_methods, methods.as_mut_ptr().cast()),
        slot(ffi::Py_tp_doc, doc.as_ptr() as *mut c_void),
        slot(0, null_mut()),
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"backpass.cpu._kernels.Op".as_ptr(),
        basicsize: size_of::<Op>() as c_int,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT
            | ffi::Py_TPFLAGS_HAVE_GC
            | ffi::Py_TPFLAGS_HAVE_VECTORCALL
            | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR
            | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION
            | ffi::Py_TPFLAGS_IMMUTABLETYPE) as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the specification is complete.
    unsafe { ffi::PyType_FromSpec(&raw mut spec).cast() }
}

/// An `Op` before the function `python` of `primitive`; `passes` tells of each operand whether its rule
/// hands the cotangent on as it is.
pub fn make<'py>(
    class: *mut PyTypeObject,
    primitive: &Bound<'py, PyAny>,
    python: &Bound<'py, PyAny>,
    passes: &[bool],
) -> PyResult<Bound<'py, PyAny>> {
    let py = primitive.py();
    let rules = primitive.getattr("vjps")?.cast_into::<PyTuple>()?;
    let kind = primitive.getattr("kind")?.extract::<String>()?;
    let arity = passes.len();
    if !installed() {
        return Err(PyTypeError::new_err("shorten: install the engine first"));
    }
    if !matches!(arity, 1 | 2) || !(rules.is_empty() || rules.len() == arity) {
        return Err(PyTypeError::new_err("shorten: a primitive of one operand or of two"));
    }
    let mut reads = [Reads::default(); 2];
    let mut calls = [null_mut(); 2];
    for (i, rule) in rules.iter().enumerate().filter(|(_, rule)| !rule.is_none()) {
        reads[i] = Reads::new(&rule.getattr("positions")?.extract::<Vec<u8>>()?)?;
        calls[i] = rule.getattr("call")?.into_ptr();
    }
    let table = |name| -> PyResult<*mut PyObject> {
        Ok(primitive.getattr(name)?.cast_into::<PyDict>()?.into_ptr())
    };
    let body = Op {
        // SAFETY: overwritten by the head of what is allocated.
        head: unsafe { std::mem::zeroed() },
        vectorcall: if arity == 1 { unary } else { binary },
        primitive: primitive.clone().into_ptr(),
        python: python.clone().into_ptr(),
        kernels: table("kernels")?,
        pulls: table("pulls")?,
        rules: rules.into_ptr(),
        calls,
        reads,
        passes: [passes[0], passes[arity - 1]],
        arity: arity as u8,
        linear: kind == "linear",
        same_shape: kind == "elementwise",
        recordable: !matches!(kind.as_str(), "zero" | ""),
        swapped: false,
    };
    // SAFETY: the class is `Op`'s.
    unsafe { Bound::from_owned_ptr_or_err(py, allocate(class, body)) }
}

/// An `Op` before `python`, the method `__call__` of primitives.
pub fn make_entry<'py>(
    class: *mut PyTypeObject,
    python: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    if !installed() {
        return Err(PyTypeError::new_err("enter: install the engine first"));
    }
    let body = Op {
        // SAFETY: overwritten by the head of what is allocated; no part is there but one.
        head: unsafe { std::mem::zeroed() },
        vectorcall: entry,
        primitive: null_mut(),
        python: python.clone().into_ptr(),
        kernels: null_mut(),
        pulls: null_mut(),
        rules: null_mut(),
        calls: [null_mut(); 2],
        reads: [Reads::default(); 2],
        passes: [false; 2],
        arity: 0,
        linear: false,
        same_shape: false,
        recordable: false,
        swapped: false,
    };
    // SAFETY: the class is `Op`'s.
    unsafe { Bound::from_owned_ptr_or_err(python.py(), allocate(class, body)) }
}

/// An object with this body; the references in it go into the object.
unsafe fn allocate(class: *mut PyTypeObject, mut body: Op) -> *mut PyObject {
    // SAFETY: the class is `Op`'s: an instance has room for the body behind its head.
    unsafe {
        let object = ffi::PyType_GenericAlloc(class, 0);
        if !object.is_null() {
            body.head = object.read();
            object.cast::<Op>().write(body);
        }
        object
    }
}

impl Op {
    /// All that it holds.
    fn objects(&mut self) -> [&mut *mut PyObject; 7] {
        let Self { primitive, python, kernels, pulls, rules, calls: [first, second], .. } = self;
        [primitive, python, kernels, pulls, rules, first, second]
    }
}

unsafe extern "C" fn traverse(
    object: *mut PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: called by the collector on an `Op`.
    unsafe {
        for part in (*object.cast::<Op>()).objects() {
            if !part.is_null() {
                let stop = visit(*part, arg);
                if stop != 0 {
                    return stop;
                }
            }
        }
        visit(ffi::Py_TYPE(object).cast(), arg)
    }
}

unsafe extern "C" fn clear(object: *mut PyObject) -> c_int {
    // SAFETY: called by the collector on an `Op`; each part is let go when it is no longer held.
    unsafe {
        for part in (*object.cast::<Op>()).objects() {
            drop(Own::new(std::mem::replace(part, null_mut())));
        }
    }
    0
}

unsafe extern "C" fn deallocate(object: *mut PyObject) {
    // SAFETY: the last reference to an `Op` is gone.
    unsafe {
        ffi::PyObject_GC_UnTrack(object.cast());
        clear(object);
        let class = ffi::Py_TYPE(object);
        ffi::PyObject_GC_Del(object.cast());
        ffi::Py_DECREF(class.cast());
    }
}

/// The same with its two operands in the other order: for `__radd__`.
unsafe extern "C" fn reflected(object: *mut PyObject, _: *mut PyObject) -> *mut PyObject {
    // SAFETY: called by the interpreter on an `Op`; each part that is copied is counted.
    unsafe {
        let op = &mut *object.cast::<Op>();
        for part in op.objects() {
            if !part.is_null() {
                ffi::Py_INCREF(*part);
            }
        }
        let mut body = std::ptr::read(op);
        body.swapped = !body.swapped;
        allocate(ffi::Py_TYPE(object), body)
    }
}
