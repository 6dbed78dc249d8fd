//! The arithmetic of Backpass on the CPU, without Python.
//!
//! Every kernel is written once over [`simd::Simd`] and runs on AVX-512, AVX2 with FMA, or plain
//! Rust; [`isa::Isa`] says which. Kernels take raw pointers, because their callers hold arrays of
//! another language; each states what it needs of them. Results do not depend on the number of
//! threads.

mod along;
pub mod choose;
mod columns;
pub mod copies;
pub mod descent;
pub mod elementwise;
pub mod extremes;
pub mod gather;
pub mod isa;
pub mod layout;
pub mod math;
pub mod matmul;
pub mod network;
pub mod pool;
pub mod real;
pub mod reduce;
pub mod scan;
pub mod settings;
pub mod simd;
pub mod softmax;
pub mod sorting;
pub mod threads;
pub mod transpose;
pub mod variance;
