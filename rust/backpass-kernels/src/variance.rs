//! Variance and standard deviation along one axis, and their rules.
//!
//! The mean comes first and then the squared distances from it: nothing is lost where the mean is
//! large.

use crate::along::{Axis, Body, Shape, Sum, for_groups};
use crate::isa::Isa;
use crate::real::Real;
use crate::reduce::{Reduction, SEGMENT, by_segments, reduce};
use crate::simd::Simd;

/// What is computed for each group.
#[derive(Clone, Copy)]
struct Variance<T, const ROOT: bool> {
    x: *const T,
    out: *mut T,
    count: T,
    divisor: T,
}

/// The mean of a group.
#[inline(always)]
unsafe fn mean<T: Real, S: Simd<T>, A: Axis<T, S>>(s: S, axis: A, x: *const T, count: T) -> S::V {
    let sum = axis.fold::<Sum>(
        s,
        #[inline(always)]
        // SAFETY: the caller vouches for the group behind `x`.
        |k| unsafe { axis.load(s, x, k) },
    );
    s.div(sum, s.splat(count))
}

/// The sum of a group's squared distances from `mean`.
#[inline(always)]
unsafe fn squares<T: Real, S: Simd<T>, A: Axis<T, S>>(
    s: S,
    axis: A,
    x: *const T,
    mean: S::V,
) -> S::V {
    axis.fold::<Sum>(
        s,
        #[inline(always)]
        |k| {
            // SAFETY: the caller vouches for the group behind `x`.
            let distance = s.sub(unsafe { axis.load(s, x, k) }, mean);
            s.mul(distance, distance)
        },
    )
}

impl<T: Real, const ROOT: bool> Body<T> for Variance<T, ROOT> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let x = self.x.add(data);
            let mean = mean(s, axis, x, self.count);
            let value = s.div(squares(s, axis, x, mean), s.splat(self.divisor));
            axis.put(s, self.out.add(group), if ROOT { s.sqrt(value) } else { value });
        }
    }
}

/// The squares of a segment of a row, whose mean is known.
#[derive(Clone, Copy)]
struct Squares<T> {
    x: *const T,
    mean: T,
    out: *mut T,
}

impl<T: Real> Body<T> for Squares<T> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let sum = squares(s, axis, self.x.add(data), s.splat(self.mean));
            axis.put(s, self.out.add(group), sum);
        }
    }
}

/// The sum of squared distances from the mean over `divisor`, or (`root`) the square root of that.
///
/// # Safety
///
/// `x` has `shape` and is contiguous, `out` holds a number a group; they do not overlap; the
/// processor has `isa`.
pub unsafe fn variance<T: Real>(
    isa: Isa,
    root: bool,
    shape: Shape,
    x: *const T,
    out: *mut T,
    divisor: T,
) {
    let count = T::count(shape.len);
    // SAFETY: the caller vouches for all of it.
    unsafe {
        if shape.groups() == 1 && shape.len >= 2 * SEGMENT {
            let mut mean = T::ZERO;
            reduce(isa, Reduction::Mean, shape, x, &raw mut mean, count);
            let parts = by_segments(shape.len, |segments, at, out: *mut T| {
                for_groups(isa, segments, 60, Squares { x: x.add(at), mean, out });
            });
            let sums = Shape { outer: 1, len: shape.len.div_ceil(SEGMENT), inner: 1 };
            reduce(isa, Reduction::Mean, sums, parts.as_ptr(), out, divisor);
            if root {
                *out = (*out).std_sqrt();
            }
        } else if root {
            for_groups(isa, shape, 120, Variance::<T, true> { x, out, count, divisor });
        } else {
            for_groups(isa, shape, 120, Variance::<T, false> { x, out, count, divisor });
        }
    }
}

#[derive(Clone, Copy)]
struct VarianceVjp<T, const ROOT: bool> {
    g: *const T,
    ans: *const T,
    x: *const T,
    out: *mut T,
    count: T,
    divisor: T,
}

impl<T: Real, const ROOT: bool> Body<T> for VarianceVjp<T, ROOT> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let (x, out) = (self.x.add(data), self.out.add(data));
            let mut g = axis.get(s, self.g.add(group));
            let slope = s.splat(T::TWO / self.divisor);
            if ROOT {
                // g / (2 std), and 0 where the deviation is 0.
                let (ans, zero) = (axis.get(s, self.ans.add(group)), s.splat(T::ZERO));
                let flat = s.eq(ans, zero);
                let half = s.div(s.splat(T::HALF), s.select(flat, s.splat(T::ONE), ans));
                g = s.select(flat, zero, s.zero_mul(g, half));
            }
            let mean = mean(s, axis, x, self.count);
            axis.each(
                s,
                #[inline(always)]
                |k| {
                    let derivative = s.mul(s.sub(axis.load(s, x, k), mean), slope);
                    axis.store(s, out, k, s.zero_mul(g, derivative));
                },
            );
        }
    }
}

/// The rule of [`variance`]: 2 g (x - mean) / divisor, or (`root`) that over 2 ans, 0 where `ans` is 0.
///
/// # Safety
///
/// `x` and `out` have `shape` and are contiguous, `g` and, if `root`, `ans` hold a number a group;
/// `out` overlaps nothing; the processor has `isa`.
pub unsafe fn variance_vjp<T: Real>(
    isa: Isa,
    root: bool,
    shape: Shape,
    g: *const T,
    ans: *const T,
    x: *const T,
    out: *mut T,
    divisor: T,
) {
    let count = T::count(shape.len);
    // SAFETY: the caller vouches for all of it.
    unsafe {
        if root {
            let body = VarianceVjp::<T, true> { g, ans, x, out, count, divisor };
            for_groups(isa, shape, 150, body);
        } else {
            let body = VarianceVjp::<T, false> { g, ans, x, out, count, divisor };
            for_groups(isa, shape, 150, body);
        }
    }
}
