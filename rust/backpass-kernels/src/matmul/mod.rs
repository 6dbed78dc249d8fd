//! Matrix products.
//!
//! The output is cut into tiles of up to [`Simd::ROWS`] rows and two vectors, each held in registers
//! while it runs along k ([`tile`]). An operand is read where it lies if its rows are contiguous,
//! else packed ([`pack`], [`blocked`]). Each output element is the sum, in order, of blocks of k, and
//! each block one chain of fused multiply-adds: so its bits depend on neither the tiles nor the
//! threads. Vectors (one to three rows, [`few`]) and outer products ([`outer`]) have paths of their
//! own, because they are bound by memory. A stack of products ([`batch`]) is spread over the threads
//! where the products are small. An [`Epilogue`] is applied before the output leaves the cache.
//!
//! The loops about the tiles are those of Van Zee and van de Geijn, "BLIS: A framework for rapidly
//! instantiating BLAS functionality", ACM TOMS 41 (2015).
//!
//! [`Simd::ROWS`]: crate::simd::Simd::ROWS

mod batch;
mod blocked;
mod epilogue;
mod few;
mod outer;
pub(crate) mod pack;
pub(crate) mod tile;

pub use batch::{STACK_DIMS, Stack, matmul_stack};
pub use epilogue::{Activation, Epilogue};

use crate::isa::Isa;
use crate::pool::Scratch;
use crate::real::Real;
pub(crate) use pack::pack;
pub(crate) use tile::Limits;
use tile::{FEW, Tile, run_tile};

/// A matrix: where its first element lies, and its strides in elements.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<T> {
    /// The element at 0, 0.
    pub data: *const T,
    /// From a row to the next.
    pub rows: isize,
    /// From a column to the next.
    pub columns: isize,
}

impl<T> Matrix<T> {
    /// The transpose.
    #[must_use]
    pub fn transposed(self) -> Self {
        Self { data: self.data, rows: self.columns, columns: self.rows }
    }

    /// The part that begins at an element.
    #[inline(always)]
    pub(crate) fn from(self, row: usize, column: usize) -> Self {
        let offset = row as isize * self.rows + column as isize * self.columns;
        Self { data: self.data.wrapping_offset(offset), ..self }
    }
}

/// A part of an output, with contiguous rows.
#[derive(Clone, Copy)]
struct Region<T> {
    rows: usize,
    columns: usize,
    out: *mut T,
    out_rows: usize,
}

/// Cuts `n` into parts as equal as can be: where part `i` of `parts` begins.
#[inline(always)]
pub(crate) fn cut(n: usize, parts: usize, i: usize) -> usize {
    n * i / parts
}

/// A product of `x` (m, k) and `y` (k, n), and what follows it.
#[derive(Clone, Copy)]
struct Product<T> {
    isa: Isa,
    limits: Limits,
    m: usize,
    k: usize,
    n: usize,
    x: Matrix<T>,
    y: Matrix<T>,
    out: *mut T,
    epilogue: Epilogue<T>,
}

// SAFETY: threads only read the operands, and each chunk writes a part of the output of its own.
unsafe impl<T> Sync for Product<T> {}

/// `out = x y` for `x` of shape (m, k), `y` of shape (k, n), `out` of shape (m, n) and contiguous.
///
/// # Safety
///
/// The operands are readable at every index; `out` overlaps neither; the processor has `isa`.
pub unsafe fn matmul<T: Real>(
    isa: Isa,
    m: usize,
    k: usize,
    n: usize,
    x: Matrix<T>,
    y: Matrix<T>,
    out: *mut T,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe { matmul_with(isa, m, k, n, x, y, Epilogue::NONE, out) };
}

/// `out = activation(x y + bias)`, with a bias for each column; the sum and the activation are those
/// of the elementwise kernels, bit for bit.
///
/// # Safety
///
/// As for [`matmul`]; the bias holds `n` elements and `out` does not overlap it.
pub unsafe fn matmul_with<T: Real>(
    isa: Isa,
    m: usize,
    k: usize,
    n: usize,
    x: Matrix<T>,
    y: Matrix<T>,
    epilogue: Epilogue<T>,
    out: *mut T,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe {
        let limits = Limits::of::<T>(isa);
        Product { isa, limits, m, k, n, x, y, out, epilogue }.compute();
    }
}

impl<T: Real> Product<T> {
    /// Computes it, in the way that suits its shape and strides.
    unsafe fn compute(self) {
        let Self { m, k, n, x, y, .. } = self;
        if m == 0 || n == 0 {
            return;
        }
        // SAFETY: the operands are the caller's.
        unsafe {
            if k == 0 {
                self.zeros();
            } else if n > 1 && y.columns == 1 && self.is_one_tile() {
                self.one_tile();
            } else if n == 1 && m > 1 {
                self.column();
            } else if k == 1 {
                self.outer();
            } else if m <= FEW && (n == 1 || (y.rows == 1 && y.columns != 1)) {
                self.dots();
            } else if m <= FEW && y.columns == 1 {
                self.few();
            } else if self.is_one_tile() {
                self.one_tile();
            } else if self.is_better_swapped(x) {
                self.swapped();
            } else {
                self.blocked();
            }
        }
    }

    /// About how long a part takes on one thread.
    fn nanoseconds(&self, m: usize, n: usize) -> usize {
        m * n * self.k * size_of::<T>() / 4 / 80 + n * self.k * size_of::<T>() / 100
    }

    /// The whole of it, for a chunk.
    #[inline(always)]
    fn whole(&self) -> Self {
        *self
    }

    /// The longest block of k: a tile's operands stay in the nearest cache, and the output need not
    /// be added to often.
    #[inline(always)]
    fn longest() -> usize {
        2048 / size_of::<T>()
    }

    /// A part of the output.
    #[inline(always)]
    fn region(&self, top: usize, left: usize, rows: usize, columns: usize) -> Region<T> {
        let out = self.out.wrapping_add(top * self.n + left);
        Region { rows, columns, out, out_rows: self.n }
    }

    /// Whether the output fits into the registers, and k into a block.
    #[inline(always)]
    fn is_one_tile(&self) -> bool {
        self.m <= self.limits.rows && self.n <= self.limits.pair() && self.k <= Self::longest()
    }

    /// A small product, by the shortest way.
    unsafe fn one_tile(self) {
        let Self { isa, limits, m, k, n, x, y, out, epilogue } = self;
        let packed = (y.columns != 1).then(|| Scratch::<T>::new(k * n));
        // SAFETY: within the operands, and there is room.
        unsafe {
            let (b, b_rows) = if let Some(packed) = &packed {
                pack::pack(isa, y, k, n, packed.as_ptr(), n);
                (packed.as_ptr().cast_const(), n as isize)
            } else {
                (y.data, y.rows)
            };
            let tile = Tile { k, a: x, b, b_rows, out, out_rows: n, add: false };
            run_tile(isa, limits, m, n, tile);
            epilogue.apply(isa, self.region(0, 0, m, n));
        }
    }

    /// A sum of nothing.
    unsafe fn zeros(self) {
        // SAFETY: the output has room; the bits of zeros are zeros.
        unsafe {
            self.out.write_bytes(0, self.m * self.n);
            self.epilogue.apply(self.isa, self.region(0, 0, self.m, self.n));
        }
    }

    /// One column: the same numbers lie in the same places as in the transposed product.
    unsafe fn column(self) {
        let Self { isa, m, x, y, out, epilogue, .. } = self;
        let (x, y) = (y.transposed(), x.transposed());
        let row = Self { m: 1, n: m, x, y, epilogue: Epilogue::NONE, ..self };
        // SAFETY: the operands are the caller's; the bias has one element.
        unsafe {
            row.compute();
            if !epilogue.bias.is_null() {
                for i in 0..m {
                    *out.add(i) = *out.add(i) + *epilogue.bias;
                }
            }
            Epilogue { bias: std::ptr::null(), ..epilogue }.apply(isa, row.region(0, 0, 1, m));
        }
    }
}
