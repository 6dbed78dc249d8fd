//! What follows a product while it is still in the nearest cache: a bias and an activation.

use super::Region;
use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;

/// A function of every element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x
    Identity,
    /// max(x, 0); nan stays nan
    Relu,
    /// tanh(x)
    Tanh,
    /// 1 / (1 + exp(-x))
    Sigmoid,
    /// x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2
    Gelu,
}

/// What is done to a product `p` of `n` columns: `activation(p + bias)`.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<T> {
    /// A row of `n` contiguous elements that is added to each row; null for none.
    pub bias: *const T,
    /// The function of the sum.
    pub activation: Activation,
}

impl<T: Real> Epilogue<T> {
    /// Nothing at all.
    pub const NONE: Self = Self { bias: std::ptr::null(), activation: Activation::Identity };

    /// Whether there is nothing to do.
    #[inline(always)]
    pub(super) fn is_none(self) -> bool {
        self.bias.is_null() && self.activation == Activation::Identity
    }

    /// Does it to a part of the output; `bias` begins at the part's first column.
    ///
    /// # Safety
    ///
    /// The region is writeable, the bias readable at each of its columns.
    pub(super) unsafe fn apply(self, isa: Isa, region: Region<T>) {
        if !self.is_none() {
            // SAFETY: the caller vouches for all of it.
            unsafe { dispatch(isa, Apply { epilogue: self, region }) };
        }
    }

    /// The epilogue of the columns from `column` on.
    #[inline(always)]
    pub(super) fn from(self, column: usize) -> Self {
        let bias = if self.bias.is_null() { self.bias } else { self.bias.wrapping_add(column) };
        Self { bias, ..self }
    }
}

struct Apply<T> {
    epilogue: Epilogue<T>,
    region: Region<T>,
}

impl<T: Real> Kernel<T> for Apply<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let zero = s.splat(T::ZERO);
        let one = s.splat(T::ONE);
        match self.epilogue.activation {
            Activation::Identity => self.each(
                s,
                #[inline(always)]
                |x| x,
            ),
            // The maximum gives its second operand for nan, and for two zeros, of which the sum is
            // the positive one.
            Activation::Relu => self.each(
                s,
                #[inline(always)]
                |x| s.add(zero, s.max(zero, x)),
            ),
            Activation::Tanh => self.each(
                s,
                #[inline(always)]
                |x| T::tanh(s, x),
            ),
            Activation::Sigmoid => self.each(
                s,
                #[inline(always)]
                |x| T::expit(s, x),
            ),
            Activation::Gelu => self.each(
                s,
                #[inline(always)]
                |x| {
                    let cube = s.mul(s.mul(x, x), x);
                    let inside = s.fma(s.splat(T::of(0.044_715)), cube, x);
                    // sqrt(2 / pi)
                    let slope = s.splat(T::of(0.797_884_560_802_865_4));
                    let tanh = T::tanh(s, s.mul(slope, inside));
                    s.mul(s.mul(s.splat(T::HALF), x), s.add(one, tanh))
                },
            ),
        }
    }
}

impl<T: Real> Apply<T> {
    #[inline(always)]
    fn each<S: Simd<T>>(&self, s: S, f: impl Fn(S::V) -> S::V) {
        let Region { rows, columns, out, out_rows } = self.region;
        let bias = self.epilogue.bias;
        for i in 0..rows {
            let row = out.wrapping_add(i * out_rows);
            let mut j = 0;
            while j < columns {
                let lanes = S::LANES.min(columns - j);
                // SAFETY: whoever made it vouches for the region and the bias.
                unsafe {
                    let mut x = s.load_partial(row.add(j), lanes);
                    if !bias.is_null() {
                        x = s.add(x, s.load_partial(bias.add(j), lanes));
                    }
                    s.store_partial(row.add(j), lanes, f(x));
                }
                j += S::LANES;
            }
        }
    }
}
