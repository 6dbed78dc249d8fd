//! The micro-kernel: a tile of a product whose left operand is not in memory as a matrix.

use crate::isa::{Isa, Kernel, dispatch};
use crate::matmul::Limits;
use crate::real::Real;
use crate::simd::Simd;

/// The most rows of a tile on any instruction set.
pub(super) const ROWS: usize = 14;

/// What a tile's sums begin with.
#[derive(Clone, Copy)]
pub(super) enum Start<T> {
    /// 0
    Zero,
    /// A row of as many elements as the tile has columns.
    Bias(*const T),
    /// What the output holds.
    Output,
}

/// Numbers that follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub first: usize,
    pub count: usize,
}

/// What a row of the right operand is multiplied by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// One element: `outs[r][j] = sum over k in the runs of rows[r][columns[k]] * b[k][j]`.
    One,
    /// As many: `outs[r][j] = sum over k in the runs of rows[r][columns[k] + j] * b[k][j]`.
    Each,
}

/// A tile's operands.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a, T> {
    pub rows: [*const T; ROWS],
    pub columns: *const isize,
    pub runs: &'a [Run],
    pub b: *const T,
    pub b_rows: usize,
    pub outs: [*mut T; ROWS],
    pub start: Start<T>,
    pub left: Left,
}

/// `V` vectors, of which the last has `last` lanes.
#[inline(always)]
unsafe fn load<T: Real, S: Simd<T>, const V: usize>(s: S, p: *const T, last: usize) -> [S::V; V] {
    let mut found = [s.splat(T::ZERO); V];
    for (v, x) in found.iter_mut().enumerate() {
        let p = p.wrapping_add(v * S::LANES);
        // SAFETY: the caller vouches for the elements.
        *x = unsafe { if v + 1 < V { s.load(p) } else { s.load_partial(p, last) } };
    }
    found
}

/// `R` rows and `V` vectors of the output, of which the last has `last` lanes. Each is the sum of
/// `C` chains: a few would wait for each other.
#[inline(always)]
unsafe fn tile<T, S, const R: usize, const V: usize, const C: usize, const EACH: bool>(
    s: S,
    tile: &Tile<'_, T>,
    last: usize,
) where
    T: Real,
    S: Simd<T>,
{
    let Tile { b_rows, start, .. } = *tile;
    let lanes = |v: usize| if v + 1 < V { S::LANES } else { last };
    let mut sums = [[[s.splat(T::ZERO); V]; R]; C];
    // SAFETY: the caller vouches for the operands; `last` lanes of the last vector are used.
    unsafe {
        if let Start::Bias(bias) = start {
            let bias = load(s, bias, last);
            sums[0] = [bias; R];
        }
        for run in tile.runs {
            let mut column = tile.columns.add(run.first);
            let mut b = tile.b.add(run.first * b_rows);
            let mut step = |sums: &mut [[S::V; V]; R]| {
                let at = *column;
                let row: [_; V] = load(s, b, last);
                for (r, sums) in sums.iter_mut().enumerate() {
                    // Read anew each time: as many pointers fit into no registers, and what makes
                    // room for them are the sums.
                    let x = (&raw const tile.rows[r]).read_volatile().offset(at);
                    let x = if EACH { load(s, x, last) } else { [s.splat(*x); V] };
                    for ((sum, y), x) in sums.iter_mut().zip(row).zip(x) {
                        *sum = s.fma(x, y, *sum);
                    }
                }
                column = column.wrapping_add(1);
                b = b.wrapping_add(b_rows);
            };
            for _ in 0..run.count / C {
                for sums in &mut sums {
                    step(sums);
                }
            }
            for _ in 0..run.count % C {
                step(&mut sums[0]);
            }
        }
        for (r, out) in tile.outs[..R].iter().enumerate() {
            for v in 0..V {
                let to = out.add(v * S::LANES);
                let mut sum = sums[0][r][v];
                for other in &sums[1..] {
                    sum = s.add(sum, other[r][v]);
                }
                if let Start::Output = start {
                    sum = s.add(s.load_partial(to, lanes(v)), sum);
                }
                s.store_partial(to, lanes(v), sum);
            }
        }
    }
}

struct RunTile<'a, T, const R: usize, const V: usize, const C: usize, const EACH: bool> {
    tile: &'a Tile<'a, T>,
    last: usize,
}

impl<T, const R: usize, const V: usize, const C: usize, const EACH: bool> Kernel<T>
    for RunTile<'_, T, R, V, C, EACH>
where
    T: Real,
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        // Larger tiles are never asked for.
        if R <= S::ROWS {
            // SAFETY: whoever made it vouches for the operands.
            unsafe { tile::<T, S, R, V, C, EACH>(s, self.tile, self.last) };
        }
    }
}

macro_rules! sizes {
    ($isa:ident $tile:ident $last:ident $size:expr; $($r:literal $chains:literal),*) => {
        match $size {
            $(
                ($r, 1, Left::One) => sizes!(@run $isa $tile $last $r 1 $chains false),
                ($r, 2, Left::One) => sizes!(@run $isa $tile $last $r 2 $chains false),
                ($r, 1, Left::Each) => sizes!(@run $isa $tile $last $r 1 $chains true),
                ($r, 2, Left::Each) => sizes!(@run $isa $tile $last $r 2 $chains true),
            )*
            _ => unreachable!("tiles are no larger"),
        }
    };
    (@run $isa:ident $tile:ident $last:ident
     $r:literal $v:literal $chains:literal $each:literal) => {
        // SAFETY: the caller vouches for the operands and the processor.
        unsafe { dispatch($isa, RunTile::<T, $r, $v, $chains, $each> { tile: $tile, last: $last }) }
    };
}

/// A tile of at most [`Limits::rows`] rows and [`Limits::pair`] columns.
///
/// # Safety
///
/// The operands are readable, the output writeable; the processor has `isa`.
#[inline]
pub(super) unsafe fn run_tile<T: Real>(
    isa: Isa,
    limits: Limits,
    rows: usize,
    columns: usize,
    tile: &Tile<'_, T>,
) {
    let vectors = columns.div_ceil(limits.lanes);
    let last = columns - (vectors - 1) * limits.lanes;
    sizes!(isa tile last (rows, vectors, tile.left); 1 4, 2 2, 3 2, 4 1, 5 1, 6 1, 7 1, 8 1, 9 1, 10 1, 11 1, 12 1, 13 1, 14 1);
}
