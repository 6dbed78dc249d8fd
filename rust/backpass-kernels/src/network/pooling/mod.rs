//! Pooling: the largest element that a window sees, or the mean of all, and both transposed.
//!
//! Every kernel gathers: a target reads the sources that [`Axis`] lists for it, forwards those that
//! its window sees, backwards the windows that see it. So each element is written once, by one
//! thread, and sums have a fixed order. Images have their channels innermost; planes, whose columns
//! are innermost, are brought side by side, but for windows of two by two ([`pairs`]).

pub mod axis;
mod operation;
mod pairs;
mod pixels;

use std::marker::PhantomData;

pub use axis::{Axis, Window};
pub use operation::Arrays;

use crate::isa::{Isa, dispatch};
use crate::real::Real;
use crate::threads::{self, Shared};
use operation::{Largest, Mean, Operation, Picked, Spread, Won};
use pairs::{Paired, Pairs};
use pixels::{Lines, TOGETHER, planes};

/// A way of pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest element, and its number in the window; the first nan if there is one.
    Largest,
    /// The element that won.
    Picked,
    /// The sum of what the windows gave that the element won.
    Won,
    /// The mean.
    Mean,
    /// The sum of what the windows gave, each spread evenly.
    Spread,
}

/// Images: `outer` times rows and columns of `channels` that lie beside each other.
#[derive(Clone, Copy, Debug)]
pub struct Images {
    /// How many, one after the other.
    pub outer: usize,
    /// Numbers of a pixel: 1 where planes lie one after the other.
    pub channels: usize,
}

/// Elements of a chunk, at least.
const CHUNK: usize = 8192;
/// Chunks of a job, at most.
const MOST_CHUNKS: usize = 64;
/// Larger planes are not brought side by side.
const LARGE: usize = 1 << 18;

/// Pools images; `width` is the width of the window.
///
/// # Safety
///
/// The arrays hold the images as both axes say; what is written overlaps nothing that is read; the
/// processor has `isa`.
pub unsafe fn pool<T: Real>(
    isa: Isa,
    pooling: Pooling,
    images: Images,
    axes: [&Axis; 2],
    width: usize,
    arrays: Arrays<T>,
) {
    let job = Job { isa, images, rows: axes[0], columns: axes[1], width, arrays };
    // SAFETY: the caller vouches for all of it.
    unsafe {
        match pooling {
            Pooling::Largest => job.run::<Largest>(Some(Paired::Largest)),
            Pooling::Picked => job.run::<Picked>(None),
            Pooling::Won => job.run::<Won>(Some(Paired::Won)),
            Pooling::Mean => job.run::<Mean>(Some(Paired::Mean)),
            Pooling::Spread => job.run::<Spread>(Some(Paired::Spread)),
        }
    }
}

struct Job<'a, T> {
    isa: Isa,
    images: Images,
    rows: &'a Axis,
    columns: &'a Axis,
    width: usize,
    arrays: Arrays<T>,
}

impl<T: Real> Job<'_, T> {
    unsafe fn run<O: Operation<T>>(&self, paired: Option<Paired>) {
        let Self { isa, images: Images { outer, channels }, rows, columns, width, .. } = *self;
        let sources = rows.sources * columns.sources;
        let targets = rows.targets() * columns.targets();
        if outer * channels * targets == 0 {
            return;
        }
        let size = outer * channels * sources.max(targets);
        let time = size * size_of::<T>() / 16;
        if channels == 1
            && rows.paired
            && columns.paired
            && sources * targets > 0
            && let Some(paired) = paired
        {
            // SAFETY: the caller's.
            return unsafe { self.pairs(paired, time) };
        }
        // SAFETY: each chunk writes targets of its own.
        let shared = unsafe { Shared::new(self.arrays) };
        let most = (size / CHUNK).clamp(1, MOST_CHUNKS);
        if channels == 1 && outer > 1 && sources.max(targets) <= LARGE {
            let groups = outer.div_ceil(TOGETHER);
            let chunks = groups.min(most);
            return threads::run(chunks, 4 * time, &|chunk| {
                for group in groups * chunk / chunks..groups * (chunk + 1) / chunks {
                    let span = (group * TOGETHER, outer.min((group + 1) * TOGETHER));
                    // SAFETY: the caller's.
                    unsafe { planes::<O, T>(isa, shared.get(), rows, columns, width, span) };
                }
            });
        }
        let lines = outer * rows.targets();
        let chunks = lines.min(most);
        threads::run(chunks, 2 * time, &|chunk| {
            let part = Lines {
                arrays: shared.get(),
                rows,
                columns,
                width,
                channels,
                first: lines * chunk / chunks,
                last: lines * (chunk + 1) / chunks,
                operation: PhantomData::<O>,
            };
            // SAFETY: the caller's.
            unsafe { dispatch(isa, part) };
        });
    }

    /// Windows of two by two over planes.
    unsafe fn pairs(&self, paired: Paired, time: usize) {
        let forward = matches!(paired, Paired::Largest | Paired::Mean);
        let Self { isa, images: Images { outer, .. }, rows, columns, .. } = *self;
        let [sources, targets] =
            [[rows.sources, columns.sources], [rows.targets(), columns.targets()]];
        let (size, places) = if forward { (sources, targets) } else { (targets, sources) };
        let lines = outer * places[0];
        let chunks = lines.min((outer * size[0] * size[1] / CHUNK).clamp(1, MOST_CHUNKS));
        // SAFETY: each chunk writes rows of its own.
        let shared = unsafe { Shared::new(self.arrays) };
        threads::run(chunks, time, &|chunk| {
            let part = Pairs {
                paired,
                arrays: shared.get(),
                size,
                places,
                first: lines * chunk / chunks,
                last: lines * (chunk + 1) / chunks,
            };
            // SAFETY: the caller's.
            unsafe { dispatch(isa, part) };
        });
    }
}
