//! Rows of a table at indices, and rows added to a table at indices.
//!
//! Where an index is met twice its rows are added in their order, on any number of threads: each
//! thread has rows of the table.

use crate::along::{Axis, Row, is_large};
use crate::isa::{Isa, Kernel, dispatch};
use crate::pool::Scratch;
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// So many indices ahead, rows are asked for.
const AHEAD: usize = 3;

/// Which rows.
#[derive(Clone, Copy, Debug)]
pub struct Indices<'a> {
    /// Rows of the table.
    pub count: usize,
    /// Elements of a row.
    pub width: usize,
    /// Each from 0 to `count - 1`.
    pub indices: &'a [i64],
    /// The index whose row counts as zeros; negative if there is none.
    pub padding: i64,
}

struct Take<'a, T> {
    at: Indices<'a>,
    table: *const T,
    out: *mut T,
    /// Whether the output is written past the caches.
    past: bool,
}

impl<T: Real> Kernel<T> for Take<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Indices { width, indices, padding, .. } = self.at;
        let row = Row { len: width };
        for (i, &index) in indices.iter().enumerate() {
            // SAFETY: whoever made it vouches for the arrays.
            unsafe {
                let out = self.out.add(i * width);
                if index == padding {
                    out.write_bytes(0, width);
                    continue;
                }
                let from = self.table.add(index as usize * width);
                let ahead = indices
                    .get(i + AHEAD)
                    .map_or(from, |&index| self.table.wrapping_add(index as usize * width));
                row.each_to(
                    s,
                    out,
                    self.past,
                    #[inline(always)]
                    |k| {
                        s.prefetch(k.of(ahead));
                        row.load(s, from, k)
                    },
                );
            }
        }
        s.fence();
    }
}

/// The rows at the indices, one after the other, into `out`.
///
/// # Safety
///
/// `table` holds the rows, `out` room for one an index; they do not overlap; the processor has
/// `isa`.
pub unsafe fn take_rows<T: Real>(isa: Isa, at: Indices<'_>, table: *const T, out: *mut T) {
    let n = at.indices.len();
    let past = is_large::<T>(n * at.width);
    let part = (16_384 / at.width.max(1)).max(64);
    let nanoseconds = n * (2 + at.width * size_of::<T>() / 16);
    // SAFETY: each chunk writes rows of its own.
    let shared = unsafe { Shared::new((table, out)) };
    threads::run(n.div_ceil(part), nanoseconds, &|chunk| {
        let (table, out) = shared.get();
        let (first, last) = (chunk * part, n.min((chunk + 1) * part));
        let at = Indices { indices: &at.indices[first..last], ..at };
        let out = out.wrapping_add(first * at.width);
        // SAFETY: the caller vouches for the arrays and the processor.
        unsafe { dispatch(isa, Take { at, table, out, past }) };
    });
}

/// The rows of the table from `first` to `last`.
struct Add<'a, T> {
    at: Indices<'a>,
    first: usize,
    last: usize,
    y: *const T,
    out: *mut T,
    /// Whether a row of the table has been written, a byte each.
    seen: *mut u8,
}

impl<T: Real> Kernel<T> for Add<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { at: Indices { width, indices, padding, .. }, first, last, y, out, seen } = self;
        let row = Row { len: width };
        // SAFETY: whoever made it vouches for the arrays.
        unsafe {
            seen.add(first).write_bytes(0, last - first);
            for (i, &index) in indices.iter().enumerate() {
                let place = index as usize;
                if place.wrapping_sub(first) >= last - first || index == padding {
                    continue;
                }
                let (from, to) = (y.add(i * width), out.add(place * width));
                if *seen.add(place) == 0 {
                    *seen.add(place) = 1;
                    row.each(
                        s,
                        #[inline(always)]
                        |k| row.store(s, to, k, row.load(s, from, k)),
                    );
                } else {
                    row.each(
                        s,
                        #[inline(always)]
                        |k| row.store(s, to, k, s.add(row.load(s, to, k), row.load(s, from, k))),
                    );
                }
            }
            for place in first..last {
                if *seen.add(place) == 0 {
                    out.add(place * width).write_bytes(0, width);
                }
            }
        }
    }
}

/// A table of zeros with the rows of `y`, one after the other, added at the indices, into `out`.
///
/// # Safety
///
/// `y` holds a row for each index, `out` the table; they do not overlap; the processor has `isa`.
pub unsafe fn add_rows<T: Real>(isa: Isa, at: Indices<'_>, y: *const T, out: *mut T) {
    let Indices { count, width, indices, .. } = at;
    let seen = Scratch::<u8>::new(count);
    let nanoseconds = (indices.len() + count) * (2 + width * size_of::<T>() / 16);
    // Every chunk looks at all indices: so there are few.
    let threads = threads::num_threads();
    let chunks = if threads > 1 { (2 * threads).min(count) } else { 1 };
    // SAFETY: each chunk writes rows of its own.
    let shared = unsafe { Shared::new((y, out, seen.as_ptr())) };
    threads::run(chunks, nanoseconds, &|chunk| {
        let (y, out, seen) = shared.get();
        let (first, last) = (count * chunk / chunks, count * (chunk + 1) / chunks);
        // SAFETY: the caller vouches for the arrays and the processor.
        unsafe { dispatch(isa, Add { at, first, last, y, out, seen }) };
    });
}
