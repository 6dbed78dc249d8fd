//! Python bindings to `backpass-kernels`: the table `KERNELS`.
//!
//! A kernel takes arrays and gives an array over pool memory, or `NotImplemented` for operands that
//! it does not handle. The functions are raw `METH_FASTCALL` functions over `NumPy`'s C interface,
//! because on small arrays the call is what takes the time.

mod api;
mod block;
mod elementwise;
mod indexing;
mod joining;
mod keywords;
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

use backpass_kernels::{pool, threads};
use pyo3::prelude::*;
use pyo3::types::PyDict;

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
fn set_num_threads(n: usize) -> PyResult<()> {
    if n == 0 {
        return Err(pyo3::exceptions::PyValueError::new_err(
            "n must be at least 1, got 0: the calling thread always works",
        ));
    }
    threads::set_num_threads(n);
    Ok(())
}

// The table of types and the kernels' reading of arrays rely on the interpreter's lock.
#[pymodule(gil_used = true)]
fn _kernels(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    api::load(py)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("KERNELS", table::kernels(py)?)?;
    // SAFETY: `load` has filled the table; the type is a live object.
    let block = unsafe { Bound::from_borrowed_ptr(py, api::api().block.cast()) };
    module.add("Block", block)?;
    module.add_function(wrap_pyfunction!(memory_stats, module)?)?;
    module.add_function(wrap_pyfunction!(empty_cache, module)?)?;
    module.add_function(wrap_pyfunction!(get_num_threads, module)?)?;
    module.add_function(wrap_pyfunction!(set_num_threads, module)?)
}
