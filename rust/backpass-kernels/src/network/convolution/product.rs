//! Products of windows with a weight.

use super::dots::{self, Dots, FEW, run_dots};
use super::spans::Span;
use super::tile::{Left, ROWS, Run, Start, Tile, run_tile};
use crate::isa::Isa;
use crate::matmul::{Limits, Matrix, cut, pack};
use crate::pool::Scratch;
use crate::real::Real;
use crate::threads::{self, Shared};

/// What of images and outputs is worked on at a time, so that it stays in the second-level cache.
const NEAR: usize = 512 << 10;
/// The most panels of rows that one chunk takes.
const GROUP: usize = 12;
/// Chunks for the threads to share, where there is work for so many.
const CHUNKS: usize = 8;

/// A weight as the right operand: rows by the window's elements and an outer channel, a column for
/// each inner one.
#[derive(Clone, Copy)]
pub(super) struct Weight<T> {
    pub data: *const T,
    /// From group to group.
    pub group: isize,
    /// The outer channels, and from one to the next.
    pub outer: (usize, isize),
    /// The window's elements, along both axes.
    pub window: [usize; 2],
    /// From one to the next.
    pub steps: [isize; 2],
    /// The inner channels, and from one to the next.
    pub inner: (usize, isize),
}

impl<T: Real> Weight<T> {
    /// The number of rows.
    pub fn depth(&self) -> usize {
        self.outer.0 * self.window[0] * self.window[1]
    }

    /// Packs some columns of a group: rows that follow each other.
    unsafe fn pack(&self, isa: Isa, group: usize, left: usize, columns: usize, to: *mut T) {
        let Self { outer: (outer, of_outer), inner: (_, of_inner), .. } = *self;
        let [height, width] = self.window;
        let [of_row, of_column] = self.steps;
        let offset = group as isize * self.group + left as isize * of_inner;
        let from = self.data.wrapping_offset(offset);
        let whole = of_row == of_column * width as isize;
        if height * width == 1 || of_outer == 1 || of_inner == 1 || !(whole || height == 1) {
            for i in 0..height {
                for j in 0..width {
                    let offset = i as isize * of_row + j as isize * of_column;
                    let data = from.wrapping_offset(offset);
                    let from = Matrix { data, rows: of_outer, columns: of_inner };
                    let to = to.wrapping_add((i * width + j) * outer * columns);
                    // SAFETY: within the weight, and there is room.
                    unsafe { pack(isa, from, outer, columns, to, columns) };
                }
            }
            return;
        }
        // The window's elements lie together: all of them, turned, and then each to its place.
        let taps = height * width;
        let turned = Scratch::<T>::new(taps * columns);
        for o in 0..outer {
            let data = from.wrapping_offset(o as isize * of_outer);
            let from = Matrix { data, rows: of_column, columns: of_inner };
            let turned = turned.as_ptr();
            let rows = Matrix { data: turned.cast_const(), rows: columns as isize, columns: 1 };
            let to = to.wrapping_add(o * columns);
            // SAFETY: within the weight, and there is room.
            unsafe {
                pack(isa, from, taps, columns, turned, columns);
                pack(isa, rows, taps, columns, to, outer * columns);
            }
        }
    }
}

/// Images, or an output, along batch, rows and columns; in elements.
#[derive(Clone, Copy)]
pub(super) struct Steps(pub [isize; 3]);

impl Steps {
    #[inline(always)]
    fn at(&self, image: usize, row: isize, column: isize) -> isize {
        let Self([of_image, of_row, of_column]) = *self;
        image as isize * of_image + row * of_row + column * of_column
    }
}

/// Products, one for each group of channels.
pub(super) struct Product<'a, T> {
    pub isa: Isa,
    pub batch: usize,
    pub groups: usize,
    /// Positions of the output along rows and columns.
    pub spans: [&'a [Span]; 2],
    /// What they meet.
    pub x: *const T,
    pub x_steps: Steps,
    /// From group to group.
    pub x_group: isize,
    /// Whether every channel is a group, and all of them together one here.
    pub left: Left,
    /// Where, from what the window's corner meets on, its elements are, for each outer channel.
    pub columns: &'a [isize],
    pub weight: Weight<T>,
    /// For each inner channel of all groups; may be null.
    pub bias: *const T,
    pub out: *mut T,
    /// The output's channels are contiguous.
    pub out_steps: Steps,
    /// Bytes of an image and of its output.
    pub bytes: usize,
}

// SAFETY: threads only read the operands, and each chunk writes a part of the output of its own.
unsafe impl<T> Sync for Product<'_, T> {}

/// Positions at which the window meets the same: some spans' along rows, some along columns.
struct Region<'a> {
    spans: [&'a Span; 2],
    runs: Vec<Run>,
}

impl Region<'_> {
    fn count(&self) -> usize {
        self.spans[0].count * self.spans[1].count
    }
}

impl<T: Real> Product<'_, T> {
    /// The same, with groups of one channel as the columns of one group.
    pub fn together(mut self) -> Self {
        if self.left == Left::Each {
            self.weight.inner = (self.groups, self.weight.group);
            self.groups = 1;
        }
        self
    }

    /// Computes it.
    ///
    /// # Safety
    ///
    /// The operands are readable where the spans lead; the output is writeable and overlaps none of
    /// them; the processor has `isa`.
    pub unsafe fn run(&self) {
        let Self { isa, batch, groups, weight, .. } = *self;
        // SAFETY: the caller vouches for the processor.
        let limits = unsafe { Limits::of::<T>(isa) };
        let (k, n) = (weight.depth(), weight.inner.0);
        let slivers = n.div_ceil(limits.pair());
        let packed = Scratch::<T>::new(groups * k * n);
        // SAFETY: each chunk writes a sliver of its own, and they are read when all are done.
        let packed = unsafe { Shared::new(packed.as_ptr()) };
        let sliver = |index: usize| {
            let (group, left) = (index / slivers, index % slivers * limits.pair());
            let columns = limits.pair().min(n - left);
            let place = packed.get().wrapping_add(k * (group * n + left));
            (group, left, columns, place)
        };
        threads::run(groups * slivers, groups * k * n * size_of::<T>() / 16, &|chunk| {
            let (group, left, columns, place) = sliver(chunk);
            // SAFETY: within the weight, and there is room.
            unsafe { self.weight.pack(isa, group, left, columns, place) };
        });
        let few = self.has_few_columns(limits);
        let turned = few.then(|| Scratch::<T>::new(groups * k * n));
        if let Some(turned) = &turned {
            for group in 0..groups {
                let (_, _, _, place) = sliver(group);
                let from = Matrix { data: place.cast_const(), rows: 1, columns: n as isize };
                let to = turned.as_ptr().wrapping_add(group * k * n);
                // SAFETY: within the packed weight, and there is room.
                unsafe { pack(isa, from, n, k, to, k) };
            }
        }
        // SAFETY: threads only read it.
        let turned = turned.as_ref().map(|turned| unsafe { Shared::new(turned.as_ptr()) });
        let regions = self.regions();
        let multiplications: usize = regions
            .iter()
            .map(|region| region.count() * region.runs.iter().map(|run| run.count).sum::<usize>())
            .sum();
        let nanoseconds = groups * batch * n * multiplications * size_of::<T>() / 4 / 80;
        let stages = (batch * self.bytes).div_ceil(NEAR).clamp(1, batch);
        for stage in 0..stages {
            let (first, end) = (cut(batch, stages, stage), cut(batch, stages, stage + 1));
            let panels: usize = regions
                .iter()
                .map(|region| ((end - first) * region.count()).div_ceil(limits.rows))
                .sum();
            let pieces = panels.div_ceil(GROUP).max(CHUNKS.min(panels));
            let parts = CHUNKS.div_ceil(pieces).min(groups * slivers);
            threads::run(pieces * parts, nanoseconds / stages, &|chunk| {
                let (piece, part) = (chunk / parts, chunk % parts);
                let (from, to) = (cut(panels, pieces, piece), cut(panels, pieces, piece + 1));
                let all = groups * slivers;
                for index in cut(all, parts, part)..cut(all, parts, part + 1) {
                    let (group, left, columns, b) = sliver(index);
                    let channel = group * n + left;
                    let x = match self.left {
                        Left::One => self.x.wrapping_offset(group as isize * self.x_group),
                        Left::Each => self.x.wrapping_add(left),
                    };
                    let start = if self.bias.is_null() {
                        Start::Zero
                    } else {
                        Start::Bias(self.bias.wrapping_add(channel))
                    };
                    let out = self.out.wrapping_add(channel);
                    let mut tile = Tile {
                        rows: [x; ROWS],
                        columns: self.columns.as_ptr(),
                        runs: &[],
                        b,
                        b_rows: columns,
                        outs: [out; ROWS],
                        start,
                        left: self.left,
                    };
                    let mut before = 0;
                    for region in &regions {
                        tile.runs = &region.runs;
                        let m = (end - first) * region.count();
                        let own = m.div_ceil(limits.rows);
                        for panel in from.max(before)..to.min(before + own) {
                            let panel = panel - before;
                            let (up, down) = (cut(m, own, panel), cut(m, own, panel + 1));
                            self.locate(region, first, (up, down - up), (x, out), &mut tile);
                            // SAFETY: within the operands.
                            unsafe {
                                if let Some(turned) = &turned {
                                    self.dots(group, turned.get(), down - up, &tile);
                                } else {
                                    run_tile(isa, limits, down - up, columns, &tile);
                                }
                            }
                        }
                        before += own;
                    }
                }
            });
        }
    }

    /// Whether a vector would hold a few columns only, while the channels that are summed over fill
    /// some.
    fn has_few_columns(&self, limits: Limits) -> bool {
        let outer = self.weight.outer.0;
        self.left == Left::One
            && self.weight.inner.0 <= FEW.min(limits.lanes - 1)
            && outer >= limits.lanes / 2
            && outer > 1
            && self.columns[1] == self.columns[0] + 1
    }

    /// A tile of a few columns; `b` are the transposed weights of all groups.
    unsafe fn dots(&self, group: usize, b: *const T, count: usize, tile: &Tile<'_, T>) {
        let Self { isa, weight, bias, .. } = *self;
        let (k, n) = (weight.depth(), weight.inner.0);
        for first in (0..count).step_by(dots::ROWS) {
            let rows = first..count.min(first + dots::ROWS);
            let dots = Dots {
                rows: &tile.rows[rows.clone()],
                columns: self.columns,
                runs: tile.runs,
                channels: weight.outer.0,
                b: b.wrapping_add(group * k * n),
                b_column: k,
                bias: if bias.is_null() { bias } else { bias.wrapping_add(group * n) },
                outs: &tile.outs[rows],
            };
            // SAFETY: the operands are the caller's.
            unsafe { run_dots(isa, n, dots) };
        }
    }

    /// Every pair of spans, and what the window meets there.
    fn regions(&self) -> Vec<Region<'_>> {
        let [height, width] = self.weight.window;
        let outer = self.weight.outer.0;
        debug_assert_eq!(self.columns.len(), height * width * outer);
        let [vertical, horizontal] = self.spans;
        let mut regions = Vec::with_capacity(vertical.len() * horizontal.len());
        for rows in vertical {
            for columns in horizontal {
                let mut runs: Vec<Run> = Vec::new();
                for i in &rows.taps {
                    for j in &columns.taps {
                        let first = (i * width + j) * outer;
                        match runs.last_mut() {
                            Some(last) if last.first + last.count == first => last.count += outer,
                            _ => runs.push(Run { first, count: outer }),
                        }
                    }
                }
                regions.push(Region { spans: [rows, columns], runs });
            }
        }
        regions
    }

    /// Points a tile to `count` rows of a region from row `first` on, and to their outputs.
    #[inline(always)]
    fn locate(
        &self,
        region: &Region<'_>,
        image: usize,
        (first, count): (usize, usize),
        (x, out): (*const T, *mut T),
        tile: &mut Tile<'_, T>,
    ) {
        let [vertical, horizontal] = region.spans;
        let (line, mut j) = (first / horizontal.count, first % horizontal.count);
        let (mut image, mut i) = (image + line / vertical.count, line % vertical.count);
        let x_step = horizontal.meets_step as isize * self.x_steps.0[2];
        let out_step = horizontal.step as isize * self.out_steps.0[2];
        let mut r = 0;
        while r < count {
            let (meets_row, row) = vertical.at(i);
            let (meets_column, column) = horizontal.at(j);
            let mut x = x.wrapping_offset(self.x_steps.at(image, meets_row, meets_column));
            let mut out = out.wrapping_offset(self.out_steps.at(image, row, column));
            let end = count.min(r + horizontal.count - j);
            for (from, to) in tile.rows[r..end].iter_mut().zip(&mut tile.outs[r..end]) {
                (*from, *to) = (x, out);
                x = x.wrapping_offset(x_step);
                out = out.wrapping_offset(out_step);
            }
            (r, i, j) = (end, i + 1, 0);
            if i == vertical.count {
                (image, i) = (image + 1, 0);
            }
        }
    }
}
