//! The kernels of networks, one family a file: each lists its own in a `KERNELS`.

mod activations;
mod attention;
mod convolution;
mod cross_entropy;
mod given;
mod images;
mod linear;
mod normalization;
mod pooling;

use backpass_kernels::isa::Isa;
use pyo3::ffi;

/// Kernels by their names.
pub type Family = &'static [(&'static str, ffi::PyCFunctionFastWithKeywords)];

/// All families.

/// Whether a kernel is faster than the reference: matrix products in plain Rust are not.
pub fn is_worth(isa: Isa, name: &str) -> bool {
    isa != Isa::Scalar || !name.starts_with("linear")
}
pub static FAMILIES: &[Family] = &[
    activations::KERNELS,
    attention::KERNELS,
    convolution::KERNELS,
    cross_entropy::KERNELS,
    linear::KERNELS,
    normalization::KERNELS,
    pooling::KERNELS,
];
