//! Reductions down the columns of matrices, read in the order in which they lie in memory.
//!
//! Eight rows are combined at a time, as a tree, and then with a row of accumulators that stays in
//! the first cache; the results of blocks of [`BLOCK`] rows are combined pairwise.

use std::marker::PhantomData;

use crate::along::{Axis, Combine, Row, Shape};
use crate::isa::{Isa, Kernel, dispatch};
use crate::pool::Scratch;
use crate::real::Real;
use crate::reduce::SEGMENT;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// Rows of a block.
const BLOCK: usize = 64;
/// Bytes of a row that are taken at a time.
const TILE: usize = 4096;
/// Rows that are shorter are taken several at a time, as one.
const NARROW: usize = 64;
/// Rows that are longer are cut for several threads; others go to threads by their number.
const WIDE: usize = 8192;

/// Columns `first` to `last` of each of `shape.outer` matrices.
struct Columns<T, C, const MEAN: bool> {
    shape: Shape,
    first: usize,
    last: usize,
    x: *const T,
    out: *mut T,
    divisor: T,
    combine: PhantomData<fn() -> C>,
}

impl<T: Real, C: Combine, const MEAN: bool> Kernel<T> for Columns<T, C, MEAN> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Shape { outer, len, inner } = self.shape;
        let tile = TILE / size_of::<T>();
        let blocks = len.div_ceil(BLOCK);
        let levels = (usize::BITS - blocks.leading_zeros()) as usize;
        let scratch = (blocks > 1).then(|| Scratch::<T>::new((levels + 1) * tile));
        for o in 0..outer {
            let mut j = self.first;
            while j < self.last {
                let width = tile.min(self.last - j);
                // SAFETY: within the matrix and the output; the scratch has a tile a level, and one.
                unsafe {
                    let x = self.x.add(o * len * inner + j);
                    let out = self.out.add(o * inner + j);
                    match &scratch {
                        None => block::<C, T, S>(s, x, inner, len, width, out),
                        Some(scratch) => {
                            pairwise::<C, T, S>(s, x, inner, len, width, out, scratch.as_ptr());
                        }
                    }
                    if MEAN {
                        let row = Row { len: width };
                        row.each(
                            s,
                            #[inline(always)]
                            |k| {
                                let mean = s.div(row.load(s, out, k), s.splat(self.divisor));
                                row.store(s, out, k, mean);
                            },
                        );
                    }
                }
                j += width;
            }
        }
    }
}

/// `rows` rows of `width` elements, combined into `out`.
#[inline(always)]
unsafe fn block<C: Combine, T: Real, S: Simd<T>>(
    s: S,
    x: *const T,
    inner: usize,
    rows: usize,
    width: usize,
    out: *mut T,
) {
    let row = Row { len: width };
    // Combined with the first rows, too: as along rows, a sum of nothing but -0 is 0.
    let neutral = s.splat(C::identity::<T>());
    let whole = rows / 8 * 8;
    let mut k = 0;
    while k < whole {
        // SAFETY: the caller vouches for the rows and the output.
        unsafe {
            let x = x.add(k * inner);
            row.each(
                s,
                #[inline(always)]
                |step| {
                    let pair = |i: usize| {
                        let first = row.load(s, x.add(i * inner), step);
                        C::combine(s, first, row.load(s, x.add((i + 1) * inner), step))
                    };
                    let left = C::combine(s, pair(0), pair(2));
                    let value = C::combine(s, left, C::combine(s, pair(4), pair(6)));
                    let before = if k > 0 { row.load(s, out, step) } else { neutral };
                    row.store(s, out, step, C::combine(s, before, value));
                },
            );
        }
        k += 8;
    }
    if whole < rows {
        // SAFETY: as above.
        unsafe {
            let x = x.add(whole * inner);
            row.each(
                s,
                #[inline(always)]
                |step| {
                    let mut value = row.load(s, x, step);
                    for i in 1..rows - whole {
                        value = C::combine(s, value, row.load(s, x.add(i * inner), step));
                    }
                    let before = if whole > 0 { row.load(s, out, step) } else { neutral };
                    row.store(s, out, step, C::combine(s, before, value));
                },
            );
        }
    }
}

/// The same for several blocks. `scratch` has room for a row of the sums of 2**l blocks for each bit
/// l of their number, and for one more.
#[inline(always)]
unsafe fn pairwise<C: Combine, T: Real, S: Simd<T>>(
    s: S,
    x: *const T,
    inner: usize,
    len: usize,
    width: usize,
    out: *mut T,
    scratch: *mut T,
) {
    let row = Row { len: width };
    let blocks = len.div_ceil(BLOCK);
    // SAFETY: the caller vouches for the rows, the output and the scratch.
    unsafe {
        let level_of = |level: usize| scratch.add((level + 1) * (TILE / size_of::<T>()));
        for b in 0..blocks {
            let rows = BLOCK.min(len - b * BLOCK);
            let free = (b.trailing_ones()) as usize;
            let to = if free == 0 { level_of(0) } else { scratch };
            block::<C, T, S>(s, x.add(b * BLOCK * inner), inner, rows, width, to);
            if free == 0 {
                continue;
            }
            row.each(
                s,
                #[inline(always)]
                |step| {
                    let mut value = row.load(s, scratch, step);
                    for level in 0..free {
                        value = C::combine(s, row.load(s, level_of(level), step), value);
                    }
                    row.store(s, level_of(free), step, value);
                },
            );
        }
        row.each(
            s,
            #[inline(always)]
            |step| {
                let lowest = blocks.trailing_zeros() as usize;
                let mut value = row.load(s, level_of(lowest), step);
                for level in lowest + 1..usize::BITS as usize {
                    if blocks >> level == 0 {
                        break;
                    }
                    if blocks >> level & 1 == 1 {
                        value = C::combine(s, row.load(s, level_of(level), step), value);
                    }
                }
                row.store(s, out, step, value);
            },
        );
    }
}

/// Reduces `x` along its axis, which is not the last one, into `out`; a mean divides by `divisor`.
///
/// # Safety
///
/// `x` has `shape` and is contiguous, `out` holds a number a group; the processor has `isa`.
pub(crate) unsafe fn reduce_columns<T: Real, C: Combine, const MEAN: bool>(
    isa: Isa,
    shape: Shape,
    x: *const T,
    out: *mut T,
    divisor: T,
) {
    let Shape { outer, len, inner } = shape;
    let nanoseconds = shape.size() * 15 * size_of::<T>() / 1000;
    let together = NARROW.div_ceil(inner);
    // SAFETY: the caller vouches for the arrays and the processor; each thread has groups of its own.
    unsafe {
        let part = |shape: Shape, first: usize, last: usize, x: *const T, out: *mut T| {
            let combine = PhantomData::<fn() -> C>;
            let kernel = Columns::<T, C, MEAN> { shape, first, last, x, out, divisor, combine };
            dispatch(isa, kernel);
        };
        if inner < NARROW && len >= 8 * together {
            let (from, to) = (Shared::new(x), Shared::new(out));
            return threads::run(outer, nanoseconds, &|o| {
                let (from, to) = (from.get().add(o * len * inner), to.get().add(o * inner));
                narrow::<T, C, MEAN>(isa, len, inner, together, from, to, divisor);
            });
        }
        if outer == 1 && inner < WIDE && shape.size() >= 2 * SEGMENT {
            return segments::<T, C, MEAN>(isa, len, inner, x, out, divisor);
        }
        if nanoseconds < 2 * CHUNK {
            return part(shape, 0, inner, x, out);
        }
        let (from, to) = (Shared::new(x), Shared::new(out));
        if outer > 1 {
            let chunks = outer.min(nanoseconds / CHUNK).min(64);
            threads::run(chunks, nanoseconds, &|chunk| {
                let (first, last) = (outer * chunk / chunks, outer * (chunk + 1) / chunks);
                let shape = Shape { outer: last - first, len, inner };
                let from = from.get().add(first * len * inner);
                part(shape, 0, inner, from, to.get().add(first * inner));
            });
        } else {
            let tile = TILE / size_of::<T>();
            threads::run(inner.div_ceil(tile), nanoseconds, &|chunk| {
                let last = inner.min((chunk + 1) * tile);
                part(shape, chunk * tile, last, from.get(), to.get());
            });
        }
    }
}

/// Nanoseconds of a chunk, at least.
const CHUNK: usize = 4_000;

/// One matrix of short rows: `together` rows are taken as one, and the results then combined with
/// each other and with the rows that are left.
unsafe fn narrow<T: Real, C: Combine, const MEAN: bool>(
    isa: Isa,
    len: usize,
    inner: usize,
    together: usize,
    x: *const T,
    out: *mut T,
    divisor: T,
) {
    let (many, rest) = (len / together, len % together);
    let sums = Scratch::<T>::new((together + rest) * inner);
    // SAFETY: the caller vouches for the arrays; the scratch holds all that is put there.
    unsafe {
        let wide = Shape { outer: 1, len: many, inner: together * inner };
        reduce_columns::<T, C, false>(isa, wide, x, sums.as_ptr(), T::ONE);
        let left = x.add(many * together * inner);
        left.copy_to_nonoverlapping(sums.as_ptr().add(together * inner), rest * inner);
        let shape = Shape { outer: 1, len: together + rest, inner };
        let (x, combine) = (sums.as_ptr().cast_const(), PhantomData::<fn() -> C>);
        let kernel =
            Columns::<T, C, MEAN> { shape, first: 0, last: inner, x, out, divisor, combine };
        dispatch(isa, kernel);
    }
}

/// One large matrix: segments of its rows, each for one thread, and then their results.
unsafe fn segments<T: Real, C: Combine, const MEAN: bool>(
    isa: Isa,
    len: usize,
    inner: usize,
    x: *const T,
    out: *mut T,
    divisor: T,
) {
    let rows = (SEGMENT / inner).max(8) / 8 * 8;
    let count = len.div_ceil(rows);
    let sums = Scratch::<T>::new(count * inner);
    let nanoseconds = len * inner * 15 * size_of::<T>() / 1000;
    // SAFETY: the caller vouches for the arrays; each thread has rows of the scratch of its own.
    unsafe {
        let (from, to) = (Shared::new(x), Shared::new(sums.as_ptr()));
        threads::run(count, nanoseconds, &|i| {
            let shape = Shape { outer: 1, len: rows.min(len - i * rows), inner };
            let (x, out) = (from.get().add(i * rows * inner), to.get().add(i * inner));
            let combine = PhantomData::<fn() -> C>;
            let divisor = T::ONE;
            let kernel =
                Columns::<T, C, false> { shape, first: 0, last: inner, x, out, divisor, combine };
            dispatch(isa, kernel);
        });
        let shape = Shape { outer: 1, len: count, inner };
        let (x, combine) = (sums.as_ptr().cast_const(), PhantomData::<fn() -> C>);
        let kernel =
            Columns::<T, C, MEAN> { shape, first: 0, last: inner, x, out, divisor, combine };
        dispatch(isa, kernel);
    }
}
