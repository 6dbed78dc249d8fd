//! The kernels of networks, one family a file: each lists its own in a `KERNELS`.

mod activations;
mod attention;
mod batch_norm;
mod convolution;
mod cross_entropy;
mod dropout;
mod embedding;
mod given;
mod heads;
pub mod images;
mod layer_norm;
mod linear;
mod outputs;
mod pooling;
mod recurrent;

use backpass_kernels::isa::Isa;
use pyo3::ffi;

/// Kernels by their names.
pub type Family = &'static [(&'static str, ffi::PyCFunctionFastWithKeywords)];

/// Whether a kernel is faster than the reference: matrix products in plain Rust are not.
pub fn is_worth(isa: Isa, name: &str) -> bool {
    let products = ["linear", "conv2d", "attention"];
    isa != Isa::Scalar || !products.iter().any(|family| name.starts_with(family))
}

/// All families.
pub static FAMILIES: &[Family] = &[
    activations::KERNELS,
    attention::KERNELS,
    batch_norm::KERNELS,
    convolution::KERNELS,
    cross_entropy::KERNELS,
    dropout::KERNELS,
    embedding::KERNELS,
    heads::KERNELS,
    layer_norm::KERNELS,
    linear::KERNELS,
    pooling::KERNELS,
    recurrent::KERNELS,
];
