//! Products of one to three rows: bound by reading the right operand.

use super::pack::pack;
use super::tile::{FEW, Tile, run_tile};
use super::{Matrix, Product, Region, cut};
use crate::isa::{Isa, Kernel, dispatch};
use crate::pool::Scratch;
use crate::real::Real;
use crate::reduce::dot;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// What of the right operand is worth a chunk of its own, in bytes.
const CHUNK: usize = 64 << 10;
/// The most chunks.
const CHUNKS: usize = 16;
/// Rows of the right operand that are read together where they are long.
const ROWS: usize = 16;
/// The right operand's columns whose products are summed side by side.
const SIDE: usize = 4;

impl<T: Real> Product<T> {
    /// The right operand's rows are contiguous: its rows in parallel, so that each thread reads rows
    /// of its own, and the parts' sums added in order.
    pub(super) unsafe fn few(self) {
        let Self { isa, m, k, n, out, epilogue, .. } = self;
        let parts = (k * n * size_of::<T>()).div_ceil(CHUNK).min(CHUNKS).min(k);
        let sums = (parts > 1).then(|| Scratch::<T>::new((parts - 1) * m * n));
        let others = sums.as_ref().map_or(std::ptr::null_mut(), Scratch::as_ptr);
        // SAFETY: each chunk writes an array of its own.
        let shared = unsafe { Shared::new(others) };
        threads::run(parts, self.nanoseconds(m, n), &|part| {
            let Self { isa, limits, m, k, n, x, y, out, .. } = self.whole();
            let wide = limits.wide(m);
            // Several tiles beside each other: a few rows at a time, which are read as they lie.
            let depth = if n > wide { ROWS } else { Self::longest() };
            let (begin, end) = (cut(k, parts, part), cut(k, parts, part + 1));
            let out = if part == 0 { out } else { shared.get().wrapping_add((part - 1) * m * n) };
            for start in (begin..end).step_by(depth) {
                for j in (0..n).step_by(wide) {
                    let tile = Tile {
                        k: depth.min(end - start),
                        a: x.from(0, start),
                        b: y.from(start, j).data,
                        b_rows: y.rows,
                        out: out.wrapping_add(j),
                        out_rows: n,
                        add: start > begin,
                    };
                    // SAFETY: within the operands.
                    unsafe { run_tile(isa, limits, m, wide.min(n - j), tile) };
                }
            }
        });
        // SAFETY: within the arrays.
        unsafe {
            if parts > 1 {
                dispatch(isa, AddUp { n: m * n, parts: parts - 1, others, out });
            }
            epilogue.apply(isa, self.region(0, 0, m, n));
        }
    }

    /// The right operand's columns are contiguous: scalar products.
    pub(super) unsafe fn dots(mut self) {
        const LINES: usize = 16;
        let Self { isa, m, k, n, x, y, out, epilogue, .. } = self;
        let rows = (x.columns != 1).then(|| Scratch::<T>::new(m * k));
        if let Some(rows) = &rows {
            // SAFETY: within the operand and the copy.
            unsafe { pack(isa, x, m, k, rows.as_ptr(), k) };
            self.x = Matrix { data: rows.as_ptr(), rows: k as isize, columns: 1 };
        }
        // The only column may have a stride.
        let column = (y.rows != 1).then(|| Scratch::<T>::new(k));
        if let Some(column) = &column {
            // SAFETY: within the operand and the copy.
            unsafe { pack(isa, y.transposed(), 1, k, column.as_ptr(), k) };
            self.y = Matrix { data: column.as_ptr(), rows: 1, columns: 0 };
        }
        if n == 1 {
            // Only here is m 1, too.
            // SAFETY: the operands are the caller's.
            return unsafe {
                *out = long_dot(isa, k, self.x.data, self.y.data);
                epilogue.apply(isa, self.region(0, 0, 1, 1));
            };
        }
        threads::run(n.div_ceil(LINES), self.nanoseconds(m, n), &|chunk| {
            let Self { isa, m, k, n, x, y, out, epilogue, .. } = self.whole();
            let (left, right) = (chunk * LINES, n.min((chunk + 1) * LINES));
            let region =
                Region { rows: m, columns: right - left, out: out.wrapping_add(left), out_rows: n };
            // SAFETY: within the operands.
            unsafe {
                dispatch(isa, Dots { k, x, y: y.from(0, left), region });
                epilogue.from(left).apply(isa, region);
            }
        });
    }
}

/// A scalar product of any length: pieces in parallel, their sums added in order.
unsafe fn long_dot<T: Real>(isa: Isa, k: usize, x: *const T, y: *const T) -> T {
    const PIECE: usize = 1 << 15;
    if k <= PIECE {
        // SAFETY: the caller vouches for the operands.
        return unsafe { dot(isa, k, x, y) };
    }
    let pieces = k.div_ceil(PIECE);
    let sums = Scratch::<T>::new(pieces);
    // SAFETY: each chunk writes an element of its own.
    let shared = unsafe { Shared::new((x, y, sums.as_ptr())) };
    threads::run(pieces, k * size_of::<T>() / 20, &|piece| {
        let (x, y, sums) = shared.get();
        let start = piece * PIECE;
        // SAFETY: within the operands.
        unsafe {
            let n = PIECE.min(k - start);
            *sums.add(piece) = dot(isa, n, x.add(start), y.add(start));
        }
    });
    let mut total = T::ZERO;
    for piece in 0..pieces {
        // SAFETY: all are written.
        total = total + unsafe { *sums.as_ptr().add(piece) };
    }
    total
}

/// Adds `parts` arrays of `n` elements to one, in order.
struct AddUp<T> {
    n: usize,
    parts: usize,
    others: *const T,
    out: *mut T,
}

impl<T: Real> Kernel<T> for AddUp<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let mut j = 0;
        while j < self.n {
            let lanes = S::LANES.min(self.n - j);
            // SAFETY: whoever made it vouches for the arrays.
            unsafe {
                let mut sum = s.load_partial(self.out.add(j), lanes);
                for part in 0..self.parts {
                    let other = self.others.add(part * self.n + j);
                    sum = s.add(sum, s.load_partial(other, lanes));
                }
                s.store_partial(self.out.add(j), lanes, sum);
            }
            j += S::LANES;
        }
    }
}

/// The scalar products of a few rows with a region's columns.
struct Dots<T> {
    k: usize,
    x: Matrix<T>,
    y: Matrix<T>,
    region: Region<T>,
}

impl<T: Real> Kernel<T> for Dots<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Region { rows, columns, out, out_rows } = self.region;
        debug_assert!(rows <= FEW);
        for i in 0..rows {
            let x = self.x.from(i, 0).data;
            let out = out.wrapping_add(i * out_rows);
            let mut j = 0;
            // SAFETY: whoever made it vouches for the operands.
            unsafe {
                while j + SIDE <= columns {
                    self.side_by_side::<S, SIDE>(s, x, j, out);
                    j += SIDE;
                }
                while j < columns {
                    self.side_by_side::<S, 1>(s, x, j, out);
                    j += 1;
                }
            }
        }
    }
}

impl<T: Real> Dots<T> {
    /// `C` products from column `j` on. Each is summed in the same order, whatever `C` is: in two
    /// chains a lane, one for every other vector.
    #[inline(always)]
    unsafe fn side_by_side<S: Simd<T>, const C: usize>(
        &self,
        s: S,
        x: *const T,
        j: usize,
        out: *mut T,
    ) {
        let zero = s.splat(T::ZERO);
        let mut sums = [[zero; 2]; C];
        let columns: [*const T; C] = std::array::from_fn(|c| self.y.from(0, j + c).data);
        let mut k = 0;
        // SAFETY: the caller vouches for the operands.
        unsafe {
            while k + 2 * S::LANES <= self.k {
                let (a, b) = (s.load(x.add(k)), s.load(x.add(k + S::LANES)));
                for (sums, y) in sums.iter_mut().zip(columns) {
                    sums[0] = s.fma(a, s.load(y.add(k)), sums[0]);
                    sums[1] = s.fma(b, s.load(y.add(k + S::LANES)), sums[1]);
                }
                k += 2 * S::LANES;
            }
            let mut chain = 0;
            while k < self.k {
                let lanes = S::LANES.min(self.k - k);
                let a = s.load_partial(x.add(k), lanes);
                for (sums, y) in sums.iter_mut().zip(columns) {
                    sums[chain] = s.fma(a, s.load_partial(y.add(k), lanes), sums[chain]);
                }
                k += lanes;
                chain = 1;
            }
            for (c, sums) in sums.iter().enumerate() {
                let sum = s.add(sums[0], sums[1]);
                *out.add(j + c) = s.fold(sum, |a, b| s.add(a, b));
            }
        }
    }
}
