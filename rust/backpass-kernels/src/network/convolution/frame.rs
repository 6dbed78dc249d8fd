//! Images copied: with a border of zeros, and to where a product reads them best.

use super::Images;
use crate::isa::Isa;
use crate::matmul::{Matrix, pack};
use crate::pool::Scratch;
use crate::real::Real;
use crate::threads::{self, Shared};

/// Images whose rows and columns go from some first to some last one, and the memory they are in if
/// that is a copy.
pub(super) struct Framed<T> {
    pub images: Images<T>,
    _memory: Option<Scratch<T>>,
}

/// How a copy of images lies in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Each channel for itself.
    ByChannel,
    /// With the channels innermost.
    ChannelsLast,
}

/// The images from row and column `first` to `last`, zero outside of them: where they lie if they
/// have all of these and `lies_well`, else a copy.
///
/// # Safety
///
/// The images, of `shape`, are readable; the processor has `isa`.
pub(super) unsafe fn framed<T: Real>(
    isa: Isa,
    shape: [usize; 4],
    x: Images<T>,
    first: [isize; 2],
    last: [isize; 2],
    layout: Layout,
    lies_well: bool,
) -> Framed<T> {
    let [batch, channels, height, width] = shape;
    let [of_image, of_channel, of_row, of_column] = x.strides;
    let all_there = (0..2).all(|a| first[a] >= 0 && last[a] < [height, width][a] as isize);
    if all_there && lies_well {
        let data = x.data.wrapping_offset(first[0] * of_row + first[1] * of_column);
        return Framed { images: Images { data, ..x }, _memory: None };
    }
    let [rows, columns] = std::array::from_fn(|a| (last[a] - first[a] + 1) as usize);
    // What lies inside, in rows and columns of the copy.
    let inside = |a: usize, n: usize, count: usize| {
        let start = (-first[a]).clamp(0, count as isize);
        let end = (n as isize - first[a]).clamp(start, count as isize);
        (start as usize, end as usize)
    };
    let ((top, bottom), (left, right)) = (inside(0, height, rows), inside(1, width, columns));
    let whole = right - left == columns && of_row == of_column * columns as isize;
    let (lines, length) =
        if whole { (1, (bottom - top) * columns) } else { (bottom - top, right - left) };
    let plane = rows * columns;
    let size = channels * plane;
    let steps = match layout {
        Layout::ByChannel => [size, plane, columns, 1],
        Layout::ChannelsLast => [size, 1, columns * channels, channels],
    };
    let memory = Scratch::<T>::new(batch * size);
    // SAFETY: each chunk writes an image of its own; threads only read the images.
    let (from, to) = unsafe { (Shared::new(x.data), Shared::new(memory.as_ptr())) };
    threads::run(batch, batch * size * size_of::<T>() / 8, &|image| {
        let from = from.get().wrapping_offset(
            image as isize * of_image
                + (top as isize + first[0]) * of_row
                + (left as isize + first[1]) * of_column,
        );
        // SAFETY: within the images and the copy.
        unsafe {
            let to = to.get().add(image * size);
            if (bottom - top) * (right - left) < plane {
                to.write_bytes(0, size);
            }
            for line in 0..lines {
                let data = from.wrapping_offset(line as isize * of_row);
                let from = Matrix { data, rows: of_channel, columns: of_column };
                let to = to.add((top + line) * steps[2] + left * steps[3]);
                match layout {
                    Layout::ByChannel => pack(isa, from, channels, length, to, plane),
                    Layout::ChannelsLast => {
                        pack(isa, from.transposed(), length, channels, to, channels);
                    }
                }
            }
        }
    });
    let images = Images { data: memory.as_ptr().cast_const(), strides: steps.map(|n| n as isize) };
    Framed { images, _memory: Some(memory) }
}

/// Images with contiguous channels, all of them or in slivers; and the memory they are in if that is a
/// copy.
pub(super) struct Slivers<T> {
    data: *const T,
    places: usize,
    /// Elements from place to place where all channels lie together.
    line: Option<usize>,
    _memory: Option<Scratch<T>>,
}

impl<T> Slivers<T> {
    /// The part that begins at a place and a channel, the first of a sliver of `width` channels; and
    /// the elements from place to place.
    #[inline(always)]
    pub fn at(&self, place: usize, channel: usize, width: usize) -> (*const T, usize) {
        match self.line {
            Some(line) => (self.data.wrapping_add(place * line + channel), line),
            None => (self.data.wrapping_add(channel * self.places + place * width), width),
        }
    }
}

/// The images in slivers of at most `width` channels of a group: where they lie if their channels lie
/// together and slivers are not worth while, else copied.
///
/// # Safety
///
/// The images, of `shape`, are readable; the processor has `isa`.
pub(super) unsafe fn slivers<T: Real>(
    isa: Isa,
    shape: [usize; 4],
    groups: usize,
    y: Images<T>,
    width: usize,
    worth: bool,
) -> Slivers<T> {
    let [batch, channels, height, columns] = shape;
    let [of_image, of_channel, of_row, of_column] = y.strides;
    let mut step = 1;
    let mut dense = true;
    for a in [1, 3, 2, 0] {
        dense &= shape[a] == 1 || y.strides[a] == step;
        step *= shape[a] as isize;
    }
    let places = batch * height * columns;
    if dense && !(worth && channels > width) {
        return Slivers { data: y.data, places, line: Some(channels), _memory: None };
    }
    let outer = channels / groups;
    let memory = Scratch::<T>::new(places * channels);
    // SAFETY: each chunk writes the places of an image of its own; threads only read the images.
    let (from, to) = unsafe { (Shared::new(y.data), Shared::new(memory.as_ptr())) };
    threads::run(batch, places * channels * size_of::<T>() / 8, &|image| {
        let whole = of_row == of_column * columns as isize;
        let (lines, length) = if whole { (1, height * columns) } else { (height, columns) };
        for group in 0..groups {
            for left in (0..outer).step_by(width) {
                let channel = group * outer + left;
                let width = width.min(outer - left);
                for line in 0..lines {
                    let data = from.get().wrapping_offset(
                        image as isize * of_image
                            + channel as isize * of_channel
                            + line as isize * of_row,
                    );
                    let from = Matrix { data, rows: of_column, columns: of_channel };
                    let place = (image * height + line) * columns;
                    let to = to.get().wrapping_add(channel * places + place * width);
                    // SAFETY: within the images and the copy.
                    unsafe { pack(isa, from, length, width, to, width) };
                }
            }
        }
    });
    Slivers { data: memory.as_ptr(), places, line: None, _memory: Some(memory) }
}

/// The images with contiguous channels, where they lie or copied.
///
/// # Safety
///
/// As for [`framed`].
pub(super) unsafe fn channels_last<T: Real>(
    isa: Isa,
    shape: [usize; 4],
    x: Images<T>,
) -> Framed<T> {
    let [_, channels, height, width] = shape;
    let last = [height, width].map(|n| n as isize - 1);
    let lies_well = channels == 1 || x.strides[1] == 1;
    // SAFETY: the caller's.
    unsafe { framed(isa, shape, x, [0; 2], last, Layout::ChannelsLast, lies_well) }
}
