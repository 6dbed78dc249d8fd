//! Softmax and its relatives along one axis, shifted by the group's maximum so that nothing
//! overflows.

use crate::along::{Axis, Body, Max, Shape, Sum, for_groups};
use crate::isa::Isa;
use crate::real::Real;
use crate::reduce::{Reduction, SEGMENT, by_segments, reduce};
use crate::simd::Simd;

/// The group's maximum, and 0 for the shift where that is not finite.
#[inline(always)]
pub(crate) unsafe fn shift<T: Real, S: Simd<T>, A: Axis<T, S>>(
    s: S,
    axis: A,
    x: *const T,
) -> (S::V, S::V) {
    // SAFETY: the caller vouches for the group behind `x`.
    let max = axis.fold::<Max>(
        s,
        #[inline(always)]
        |k| unsafe { axis.load(s, x, k) },
    );
    let infinite = s.eq(s.abs(max), s.splat(T::INFINITY));
    (max, s.select(infinite, s.splat(T::ZERO), max))
}

#[derive(Clone, Copy)]
struct LogSumExp<T> {
    x: *const T,
    out: *mut T,
}

impl<T: Real> Body<T> for LogSumExp<T> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let x = self.x.add(data);
            let (max, shift) = shift(s, axis, x);
            let sum = axis.fold::<Sum>(
                s,
                #[inline(always)]
                |k| T::exp(s, s.sub(axis.load(s, x, k), shift)),
            );
            let value = s.add(shift, T::ln(s, sum));
            let infinite = s.eq(s.abs(max), s.splat(T::INFINITY));
            axis.put(s, self.out.add(group), s.select(infinite, max, value));
        }
    }
}

/// log(sum(exp(x))) along the axis; -inf for an empty or all -inf group, inf where one is inf.
///
/// # Safety
///
/// `x` has `shape` and is contiguous, `out` holds a number a group; they do not overlap; the
/// processor has `isa`.
pub unsafe fn logsumexp<T: Real>(isa: Isa, shape: Shape, x: *const T, out: *mut T) {
    // SAFETY: the caller vouches for all of it.
    unsafe {
        if is_long_row(shape) {
            // Those of its segments first.
            let parts = by_segments(shape.len, |segments, at, to: *mut T| {
                logsumexp(isa, segments, x.add(at), to);
            });
            let len = shape.len.div_ceil(SEGMENT);
            return logsumexp(isa, Shape { outer: 1, len, inner: 1 }, parts.as_ptr(), out);
        }
        for_groups(isa, shape, 350 * size_of::<T>() / 4, LogSumExp { x, out });
    }
}

/// Whether the array is one row that is worth to be shared among threads.
fn is_long_row(shape: Shape) -> bool {
    shape.groups() == 1 && shape.len >= 2 * SEGMENT
}

#[derive(Clone, Copy)]
struct LogSumExpVjp<T> {
    g: *const T,
    ans: *const T,
    x: *const T,
    out: *mut T,
}

impl<T: Real> Body<T> for LogSumExpVjp<T> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let (x, out) = (self.x.add(data), self.out.add(data));
            let ans = axis.get(s, self.ans.add(group));
            let g = axis.get(s, self.g.add(group));
            let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
            let infinity = s.splat(T::INFINITY);
            let high = s.eq(ans, infinity);
            if s.any(s.eq(s.abs(ans), infinity)) {
                let ties = axis.fold::<Sum>(
                    s,
                    #[inline(always)]
                    |k| s.select(s.eq(axis.load(s, x, k), infinity), one, zero),
                );
                let low = s.eq(ans, s.neg(infinity));
                axis.each(
                    s,
                    #[inline(always)]
                    |k| {
                        let x = axis.load(s, x, k);
                        let share = s.select(s.eq(x, infinity), s.div(one, ties), zero);
                        let weight = s.select(high, share, T::exp(s, s.sub(x, ans)));
                        axis.store(s, out, k, s.zero_mul(g, s.select(low, zero, weight)));
                    },
                );
            } else {
                axis.each(
                    s,
                    #[inline(always)]
                    |k| {
                        let weight = T::exp(s, s.sub(axis.load(s, x, k), ans));
                        axis.store(s, out, k, s.zero_mul(g, weight));
                    },
                );
            }
        }
    }
}

/// The rule of `logsumexp`: g exp(x - ans); 0 where `ans` is -inf, and equal parts to the infinite
/// elements where it is inf.
///
/// # Safety
///
/// `x` and `out` have `shape` and are contiguous, `g` and `ans` hold a number a group; `out`
/// overlaps nothing; the processor has `isa`.
pub unsafe fn logsumexp_vjp<T: Real>(
    isa: Isa,
    shape: Shape,
    g: *const T,
    ans: *const T,
    x: *const T,
    out: *mut T,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe { for_groups(isa, shape, 250 * size_of::<T>() / 4, LogSumExpVjp { g, ans, x, out }) };
}

#[derive(Clone, Copy)]
struct Softmax<T, const LOG: bool> {
    x: *const T,
    out: *mut T,
}

impl<T: Real, const LOG: bool> Body<T> for Softmax<T, LOG> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, _: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let (x, out) = (self.x.add(data), self.out.add(data));
            let (max, shift) = shift(s, axis, x);
            if LOG {
                let sum = axis.fold::<Sum>(
                    s,
                    #[inline(always)]
                    |k| T::exp(s, s.sub(axis.load(s, x, k), shift)),
                );
                let log = T::ln(s, sum);
                axis.each(
                    s,
                    #[inline(always)]
                    |k| axis.store(s, out, k, s.sub(s.sub(axis.load(s, x, k), shift), log)),
                );
            } else {
                let sum = axis.fold::<Sum>(
                    s,
                    #[inline(always)]
                    |k| {
                        let e = T::exp(s, s.sub(axis.load(s, x, k), max));
                        axis.store(s, out, k, e);
                        e
                    },
                );
                axis.each(
                    s,
                    #[inline(always)]
                    |k| axis.store(s, out, k, s.div(axis.load(s, out, k), sum)),
                );
            }
        }
    }
}

/// exp(x - shift) of segments of a row, into `terms`, and the sum of each segment's.
#[derive(Clone, Copy)]
struct Terms<T> {
    x: *const T,
    shift: T,
    out: *mut T,
    sums: *mut T,
}

impl<T: Real> Body<T> for Terms<T> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let (x, out, shift) = (self.x.add(data), self.out.add(data), s.splat(self.shift));
            let sum = axis.fold::<Sum>(
                s,
                #[inline(always)]
                |k| {
                    let e = T::exp(s, s.sub(axis.load(s, x, k), shift));
                    axis.store(s, out, k, e);
                    e
                },
            );
            axis.put(s, self.sums.add(group), sum);
        }
    }
}

/// Terms over their sum; or the logarithms of that, for segments of a row.
#[derive(Clone, Copy)]
struct Shares<T, const LOG: bool> {
    x: *const T,
    shift: T,
    sum: T,
    out: *mut T,
}

impl<T: Real, const LOG: bool> Body<T> for Shares<T, LOG> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, _: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let (x, out) = (self.x.add(data), self.out.add(data));
            let (shift, sum) = (s.splat(self.shift), s.splat(self.sum));
            let log = if LOG { T::ln(s, sum) } else { sum };
            axis.each(
                s,
                #[inline(always)]
                |k| {
                    let value = if LOG {
                        s.sub(s.sub(axis.load(s, x, k), shift), log)
                    } else {
                        s.div(axis.load(s, out, k), sum)
                    };
                    axis.store(s, out, k, value);
                },
            );
        }
    }
}

/// See [`softmax`] and [`log_softmax`], for one long row.
unsafe fn long_row<T: Real, const LOG: bool>(isa: Isa, len: usize, x: *const T, out: *mut T) {
    let row = Shape { outer: 1, len, inner: 1 };
    let cost = size_of::<T>() / 4;
    let (mut shift, mut sum) = (T::ZERO, T::ZERO);
    // SAFETY: the caller vouches for the row and the output.
    unsafe {
        reduce(isa, Reduction::Max, row, x, &raw mut shift, T::ONE);
        if LOG && shift.std_abs() == T::INFINITY {
            shift = T::ZERO;
        }
        let sums = by_segments(len, |segments, at, sums: *mut T| {
            let (x, out) = (x.add(at), out.add(at));
            for_groups(isa, segments, 300 * cost, Terms { x, shift, out, sums });
        });
        let parts = Shape { outer: 1, len: len.div_ceil(SEGMENT), inner: 1 };
        reduce(isa, Reduction::Sum, parts, sums.as_ptr(), &raw mut sum, T::ONE);
        by_segments(len, |segments, at, _: *mut T| {
            let (x, out) = (x.add(at), out.add(at));
            for_groups(isa, segments, 100 * cost, Shares::<T, LOG> { x, shift, sum, out });
        });
    }
}

/// exp(x) / sum(exp(x)) along the axis.
///
/// # Safety
///
/// `x` and `out` have `shape`, are contiguous and do not overlap; the processor has `isa`.
pub unsafe fn softmax<T: Real>(isa: Isa, shape: Shape, x: *const T, out: *mut T) {
    // SAFETY: the caller vouches for all of it.
    unsafe { shares::<T, false>(isa, shape, x, out) };
}

/// x - log(sum(exp(x))) along the axis.
///
/// # Safety
///
/// `x` and `out` have `shape`, are contiguous and do not overlap; the processor has `isa`.
pub unsafe fn log_softmax<T: Real>(isa: Isa, shape: Shape, x: *const T, out: *mut T) {
    // SAFETY: the caller vouches for all of it.
    unsafe { shares::<T, true>(isa, shape, x, out) };
}

/// See [`softmax`] and [`log_softmax`].
unsafe fn shares<T: Real, const LOG: bool>(isa: Isa, shape: Shape, x: *const T, out: *mut T) {
    // SAFETY: the caller vouches for all of it.
    unsafe {
        if is_long_row(shape) {
            long_row::<T, LOG>(isa, shape.len, x, out);
        } else {
            for_groups(isa, shape, 400 * size_of::<T>() / 4, Softmax::<T, LOG> { x, out });
        }
    }
}

#[derive(Clone, Copy)]
struct SoftmaxVjp<T, const LOG: bool> {
    g: *const T,
    ans: *const T,
    out: *mut T,
}

impl<T: Real, const LOG: bool> Body<T> for SoftmaxVjp<T, LOG> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, _: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let (g, ans, out) = (self.g.add(data), self.ans.add(data), self.out.add(data));
            let sum = axis.fold::<Sum>(
                s,
                #[inline(always)]
                |k| {
                    let g = axis.load(s, g, k);
                    if LOG { g } else { s.zero_mul(g, axis.load(s, ans, k)) }
                },
            );
            let zero = s.splat(T::ZERO);
            let nothing = s.eq(sum, zero);
            axis.each(
                s,
                #[inline(always)]
                |k| {
                    let (g, ans) = (axis.load(s, g, k), axis.load(s, ans, k));
                    let value = if LOG {
                        s.fnma(s.select(nothing, zero, T::exp(s, ans)), sum, g)
                    } else {
                        s.zero_mul(s.sub(g, sum), ans)
                    };
                    axis.store(s, out, k, value);
                },
            );
        }
    }
}

/// The rule of `softmax`: ans (g - sum(g ans)); 0 for a group of zeros, even if `ans` is nan there.
///
/// # Safety
///
/// All arrays have `shape` and are contiguous; `out` overlaps nothing; the processor has `isa`.
pub unsafe fn softmax_vjp<T: Real>(
    isa: Isa,
    shape: Shape,
    g: *const T,
    ans: *const T,
    out: *mut T,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe {
        for_groups(isa, shape, 150 * size_of::<T>() / 4, SoftmaxVjp::<T, false> { g, ans, out });
    };
}

/// The rule of `log_softmax`: g - exp(ans) sum(g); g where its sum is 0, even if `ans` is nan there.
///
/// # Safety
///
/// All arrays have `shape` and are contiguous; `out` overlaps nothing; the processor has `isa`.
pub unsafe fn log_softmax_vjp<T: Real>(
    isa: Isa,
    shape: Shape,
    g: *const T,
    ans: *const T,
    out: *mut T,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe {
        for_groups(isa, shape, 300 * size_of::<T>() / 4, SoftmaxVjp::<T, true> { g, ans, out });
    };
}
