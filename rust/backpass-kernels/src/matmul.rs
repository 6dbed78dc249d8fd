//! Matrix products.
//!
//! The output is cut into tiles of up to [`Simd::ROWS`] rows and two vectors, each held in registers
//! while it runs along k. The right operand is read where it lies if its rows are contiguous, else
//! it is packed a tile's columns at a time; the left one is read where it lies, or packed a tile's
//! rows at a time if its columns are contiguous. Each output element is the sum, in order, of blocks
//! of k, and each block one chain of fused multiply-adds: so its bits depend on neither the tiles nor
//! the threads. Vectors (one to three rows) and outer products have paths of their own, because they
//! are bound by memory.

use crate::isa::{Isa, Kernel, dispatch};
use crate::pool::Scratch;
use crate::real::Real;
use crate::reduce::dot;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// The longest block of k.
const BLOCK: usize = 400;
/// Up to this many rows, the product is bound by reading the right operand.
const FEW: usize = 3;
/// The second-level cache, about.
const CACHE: usize = 1 << 20;

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
    fn from(self, row: usize, column: usize) -> Self {
        let offset = row as isize * self.rows + column as isize * self.columns;
        Self { data: self.data.wrapping_offset(offset), ..self }
    }
}

/// A tile's operands: `a` of (rows, k), `b` of (k, columns) with contiguous rows.
#[derive(Clone, Copy)]
struct Tile<T> {
    k: usize,
    a: Matrix<T>,
    b: *const T,
    b_rows: isize,
    out: *mut T,
    out_rows: usize,
    /// Add to the output instead of overwriting it.
    add: bool,
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
#[derive(Clone, Copy)]
struct Limits {
    lanes: usize,
    rows: usize,
}

struct AskLimits;

impl<T: Real> Kernel<T> for AskLimits {
    type Output = Limits;

    #[inline(always)]
    fn run<S: Simd<T>>(self, _: S) -> Limits {
        Limits { lanes: S::LANES, rows: S::ROWS }
    }
}

/// A tile of `rows` rows and `columns` columns: at most [`Limits::rows`] and two vectors, or at most
/// [`FEW`] and eight vectors.
unsafe fn run_tile<T: Real>(isa: Isa, limits: Limits, rows: usize, columns: usize, tile: Tile<T>) {
    let vectors = columns.div_ceil(limits.lanes);
    let last = columns - (vectors - 1) * limits.lanes;
    macro_rules! arms {
        ($v:literal: $($r:literal)*) => {
            match rows {
                // SAFETY: the caller vouches for the operands and the processor.
                $($r => unsafe { dispatch(isa, RunTile::<T, $r, $v> { tile, last }) },)*
                _ => unreachable!("tiles have no more rows"),
            }
        };
    }
    match vectors {
        1 => arms!(1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        2 => arms!(2: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
        3..=7 => {
            // Too narrow for eight vectors at once: in pairs.
            let pair = 2 * limits.lanes;
            let mut j = 0;
            while j < columns {
                let part =
                    Tile { b: tile.b.wrapping_add(j), out: tile.out.wrapping_add(j), ..tile };
                // SAFETY: within the tile.
                unsafe { run_tile(isa, limits, rows, pair.min(columns - j), part) };
                j += pair;
            }
        }
        _ => arms!(8: 1 2 3),
    }
}

/// Cuts `n` into parts of at most `most`, as equal as can be: where part `i` of `parts` begins.
fn cut(n: usize, parts: usize, i: usize) -> usize {
    n / parts * i + (n % parts).min(i)
}

/// The blocks of k, and where they begin.
fn blocks_of(k: usize) -> usize {
    k.div_ceil(BLOCK)
}

/// A product of `x` (m, k) and `y` (k, n).
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
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the caller vouches for all of it.
    unsafe {
        if n == 1 && m > 1 {
            // The same numbers lie in the same places as in the transposed product.
            return matmul(isa, 1, k, m, y.transposed(), x.transposed(), out);
        }
        let limits = dispatch::<T, _>(isa, AskLimits);
        let product = Product { isa, limits, m, k, n, x, y, out };
        if k == 1 {
            product.outer();
        } else if m <= FEW && y.columns != 1 && (y.rows == 1 || n == 1) {
            product.dots();
        } else if m <= FEW && y.columns == 1 {
            product.few();
        } else if m > FEW && y.columns != 1 && m * (n + k) < n * k {
            product.swapped();
        } else if y.columns != 1 || product.conflicts() {
            product.packed();
        } else {
            product.direct();
        }
    }
}

impl<T: Real> Product<T> {
    /// About how long a part takes on one thread.
    fn nanoseconds(&self, m: usize, n: usize) -> usize {
        m * n * self.k * size_of::<T>() / 4 / 80 + n * self.k * size_of::<T>() / 100
    }

    /// Whether the right operand's rows fall onto each other in the caches.
    fn conflicts(&self) -> bool {
        let bytes = self.y.rows.unsigned_abs() * size_of::<T>();
        self.m >= 64 && (bytes.is_multiple_of(2048) || self.k * bytes > CACHE)
    }

    /// A tile's work in block `b` of k.
    #[inline(always)]
    fn block(&self, b: usize) -> (usize, usize) {
        let blocks = blocks_of(self.k);
        let start = cut(self.k, blocks, b);
        (start, cut(self.k, blocks, b + 1) - start)
    }

    /// The whole of it, for a chunk.
    #[inline(always)]
    fn whole(&self) -> Self {
        *self
    }

    /// The right operand read where it lies.
    unsafe fn direct(self) {
        let panels = self.m.div_ceil(self.limits.rows);
        let pair = 2 * self.limits.lanes;
        let pairs = self.n.div_ceil(pair);
        let parts = pairs.min(8usize.div_ceil(panels));
        threads::run(panels * parts, self.nanoseconds(self.m, self.n), &|chunk| {
            let Self { isa, limits, m, k, n, x, y, out } = self.whole();
            let (panel, part) = (chunk / parts, chunk % parts);
            let (top, bottom) = (cut(m, panels, panel), cut(m, panels, panel + 1));
            let left = cut(pairs, parts, part) * pair;
            let right = n.min(cut(pairs, parts, part + 1) * pair);
            let rows = bottom - top;
            let pack = x.columns != 1 && x.rows == 1 && right - left > pair;
            let packed = pack.then(|| Scratch::<T>::new(rows * BLOCK.min(k)));
            for b in 0..blocks_of(k) {
                let (start, depth) = self.block(b);
                let mut a = x.from(top, start);
                if let Some(packed) = &packed {
                    let lines = Lines {
                        count: depth,
                        width: rows,
                        from: a.data,
                        step: a.columns,
                        to: packed.as_ptr(),
                    };
                    // SAFETY: `rows` elements lie in each line, and there is room for them.
                    unsafe { dispatch(isa, lines) };
                    a = Matrix { data: packed.as_ptr(), rows: 1, columns: rows as isize };
                }
                let mut j = left;
                while j < right {
                    let tile = Tile {
                        k: depth,
                        a,
                        b: y.from(start, j).data,
                        b_rows: y.rows,
                        out: out.wrapping_add(top * n + j),
                        out_rows: n,
                        add: b > 0,
                    };
                    // SAFETY: within the operands.
                    unsafe { run_tile(isa, limits, rows, pair.min(right - j), tile) };
                    j += pair;
                }
            }
        });
    }

    /// The transposed product, transposed: where the left operand and the output are smaller than the
    /// right operand, which would have to be packed.
    unsafe fn swapped(self) {
        let Self { isa, m, k, n, x, y, .. } = self;
        let columns = Scratch::<T>::new(m * n);
        // SAFETY: the operands are the caller's; there is room.
        unsafe { matmul(isa, n, k, m, y.transposed(), x.transposed(), columns.as_ptr()) };
        let this =
            Self { y: Matrix { data: columns.as_ptr(), rows: 1, columns: m as isize }, ..self };
        let chunks = m.div_ceil(8).min(n.div_ceil(64));
        threads::run(chunks, m * n * size_of::<T>() / 10, &|chunk| {
            let Self { isa, m, n, y, out, .. } = this.whole();
            let (top, bottom) = (cut(m, chunks, chunk), cut(m, chunks, chunk + 1));
            // SAFETY: within the product and the output.
            unsafe { pack(isa, y.from(top, 0), bottom - top, n, out.wrapping_add(top * n)) };
        });
    }

    /// The right operand packed, two vectors of columns at a time.
    unsafe fn packed(self) {
        let panels = self.m.div_ceil(self.limits.rows);
        let pair = 2 * self.limits.lanes;
        threads::run(self.n.div_ceil(pair), self.nanoseconds(self.m, self.n), &|chunk| {
            let Self { isa, limits, m, k, n, x, y, out } = self.whole();
            let left = chunk * pair;
            let columns = pair.min(n - left);
            let packed = Scratch::<T>::new(columns * BLOCK.min(k));
            for b in 0..blocks_of(k) {
                let (start, depth) = self.block(b);
                // SAFETY: within the operand, and there is room.
                unsafe { pack(isa, y.from(start, left), depth, columns, packed.as_ptr()) };
                for panel in 0..panels {
                    let (top, bottom) = (cut(m, panels, panel), cut(m, panels, panel + 1));
                    let tile = Tile {
                        k: depth,
                        a: x.from(top, start),
                        b: packed.as_ptr(),
                        b_rows: columns as isize,
                        out: out.wrapping_add(top * n + left),
                        out_rows: n,
                        add: b > 0,
                    };
                    // SAFETY: within the operands.
                    unsafe { run_tile(isa, limits, bottom - top, columns, tile) };
                }
            }
        });
    }

    /// A few rows: the blocks of k in parallel, so that each thread reads rows of the right operand
    /// of its own, and the blocks' sums added in order.
    unsafe fn few(self) {
        let Self { m, k, n, out, .. } = self;
        let blocks = blocks_of(k);
        let sums = (blocks > 1).then(|| Scratch::<T>::new((blocks - 1) * m * n));
        let others = sums.as_ref().map_or(std::ptr::null_mut(), Scratch::as_ptr);
        // SAFETY: each chunk writes an array of its own.
        let shared = unsafe { Shared::new(others) };
        threads::run(blocks, self.nanoseconds(m, n), &|b| {
            let Self { isa, limits, m, n, x, y, out, .. } = self.whole();
            let wide = 8 * limits.lanes;
            let (start, depth) = self.block(b);
            let out = if b == 0 { out } else { shared.get().wrapping_add((b - 1) * m * n) };
            let mut j = 0;
            while j < n {
                let tile = Tile {
                    k: depth,
                    a: x.from(0, start),
                    b: y.from(start, j).data,
                    b_rows: y.rows,
                    out: out.wrapping_add(j),
                    out_rows: n,
                    add: false,
                };
                // SAFETY: within the operands.
                unsafe { run_tile(isa, limits, m, wide.min(n - j), tile) };
                j += wide;
            }
        });
        for b in 1..blocks {
            for i in 0..m * n {
                // SAFETY: within the arrays.
                unsafe { *out.add(i) = *out.add(i) + *others.add((b - 1) * m * n + i) };
            }
        }
    }

    /// A few rows times a matrix whose columns are contiguous: scalar products.
    unsafe fn dots(mut self) {
        const LINES: usize = 16;
        let Self { m, k, n, x, y, .. } = self;
        let rows = (x.columns != 1).then(|| Scratch::<T>::new(m * k));
        if let Some(rows) = &rows {
            for i in 0..m * k {
                // SAFETY: within the operand and the copy.
                unsafe { *rows.as_ptr().add(i) = *x.from(i / k, i % k).data };
            }
            self.x = Matrix { data: rows.as_ptr(), rows: k as isize, columns: 1 };
        }
        // The only column may have a stride.
        let column = (y.rows != 1).then(|| Scratch::<T>::new(k));
        if let Some(column) = &column {
            for i in 0..k {
                // SAFETY: within the operand and the copy.
                unsafe { *column.as_ptr().add(i) = *y.from(i, 0).data };
            }
            self.y = Matrix { data: column.as_ptr(), rows: 1, columns: 0 };
        }
        threads::run(n.div_ceil(LINES), self.nanoseconds(m, n), &|chunk| {
            let Self { isa, m, k, n, x, y, out, .. } = self.whole();
            for j in chunk * LINES..n.min((chunk + 1) * LINES) {
                for i in 0..m {
                    // SAFETY: both are `k` contiguous elements.
                    let product = unsafe { dot(isa, k, x.from(i, 0).data, y.from(0, j).data) };
                    // SAFETY: within the output.
                    unsafe { *out.add(i * n + j) = product };
                }
            }
        });
    }

    /// A column times a row.
    unsafe fn outer(mut self) {
        let Self { m, n, y, .. } = self;
        let row = (y.columns != 1).then(|| Scratch::<T>::new(n));
        if let Some(row) = &row {
            for j in 0..n {
                // SAFETY: within the operand and the copy.
                unsafe { *row.as_ptr().add(j) = *y.from(0, j).data };
            }
            self.y = Matrix { data: row.as_ptr(), rows: 0, columns: 1 };
        }
        let chunks = m.div_ceil(8).min(8);
        threads::run(chunks, m * n * size_of::<T>() / 40, &|chunk| {
            let Self { isa, m, n, x, y, out, .. } = self.whole();
            let (top, bottom) = (cut(m, chunks, chunk), cut(m, chunks, chunk + 1));
            let kernel = Outer {
                rows: bottom - top,
                n,
                x: x.from(top, 0),
                row: y.data,
                out: out.wrapping_add(top * n),
            };
            // SAFETY: within the operands.
            unsafe { dispatch(isa, kernel) };
        });
    }
}

struct Outer<T> {
    rows: usize,
    n: usize,
    x: Matrix<T>,
    row: *const T,
    out: *mut T,
}

impl<T: Real> Kernel<T> for Outer<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        for i in 0..self.rows {
            // SAFETY: whoever made it vouches for the operands.
            unsafe {
                let x = s.splat(*self.x.from(i, 0).data);
                let out = self.out.add(i * self.n);
                let mut j = 0;
                while j + S::LANES <= self.n {
                    s.store(out.add(j), s.mul(x, s.load(self.row.add(j))));
                    j += S::LANES;
                }
                if j < self.n {
                    let rest = self.n - j;
                    s.store_partial(
                        out.add(j),
                        rest,
                        s.mul(x, s.load_partial(self.row.add(j), rest)),
                    );
                }
            }
        }
    }
}

/// `count` lines of `width` contiguous elements, copied to where they follow each other.
struct Lines<T> {
    count: usize,
    width: usize,
    from: *const T,
    step: isize,
    to: *mut T,
}

impl<T: Real> Kernel<T> for Lines<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { count, width, mut from, step, mut to } = self;
        for _ in 0..count {
            let mut j = 0;
            // SAFETY: whoever made it vouches for both places.
            unsafe {
                while j + S::LANES <= width {
                    s.store(to.add(j), s.load(from.add(j)));
                    j += S::LANES;
                }
                if j < width {
                    s.store_partial(to.add(j), width - j, s.load_partial(from.add(j), width - j));
                }
            }
            from = from.wrapping_offset(step);
            to = to.wrapping_add(width);
        }
    }
}

/// Copies `depth` rows of `columns` elements to where they are contiguous.
unsafe fn pack<T: Real>(isa: Isa, y: Matrix<T>, depth: usize, columns: usize, to: *mut T) {
    // A few rows at a time, so that the lines written stay in the nearest cache.
    const ROWS: usize = 16;
    // SAFETY: the caller vouches for the operand, the room and the processor.
    unsafe {
        if y.columns == 1 {
            let lines = Lines { count: depth, width: columns, from: y.data, step: y.rows, to };
            return dispatch(isa, lines);
        }
        let mut start = 0;
        while start < depth {
            let end = depth.min(start + ROWS);
            for j in 0..columns {
                let from = y.from(0, j);
                for i in start..end {
                    *to.add(i * columns + j) = *from.data.offset(i as isize * y.rows);
                }
            }
            start = end;
        }
    }
}
