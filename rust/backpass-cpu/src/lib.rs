//! Python bindings to `backpass-kernels`: the table `KERNELS`.
//!
//! A kernel takes arrays and gives an array over pool memory, or `NotImplemented` for operands that
//! it does not handle. The functions are raw `METH_FASTCALL` functions over `NumPy`'s C interface,
//! because on small arrays the call is what takes the time.

mod api;
mod block;
mod choose;
mod copies;
mod elementwise;
mod engine;
mod indexing;
mod joining;
mod keywords;
mod network;
mod operand;
mod optimizers;
mod order;
mod places;
mod products;
mod reductions;
mod scans;
mod sorting;
mod table;
mod unbroadcast;
mod views;

use std::ffi::CString;

use backpass_kernels::isa::Isa;
use backpass_kernels::{pool, settings, threads};
use pyo3::exceptions::{PyRuntimeWarning, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict};

/// The state of the memory pool: bytes out and idle, blocks given out and how many were used before.
#[pyfunction]
fn memory_stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let stats = pool::memory_stats();
    let dict = PyDict::new(py);
    dict.set_item("in_use", stats.in_use)?;
    dict.set_item("cached", stats.cached)?;
    dict.set_item("allocations", stats.allocations)?;
    dict.set_item("reused", stats.reused)?;
    Ok(dict)
}

/// Give idle memory back to the system.
#[pyfunction]
fn empty_cache() {
    pool::empty_cache();
}

/// How many threads a kernel may use.
#[pyfunction]
fn get_num_threads() -> usize {
    threads::num_threads()
}

/// Let kernels use up to `n` threads. Results do not depend on it.
#[pyfunction]
fn set_num_threads(n: &Bound<'_, PyAny>) -> PyResult<()> {
    let whole = if n.is_instance_of::<PyBool>() { None } else { index(n) };
    let Some(whole) = whole else {
        let class = n.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "n must be a whole number, got {} of type {class}",
            n.repr()?
        )));
    };
    if whole.lt(1)? {
        return Err(PyValueError::new_err(format!(
            "n must be at least 1, got {whole}: the calling thread always works"
        )));
    }
    if whole.gt(threads::MOST)? {
        return Err(PyValueError::new_err(format!(
            "n must be at most {}, got {whole}",
            threads::MOST
        )));
    }
    threads::set_num_threads(whole.extract()?);
    Ok(())
}

/// A whole number as Python's `int`, whatever its type.
fn index<'py>(n: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    // SAFETY: the interpreter's lock is held; the result is a new reference or null.
    unsafe { Bound::from_owned_ptr_or_err(n.py(), pyo3::ffi::PyNumber_Index(n.as_ptr())).ok() }
}

/// Reads the settings while no other thread can fork, and warns of those that make no sense.
fn read_settings(py: Python<'_>) -> PyResult<()> {
    let (n, isa) = (threads::num_threads(), Isa::current().name());
    for problem in settings::problems() {
        let message = format!("{problem}, and is ignored: {n} threads, instruction set {isa}");
        let message = CString::new(message).expect("the environment holds no zero bytes");
        PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &message, 1)?;
    }
    Ok(())
}

// The table of types and the kernels' reading of arrays rely on the interpreter's lock.
#[pymodule(gil_used = true)]
fn _kernels(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    read_settings(py)?;
    api::load(py)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("KERNELS", table::kernels(py)?)?;
    // SAFETY: `load` has filled the table; the type is a live object.
    let block = unsafe { Bound::from_borrowed_ptr(py, api::api().block.cast()) };
    module.add("Block", block)?;
    engine::add_to(module)?;
    module.add_function(wrap_pyfunction!(memory_stats, module)?)?;
    module.add_function(wrap_pyfunction!(empty_cache, module)?)?;
    module.add_function(wrap_pyfunction!(get_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(set_num_threads, module)?)
}
