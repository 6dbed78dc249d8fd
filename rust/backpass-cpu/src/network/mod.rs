//! The kernels of networks, one family a file: each lists its own in a `KERNELS`.

mod activations;
mod attention;
mod convolution;
mod images;
mod pooling;

use pyo3::ffi;

/// Kernels by their names.
pub type Family = &'static [(&'static str, ffi::PyCFunctionFastWithKeywords)];

/// All families.
pub static FAMILIES: &[Family] =
    &[activations::KERNELS, attention::KERNELS, convolution::KERNELS, pooling::KERNELS];
