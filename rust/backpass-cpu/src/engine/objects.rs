//! The engine's own classes, `Tensor` and `Node`, made and read from here.
//!
//! Both are written in Python and keep all they hold in `__slots__`: members at fixed places, which
//! are looked up once, when the engine is installed.

use std::cell::{Cell, UnsafeCell};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, PyObject, PyTypeObject};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use crate::engine::own::Own;

/// A member of a class's `__slots__`: how far from an instance's head it lies.
#[derive(Clone, Copy)]
pub struct Slot(isize);

impl Slot {
    /// The slot `name` of `class`.
    fn of(class: &Bound<'_, PyType>, name: &str) -> PyResult<Self> {
        let found = class.getattr(name)?;
        // SAFETY: the cast follows a test of the type; a descriptor's member is alive with it.
        unsafe {
            if ffi::Py_TYPE(found.as_ptr()) == &raw mut ffi::PyMemberDescr_Type {
                let member = (*found.as_ptr().cast::<ffi::PyMemberDescrObject>()).d_member;
                if (*member).type_code == ffi::Py_T_OBJECT_EX && (*member).offset > 0 {
                    return Ok(Self((*member).offset));
                }
            }
        }
        Err(PyTypeError::new_err(format!("{}.{name} is not one of its __slots__", class.name()?)))
    }

    #[inline(always)]
    unsafe fn place(self, object: *mut PyObject) -> *mut *mut PyObject {
        // SAFETY: the caller's object is an instance of the slot's class.
        unsafe { object.byte_offset(self.0).cast() }
    }

    /// What lies there, borrowed; `None` for nothing.
    #[inline(always)]
    pub unsafe fn read(self, object: *mut PyObject) -> *mut PyObject {
        // SAFETY: the caller's object is an instance of the slot's class.
        let found = unsafe { *self.place(object) };
        if found.is_null() {
            // SAFETY: `None` is always alive.
            return unsafe { ffi::Py_None() };
        }
        found
    }

    /// Lays something there, in the place of what was.
    #[inline(always)]
    pub unsafe fn write(self, object: *mut PyObject, value: Own) {
        // SAFETY: the caller's object is an instance of the slot's class; what was there is let go
        // when the slot no longer holds it.
        unsafe {
            let old = self.place(object).replace(value.give());
            drop(Own::new(old));
        }
    }

    /// Lays something in a slot that is empty.
    #[inline(always)]
    unsafe fn fill(self, object: *mut PyObject, value: Own) {
        // SAFETY: the caller's object is an instance of the slot's class.
        unsafe { self.place(object).write(value.give()) };
    }
}

/// What the engine is made of.
pub struct Engine {
    /// `Tensor`
    pub tensor: *mut PyTypeObject,
    /// `WeakTensor`, the subclass that arithmetic takes for a Python number.
    pub weak: *mut PyTypeObject,
    /// `Tensor.value`
    pub value: Slot,
    /// `Tensor.node`
    pub node: Slot,
    grad: Slot,
    /// `Node`
    pub node_class: *mut PyTypeObject,
    /// `Node.primitive`
    pub primitive: Slot,
    /// `Node.parents`
    pub parents: Slot,
    /// `Node.saved`
    pub saved: Slot,
    /// `Node.kwargs`
    pub kwargs: Slot,
    /// `Node.shape`
    pub shape: Slot,
    /// `Node.dtype`
    pub dtype: Slot,
    serial: Slot,
    owner: Slot,
    knot: *mut PyObject,
    knot_every: i64,
    serials: *mut PyObject,
    floor: *mut PyObject,
    pauses: *mut PyObject,
    /// `Unary` and `Binary`
    pub arities: [*mut PyTypeObject; 2],
    /// The type of `Op`.
    pub op: *mut PyTypeObject,
    /// `fit_cotangent`
    pub fit: *mut PyObject,
    /// `accumulate`
    pub accumulate: *mut PyObject,
    /// `as_tensors`
    pub as_tensors: *mut PyObject,
    /// The primitive that reads elements, and what adds a cotangent to another at its index.
    pub reads: Cell<[*mut PyObject; 2]>,
    /// Names that are looked up, interned.
    pub names: Names,
}

macro_rules! names {
    ($($name:ident)*) => {
        /// Names that are looked up, interned.
        pub struct Names {
            $(
                #[doc = stringify!($name)]
                pub $name: *mut PyObject,
            )*
        }

        impl Names {
            fn new(py: Python<'_>) -> Self {
                Self { $($name: PyString::intern(py, stringify!($name)).into_ptr(),)* }
            }
        }
    };
}

names!(char complain dtype index kind op pull_of pullback record run shape);

struct Installed(UnsafeCell<Option<Engine>>);

// SAFETY: written and read under the interpreter's lock; the engine itself before any short way exists.
unsafe impl Sync for Installed {}

static ENGINE: Installed = Installed(UnsafeCell::new(None));

/// The engine.
///
/// # Safety
///
/// It has been installed: it is before a short way can be made.
#[inline(always)]
pub unsafe fn engine() -> &'static Engine {
    // SAFETY: the caller's.
    unsafe { (*ENGINE.0.get()).as_ref().unwrap_unchecked() }
}

/// Whether the engine has been installed.
pub fn installed() -> bool {
    // SAFETY: the interpreter's lock is held.
    unsafe { (*ENGINE.0.get()).is_some() }
}

/// Looks up what the short ways need of the engine's parts. The objects are kept for ever.
pub fn install(op: *mut PyTypeObject, parts: &Bound<'_, PyDict>) -> PyResult<()> {
    let py = parts.py();
    let part = |name: &str| -> PyResult<Bound<'_, PyAny>> {
        parts
            .get_item(name)?
            .ok_or_else(|| PyTypeError::new_err(format!("install: {name}= is missing")))
    };
    let class =
        |name: &str| -> PyResult<Bound<'_, PyType>> { Ok(part(name)?.cast_into::<PyType>()?) };
    let keep = |name: &str| -> PyResult<*mut PyObject> { Ok(part(name)?.into_ptr()) };
    let keep_class =
        |name: &str| -> PyResult<*mut PyTypeObject> { Ok(class(name)?.into_ptr().cast()) };
    let (tensor, node) = (class("Tensor")?, class("Node")?);
    let made = Engine {
        value: Slot::of(&tensor, "value")?,
        node: Slot::of(&tensor, "node")?,
        grad: Slot::of(&tensor, "grad")?,
        primitive: Slot::of(&node, "primitive")?,
        parents: Slot::of(&node, "parents")?,
        saved: Slot::of(&node, "saved")?,
        kwargs: Slot::of(&node, "kwargs")?,
        shape: Slot::of(&node, "shape")?,
        dtype: Slot::of(&node, "dtype")?,
        serial: Slot::of(&node, "serial")?,
        owner: Slot::of(&node, "tensor")?,
        knot: keep("Knot")?,
        knot_every: part("knot_every")?.extract()?,
        serials: keep("serials")?,
        floor: part("floor")?.cast_into::<pyo3::types::PyList>()?.into_ptr(),
        pauses: part("pauses")?.cast_into::<pyo3::types::PyList>()?.into_ptr(),
        arities: [keep_class("Unary")?, keep_class("Binary")?],
        op,
        fit: keep("fit_cotangent")?,
        accumulate: keep("accumulate")?,
        as_tensors: keep("as_tensors")?,
        reads: Cell::new([std::ptr::null_mut(); 2]),
        names: Names::new(py),
        tensor: tensor.into_ptr().cast(),
        weak: keep_class("WeakTensor")?,
        node_class: node.into_ptr().cast(),
    };
    // SAFETY: the interpreter's lock is held, and nobody reads the engine now.
    unsafe { *ENGINE.0.get() = Some(made) };
    Ok(())
}

/// The number in a Python integer that is known to be small.
#[inline(always)]
unsafe fn number(object: *mut PyObject) -> i64 {
    // SAFETY: the caller's object is an integer.
    unsafe { ffi::PyLong_AsLongLong(object) }
}

impl Engine {
    /// Whether an object is a `Tensor` and of no subclass.
    #[inline(always)]
    pub unsafe fn is_tensor(&self, object: *mut PyObject) -> bool {
        // SAFETY: the caller's object is alive.
        unsafe { ffi::Py_TYPE(object) == self.tensor }
    }

    /// A node's number.
    #[inline(always)]
    pub unsafe fn serial_of(&self, node: *mut PyObject) -> i64 {
        // SAFETY: the caller's object is a node.
        unsafe { number(self.serial.read(node)) }
    }

    /// Whether nodes are recorded, and this one is surely alive.
    #[inline(always)]
    pub unsafe fn records(&self, node: *mut PyObject) -> bool {
        // SAFETY: the caller's object is a node; both lists hold one integer.
        unsafe {
            self.parents.read(node) != ffi::Py_None()
                && self.serial_of(node) > number(ffi::PyList_GET_ITEM(self.floor, 0))
                && number(ffi::PyList_GET_ITEM(self.pauses, 0)) == 0
        }
    }

    /// A Tensor; `node` may be `None`.
    #[inline(always)]
    pub unsafe fn new_tensor(&self, value: Own, node: Own) -> Own {
        // SAFETY: the class is alive, and its slots are empty in what it allocates.
        unsafe {
            let made = Own::new(ffi::PyType_GenericAlloc(self.tensor, 0));
            if !made.failed() {
                self.value.fill(made.get(), value);
                self.node.fill(made.get(), node);
                self.grad.fill(made.get(), Own::none());
            }
            made
        }
    }

    /// A node; `parents` is a tuple.
    #[inline(always)]
    pub unsafe fn new_node(
        &self,
        primitive: *mut PyObject,
        parents: Own,
        saved: Own,
        kwargs: Own,
        shape: Own,
        dtype: Own,
    ) -> Own {
        // SAFETY: the class is alive, and its slots are empty in what it allocates; the counter
        // never ends.
        unsafe {
            let next = (*ffi::Py_TYPE(self.serials)).tp_iternext.unwrap_unchecked();
            let serial = Own::new(next(self.serials));
            if serial.failed() {
                return serial;
            }
            let mut parents = parents;
            if number(serial.get()) % self.knot_every == 0
                && ffi::PyTuple_GET_SIZE(parents.get()) > 0
            {
                parents = Own::new(ffi::PyObject_CallOneArg(self.knot, parents.get()));
                if parents.failed() {
                    return parents;
                }
            }
            let made = Own::new(ffi::PyType_GenericAlloc(self.node_class, 0));
            if !made.failed() {
                let node = made.get();
                self.primitive.fill(node, Own::borrowed(primitive));
                self.parents.fill(node, parents);
                self.saved.fill(node, saved);
                self.kwargs.fill(node, kwargs);
                self.serial.fill(node, serial);
                self.shape.fill(node, shape);
                self.dtype.fill(node, dtype);
                self.owner.fill(node, Own::none());
            }
            made
        }
    }
}
