//! Stacks of matrices, transposed: how images go from channels first to channels last, and back.

use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;
use crate::simd::square::{side, turn};
use crate::threads::{self, Shared};

/// Rows that are read together: as many lines of the nearest cache.
const TILE: usize = 128;
/// Elements of a chunk, at least.
const CHUNK: usize = 8192;
/// Chunks of a job, at most.
const MOST_CHUNKS: usize = 64;

/// A matrix, and where its transpose goes.
#[derive(Clone, Copy, Debug)]
pub struct Turned<T> {
    /// The matrix: its columns are neighbours.
    pub from: *const T,
    /// From a row to the next.
    pub step: usize,
    /// How many rows.
    pub rows: usize,
    /// How many columns.
    pub columns: usize,
    /// The transpose: what was a column is contiguous.
    pub to: *mut T,
    /// From a row of the transpose to the next.
    pub line: usize,
}

impl<T: Real> Kernel<T> for Turned<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { from, step, rows, columns, to, line } = self;
        let side = side::<T, S>();
        let (whole_rows, whole_columns) = (rows / side * side, columns / side * side);
        let one = |row: usize, column: usize| {
            // SAFETY: within both.
            unsafe { *to.add(column * line + row) = *from.add(row * step + column) };
        };
        for top in (0..whole_rows).step_by(TILE) {
            for left in (0..whole_columns).step_by(side) {
                for row in (top..whole_rows.min(top + TILE)).step_by(side) {
                    let (a, b) = (row * step + left, left * line + row);
                    // SAFETY: a square lies there.
                    unsafe { turn(s, from.add(a), step as isize, to.add(b), line) };
                }
            }
        }
        for column in whole_columns..columns {
            (0..whole_rows).for_each(|row| one(row, column));
        }
        for column in 0..columns {
            (whole_rows..rows).for_each(|row| one(row, column));
        }
    }
}

/// Transposes each matrix of a contiguous stack.
///
/// # Safety
///
/// Both hold `stack * rows * columns` elements and do not overlap; the processor has `isa`.
pub unsafe fn transpose<T: Real>(
    isa: Isa,
    stack: usize,
    rows: usize,
    columns: usize,
    from: *const T,
    to: *mut T,
) {
    let size = rows * columns;
    let all = stack * size;
    if all == 0 {
        return;
    }
    // Rows of the transposes are shared out: a chunk has so many of one matrix, or several whole ones.
    let wanted = (all / CHUNK).clamp(1, MOST_CHUNKS);
    let parts = wanted.div_ceil(stack).min(columns);
    let pieces = stack * parts;
    let chunks = wanted.min(pieces);
    // SAFETY: each piece is written by one thread.
    let shared = unsafe { Shared::new((from, to)) };
    threads::run(chunks, all * size_of::<T>() / 16, &|chunk| {
        let (from, to) = shared.get();
        for piece in pieces * chunk / chunks..pieces * (chunk + 1) / chunks {
            let (matrix, part) = (piece / parts, piece % parts);
            let (left, right) = (columns * part / parts, columns * (part + 1) / parts);
            let turned = Turned {
                from: from.wrapping_add(matrix * size + left),
                step: columns,
                rows,
                columns: right - left,
                to: to.wrapping_add(matrix * size + left * rows),
                line: rows,
            };
            // SAFETY: within both; the caller vouches for the processor.
            unsafe { dispatch(isa, turned) };
        }
    });
}
