//! Layer norm and RMS norm: each row brought to mean 0 and variance 1, or divided by its root mean
//! square, then scaled and shifted.
//!
//! The mean is found in two steps, its rounding by the mean of the deviations from it; so a row far
//! from 0 keeps its digits. A row is read three times, from the cache after the first.

use crate::along::{Axis, Row, Sum, is_large};
use crate::isa::{Isa, Kernel, dispatch};
use crate::pool::Scratch;
use crate::real::Real;
use crate::reduce::{Reduction, Shape, reduce};
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// Elements of a chunk, at least.
const CHUNK: usize = 1 << 13;
/// The most chunks.
const MOST: usize = 64;
/// Rows whose parts of the parameters' cotangents are added one after the other.
const RUN: usize = 64;
/// Rows that are finished together, so that the sums over them are read and written less often.
const TOGETHER: usize = 4;

/// What is normalised, and how.
#[derive(Clone, Copy, Debug)]
pub struct Rows<T> {
    /// How many rows there are.
    pub rows: usize,
    /// Elements of a row; not 0.
    pub len: usize,
    /// The rows, one after the other.
    pub x: *const T,
    /// What each element of a row is multiplied by: null, or a row.
    pub weight: *const T,
    /// What is added: null, or a row.
    pub bias: *const T,
    /// Added to the variance.
    pub eps: T,
    /// Whether the mean is taken away.
    pub centred: bool,
}

impl<T: Real> Rows<T> {
    /// How many chunks the rows are cut into: the same on any number of threads.
    fn chunks(&self) -> usize {
        self.rows.min(self.rows * self.len / CHUNK).clamp(1, MOST)
    }

    /// The same with a row of ones or zeros for a parameter that is not there if the other one is.
    fn completed(mut self) -> (Self, Option<Scratch<T>>) {
        if self.weight.is_null() == self.bias.is_null() {
            return (self, None);
        }
        let made = Scratch::new(self.len);
        let (missing, value) = if self.weight.is_null() {
            (&mut self.weight, T::ONE)
        } else {
            (&mut self.bias, T::ZERO)
        };
        *missing = made.as_ptr();
        for i in 0..self.len {
            // SAFETY: within the scratch.
            unsafe { made.as_ptr().add(i).write(value) };
        }
        (self, Some(made))
    }
}

/// A row's numbers: `hat = (x - shift) rstd + rest`.
#[derive(Clone, Copy)]
struct Statistics<V> {
    shift: V,
    rstd: V,
    rest: V,
}

impl<V: Copy> Statistics<V> {
    #[inline(always)]
    fn hat<T: Real, S: Simd<T, V = V>>(&self, s: S, x: V) -> V {
        s.fma(s.sub(x, self.shift), self.rstd, self.rest)
    }
}

/// The mean, rounded; 0 where it is not taken away.
#[inline(always)]
unsafe fn mean<T: Real, S: Simd<T>>(s: S, row: Row, x: *const T, centred: bool) -> S::V {
    if !centred {
        return s.splat(T::ZERO);
    }
    // SAFETY: the caller vouches for the row.
    let sum = row.fold::<Sum>(
        s,
        #[inline(always)]
        |k| unsafe { row.load(s, x, k) },
    );
    s.div(sum, s.splat(T::count(row.len)))
}

/// What follows from the sums of the deviations and of their squares.
#[inline(always)]
fn statistics<T: Real, S: Simd<T>>(
    s: S,
    len: usize,
    eps: T,
    centred: bool,
    shift: S::V,
    sums: [S::V; 2],
) -> Statistics<S::V> {
    let (zero, n) = (s.splat(T::ZERO), s.splat(T::count(len)));
    let off = if centred { s.div(sums[0], n) } else { zero };
    // Rounding may leave less than 0 of a row of one number; nan stays.
    let variance = s.max(zero, s.fnma(off, off, s.div(sums[1], n)));
    let rstd = s.div(s.splat(T::ONE), s.sqrt(s.add(variance, s.splat(eps))));
    Statistics { shift, rstd, rest: s.neg(s.mul(off, rstd)) }
}

struct Forward<T, const AFFINE: bool> {
    rows: Rows<T>,
    out: *mut T,
    /// Whether the output is written past the caches.
    past: bool,
}

impl<T: Real, const AFFINE: bool> Kernel<T> for Forward<T, AFFINE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Rows { rows, len, weight, bias, eps, centred, .. } = self.rows;
        let row = Row { len };
        for i in 0..rows {
            // SAFETY: the rows, the parameters and the output hold what `Rows` says.
            unsafe {
                let (x, out) = (self.rows.x.add(i * len), self.out.add(i * len));
                let shift = mean(s, row, x, centred);
                let sums = row.folds::<Sum, 2>(
                    s,
                    #[inline(always)]
                    |k| {
                        s.prefetch(k.of(x.wrapping_add(len)));
                        let d = s.sub(row.load(s, x, k), shift);
                        [d, s.mul(d, d)]
                    },
                );
                let about = statistics(s, len, eps, centred, shift, sums);
                row.each_to(
                    s,
                    out,
                    self.past,
                    #[inline(always)]
                    |k| {
                        let hat = about.hat(s, row.load(s, x, k));
                        if AFFINE {
                            s.fma(hat, row.load(s, weight, k), row.load(s, bias, k))
                        } else {
                            hat
                        }
                    },
                );
            }
        }
        s.fence();
    }
}

/// Normalises `rows` into `out`.
///
/// # Safety
///
/// The rows and parameters hold what [`Rows`] says, `out` as much as `x`, and overlaps nothing; the
/// processor has `isa`.
pub unsafe fn layer_norm<T: Real>(isa: Isa, rows: Rows<T>, out: *mut T) {
    let (rows, _kept) = rows.completed();
    // SAFETY: each chunk has rows of its own; the caller vouches for the rest.
    let shared = unsafe { Shared::new((rows, out)) };
    let chunks = rows.chunks();
    let past = is_large::<T>(rows.rows * rows.len);
    threads::run(chunks, rows.rows * rows.len * size_of::<T>() / 20, &|chunk| {
        let (mut part, out) = shared.get();
        let first = rows.rows * chunk / chunks;
        part.rows = rows.rows * (chunk + 1) / chunks - first;
        part.x = part.x.wrapping_add(first * part.len);
        let out = out.wrapping_add(first * part.len);
        // SAFETY: as above.
        unsafe {
            if part.weight.is_null() {
                dispatch(isa, Forward::<T, false> { rows: part, out, past });
            } else {
                dispatch(isa, Forward::<T, true> { rows: part, out, past });
            }
        }
    });
}

struct Backward<T, const AFFINE: bool> {
    rows: Rows<T>,
    g: *const T,
    out: *mut T,
    /// Two rows that the sums of g hat and of g go to.
    sums: *mut T,
    /// Two rows for the sums of a few rows.
    run: *mut T,
    /// Whether the output is written past the caches.
    past: bool,
}

/// What is known of a row when its cotangent is written: `out = g w rstd + hat along + level`.
#[derive(Clone, Copy)]
struct Slopes<V> {
    about: Statistics<V>,
    along: V,
    level: V,
}

impl<T: Real, const AFFINE: bool> Backward<T, AFFINE> {
    #[inline(always)]
    unsafe fn slopes<S: Simd<T>>(&self, s: S, row: Row, i: usize) -> Slopes<S::V> {
        let Rows { len, eps, centred, weight, .. } = self.rows;
        // SAFETY: the caller vouches for the row.
        unsafe {
            let (x, g) = (self.rows.x.add(i * len), self.g.add(i * len));
            let shift = mean(s, row, x, centred);
            let [d, square, whole, product] = row.folds::<Sum, 4>(
                s,
                #[inline(always)]
                |k| {
                    s.prefetch(k.of(x.wrapping_add(len)));
                    s.prefetch(k.of(g.wrapping_add(len)));
                    let d = s.sub(row.load(s, x, k), shift);
                    let mut g = row.load(s, g, k);
                    if AFFINE {
                        g = s.mul(g, row.load(s, weight, k));
                    }
                    [d, s.mul(d, d), g, s.mul(g, d)]
                },
            );
            let about = statistics(s, len, eps, centred, shift, [d, square]);
            let Statistics { rstd, rest, .. } = about;
            let scale = s.neg(s.div(rstd, s.splat(T::count(len))));
            // Beside an infinite cotangent there is nothing to put right.
            let rest = s.mul(whole, rest);
            let finite = s.lt(s.abs(rest), s.splat(T::INFINITY));
            let rest = s.select(finite, rest, s.splat(T::ZERO));
            let along = s.mul(s.fma(product, rstd, rest), scale);
            let level = if centred { s.mul(whole, scale) } else { s.splat(T::ZERO) };
            Slopes { about, along, level }
        }
    }

    /// Writes the cotangents of `N` rows from `first` on, and adds their parts of the parameters'.
    #[inline(always)]
    unsafe fn finish<S: Simd<T>, const N: usize>(&self, s: S, row: Row, first: usize) {
        let Rows { len, x, weight, .. } = self.rows;
        // SAFETY: the caller vouches for the rows.
        unsafe {
            // Not `from_fn`, which is not always inlined.
            let mut slopes = [self.slopes(s, row, first); N];
            for (i, slopes) in slopes.iter_mut().enumerate().skip(1) {
                *slopes = self.slopes(s, row, first + i);
            }
            // Rows of odd lengths are aligned here and there only.
            let lead = if self.past { row.lead(s, self.out.add(first * len)) } else { 0 };
            let mut past = [false; N];
            for (i, past) in past.iter_mut().enumerate() {
                let aligned = row.lead(s, self.out.add((first + i) * len)) == lead;
                *past = self.past && aligned;
            }
            row.each_after(
                s,
                lead,
                #[inline(always)]
                |k| {
                    let scale = if AFFINE { row.load(s, weight, k) } else { s.splat(T::ONE) };
                    let (to_weight, to_bias) = (self.run, self.run.add(len));
                    let mut sums = if AFFINE {
                        [row.load(s, to_weight, k), row.load(s, to_bias, k)]
                    } else {
                        [scale; 2]
                    };
                    for (i, slopes) in slopes.iter().enumerate() {
                        let from = (first + i) * len;
                        let g = row.load(s, self.g.add(from), k);
                        let hat = slopes.about.hat(s, row.load(s, x.add(from), k));
                        let mut scaled = g;
                        if AFFINE {
                            sums = [s.fma(g, hat, sums[0]), s.add(sums[1], g)];
                            scaled = s.mul(g, scale);
                        }
                        let rest = s.fma(hat, slopes.along, slopes.level);
                        let value = s.fma(scaled, slopes.about.rstd, rest);
                        row.write(s, self.out.add(from), k, value, past[i]);
                    }
                    if AFFINE {
                        row.store(s, to_weight, k, sums[0]);
                        row.store(s, to_bias, k, sums[1]);
                    }
                },
            );
        }
    }
}

impl<T: Real, const AFFINE: bool> Kernel<T> for Backward<T, AFFINE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Rows { rows, len, .. } = self.rows;
        let row = Row { len };
        let both = Row { len: 2 * len };
        // SAFETY: the rows and outputs hold what `layer_norm_back` says; zeros are zero bytes.
        unsafe {
            if AFFINE {
                self.sums.write_bytes(0, 2 * len);
            }
            let mut i = 0;
            while i < rows {
                let end = rows.min(i + RUN);
                if AFFINE {
                    self.run.write_bytes(0, 2 * len);
                }
                while i + TOGETHER <= end {
                    self.finish::<S, TOGETHER>(s, row, i);
                    i += TOGETHER;
                }
                while i < end {
                    self.finish::<S, 1>(s, row, i);
                    i += 1;
                }
                if AFFINE {
                    both.each(
                        s,
                        #[inline(always)]
                        |k| {
                            let sum = s.add(both.load(s, self.sums, k), both.load(s, self.run, k));
                            both.store(s, self.sums, k, sum);
                        },
                    );
                }
            }
            s.fence();
        }
    }
}

/// The rule of [`layer_norm`]: the cotangent of `x` for that of the output, `g`, into `out`, and
/// those of weight and bias, one after the other, into `parameters`, if there is one of them.
///
/// # Safety
///
/// The rows and parameters hold what [`Rows`] says, `g` and `out` as much as `x`, `parameters` two
/// rows (or it is null, if there are no parameters); outputs overlap nothing; the processor has
/// `isa`.
pub unsafe fn layer_norm_back<T: Real>(
    isa: Isa,
    rows: Rows<T>,
    g: *const T,
    out: *mut T,
    parameters: *mut T,
) {
    let affine = !rows.weight.is_null() || !rows.bias.is_null();
    let (rows, _kept) = rows.completed();
    let (chunks, len) = (rows.chunks(), rows.len);
    let past = is_large::<T>(rows.rows * len);
    // For each chunk its sums, then those of a few rows.
    let sums = Scratch::<T>::new(if affine { 4 * chunks * len } else { 0 });
    // SAFETY: each chunk has rows and sums of its own; the caller vouches for the rest.
    unsafe {
        let shared = Shared::new((rows, g, out, sums.as_ptr()));
        threads::run(chunks, rows.rows * len * size_of::<T>() / 8, &|chunk| {
            let (mut part, g, out, sums) = shared.get();
            let first = rows.rows * chunk / chunks;
            part.rows = rows.rows * (chunk + 1) / chunks - first;
            part.x = part.x.wrapping_add(first * len);
            let (g, out) = (g.wrapping_add(first * len), out.wrapping_add(first * len));
            let run = sums.wrapping_add(2 * len * (chunks + chunk));
            let sums = sums.wrapping_add(2 * len * chunk);
            if affine {
                dispatch(isa, Backward::<T, true> { rows: part, g, out, sums, run, past });
            } else {
                dispatch(isa, Backward::<T, false> { rows: part, g, out, sums, run, past });
            }
        });
        if affine {
            let whole = Shape { outer: 1, len: chunks, inner: 2 * len };
            reduce(isa, Reduction::Sum, whole, sums.as_ptr(), parameters, T::ONE);
        }
    }
}
