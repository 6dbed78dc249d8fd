//! Vector mathematics, written once for both element types and every instruction set with a fused
//! multiply-add; elsewhere the standard library's functions, element by element.
//!
//! Ranges are reduced by Cody and Waite's method (a constant in two or three parts, each subtracted
//! by a fused multiply-add); the polynomials are minimax fits of our own (see [`tables`]). The errors
//! are at most 2 ULP for exponentials, logarithms and `expit`, and 4 ULP for `tanh`, `erf`, `sin`
//! and `cos`; `tests/ulp.rs` measures them.

pub mod erf;
pub mod exp;
pub mod hyperbolic;
pub mod inverse;
pub mod log;
pub mod power;
pub mod tables;
pub mod trig;
