//! Where extremes are, and the rule of `max` and `min`.

use crate::along::{Axis, Body, Max, Min, Row, Shape, Sum, for_groups};
use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::{MAX_BYTES, Simd};
use crate::threads::{self, Shared};

#[derive(Clone, Copy)]
struct ExtremeVjp<T> {
    g: *const T,
    ans: *const T,
    x: *const T,
    out: *mut T,
}

impl<T: Real> Body<T> for ExtremeVjp<T> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let (x, out) = (self.x.add(data), self.out.add(data));
            let ans = axis.get(s, self.ans.add(group));
            let g = axis.get(s, self.g.add(group));
            let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
            let ties = axis.fold::<Sum>(
                s,
                #[inline(always)]
                |k| s.select(chosen(s, axis.load(s, x, k), ans), one, zero),
            );
            let part = s.div(g, ties);
            axis.each(
                s,
                #[inline(always)]
                |k| {
                    let chosen = chosen(s, axis.load(s, x, k), ans);
                    axis.store(s, out, k, s.select(chosen, part, zero));
                },
            );
        }
    }
}

/// Whether `x` is the extreme `ans`; nan is nan's.
#[inline(always)]
fn chosen<T: Real, S: Simd<T>>(s: S, x: S::V, ans: S::V) -> S::M {
    s.or(s.eq(x, ans), s.and(s.is_nan(ans), s.is_nan(x)))
}

/// The rule of `max` and `min`: each group's cotangent in equal parts to the elements that equal
/// `ans` (the ones that are nan where `ans` is), 0 elsewhere.
///
/// # Safety
///
/// `x` and `out` have `shape` and are contiguous, `g` and `ans` hold a number a group; `out`
/// overlaps nothing; the processor has `isa`.
pub unsafe fn extreme_vjp<T: Real>(
    isa: Isa,
    shape: Shape,
    g: *const T,
    ans: *const T,
    x: *const T,
    out: *mut T,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe { for_groups(isa, shape, 150, ExtremeVjp { g, ans, x, out }) };
}

/// Elements of a row among which an extreme is looked for at a time.
const BLOCK: usize = 1024;
/// Vectors side by side in which the extremes of columns are kept.
const WIDTH: usize = 4;

/// The places of the largest (`MAX`) or smallest elements of some groups.
struct Places<T, const MAX: bool> {
    shape: Shape,
    first: usize,
    last: usize,
    x: *const T,
    out: *mut isize,
}

/// Whether `x` comes before `best`: it is nearer to the extreme, or the first nan.
#[inline(always)]
fn better<T: Real, S: Simd<T>, const MAX: bool>(s: S, x: S::V, best: S::V) -> S::M {
    let beyond = if MAX { s.lt(best, x) } else { s.lt(x, best) };
    s.or(beyond, s.and(s.is_nan(x), s.eq(best, best)))
}

impl<T: Real, const MAX: bool> Kernel<T> for Places<T, MAX> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { shape: Shape { outer, len, inner }, first, last, x, out } = self;
        for o in 0..outer {
            // SAFETY: within the array and the output.
            unsafe {
                let (x, out) = (x.add(o * len * inner), out.add(o * inner));
                if inner == 1 {
                    *out = place_in_row::<T, S, MAX>(s, x, len) as isize;
                    continue;
                }
                let mut j = first;
                while j < last {
                    let width = (WIDTH * S::LANES).min(last - j);
                    if width == WIDTH * S::LANES {
                        places_in_columns::<T, S, MAX, true>(
                            s,
                            x.add(j),
                            len,
                            inner,
                            width,
                            out.add(j),
                        );
                    } else {
                        places_in_columns::<T, S, MAX, false>(
                            s,
                            x.add(j),
                            len,
                            inner,
                            width,
                            out.add(j),
                        );
                    }
                    j += width;
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn place_in_row<T: Real, S: Simd<T>, const MAX: bool>(
    s: S,
    x: *const T,
    len: usize,
) -> usize {
    let (mut best, mut start) = (s.splat(T::ZERO), 0);
    let mut k = 0;
    while k < len {
        let row = Row { len: BLOCK.min(len - k) };
        // SAFETY: within the row.
        let extreme = unsafe {
            let x = x.add(k);
            if MAX {
                row.fold::<Max>(
                    s,
                    #[inline(always)]
                    |step| row.load(s, x, step),
                )
            } else {
                row.fold::<Min>(
                    s,
                    #[inline(always)]
                    |step| row.load(s, x, step),
                )
            }
        };
        if k == 0 || s.any(better::<T, S, MAX>(s, extreme, best)) {
            (best, start) = (extreme, k);
        }
        k += BLOCK;
    }
    // The first of the block that equals the extreme.
    let mut at = start;
    // SAFETY: the extreme lies in the block, and so within the row.
    unsafe {
        let hit = |at: usize| chosen(s, s.load(x.add(at)), best);
        while at + 4 * S::LANES <= len {
            let left = s.or(hit(at), hit(at + S::LANES));
            let right = s.or(hit(at + 2 * S::LANES), hit(at + 3 * S::LANES));
            if s.any(s.or(left, right)) {
                break;
            }
            at += 4 * S::LANES;
        }
        while at + S::LANES <= len && !s.any(hit(at)) {
            at += S::LANES;
        }
        // The first lane that hits; behind the row's end none is found before.
        let mut numbers = [T::ZERO; MAX_BYTES / 4];
        for (i, number) in numbers.iter_mut().enumerate() {
            *number = T::count(i);
        }
        let lanes = S::LANES.min(len - at);
        let hits = chosen(s, s.load_partial(x.add(at), lanes), best);
        let places = s.select(hits, s.load(numbers.as_ptr()), s.splat(T::INFINITY));
        let first = s.fold(
            places,
            #[inline(always)]
            |a, b| s.min(a, b),
        );
        at + first.wide() as usize
    }
}

/// Vector `v` of the row at `x`, of which `lanes` lanes are there.
#[inline(always)]
unsafe fn lane<T: Real, S: Simd<T>, const FULL: bool>(
    s: S,
    x: *const T,
    v: usize,
    lanes: usize,
) -> S::V {
    let x = x.wrapping_add(v * S::LANES);
    // SAFETY: the caller vouches for the row.
    unsafe { if FULL { s.load(x) } else { s.load_partial(x, lanes) } }
}

#[inline(always)]
unsafe fn places_in_columns<T: Real, S: Simd<T>, const MAX: bool, const FULL: bool>(
    s: S,
    x: *const T,
    len: usize,
    inner: usize,
    width: usize,
    out: *mut isize,
) {
    let lanes: [usize; WIDTH] = std::array::from_fn(|v| {
        if FULL { S::LANES } else { width.saturating_sub(v * S::LANES).min(S::LANES) }
    });
    let mut best = [s.splat(T::ZERO); WIDTH];
    for (v, best) in best.iter_mut().enumerate() {
        // SAFETY: within the columns.
        *best = unsafe { lane::<T, S, FULL>(s, x, v, lanes[v]) };
    }
    let mut places = [s.splat(T::ZERO); WIDTH];
    let mut place = s.splat(T::ZERO);
    for k in 1..len {
        place = s.add(place, s.splat(T::ONE));
        for v in 0..WIDTH {
            // SAFETY: within the columns.
            let x = unsafe { lane::<T, S, FULL>(s, x.add(k * inner), v, lanes[v]) };
            let found = better::<T, S, MAX>(s, x, best[v]);
            best[v] = s.select(found, x, best[v]);
            places[v] = s.select(found, place, places[v]);
        }
    }
    let mut numbers = [T::ZERO; MAX_BYTES / 4];
    for (v, &places) in places.iter().enumerate() {
        // SAFETY: a vector fits; within the output.
        unsafe {
            s.store(numbers.as_mut_ptr(), places);
            for (i, number) in numbers[..lanes[v]].iter().enumerate() {
                *out.add(v * S::LANES + i) = number.wide() as isize;
            }
        }
    }
}

/// The most rows over which the places of extremes can be counted in `T`.
#[must_use]
pub fn most_rows<T: Real>() -> usize {
    if size_of::<T>() == 4 { 1 << 24 } else { 1 << 53 }
}

/// The place along the axis of the largest (`largest`) or the smallest element of each group: of the
/// first of equals, and of the first nan where there is one.
///
/// # Safety
///
/// `x` has `shape`, is contiguous and not empty; if `shape.inner > 1`, `shape.len` is at most
/// [`most_rows`]; `out` holds a number a group; the processor has `isa`.
pub unsafe fn places<T: Real>(isa: Isa, largest: bool, shape: Shape, x: *const T, out: *mut isize) {
    let Shape { outer, len, inner } = shape;
    let nanoseconds = shape.size() * 20 * size_of::<T>() / 1000;
    // SAFETY: the caller vouches for the arrays and the processor; each thread has its own groups.
    unsafe {
        let part = |shape: Shape, first: usize, last: usize, x: *const T, out: *mut isize| {
            if largest {
                dispatch(isa, Places::<T, true> { shape, first, last, x, out });
            } else {
                dispatch(isa, Places::<T, false> { shape, first, last, x, out });
            }
        };
        if nanoseconds < 10_000 || shape.groups() == 1 {
            return part(shape, 0, inner, x, out);
        }
        let (from, to) = (Shared::new(x), Shared::new(out));
        if outer > 1 {
            let chunks = outer.min(32);
            threads::run(chunks, nanoseconds, &|chunk| {
                let (first, last) = (outer * chunk / chunks, outer * (chunk + 1) / chunks);
                let shape = Shape { outer: last - first, len, inner };
                let from = from.get().add(first * len * inner);
                part(shape, 0, inner, from, to.get().add(first * inner));
            });
        } else {
            let pieces = inner.div_ceil(256);
            threads::run(pieces, nanoseconds, &|piece| {
                let last = inner.min((piece + 1) * 256);
                part(shape, piece * 256, last, from.get(), to.get());
            });
        }
    }
}
