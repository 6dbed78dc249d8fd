//! What is done to blocks of scores, a vector of queries at a time: a column is a query's.

use crate::isa::Kernel;
use crate::real::Real;
use crate::simd::Simd;

/// A block of numbers whose columns are queries. Whole vectors of its rows are read and written.
#[derive(Clone, Copy)]
pub(super) struct Block<T> {
    pub data: *mut T,
    pub rows: usize,
    pub columns: usize,
    /// From a row to the next.
    pub line: usize,
}

impl<T: Real> Block<T> {
    /// Calls `f` with each vector of each row.
    #[inline(always)]
    unsafe fn each<S: Simd<T>>(self, s: S, mut f: impl FnMut(usize, S::V) -> S::V) {
        for row in 0..self.rows {
            let line = self.data.wrapping_add(row * self.line);
            for j in (0..self.columns).step_by(S::LANES) {
                // SAFETY: whoever made it vouches for whole vectors.
                unsafe { s.store(line.add(j), f(j, s.load(line.add(j)))) };
            }
        }
    }
}

/// `x`, and 0 where it is -inf: what is taken off scores.
#[inline(always)]
fn finite<T: Real, S: Simd<T>>(s: S, x: S::V) -> S::V {
    s.select(s.eq(x, s.splat(-T::INFINITY)), s.splat(T::ZERO), x)
}

/// Scores become weights `exp(score - top)`, for the highest score of each query so far; `mass` is
/// their sum so far. What was weighted before has to be multiplied by `factor`: whether that is not 1
/// everywhere.
pub(super) struct Online<T> {
    pub scores: Block<T>,
    pub top: *mut T,
    pub mass: *mut T,
    pub factor: *mut T,
}

impl<T: Real> Kernel<T> for Online<T> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) -> bool {
        let mut changed = false;
        let mut j = 0;
        // SAFETY: whoever made it vouches for the arrays.
        unsafe {
            while j + S::LANES < self.scores.columns {
                changed |= self.columns::<S, 2>(s, j);
                j += 2 * S::LANES;
            }
            if j < self.scores.columns {
                changed |= self.columns::<S, 1>(s, j);
            }
        }
        changed
    }
}

impl<T: Real> Online<T> {
    #[inline(always)]
    unsafe fn columns<S: Simd<T>, const V: usize>(&self, s: S, j: usize) -> bool {
        let Block { data, rows, line, .. } = self.scores;
        // SAFETY: the caller vouches for whole vectors.
        unsafe {
            let mut before = [s.splat(T::ZERO); V];
            for (v, x) in before.iter_mut().enumerate() {
                *x = s.load(self.top.add(j + v * S::LANES));
            }
            let mut top = before;
            for row in 0..rows {
                for (v, top) in top.iter_mut().enumerate() {
                    // The maximum gives its second operand for nan: a nan shows in the sum.
                    *top = s.max(s.load(data.add(row * line + j + v * S::LANES)), *top);
                }
            }
            let mut shift = top;
            for x in &mut shift {
                *x = finite(s, *x);
            }
            let mut mass = [s.splat(T::ZERO); V];
            for row in 0..rows {
                for v in 0..V {
                    let at = data.add(row * line + j + v * S::LANES);
                    let weight = T::exp(s, s.sub(s.load(at), shift[v]));
                    mass[v] = s.add(mass[v], weight);
                    s.store(at, weight);
                }
            }
            let mut changed = false;
            for v in 0..V {
                let at = j + v * S::LANES;
                let factor = T::exp(s, s.sub(before[v], shift[v]));
                let sum = s.fma(s.load(self.mass.add(at)), factor, mass[v]);
                s.store(self.top.add(at), top[v]);
                s.store(self.mass.add(at), sum);
                s.store(self.factor.add(at), factor);
                changed |= s.any(s.ne(factor, s.splat(T::ONE)));
            }
            changed
        }
    }
}

/// Each column is multiplied by its factor.
pub(super) struct Rescale<T> {
    pub block: Block<T>,
    pub factor: *const T,
}

impl<T: Real> Kernel<T> for Rescale<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        // SAFETY: whoever made it vouches for the arrays.
        unsafe {
            self.block.each(
                s,
                #[inline(always)]
                |j, x| s.mul(x, s.load(self.factor.add(j))),
            );
        }
    }
}

/// `x factor`; 0 where the factor is, whatever `x` is.
#[inline(always)]
fn dropped<T: Real, S: Simd<T>>(s: S, x: S::V, factor: S::V) -> S::V {
    let zero = s.splat(T::ZERO);
    s.select(s.ne(factor, zero), s.mul(x, factor), zero)
}

/// Weights are multiplied by factors, in a block of the same shape.
pub(super) struct Multiply<T> {
    pub weights: Block<T>,
    pub factors: *const T,
}

impl<T: Real> Kernel<T> for Multiply<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Block { data, rows, columns, line } = self.weights;
        for row in 0..rows {
            for j in (0..columns).step_by(S::LANES) {
                let (at, lanes) = (row * line + j, S::LANES.min(columns - j));
                // SAFETY: within the block and the factors.
                unsafe {
                    let factor = s.load_partial(self.factors.add(at), lanes);
                    let weight = s.load_partial(data.add(at), lanes);
                    s.store_partial(data.add(at), lanes, dropped(s, weight, factor));
                }
            }
        }
    }
}

/// The end of a query: its weighted sum is divided by the weights' sum, and `mass` becomes the
/// logarithm of the scores' exponentials' sum.
pub(super) struct Finish<T> {
    pub block: Block<T>,
    pub top: *const T,
    pub mass: *mut T,
}

impl<T: Real> Kernel<T> for Finish<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let one = s.splat(T::ONE);
        // SAFETY: whoever made it vouches for the arrays.
        unsafe {
            self.block.each(
                s,
                #[inline(always)]
                |j, x| {
                    // A query that may attend nowhere has a sum of 0; any other one has at least the 1
                    // of its top.
                    s.div(x, s.max(one, s.load(self.mass.add(j))))
                },
            );
            for j in (0..self.block.columns).step_by(S::LANES) {
                let sum = s.load(self.mass.add(j));
                let shift = finite(s, s.load(self.top.add(j)));
                s.store(self.mass.add(j), s.add(T::ln(s, sum), shift));
            }
        }
    }
}

/// Scores become weights, less those that are dropped, and the weights' cotangents those of the scores:
/// `scale weight (cotangent - inner)`.
pub(super) struct Pull<T> {
    pub scores: Block<T>,
    /// The cotangents, in a block of the same shape; null for the weights alone.
    pub pulled: *mut T,
    pub logsumexp: *const T,
    pub inner: *const T,
    pub scale: T,
    /// What a dropout multiplies the weights by, in a block of the same shape; null without one.
    pub factors: *const T,
}

impl<T: Real> Kernel<T> for Pull<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Block { data, rows, columns, line } = self.scores;
        let scale = s.splat(self.scale);
        for row in 0..rows {
            for j in (0..columns).step_by(S::LANES) {
                let at = row * line + j;
                // SAFETY: whoever made it vouches for the arrays.
                unsafe {
                    let shift = finite(s, s.load(self.logsumexp.add(j)));
                    let weight = T::exp(s, s.sub(s.load(data.add(at)), shift));
                    let drop = |x| {
                        if self.factors.is_null() {
                            return x;
                        }
                        let lanes = S::LANES.min(columns - j);
                        dropped(s, x, s.load_partial(self.factors.add(at), lanes))
                    };
                    s.store(data.add(at), drop(weight));
                    if !self.pulled.is_null() {
                        let pulled = drop(s.load(self.pulled.add(at)));
                        let pulled = s.sub(pulled, s.load(self.inner.add(j)));
                        s.store(self.pulled.add(at), s.mul(s.mul(weight, scale), pulled));
                    }
                }
            }
        }
    }
}

/// All numbers of a block are multiplied by one.
pub(super) struct Scale<T> {
    pub block: Block<T>,
    pub scale: T,
}

impl<T: Real> Kernel<T> for Scale<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let scale = s.splat(self.scale);
        // SAFETY: whoever made it vouches for the block.
        unsafe {
            self.block.each(
                s,
                #[inline(always)]
                |_, x| s.mul(x, scale),
            );
        }
    }
}

/// Query i of the block, which is query `first + i`, may not attend to keys after it: scores of keys
/// from `key` on become -inf.
pub(super) struct Causal<T> {
    pub scores: Block<T>,
    pub query: usize,
    pub key: usize,
}

impl<T: Real> Kernel<T> for Causal<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Block { data, rows, columns, line } = self.scores;
        for row in 0..rows {
            // These queries come before the key.
            let before = (self.key + row).saturating_sub(self.query).min(columns);
            for j in (0..before).step_by(S::LANES) {
                let lanes = S::LANES.min(before - j);
                // SAFETY: within the block.
                unsafe {
                    s.store_partial(data.add(row * line + j), lanes, s.splat(-T::INFINITY));
                }
            }
        }
    }
}
