//! Sums, means and extremes over one axis of an array of shape (outer, len, inner).

use std::marker::PhantomData;

pub use crate::along::Shape;
use crate::along::{Axis, Body, Combine, Max, Min, Row, Sum, for_groups};
use crate::columns::reduce_columns;
use crate::isa::{Isa, Kernel, dispatch};
use crate::pool::Scratch;
use crate::real::Real;
use crate::simd::Simd;

/// Elements of a segment of a long row.
pub(crate) const SEGMENT: usize = 1 << 15;

/// A reduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The sum.
    Sum,
    /// The arithmetic mean.
    Mean,
    /// The largest element; nan if there is one.
    Max,
    /// The smallest element; nan if there is one.
    Min,
}

#[derive(Clone, Copy)]
struct Reduce<T, C, const MEAN: bool> {
    x: *const T,
    out: *mut T,
    divisor: T,
    combine: PhantomData<fn() -> C>,
}

impl<T: Real, C: Combine + Copy, const MEAN: bool> Body<T> for Reduce<T, C, MEAN> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let x = self.x.add(data);
            let mut value = axis.fold::<C>(
                s,
                #[inline(always)]
                |k| axis.load(s, x, k),
            );
            if MEAN {
                value = s.div(value, s.splat(self.divisor));
            }
            axis.put(s, self.out.add(group), value);
        }
    }
}

fn reduction_body<T, C, const MEAN: bool>(
    x: *const T,
    out: *mut T,
    divisor: T,
) -> Reduce<T, C, MEAN> {
    Reduce { x, out, divisor, combine: PhantomData }
}

/// Reduces `x` along its axis into `out`, which has one number a group. The mean divides by
/// `divisor`.
///
/// # Safety
///
/// `x` has `shape` and is contiguous; `out` holds a number a group; they do not overlap; the
/// processor has `isa`.
pub unsafe fn reduce<T: Real>(
    isa: Isa,
    kind: Reduction,
    shape: Shape,
    x: *const T,
    out: *mut T,
    divisor: T,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe {
        match kind {
            Reduction::Sum => along::<T, Sum, false>(isa, shape, x, out, divisor),
            Reduction::Mean => along::<T, Sum, true>(isa, shape, x, out, divisor),
            Reduction::Max => along::<T, Max, false>(isa, shape, x, out, divisor),
            Reduction::Min => along::<T, Min, false>(isa, shape, x, out, divisor),
        }
    }
}

/// See [`reduce`].
unsafe fn along<T: Real, C: Combine + Copy, const MEAN: bool>(
    isa: Isa,
    shape: Shape,
    x: *const T,
    out: *mut T,
    divisor: T,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe {
        if shape.inner > 1 {
            reduce_columns::<T, C, MEAN>(isa, shape, x, out, divisor);
        } else if shape.outer == 1 && shape.len >= 2 * SEGMENT {
            // A single long row: the sums of its segments first.
            let parts = by_segments(shape.len, |segments, at, to: *mut T| {
                along::<T, C, false>(isa, segments, x.add(at), to, T::ONE);
            });
            let sums = Shape { outer: 1, len: shape.len.div_ceil(SEGMENT), inner: 1 };
            along::<T, C, MEAN>(isa, sums, parts.as_ptr(), out, divisor);
        } else {
            for_groups(isa, shape, 60, reduction_body::<T, C, MEAN>(x, out, divisor));
        }
    }
}

/// One number for each segment of a row of `len` elements: `f` gets the shape of some of them, the
/// offset at which they begin, and where their numbers belong.
pub(crate) fn by_segments<T: Real>(len: usize, f: impl Fn(Shape, usize, *mut T)) -> Scratch<T> {
    let (whole, rest) = (len / SEGMENT, len % SEGMENT);
    let parts = Scratch::<T>::new(whole + 1);
    f(Shape { outer: whole, len: SEGMENT, inner: 1 }, 0, parts.as_ptr());
    if rest > 0 {
        let last = Shape { outer: 1, len: rest, inner: 1 };
        f(last, whole * SEGMENT, parts.as_ptr().wrapping_add(whole));
    }
    parts
}

struct Dot<T> {
    n: usize,
    x: *const T,
    y: *const T,
}

impl<T: Real> Kernel<T> for Dot<T> {
    type Output = T;

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) -> T {
        let axis = Row { len: self.n };
        let sum = <Row as Axis<T, S>>::fold::<Sum>(
            axis,
            s,
            #[inline(always)]
            // SAFETY: whoever made it vouches for the operands.
            |k| unsafe { s.mul(axis.load(s, self.x, k), axis.load(s, self.y, k)) },
        );
        s.first(sum)
    }
}

/// The scalar product of `n` elements.
///
/// # Safety
///
/// `x` and `y` hold `n` elements; the processor has `isa`.
pub(crate) unsafe fn dot<T: Real>(isa: Isa, n: usize, x: *const T, y: *const T) -> T {
    // SAFETY: the caller vouches for all of it.
    unsafe { dispatch(isa, Dot { n, x, y }) }
}
