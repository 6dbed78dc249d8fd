//! The engine's hot paths without the interpreter: calls of primitives, and the walk back.
//!
//! `backpass.core` is written in Python, and all that it does can be read there. What runs for every
//! operation is repeated here: `Op` stands before a primitive's `op`, `search` and `backward` stand
//! for the functions in `graph.py`. They treat the usual case and hand all else to the Python, so
//! that a result never depends on which of the two has run.

mod accumulate;
mod call;
mod class;
mod leaves;
mod objects;
mod op;
mod own;
mod pull;
mod values;
mod walk;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::table::function;

/// What `backpass.cpu.engine` asks for.
pub fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    // SAFETY: the interpreter's lock is held; the type is a new reference or null.
    let class = unsafe { Bound::from_owned_ptr_or_err(py, op::make_type().cast())? };
    module.add("Op", class)?;
    module.add("search", function(py, "search", walk::search)?)?;
    module.add("backward", function(py, "backward", walk::backward)?)?;
    module.add("hang", function(py, "hang", leaves::hang)?)?;
    module.add("collect", function(py, "collect", leaves::collect)?)?;
    module.add_function(wrap_pyfunction!(install, module)?)?;
    module.add_function(wrap_pyfunction!(enter, module)?)?;
    module.add_function(wrap_pyfunction!(install_reading, module)?)?;
    module.add_function(wrap_pyfunction!(shorten, module)?)
}

fn class_of_op(py: Python<'_>) -> PyResult<*mut ffi::PyTypeObject> {
    let module = py.import("backpass.cpu._kernels")?;
    Ok(module.getattr("Op")?.into_ptr().cast())
}

/// Hand over the engine's classes and functions, by the names that it has for them.
#[pyfunction]
#[pyo3(signature = (**parts))]
fn install(py: Python<'_>, parts: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
    let none = PyDict::new(py);
    objects::install(class_of_op(py)?, parts.unwrap_or(&none))
}

/// Let cotangents of elements that `getitem` has read be added in place, by `add_at(total, g, index)`,
/// which tells whether it has done so.
#[pyfunction]
fn install_reading(getitem: &Bound<'_, PyAny>, add_at: &Bound<'_, PyAny>) -> PyResult<()> {
    if !objects::installed() {
        return Err(PyTypeError::new_err("install_reading: install the engine first"));
    }
    // SAFETY: the engine is installed; both objects are kept for ever.
    unsafe {
        let parts = [getitem.clone().into_ptr(), add_at.clone().into_ptr()];
        objects::engine().reads.set(parts);
    }
    Ok(())
}

/// Return an `Op` that stands before `op`, the function of `primitive` that is written in Python.
///
/// `passes` tells of each operand whether its rule hands the cotangent on as it is.
#[pyfunction]
fn shorten<'py>(
    primitive: &Bound<'py, PyAny>,
    op: &Bound<'py, PyAny>,
    passes: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    op::make(class_of_op(primitive.py())?, primitive, op, &passes.extract::<Vec<bool>>()?)
}

/// Return an `Op` that stands before `call`, the method `__call__` of primitives.
#[pyfunction]
fn enter<'py>(call: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    op::make_entry(class_of_op(call.py())?, call)
}
