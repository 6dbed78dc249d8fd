//! Blocks of elements read from, and added at, places in a list.
//!
//! Where a place is met twice the blocks are added in the list's order, on any number of threads.

use crate::along::{Axis, Row};
use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// Elements of a block that one thread adds, at least.
const PART: usize = 64;

/// What is read and written: `outer` arrays of `len` blocks of `block` elements, of which the blocks
/// at `places` are meant.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    /// Arrays.
    pub outer: usize,
    /// Blocks in an array.
    pub len: usize,
    /// Elements in a block.
    pub block: usize,
    /// Numbers of blocks.
    pub places: &'a [usize],
}

/// The blocks at the places, one after the other, into `out`.
///
/// # Safety
///
/// `x` has the arrays, `out` room for `outer` times the places; every place is below `len`.
pub unsafe fn gather<T: Real>(blocks: Blocks<'_>, x: *const T, out: *mut T) {
    let Blocks { outer, len, block, places } = blocks;
    let n = places.len();
    let nanoseconds = outer * n * (1 + block * size_of::<T>() / 32);
    // SAFETY: each chunk writes places of its own.
    let (from, to) = unsafe { (Shared::new(x), Shared::new(out)) };
    let chunks = n.div_ceil(512);
    threads::run(outer * chunks, nanoseconds, &|chunk| {
        let (o, chunk) = (chunk / chunks, chunk % chunks);
        let (first, last) = (chunk * 512, n.min((chunk + 1) * 512));
        // SAFETY: within the arrays and the output.
        unsafe {
            let x = from.get().add(o * len * block);
            let out = to.get().add((o * n + first) * block);
            if block == 1 {
                for (i, &place) in places[first..last].iter().enumerate() {
                    *out.add(i) = *x.add(place);
                }
            } else {
                for (i, &place) in places[first..last].iter().enumerate() {
                    let source = x.add(place * block);
                    source.copy_to_nonoverlapping(out.add(i * block), block);
                }
            }
        }
    });
}

/// Columns `first` to `last` of each block.
struct Add<'a, T> {
    blocks: Blocks<'a>,
    first: usize,
    last: usize,
    g: *const T,
    out: *mut T,
}

impl<T: Real> Kernel<T> for Add<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { blocks: Blocks { outer, len, block, places }, first, last, g, out } = self;
        let row = Row { len: last - first };
        for o in 0..outer {
            for (i, &place) in places.iter().enumerate() {
                // SAFETY: within the arrays.
                unsafe {
                    let from = g.add((o * places.len() + i) * block + first);
                    let to = out.add((o * len + place) * block + first);
                    row.each(
                        s,
                        #[inline(always)]
                        |k| row.store(s, to, k, s.add(row.load(s, to, k), row.load(s, from, k))),
                    );
                }
            }
        }
    }
}

/// The blocks of `g`, one after the other, added to those of `out` at the places.
///
/// # Safety
///
/// `out` has the arrays, `g` as many blocks as places for each of them; every place is below `len`;
/// they do not overlap; the processor has `isa`.
pub unsafe fn scatter_add<T: Real>(isa: Isa, blocks: Blocks<'_>, g: *const T, out: *mut T) {
    let Blocks { outer, len, block, places } = blocks;
    if block == 1 {
        for o in 0..outer {
            for (i, &place) in places.iter().enumerate() {
                // SAFETY: within the arrays.
                unsafe {
                    let to = out.add(o * len + place);
                    *to = *to + *g.add(o * places.len() + i);
                }
            }
        }
        return;
    }
    let nanoseconds = outer * places.len() * (2 + block * size_of::<T>() / 16);
    // SAFETY: each chunk has columns of its own; the caller vouches for the rest.
    unsafe {
        let (from, to) = (Shared::new(g), Shared::new(out));
        let chunks = (block / PART).clamp(1, 16);
        threads::run(chunks, nanoseconds, &|chunk| {
            let (first, last) = (block * chunk / chunks, block * (chunk + 1) / chunks);
            dispatch(isa, Add { blocks, first, last, g: from.get(), out: to.get() });
        });
    }
}

/// What is done with an element and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// `out[i] = x[places[i]]`
    Take,
    /// `out[places[i]] = x[i]`
    Put,
    /// `out[places[i]] += x[i]`
    Add,
}

/// Moves elements between rows of `len` and rows of `n`, which have a place each; a negative one
/// counts from the end. False if a number is no place in a row.
///
/// # Safety
///
/// `places` has `rows` rows of `n`; what `what` indexes with a place has rows of `len`, the other
/// one rows of `n`.
#[must_use]
pub unsafe fn move_elements<T: Real>(
    what: Move,
    rows: usize,
    len: usize,
    n: usize,
    x: *const T,
    places: *const isize,
    out: *mut T,
) -> bool {
    let (from, to) = if what == Move::Take { (len, n) } else { (n, len) };
    for r in 0..rows {
        // SAFETY: within the rows: each place is looked at first.
        unsafe {
            let (x, places, out) = (x.add(r * from), places.add(r * n), out.add(r * to));
            for i in 0..n {
                let place = *places.add(i);
                let place = if place < 0 { place + len as isize } else { place } as usize;
                if place >= len {
                    return false;
                }
                match what {
                    Move::Take => *out.add(i) = *x.add(place),
                    Move::Put => *out.add(place) = *x.add(i),
                    Move::Add => *out.add(place) = *out.add(place) + *x.add(i),
                }
            }
        }
    }
    true
}
