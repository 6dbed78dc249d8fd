//! The backward pass. The weights `p` are computed again from the scores and the logarithms of their
//! sums; with `inner`, the scalar product of a query's output with its cotangent, the cotangent of a
//! score is `p (dp - inner)`.
//!
//! Each chunk takes all queries of a head with some of its keys, in order. So the cotangents of keys
//! and values are its own; those of the queries are added up afterwards where the keys are shared
//! among several chunks. How many depends on the shape alone.

use super::columns::{Block, Pull, Scale};
use super::dropout::Dropped;
use super::mask::Masked;
use super::{Attention, Heads, KEYS, Near, Rows, block, scratch};
use crate::isa::{Kernel, dispatch};
use crate::matmul::pack::pack;
use crate::matmul::{Matrix, STACK_DIMS, cut};
use crate::pool::Scratch;
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// Queries of a block.
const QUERIES: usize = 128;
/// Chunks for the threads to share, where there is work for so many.
const CHUNKS: usize = 16;
/// The fewest keys of a head that are worth a chunk.
const WORTH: usize = 512;

/// What the forward pass gave, and its cotangents.
#[derive(Clone, Copy, Debug)]
pub struct Answer<T> {
    /// The averages, a row for each query.
    pub out: Heads<T>,
    /// The logarithms of the sums, a row of one for each query.
    pub logsumexp: Heads<T>,
    /// The cotangent of `out`.
    pub g: Heads<T>,
    /// The cotangent of `logsumexp`.
    pub to_logsumexp: Option<Heads<T>>,
}

/// Where the cotangents of the operands go that are asked for: matrices for each head, with
/// contiguous rows and strides that are not negative.
#[derive(Clone, Copy, Debug)]
pub struct Cotangents<T> {
    /// Of the shape (n, d).
    pub query: Option<Heads<T>>,
    /// Of the shape (m, d).
    pub key: Option<Heads<T>>,
    /// Of the shape (m, e).
    pub value: Option<Heads<T>>,
    /// Of the shape (n, m).
    pub mask: Option<Heads<T>>,
}

/// The cotangents of the operands.
///
/// # Safety
///
/// Operands and answers are readable at every index, the cotangents writeable; they overlap nothing.
/// The processor has the instruction set.
pub unsafe fn attention_back<T: Real>(this: &Attention<T>, answer: &Answer<T>, to: &Cotangents<T>) {
    let Attention { isa, n, m, d, e, .. } = *this;
    let heads = this.heads();
    let parts = CHUNKS.div_ceil(heads.max(1)).min(m / WORTH).max(1);
    let apart = (parts > 1 && to.query.is_some()).then(|| Scratch::<T>::new(parts * heads * n * d));
    let sums = apart.as_ref().map(Scratch::as_ptr);
    // SAFETY: the caller vouches for the processor.
    let near = unsafe { Near::new::<T>(isa) };
    // SAFETY: each chunk writes keys and values of its own, and queries of its own in `apart`.
    let shared = unsafe { Shared::new((answer, to, sums)) };
    let nanoseconds = this.pairs() * (3 * d + 2 * e + 16) * size_of::<T>() / 320;
    threads::run(heads * parts, nanoseconds, &|chunk| {
        let (answer, to, sums) = shared.get();
        let (head, part) = (chunk / parts, chunk % parts);
        let index = this.index(head);
        let query = match sums {
            Some(sums) => Some(Matrix {
                data: sums.wrapping_add(chunk * n * d).cast_const(),
                rows: d as isize,
                columns: 1,
            }),
            None => to.query.map(|x| x.at(&index)),
        };
        let head = Head {
            near,
            this,
            number: head,
            index,
            start: cut(m, parts, part),
            end: cut(m, parts, part + 1),
            answer: [answer.out, answer.g, answer.logsumexp].map(|x| x.at(&index)),
            to_logsumexp: answer.to_logsumexp.map(|x| x.at(&index)),
            query,
            key: to.key.map(|x| x.at(&index)),
            value: to.value.map(|x| x.at(&index)),
            mask: to.mask.map(|x| x.at(&index)),
        };
        // SAFETY: within the operands and the cotangents.
        unsafe { head.pull() };
    });
    let (Some(sums), Some(query)) = (sums, to.query) else { return };
    // SAFETY: each chunk writes queries of its own.
    let shared = unsafe { Shared::new((sums, query)) };
    threads::run(heads, heads * parts * n * d * size_of::<T>() / 20, &|head| {
        let (sums, query) = shared.get();
        let out = query.at(&this.index(head));
        let from = sums.wrapping_add(head * parts * n * d).cast_const();
        // SAFETY: within the sums and the cotangent.
        unsafe { dispatch(isa, AddUp { from, parts, n, d, out }) };
    });
}

/// Some keys of one head; what is not asked for is `None`.
struct Head<'a, T> {
    near: Near,
    this: &'a Attention<T>,
    number: usize,
    index: [usize; STACK_DIMS],
    start: usize,
    end: usize,
    /// `out`, its cotangent, and `logsumexp`.
    answer: [Matrix<T>; 3],
    to_logsumexp: Option<Matrix<T>>,
    query: Option<Matrix<T>>,
    key: Option<Matrix<T>>,
    value: Option<Matrix<T>>,
    mask: Option<Matrix<T>>,
}

/// A chunk's memory: blocks of scores and of their cotangents, with rows `line` apart, and what comes
/// in blocks.
struct Work<T> {
    line: usize,
    scores: Scratch<T>,
    pulled: Scratch<T>,
    /// Queries and cotangents turned, and for each query `inner` and the logarithm.
    turned: Scratch<T>,
    query: Rows<T>,
    key: Rows<T>,
    value: Rows<T>,
    out: Rows<T>,
    g: Rows<T>,
    masked: Masked<T>,
    dropped: Option<Dropped<T>>,
}

/// A block of queries and of the cotangents of their answers, as rows and turned.
struct Queries<T> {
    first: usize,
    last: usize,
    query: Matrix<T>,
    g: Matrix<T>,
    turned_query: *mut T,
    turned_g: *mut T,
    inner: *mut T,
    logsumexp: *mut T,
}

impl<T: Real> Head<'_, T> {
    fn work(&self) -> Work<T> {
        let Self { near, this, ref index, answer: [out, g, _], .. } = *self;
        let Attention { n, d, e, .. } = *this;
        let line = line::<T>(near, QUERIES.min(n));
        let rows = |x: &Heads<T>, most, width| Rows::new(x.at(index), most, width);
        Work {
            line,
            scores: scratch(near, KEYS * line, n),
            pulled: scratch(near, KEYS * line, n),
            turned: scratch(near, (d + e + 2) * line, n),
            query: rows(&this.query, QUERIES, d),
            key: rows(&this.key, KEYS, d),
            value: rows(&this.value, KEYS, e),
            out: Rows::new(out, QUERIES, e),
            g: Rows::new(g, QUERIES, e),
            masked: Masked::new(this, index, KEYS * line),
            dropped: Dropped::new(this, self.number, KEYS * line),
        }
    }

    unsafe fn pull(&self) {
        let Self { this, start, end, .. } = *self;
        let Attention { n, d, e, .. } = *this;
        let work = self.work();
        // SAFETY: within the operands and the cotangents.
        unsafe {
            for (to, width) in [(self.key, d), (self.value, e)] {
                if let Some(to) = to {
                    clear(to, start, end, width);
                }
            }
            for first in (0..n).step_by(QUERIES) {
                let last = n.min(first + QUERIES);
                let reach = end.min(this.reach(last));
                if reach <= start {
                    if let Some(to) = self.query {
                        clear(to, first, last, d);
                    }
                    continue;
                }
                let queries = self.queries(&work, first, last);
                for i in 0..(end - start).div_ceil(KEYS) {
                    let (from, to) = block(start, end, i);
                    if from < reach {
                        self.keys(&work, &queries, from, reach.min(to));
                    }
                }
            }
        }
    }

    /// Reads a block of queries.
    unsafe fn queries(&self, work: &Work<T>, first: usize, last: usize) -> Queries<T> {
        let Self { this, answer: [_, _, logsumexp], .. } = *self;
        let Attention { isa, d, e, scale, .. } = *this;
        let (line, columns) = (work.line, last - first);
        let turned_query = work.turned.as_ptr();
        let turned_g = turned_query.wrapping_add(d * line);
        let inner = turned_g.wrapping_add(e * line);
        let sums = inner.wrapping_add(line);
        // SAFETY: within the operands and the scratch.
        unsafe {
            let query = work.query.read(isa, first, last);
            let g = work.g.read(isa, first, last);
            pack(isa, query.transposed(), d, columns, turned_query, line);
            let whole = Block { data: turned_query, rows: d, columns, line };
            dispatch(isa, Scale { block: whole, scale });
            pack(isa, g.transposed(), e, columns, turned_g, line);
            let y = work.out.read(isa, first, last);
            dispatch(isa, Dots { n: columns, e, x: g, y, to: inner });
            for i in 0..columns {
                *sums.add(i) = *logsumexp.from(first + i, 0).data;
                if let Some(to_logsumexp) = self.to_logsumexp {
                    *inner.add(i) = *inner.add(i) - *to_logsumexp.from(first + i, 0).data;
                }
            }
            Queries { first, last, query, g, turned_query, turned_g, inner, logsumexp: sums }
        }
    }

    /// Adds what a block of queries and a block of keys give to the cotangents.
    unsafe fn keys(&self, work: &Work<T>, queries: &Queries<T>, from: usize, to: usize) {
        let Self { near, this, .. } = *self;
        let Attention { isa, d, e, scale, .. } = *this;
        let Queries { first, last, query, g, turned_query, turned_g, inner, logsumexp } = *queries;
        let line = work.line;
        let (scores, pulled) = (work.scores.as_ptr(), work.pulled.as_ptr());
        let (columns, count) = (last - first, to - from);
        let block = Block { data: scores, rows: count, columns, line };
        let pulls = self.query.is_some() || self.key.is_some() || self.mask.is_some();
        let turned =
            |data: *mut T| Matrix { data: data.cast_const(), rows: line as isize, columns: 1 };
        let rows = |x: Matrix<T>| (x.data, x.rows as usize);
        let place = |x: Matrix<T>, row| (x.from(row, 0).data.cast_mut(), x.rows as usize);
        // SAFETY: within the operands, the scratch and the cotangents.
        unsafe {
            let key = work.key.read(isa, from, to);
            let b = (turned_query.cast_const(), line);
            near.product((count, d, columns), key, b, (scores, line), false);
            work.masked.apply(block, first..last, from..to);
            if pulls {
                let value = work.value.read(isa, from, to);
                let b = (turned_g.cast_const(), line);
                near.product((count, e, columns), value, b, (pulled, line), false);
            }
            let factors = work
                .dropped
                .as_ref()
                .map_or(std::ptr::null(), |dropped| dropped.factors(first..last, from..to, line));
            let pull = Pull {
                scores: block,
                pulled: if pulls { pulled } else { std::ptr::null_mut() },
                logsumexp,
                inner,
                scale: if self.mask.is_some() { T::ONE } else { scale },
                factors,
            };
            dispatch(isa, pull);
            if let Some(out) = self.value {
                let size = (count, columns, e);
                near.product(size, turned(scores), rows(g), place(out, from), true);
            }
            if let Some(out) = self.mask {
                let (data, line) = place(out, first);
                let data = data.wrapping_add(from);
                pack(isa, turned(pulled).transposed(), columns, count, data, line);
                dispatch(isa, Scale { block: Block { data: pulled, ..block }, scale });
            }
            if let Some(out) = self.key {
                let size = (count, columns, d);
                near.product(size, turned(pulled), rows(query), place(out, from), true);
            }
            if let Some(out) = self.query {
                let (size, a) = ((columns, count, d), turned(pulled).transposed());
                near.product(size, a, rows(key), place(out, first), from > self.start);
            }
        }
    }
}

/// From a row of a block to the next: whole cache lines, of an odd number, so that neighbours do not
/// fall onto each other in the caches.
fn line<T: Real>(near: Near, columns: usize) -> usize {
    let lanes = near.limits.lanes.max(64 / size_of::<T>());
    (columns.div_ceil(lanes) | 1) * lanes
}

/// Zeros in some rows.
unsafe fn clear<T: Real>(to: Matrix<T>, first: usize, last: usize, width: usize) {
    for row in first..last {
        // SAFETY: the caller vouches for the rows; the bits of zeros are zeros.
        unsafe { to.from(row, 0).data.cast_mut().write_bytes(0, width) };
    }
}

/// The scalar products of the rows of two matrices.
struct Dots<T> {
    n: usize,
    e: usize,
    x: Matrix<T>,
    y: Matrix<T>,
    to: *mut T,
}

impl<T: Real> Kernel<T> for Dots<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        for i in 0..self.n {
            let (x, y) = (self.x.from(i, 0).data, self.y.from(i, 0).data);
            let mut sum = s.splat(T::ZERO);
            // SAFETY: whoever made it vouches for contiguous rows and the output.
            unsafe {
                for j in (0..self.e).step_by(S::LANES) {
                    let lanes = S::LANES.min(self.e - j);
                    let x = s.load_partial(x.add(j), lanes);
                    sum = s.fma(x, s.load_partial(y.add(j), lanes), sum);
                }
                *self.to.add(i) = s.fold(sum, |a, b| s.add(a, b));
            }
        }
    }
}

/// The sum of some arrays of (n, d), in order.
struct AddUp<T> {
    from: *const T,
    parts: usize,
    n: usize,
    d: usize,
    out: Matrix<T>,
}

impl<T: Real> Kernel<T> for AddUp<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        for i in 0..self.n {
            let to = self.out.from(i, 0).data.cast_mut();
            for j in (0..self.d).step_by(S::LANES) {
                let lanes = S::LANES.min(self.d - j);
                // SAFETY: whoever made it vouches for the arrays.
                unsafe {
                    let from = self.from.add(i * self.d + j);
                    let mut sum = s.load_partial(from, lanes);
                    for part in 1..self.parts {
                        sum = s.add(sum, s.load_partial(from.add(part * self.n * self.d), lanes));
                    }
                    s.store_partial(to.add(j), lanes, sum);
                }
            }
        }
    }
}
