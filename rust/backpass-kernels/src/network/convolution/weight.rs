//! The gradient with respect to the weight: a product whose rows are the window's elements.

use super::frame::{Layout, framed, slivers};
use super::tile::{Left, ROWS, Run, Start, Tile, run_tile};
use super::{Images, Windows};
use crate::isa::Isa;
use crate::matmul::{Limits, Matrix, cut, pack};
use crate::pool::Scratch;
use crate::real::Real;
use crate::threads::{self, Shared};

/// Places that are summed up in registers before they are added to the sums in memory.
const STRETCH: usize = 1024;
/// From so many uses on, an operand is worth copying.
const OFTEN: usize = 256;
/// Chunks for the threads to share, where there is work for so many.
const CHUNKS: usize = 16;

/// Some images, or some places of one.
struct Stretch {
    image: usize,
    run: Run,
}

/// The stretches of all images: so many images, or parts of an image, as make about [`STRETCH`]
/// places.
fn stretches(batch: usize, places: usize) -> Vec<Stretch> {
    let together = (STRETCH / places).max(1);
    let pieces = places.div_ceil(2 * STRETCH);
    let mut found = Vec::with_capacity(batch.div_ceil(together) * pieces);
    for image in (0..batch).step_by(together) {
        let all = together.min(batch - image) * places;
        for piece in 0..pieces {
            let (first, end) = (cut(all, pieces, piece), cut(all, pieces, piece + 1));
            found.push(Stretch { image, run: Run { first, count: end - first } });
        }
    }
    found
}

/// Where the window's corner meets some images, place by place.
fn corners(windows: &Windows, images: usize, steps: [isize; 3]) -> Vec<isize> {
    let Windows { places, stride, .. } = *windows;
    let mut corners = Vec::with_capacity(images * places[0] * places[1]);
    for image in 0..images {
        for i in 0..places[0] {
            let row = image as isize * steps[0] + (i * stride[0]) as isize * steps[1];
            corners.extend((0..places[1]).map(|j| row + (j * stride[1]) as isize * steps[2]));
        }
    }
    corners
}

/// `y`, of the output's shape, correlated with what the window has seen of `x`: a weight of
/// (out, channels / groups, *window).
///
/// # Safety
///
/// As for [`super::forward`].
pub unsafe fn weight<T: Real>(
    isa: Isa,
    windows: &Windows,
    y: Images<T>,
    x: Images<T>,
    out: *mut T,
) {
    let Windows { batch, channels, size, places, window, stride, dilation, before, .. } = *windows;
    // SAFETY: the caller vouches for the processor.
    let limits = unsafe { Limits::of::<T>(isa) };
    let left_operand = windows.left();
    let (groups, inner, outer) = match left_operand {
        Left::One => (windows.groups, windows.inner(), windows.outer()),
        Left::Each => (1, 1, channels),
    };
    let taps = window[0] * window[1];
    let (m, n) = (inner * taps, outer);
    let area = places[0] * places[1];

    let last = std::array::from_fn(|a| {
        ((places[a] - 1) * stride[a] + (window[a] - 1) * dilation[a]) as isize - before[a]
    });
    let shape = [batch, channels, size[0], size[1]];
    let [_, of_channel, _, of_column] = x.strides;
    let (layout, lies_well) = match left_operand {
        Left::Each => (Layout::ChannelsLast, channels == 1 || of_channel == 1),
        // Places that follow each other are read in turn.
        Left::One => {
            let often = taps * outer >= OFTEN;
            (Layout::ByChannel, of_channel.abs() >= of_column.abs() || !often)
        }
    };
    // SAFETY: the operands are the caller's.
    let (x, y) = unsafe {
        let x = framed(isa, shape, x, before.map(|n| -n), last, layout, lies_well);
        let shape = [batch, windows.out, places[0], places[1]];
        (x, slivers(isa, shape, groups, y, limits.pair(), m >= OFTEN))
    };
    let [of_image, of_channel, of_row, of_column] = x.images.strides;

    // Rows near each other in memory go into one tile: elements of a channel, or channels of an
    // element.
    let by_channel = taps == 1 || inner == 1 || of_channel.abs() > of_column.abs();
    let (of_i, of_j) = (dilation[0] as isize * of_row, dilation[1] as isize * of_column);
    let rows: Vec<isize> = (0..m)
        .map(|row| {
            let (c, tap) =
                if by_channel { (row / taps, row % taps) } else { (row % inner, row / inner) };
            let (i, j) = (tap / window[1], tap % window[1]);
            c as isize * of_channel + i as isize * of_i + j as isize * of_j
        })
        .collect();
    let together = (STRETCH / area).clamp(1, batch);
    let columns = corners(windows, together, [of_image, of_row, of_column]);

    let stretches = stretches(batch, area);
    let (panels, slivers) = (m.div_ceil(limits.rows), n.div_ceil(limits.pair()));
    // A sum over many places is cut where there are few tiles: its parts are added up later.
    let tiles = panels * slivers * groups;
    let parts = CHUNKS.div_ceil(tiles).min(stretches.len());
    let pieces = CHUNKS.div_ceil(parts * slivers * groups).min(panels);
    let sums = Scratch::<T>::new(parts * groups * m * n);
    // SAFETY: each chunk writes a part of its own.
    let (sums, from, y, out) = unsafe {
        (Shared::new(sums.as_ptr()), Shared::new(x.images.data), Shared::new(&y), Shared::new(out))
    };
    let nanoseconds = groups * m * n * batch * area * size_of::<T>() / 4 / 80;
    threads::run(parts * groups * slivers * pieces, nanoseconds, &|chunk| {
        let (chunk, piece) = (chunk / pieces, chunk % pieces);
        let (chunk, sliver) = (chunk / slivers, chunk % slivers);
        let (part, group) = (chunk / groups, chunk % groups);
        let left = sliver * limits.pair();
        let width = limits.pair().min(n - left);
        let x = from.get().wrapping_offset(match left_operand {
            Left::One => (group * inner) as isize * of_channel,
            Left::Each => left as isize,
        });
        let sums = sums.get().wrapping_add((part * groups + group) * m * n + left);
        let count = stretches.len();
        let own = cut(count, parts, part)..cut(count, parts, part + 1);
        let mut tile = Tile {
            rows: [x; ROWS],
            columns: columns.as_ptr(),
            runs: &[],
            b: x,
            b_rows: 0,
            outs: [sums; ROWS],
            start: Start::Zero,
            left: left_operand,
        };
        for stretch in &stretches[own] {
            let x = x.wrapping_offset(stretch.image as isize * of_image);
            (tile.b, tile.b_rows) = y.get().at(stretch.image * area, group * outer + left, width);
            tile.runs = std::slice::from_ref(&stretch.run);
            for panel in cut(panels, pieces, piece)..cut(panels, pieces, piece + 1) {
                let (up, down) = (cut(m, panels, panel), cut(m, panels, panel + 1));
                for (row, (from, to)) in (up..down).zip(tile.rows.iter_mut().zip(&mut tile.outs)) {
                    *from = x.wrapping_offset(rows[row]);
                    *to = sums.wrapping_add(row * n);
                }
                // SAFETY: within the operands.
                unsafe { run_tile(isa, limits, down - up, width, &tile) };
            }
            tile.start = Start::Output;
        }
    });
    let order = Order { inner, taps, by_channel };
    threads::run(groups, groups * m * n * parts, &|group| {
        // SAFETY: within the sums and the output.
        unsafe {
            let size = m * n;
            let sums = sums.get().add(group * size);
            order.finish(isa, n, (sums, parts, groups * size), out.get().add(group * size));
        }
    });
}

/// How the rows of the product follow each other: channels, or elements of the window, innermost.
struct Order {
    inner: usize,
    taps: usize,
    by_channel: bool,
}

impl Order {
    /// Adds up the parts of the sums, which lie `step` elements apart, and turns them into a weight.
    unsafe fn finish<T: Real>(
        &self,
        isa: Isa,
        n: usize,
        (sums, parts, step): (*mut T, usize, usize),
        out: *mut T,
    ) {
        let Self { inner, taps, by_channel } = *self;
        let m = inner * taps;
        // SAFETY: the caller vouches for the sums and the output.
        unsafe {
            for part in 1..parts {
                for i in 0..m * n {
                    *sums.add(i) = *sums.add(i) + *sums.add(part * step + i);
                }
            }
            let ordered = (!by_channel).then(|| Scratch::<T>::new(m * n));
            let mut rows = sums.cast_const();
            if let Some(ordered) = &ordered {
                for tap in 0..taps {
                    let data = rows.add(tap * inner * n);
                    let from = Matrix { data, rows: n as isize, columns: 1 };
                    pack(isa, from, inner, n, ordered.as_ptr().add(tap * n), taps * n);
                }
                rows = ordered.as_ptr();
            }
            let from = Matrix { data: rows, rows: 1, columns: n as isize };
            pack(isa, from, n, m, out, m);
        }
    }
}
