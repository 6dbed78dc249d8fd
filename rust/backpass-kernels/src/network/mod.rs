//! Kernels of networks: what `backpass.nn.functional` calls by name, one family a file.

pub mod attention;
pub mod batch_norm;
pub mod convolution;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod heads;
pub mod layer_norm;
pub mod linear;
mod philox;
pub mod pooling;
pub mod recurrent;
