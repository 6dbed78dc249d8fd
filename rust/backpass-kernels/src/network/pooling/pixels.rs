//! Pooling with the channels innermost, vector by vector, and of planes, several side by side.

use std::marker::PhantomData;

use super::axis::{Axis, Tap};
use super::operation::{Arrays, Operation, Winners};
use crate::isa::{Isa, Kernel, dispatch};
use crate::pool::Scratch;
use crate::real::Real;
use crate::simd::Simd;
use crate::transpose::Turned;

/// Some rows of the targets of one image after the other.
#[derive(Clone, Copy)]
pub struct Lines<'a, O, T> {
    pub arrays: Arrays<T>,
    pub rows: &'a Axis,
    pub columns: &'a Axis,
    /// The width of a window, by which the rows' numbers count.
    pub width: usize,
    pub channels: usize,
    /// The first and the last row, counted over all images.
    pub first: usize,
    pub last: usize,
    pub operation: PhantomData<O>,
}

impl<O: Operation<T>, T: Real> Kernel<T> for Lines<'_, O, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let (height, length) = (self.rows.targets(), self.columns.targets());
        let source = self.rows.sources * self.columns.sources * self.channels;
        for line in self.first..self.last {
            let (image, row) = (line / height, line % height);
            let taps = self.rows.taps(row);
            for column in 0..length {
                let pixel = Pixel {
                    rows: taps,
                    columns: self.columns.taps(column),
                    count: self.rows.count(row) * self.columns.count(column),
                    source: image * source,
                    target: (line * length + column) * self.channels,
                };
                // SAFETY: the pixel lies within the arrays.
                unsafe { self.pixel(s, &pixel) };
            }
        }
    }
}

/// A target.
struct Pixel<'a> {
    rows: &'a [Tap],
    columns: &'a [Tap],
    count: usize,
    /// Where its image's sources begin.
    source: usize,
    target: usize,
}

impl<O: Operation<T>, T: Real> Lines<'_, O, T> {
    #[inline(always)]
    unsafe fn pixel<S: Simd<T>>(&self, s: S, pixel: &Pixel) {
        let whole = self.channels / S::LANES * S::LANES;
        // SAFETY: the channels are there.
        unsafe {
            for channel in (0..whole).step_by(S::LANES) {
                self.vector(s, pixel, channel, S::LANES);
            }
            if whole < self.channels {
                self.vector(s, pixel, whole, self.channels - whole);
            }
        }
    }

    #[inline(always)]
    unsafe fn vector<S: Simd<T>>(&self, s: S, pixel: &Pixel, channel: usize, n: usize) {
        let width = self.columns.sources;
        let (source, target) = (pixel.source + channel, pixel.target + channel);
        let first = match (pixel.rows.first(), pixel.columns.first()) {
            (Some(row), Some(column)) => row.number * self.width + column.number,
            _ => 0,
        };
        // SAFETY: the caller's.
        unsafe {
            let mut state = O::start(s, &self.arrays, target, n, first);
            for row in pixel.rows {
                for column in pixel.columns {
                    let source = source + (row.at * width + column.at) * self.channels;
                    let number = row.number * self.width + column.number;
                    let count = row.count * column.count;
                    state = O::see(s, &self.arrays, state, source, n, number, count);
                }
            }
            O::finish(s, &self.arrays, state, target, n, pixel.count);
        }
    }
}

/// Planes that are pooled side by side: the lanes of the widest vector of float32.
pub const TOGETHER: usize = 16;

/// The planes from `first` to `last`, at most [`TOGETHER`], brought side by side and back again.
///
/// # Safety
///
/// The planes lie within the arrays; the processor has `isa`.
pub unsafe fn planes<O: Operation<T>, T: Real>(
    isa: Isa,
    arrays: Arrays<T>,
    rows: &Axis,
    columns: &Axis,
    width: usize,
    (first, last): (usize, usize),
) {
    let count = last - first;
    let sources = rows.sources * columns.sources;
    let targets = rows.targets() * columns.targets();
    let (source, target) = (Scratch::<T>::new(sources * count), Scratch::<T>::new(targets * count));
    let watched = if O::WINNERS == Winners::OfSource { sources } else { targets };
    let winner = Scratch::<u8>::new(watched * count);
    let winners = arrays.winner.wrapping_add(first * watched);
    // SAFETY: the scratch arrays have room for `count` planes, which lie in the arrays.
    unsafe {
        dispatch(
            isa,
            Turned {
                from: arrays.source.add(first * sources),
                step: sources,
                rows: count,
                columns: sources,
                to: source.as_ptr(),
                line: count,
            },
        );
        if matches!(O::WINNERS, Winners::OfTarget | Winners::OfSource) {
            turn_bytes(winners, winner.as_ptr(), count, watched);
        }
        dispatch(
            isa,
            Lines {
                arrays: Arrays {
                    source: source.as_ptr(),
                    target: target.as_ptr(),
                    winner: winner.as_ptr(),
                },
                rows,
                columns,
                width,
                channels: count,
                first: 0,
                last: rows.targets(),
                operation: PhantomData::<O>,
            },
        );
        dispatch(
            isa,
            Turned {
                from: target.as_ptr(),
                step: count,
                rows: targets,
                columns: count,
                to: arrays.target.add(first * targets),
                line: targets,
            },
        );
        if O::WINNERS == Winners::Made {
            turn_bytes(winner.as_ptr(), winners, watched, count);
        }
    }
}

/// A matrix of bytes, transposed.
///
/// # Safety
///
/// Both hold it.
unsafe fn turn_bytes(from: *const u8, to: *mut u8, rows: usize, columns: usize) {
    for row in 0..rows {
        for column in 0..columns {
            // SAFETY: the caller's.
            unsafe { *to.add(column * rows + row) = *from.add(row * columns + column) };
        }
    }
}
