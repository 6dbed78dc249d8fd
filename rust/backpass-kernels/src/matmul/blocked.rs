//! Products of many rows: blocks of k, packed where that is better, and a grid of tiles.

use super::pack::pack;
use super::tile::{FEW, Tile, run_tile};
use super::{Epilogue, Matrix, Product, cut};
use crate::pool::Scratch;
use crate::real::Real;
use crate::threads::{self, Shared};

/// What of the right operand stays in the second-level cache while panels of rows pass by.
const NEAR: usize = 512 << 10;
/// A right operand of more bytes lies on more small pages than the processor finds at once.
const WIDE: usize = 128 << 10;
/// The most that is packed of the right operand before it is used.
const STAGE: usize = 8 << 20;
/// The most panels of rows that one chunk packs together.
const GROUP: usize = 10;
/// Rows of the right operand that are packed together.
const ROWS: usize = 16;
/// Chunks for the threads to share, where there is work for so many.
const CHUNKS: usize = 8;

/// Some blocks of k, with the right operand's part packed or where it lies.
struct Stage<T> {
    first: usize,
    count: usize,
    packed: Shared<*mut T>,
}

impl<T: Real> Product<T> {
    /// Whether the transposed product, transposed, costs less packing.
    pub(super) fn is_better_swapped(&self, x: Matrix<T>) -> bool {
        let Self { m, k, n, y, .. } = *self;
        let turned = m * n + if x.rows == 1 { 0 } else { m * k };
        m > FEW && y.columns != 1 && turned < n * k
    }

    /// The transposed product, transposed.
    pub(super) unsafe fn swapped(self) {
        let Self { m, n, x, y, .. } = self;
        let columns = Scratch::<T>::new(m * n);
        let (x, y) = (y.transposed(), x.transposed());
        let turned =
            Self { m: n, n: m, x, y, out: columns.as_ptr(), epilogue: Epilogue::NONE, ..self };
        // SAFETY: the operands are the caller's; there is room.
        unsafe {
            // What would be swapped back is computed as it is.
            if n <= FEW { turned.compute() } else { turned.blocked() }
        }
        let this =
            Self { y: Matrix { data: columns.as_ptr(), rows: 1, columns: m as isize }, ..self };
        let chunks = m.div_ceil(8).min(n.div_ceil(64));
        threads::run(chunks, m * n * size_of::<T>() / 10, &|chunk| {
            let Self { isa, m, n, y, out, epilogue, .. } = this.whole();
            let (top, bottom) = (cut(m, chunks, chunk), cut(m, chunks, chunk + 1));
            // SAFETY: within the product and the output.
            unsafe {
                pack(isa, y.from(top, 0), bottom - top, n, out.wrapping_add(top * n), n);
                epilogue.apply(isa, this.region(top, 0, bottom - top, n));
            }
        });
    }

    /// Where block `b` of k begins, and its length.
    #[inline(always)]
    fn block(&self, b: usize) -> (usize, usize) {
        let blocks = self.blocks();
        let start = cut(self.k, blocks, b);
        (start, cut(self.k, blocks, b + 1) - start)
    }

    fn blocks(&self) -> usize {
        self.k.div_ceil(Self::longest())
    }

    /// The length of the longest block of k.
    fn deepest(&self) -> usize {
        self.k.div_ceil(self.blocks())
    }

    /// Whether rows so far apart fall onto each other in the caches.
    fn conflicts(step: isize) -> bool {
        (step.unsigned_abs() * size_of::<T>()).is_multiple_of(2048) && step != 0
    }

    /// Whether the right operand is better packed.
    fn packs_y(&self) -> bool {
        let Self { m, k, y, .. } = *self;
        let bytes = y.rows.unsigned_abs() * size_of::<T>();
        y.columns != 1 || (m >= 64 && (Self::conflicts(y.rows) || k * bytes > WIDE))
    }

    /// Any product.
    pub(super) unsafe fn blocked(self) {
        let blocks = self.blocks();
        if !self.packs_y() {
            // SAFETY: the pointer is not used; the operands are the caller's.
            return unsafe {
                let packed = Shared::new(std::ptr::null_mut());
                self.tiles(&Stage { first: 0, count: blocks, packed });
            };
        }
        let most = (STAGE / (self.n * Self::longest() * size_of::<T>())).clamp(1, blocks);
        let packed = Scratch::<T>::new(self.n * self.k.min(most * Self::longest()));
        let mut first = 0;
        while first < blocks {
            let count = most.min(blocks - first);
            // SAFETY: the chunks write parts of their own, and later only read.
            let packed = unsafe { Shared::new(packed.as_ptr()) };
            let stage = Stage { first, count, packed };
            // SAFETY: the operands are the caller's; there is room.
            unsafe {
                self.pack_y(&stage);
                self.tiles(&stage);
            }
            first += count;
        }
    }

    /// The elements before block `b` of k and column `left` in the packed right operand.
    #[inline(always)]
    fn place(&self, stage: &Stage<T>, b: usize, left: usize) -> usize {
        let (start, depth) = self.block(b);
        (start - self.block(stage.first).0) * self.n + left * depth
    }

    /// Packs the stage's part of the right operand: a tile's columns at a time. Memory is read in the
    /// order in which it lies: a few rows at once, or all rows of a few columns.
    unsafe fn pack_y(&self, stage: &Stage<T>) {
        let pair = self.limits.pair();
        let slivers = self.n.div_ceil(pair);
        let by_rows = self.y.columns == 1;
        let deepest = self.deepest();
        let pieces = if by_rows { deepest.div_ceil(ROWS) } else { slivers };
        let chunks = pieces.min(2 * CHUNKS);
        let nanoseconds = self.n * stage.count * deepest * size_of::<T>() / 16;
        threads::run(chunks, nanoseconds, &|chunk| {
            let Self { isa, n, y, .. } = self.whole();
            let (first, end) = (cut(pieces, chunks, chunk), cut(pieces, chunks, chunk + 1));
            for b in stage.first..stage.first + stage.count {
                let (start, depth) = self.block(b);
                for piece in first..end {
                    let (top, bottom) = if by_rows {
                        (piece * ROWS, depth.min((piece + 1) * ROWS))
                    } else {
                        (0, depth)
                    };
                    let (from, to) = if by_rows { (0, slivers) } else { (piece, piece + 1) };
                    for sliver in from..to {
                        let left = sliver * pair;
                        let columns = pair.min(n - left);
                        let place = self.place(stage, b, left) + top * columns;
                        let to = stage.packed.get().wrapping_add(place);
                        let rows = bottom.saturating_sub(top);
                        // SAFETY: within the operand, and there is room.
                        unsafe { pack(isa, y.from(start + top, left), rows, columns, to, columns) };
                    }
                }
            }
        });
    }

    /// Into how many groups of panels and how many parts of the slivers the tiles are cut: enough for
    /// the threads, and so that little is read again. Each group reads the right operand, and each
    /// part the left one.
    fn grid(&self, panels: usize, slivers: usize) -> (usize, usize) {
        let Self { m, n, x, .. } = *self;
        let least = panels.div_ceil(GROUP);
        let left = if x.columns == 1 { m } else { 4 * m }; // which each part packs
        (1..=CHUNKS.min(slivers))
            .map(|parts| (CHUNKS.div_ceil(parts).min(panels).max(least), parts))
            .filter(|(groups, parts)| groups * parts >= CHUNKS.min(panels * slivers))
            .min_by_key(|(groups, parts)| groups * n + parts * left)
            .expect("the last is enough")
    }

    /// The stage's tiles.
    unsafe fn tiles(&self, stage: &Stage<T>) {
        let panels = self.m.div_ceil(self.limits.rows);
        let slivers = self.n.div_ceil(self.limits.pair());
        let (groups, parts) = self.grid(panels, slivers);
        let nanoseconds = self.nanoseconds(self.m, self.n) * stage.count / self.blocks();
        threads::run(groups * parts, nanoseconds, &|chunk| {
            let (group, part) = (chunk / parts, chunk % parts);
            let rows = (cut(panels, groups, group), cut(panels, groups, group + 1));
            let columns = (cut(slivers, parts, part), cut(slivers, parts, part + 1));
            // SAFETY: the operands are the caller's.
            unsafe { self.group(stage, panels, rows, columns) };
        });
    }

    /// The tiles of some panels and some slivers.
    unsafe fn group(
        &self,
        stage: &Stage<T>,
        panels: usize,
        (first, end): (usize, usize),
        (left, right): (usize, usize),
    ) {
        let Self { isa, limits, m, n, x, y, out, epilogue, .. } = self.whole();
        let pair = limits.pair();
        let (top, bottom) = (cut(m, panels, first), cut(m, panels, end));
        // A single sliver is done as soon as the left operand would be packed.
        let pack_x = right - left > 1 && (x.columns != 1 || Self::conflicts(x.rows));
        let packed_x = pack_x.then(|| Scratch::<T>::new((bottom - top) * self.deepest()));
        for b in stage.first..stage.first + stage.count {
            let (start, depth) = self.block(b);
            let mut a = x.from(top, start);
            if let Some(packed) = &packed_x {
                let to = packed.as_ptr();
                let (rows, depth) = (bottom - top, depth);
                // SAFETY: within the operand, and there is room.
                unsafe {
                    a = if x.columns == 1 {
                        pack(isa, a, rows, depth, to, depth);
                        Matrix { data: to, rows: depth as isize, columns: 1 }
                    } else {
                        pack(isa, a.transposed(), depth, rows, to, rows);
                        Matrix { data: to, rows: 1, columns: rows as isize }
                    };
                }
            }
            let near = (NEAR / (pair * depth * size_of::<T>())).max(1);
            for part in (left..right).step_by(near) {
                for panel in first..end {
                    let (up, down) = (cut(m, panels, panel), cut(m, panels, panel + 1));
                    for sliver in part..right.min(part + near) {
                        let j = sliver * pair;
                        let columns = pair.min(n - j);
                        let packed = stage.packed.get();
                        let (b_data, b_rows) = if packed.is_null() {
                            (y.from(start, j).data, y.rows)
                        } else {
                            let place = self.place(stage, b, j);
                            (packed.wrapping_add(place).cast_const(), columns as isize)
                        };
                        let tile = Tile {
                            k: depth,
                            a: a.from(up - top, 0),
                            b: b_data,
                            b_rows,
                            out: out.wrapping_add(up * n + j),
                            out_rows: n,
                            add: b > 0,
                        };
                        // SAFETY: within the operands.
                        unsafe { run_tile(isa, limits, down - up, columns, tile) };
                    }
                    if b + 1 == self.blocks() {
                        let (j, end) = (part * pair, n.min(right.min(part + near) * pair));
                        // SAFETY: within the output.
                        unsafe {
                            epilogue.from(j).apply(isa, self.region(up, j, down - up, end - j));
                        }
                    }
                }
            }
        }
    }
}
