//! The micro-kernel: a tile of the output in registers, running along k.

use super::Matrix;
use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;

/// Up to this many rows, the product is bound by reading the right operand.
pub(crate) const FEW: usize = 3;

/// From this length of k on, the output's lines are asked for at the beginning of a tile.
const FAR: usize = 128;

/// A tile's operands: `a` of (rows, k), `b` of (k, columns) with contiguous rows.
#[derive(Clone, Copy)]
pub(crate) struct Tile<T> {
    pub k: usize,
    pub a: Matrix<T>,
    pub b: *const T,
    pub b_rows: isize,
    pub out: *mut T,
    pub out_rows: usize,
    /// Add to the output instead of overwriting it.
    pub add: bool,
}

/// `R` rows and `V` vectors of the output, of which the last has `last` lanes.
#[inline(always)]
unsafe fn tile<T: Real, S: Simd<T>, const R: usize, const V: usize>(
    s: S,
    tile: Tile<T>,
    last: usize,
) {
    let Tile { k, mut a, mut b, b_rows, out, out_rows, add } = tile;
    let mut sums = [[s.splat(T::ZERO); V]; R];
    // SAFETY: the caller vouches for the operands; `last` lanes of the last vector are used.
    unsafe {
        if k >= FAR {
            for r in 0..R {
                for v in 0..V {
                    prefetch(out.wrapping_add(r * out_rows + v * S::LANES));
                }
            }
        }
        for _ in 0..k {
            let mut row = [s.splat(T::ZERO); V];
            for (v, x) in row.iter_mut().enumerate() {
                *x = if v + 1 < V {
                    s.load(b.add(v * S::LANES))
                } else {
                    s.load_partial(b.add(v * S::LANES), last)
                };
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let x = s.splat(*a.data.offset(r as isize * a.rows));
                for (sum, y) in sums.iter_mut().zip(row) {
                    *sum = s.fma(x, y, *sum);
                }
            }
            a.data = a.data.wrapping_offset(a.columns);
            b = b.wrapping_offset(b_rows);
        }
        for (r, sums) in sums.iter().enumerate() {
            for (v, &sum) in sums.iter().enumerate() {
                let to = out.add(r * out_rows + v * S::LANES);
                let lanes = if v + 1 < V { S::LANES } else { last };
                let sum = if add { s.add(s.load_partial(to, lanes), sum) } else { sum };
                s.store_partial(to, lanes, sum);
            }
        }
    }
}

/// Asks for a cache line.
#[inline(always)]
fn prefetch<T>(p: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: it reads nothing and faults nowhere.
    unsafe {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

struct RunTile<T, const R: usize, const V: usize> {
    tile: Tile<T>,
    last: usize,
}

impl<T: Real, const R: usize, const V: usize> Kernel<T> for RunTile<T, R, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        // SAFETY: whoever made it vouches for the operands.
        unsafe { tile::<T, S, R, V>(s, self.tile, self.last) };
    }
}

/// What the instruction set gives: lanes of a vector, rows of a tile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub lanes: usize,
    pub rows: usize,
}

impl Limits {
    /// The limits of `isa`.
    ///
    /// # Safety
    ///
    /// The processor has `isa`.
    pub unsafe fn of<T: Real>(isa: Isa) -> Self {
        // SAFETY: the caller vouches for the processor.
        unsafe { dispatch::<T, _>(isa, AskLimits) }
    }

    /// Columns of a tile.
    #[inline(always)]
    pub fn pair(self) -> usize {
        2 * self.lanes
    }

    /// Columns of a tile of up to [`FEW`] rows: as many vectors as there are registers for.
    #[inline(always)]
    pub fn wide(self, rows: usize) -> usize {
        let vectors = if rows == 1 { 16 } else { 8 };
        vectors.min(2 * self.rows / rows) * self.lanes
    }
}

struct AskLimits;

impl<T: Real> Kernel<T> for AskLimits {
    type Output = Limits;

    #[inline(always)]
    fn run<S: Simd<T>>(self, _: S) -> Limits {
        Limits { lanes: S::LANES, rows: S::ROWS }
    }
}

macro_rules! arms {
    ($isa:ident $tile:ident $last:ident $count:ident; $($r:tt $v:tt)*) => {
        match $count {
            // SAFETY: the caller vouches for the operands and the processor.
            $(arms!(@pattern $r $v) => unsafe {
                dispatch($isa, RunTile::<T, $r, $v> { tile: $tile, last: $last })
            },)*
            _ => unreachable!("tiles are no larger"),
        }
    };
    (@pattern $r:literal $v:literal) => { ($r, $v) };
}

/// A tile of `rows` rows and `columns` columns: at most [`Limits::rows`] and [`Limits::pair`], or at
/// most [`FEW`] and [`Limits::wide`].
#[inline]
pub(crate) unsafe fn run_tile<T: Real>(
    isa: Isa,
    limits: Limits,
    rows: usize,
    columns: usize,
    tile: Tile<T>,
) {
    let vectors = columns.div_ceil(limits.lanes);
    let last = columns - (vectors - 1) * limits.lanes;
    let size = (rows, vectors);
    arms!(isa tile last size;
        1 1  2 1  3 1  4 1  5 1  6 1  7 1  8 1  9 1  10 1  11 1  12 1  13 1  14 1
        1 2  2 2  3 2  4 2  5 2  6 2  7 2  8 2  9 2  10 2  11 2  12 2  13 2  14 2
        1 3  1 4  1 5  1 6  1 7  1 8  1 9  1 10  1 11  1 12  1 13  1 14  1 15  1 16
        2 3  2 4  2 5  2 6  2 7  2 8
        3 3  3 4  3 5  3 6  3 7  3 8);
}
