//! The product of windows with a weight.

use super::tile::{ROWS, Start, Tile, run_tile};
use crate::isa::Isa;
use crate::matmul::{Limits, Matrix, cut, pack};
use crate::pool::Scratch;
use crate::real::Real;
use crate::threads::{self, Shared};

/// The most panels of rows that one chunk takes.
const GROUP: usize = 10;
/// Chunks for the threads to share, where there is work for so many.
const CHUNKS: usize = 8;

/// The rows of the left operand and of the output: where they lie, by image, row and column.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub counts: [usize; 3],
    pub from: [isize; 3],
    pub to: [isize; 3],
}

impl Rows {
    pub fn count(&self) -> usize {
        self.counts.iter().product()
    }

    /// The places in the left operand and in the output of rows from `first` on.
    #[inline(always)]
    pub fn locate<T>(
        &self,
        first: usize,
        count: usize,
        x: *const T,
        out: *mut T,
    ) -> ([*const T; ROWS], [*mut T; ROWS]) {
        let [_, lines, length] = self.counts;
        let (mut line, mut j) = (first / length, first % length);
        let (mut image, mut i) = (line / lines, line % lines);
        let (mut rows, mut outs) = ([x; ROWS], [out; ROWS]);
        let at = |steps: [isize; 3], image: usize, i: usize, j: usize| {
            image as isize * steps[0] + i as isize * steps[1] + j as isize * steps[2]
        };
        for r in 0..count {
            rows[r] = x.wrapping_offset(at(self.from, image, i, j));
            outs[r] = out.wrapping_offset(at(self.to, image, i, j));
            j += 1;
            if j == length {
                (line, j) = (line + 1, 0);
                (image, i) = (line / lines, line % lines);
            }
        }
        (rows, outs)
    }
}

/// A weight as the right operand: rows by an outer channel and the window's element, a column for
/// each inner one.
#[derive(Clone, Copy)]
pub(super) struct Weights<T> {
    pub data: *const T,
    /// From group to group.
    pub group: isize,
    /// The outer channels, and from one to the next.
    pub outer: (usize, isize),
    /// The window's elements, along both axes.
    pub taps: [usize; 2],
    /// From one to the next.
    pub steps: [isize; 2],
    /// From column to column.
    pub column: isize,
}

impl<T: Real> Weights<T> {
    /// Packs some columns of a group: rows that follow each other.
    unsafe fn pack(&self, isa: Isa, group: usize, left: usize, columns: usize, to: *mut T) {
        let (outer, of_outer) = self.outer;
        let [lines, length] = self.taps;
        let [of_line, of_element] = self.steps;
        let origin = self
            .data
            .wrapping_offset(group as isize * self.group + left as isize * self.column);
        // Runs of rows with one step between them, as long as can be.
        let whole = lines == 1 || of_line == of_element * length as isize;
        let all = whole && (outer == 1 || of_outer == of_element * (lines * length) as isize);
        let (runs, run) = if all {
            ((1, 1), outer * lines * length)
        } else if whole {
            ((outer, 1), lines * length)
        } else {
            ((outer, lines), length)
        };
        let (blocks, block, of_block) = if run == 1 {
            // One element a channel: the channels are the rows.
            ((1, 1), outer, of_outer)
        } else {
            (runs, run, of_element)
        };
        for o in 0..blocks.0 {
            for i in 0..blocks.1 {
                let offset = o as isize * of_outer + i as isize * of_line;
                let from = Matrix {
                    data: origin.wrapping_offset(offset),
                    rows: of_block,
                    columns: self.column,
                };
                let to = to.wrapping_add((o * blocks.1 + i) * block * columns);
                // SAFETY: within the weight, and there is room.
                unsafe { pack(isa, from, block, columns, to, columns) };
            }
        }
    }
}

/// Products, one for each group.
pub(super) struct Product<'a, T> {
    pub isa: Isa,
    pub rows: Rows,
    /// Where a row's elements lie from its first on.
    pub columns: &'a [isize],
    pub groups: usize,
    /// Columns of the right operand and the output, in a group.
    pub n: usize,
    pub x: *const T,
    /// From group to group of the left operand.
    pub x_group: isize,
    pub weights: Weights<T>,
    /// For each column of all groups; may be null.
    pub bias: *const T,
    pub out: *mut T,
}

// SAFETY: threads only read the operands, and each chunk writes a part of the output of its own.
unsafe impl<T> Sync for Product<'_, T> {}

impl<T: Real> Product<'_, T> {
    /// Computes it.
    ///
    /// # Safety
    ///
    /// As for [`super::forward`].
    pub unsafe fn run(&self) {
        let Self { isa, groups, n, .. } = *self;
        let k = self.columns.len();
        // SAFETY: the caller vouches for the processor.
        let limits = unsafe { Limits::of::<T>(isa) };
        let slivers = n.div_ceil(limits.pair());
        let packed = Scratch::<T>::new(groups * k * n);
        // SAFETY: each chunk writes a sliver of its own, and they are read when all are done.
        let to = unsafe { Shared::new(packed.as_ptr()) };
        let place = |group: usize, left: usize| to.get().wrapping_add(k * (group * n + left));
        threads::run(groups * slivers, groups * k * n * size_of::<T>() / 16, &|chunk| {
            let (group, left) = (chunk / slivers, chunk % slivers * limits.pair());
            let columns = limits.pair().min(n - left);
            // SAFETY: within the weight, and there is room.
            unsafe { self.weights.pack(isa, group, left, columns, place(group, left)) };
        });
        let m = self.rows.count();
        let panels = m.div_ceil(limits.rows);
        let pieces = panels.div_ceil(GROUP).max(CHUNKS.min(panels));
        let all = slivers * groups;
        let parts = CHUNKS.div_ceil(pieces).min(all);
        let nanoseconds = groups * m * k * n * size_of::<T>() / 4 / 80;
        threads::run(pieces * parts, nanoseconds, &|chunk| {
            let (piece, part) = (chunk / parts, chunk % parts);
            let (first, end) = (cut(panels, pieces, piece), cut(panels, pieces, piece + 1));
            let longest = 2048 / size_of::<T>();
            let blocks = k.div_ceil(longest);
            for sliver in cut(all, parts, part)..cut(all, parts, part + 1) {
                let (group, left) = (sliver / slivers, sliver % slivers * limits.pair());
                let columns = limits.pair().min(n - left);
                let x = self.x.wrapping_offset(group as isize * self.x_group);
                let out = self.out.wrapping_add(group * n + left);
                for block in 0..blocks {
                    let (start, depth) = (cut(k, blocks, block), cut(k, blocks, block + 1));
                    let depth = depth - start;
                    let b = place(group, left).wrapping_add(start * columns);
                    let begin = if block > 0 {
                        Start::Output
                    } else if self.bias.is_null() {
                        Start::Zero
                    } else {
                        Start::Bias(self.bias.wrapping_add(group * n + left))
                    };
                    for panel in first..end {
                        let (up, down) = (cut(m, panels, panel), cut(m, panels, panel + 1));
                        let (rows, outs) = self.rows.locate(up, down - up, x, out);
                        let tile = Tile {
                            rows,
                            columns: self.columns[start..].as_ptr(),
                            k: depth,
                            b,
                            b_rows: columns,
                            outs,
                            start: begin,
                        };
                        // SAFETY: within the operands.
                        unsafe { run_tile(isa, limits, down - up, columns, &tile) };
                    }
                }
            }
        });
    }
}
