//! Images with a border of zeros.

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

/// The images from row and column `first` to `last`, zero outside of them: where they lie if they
/// have all of these, else a copy.
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
) -> Framed<T> {
    let [batch, channels, height, width] = shape;
    let [of_batch, of_channel, of_row, of_column] = x.strides;
    if (0..2).all(|a| first[a] >= 0 && last[a] < [height, width][a] as isize) {
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
    let memory = Scratch::<T>::new(batch * channels * rows * columns);
    // The copy's channels are the innermost if the images' are.
    let last_is_channel = channels == 1 || of_channel.abs() <= of_column.abs();
    let size = channels * rows * columns;
    let steps = if last_is_channel {
        [size, 1, columns * channels, channels]
    } else {
        [size, rows * columns, columns, 1]
    };
    // SAFETY: each chunk writes an image of its own.
    let to = unsafe { Shared::new(memory.as_ptr()) };
    // SAFETY: threads only read it.
    let from = unsafe { Shared::new(x.data) };
    threads::run(batch, batch * size * size_of::<T>() / 8, &|image| {
        let from = from.get().wrapping_offset(
            image as isize * of_batch
                + (top as isize + first[0]) * of_row
                + (left as isize + first[1]) * of_column,
        );
        let to = to.get().wrapping_add(image * size);
        let (planes, plane, line) = if last_is_channel {
            (1, 0, columns * channels)
        } else {
            (channels, rows * columns, columns)
        };
        let unit = line / columns;
        for p in 0..planes {
            let to = to.wrapping_add(p * plane);
            let from = from.wrapping_offset(p as isize * of_channel);
            // SAFETY: within the images and the copy.
            unsafe {
                to.write_bytes(0, top * line);
                for i in top..bottom {
                    let to = to.add(i * line);
                    to.write_bytes(0, left * unit);
                    to.add(right * unit).write_bytes(0, (columns - right) * unit);
                    let inside = to.add(left * unit);
                    let from = from.wrapping_offset((i - top) as isize * of_row);
                    let pixels = right - left;
                    if last_is_channel
                        && (channels == 1 || of_channel == 1)
                        && of_column == channels as isize
                    {
                        let run = Matrix { data: from, rows: 0, columns: 1 };
                        pack(isa, run, 1, pixels * channels, inside, 0);
                    } else if last_is_channel {
                        let from = Matrix { data: from, rows: of_column, columns: of_channel };
                        pack(isa, from, pixels, channels, inside, channels);
                    } else {
                        let from = Matrix { data: from, rows: 0, columns: of_column };
                        pack(isa, from, 1, pixels, inside, 0);
                    }
                }
                to.add(bottom * line).write_bytes(0, (rows - bottom) * line);
            }
        }
    });
    let images = Images { data: memory.as_ptr().cast_const(), strides: steps.map(|n| n as isize) };
    Framed { images, _memory: Some(memory) }
}
