//! Kernels of networks: what `backpass.nn.functional` calls by name, one family a file.

pub mod attention;
pub mod pooling;
pub mod convolution;
