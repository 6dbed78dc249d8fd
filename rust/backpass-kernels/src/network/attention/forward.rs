//! The forward pass.

use super::columns::{Block, Finish, Multiply, Online, Rescale, Scale};
use super::dropout::Dropped;
use super::mask::Masked;
use super::{Attention, Heads, KEYS, Near, Rows, block, scratch};
use crate::isa::dispatch;
use crate::matmul::pack::pack;
use crate::matmul::{Matrix, STACK_DIMS, cut};
use crate::pool::Scratch;
use crate::real::Real;
use crate::threads::{self, Shared};

/// The most slivers of queries, as wide as a tile, that pass by a block of keys.
const MOST: usize = 16;
/// Slivers that are worth a chunk where there are few heads.
const WORTH: usize = 4;
/// Chunks for the threads to share, where there is work for so many.
const CHUNKS: usize = 16;

/// The averages of the values, and the logarithms of the sums of the scores' exponentials, one for
/// each query.
///
/// # Safety
///
/// The operands are readable at every index. `out` has room for (n, e) for each head, with contiguous
/// rows and strides that are not negative, `logsumexp` for n for each head; they overlap nothing. The
/// processor has the instruction set.
pub unsafe fn attention<T: Real>(this: &Attention<T>, out: Heads<T>, logsumexp: *mut T) {
    // SAFETY: the caller vouches for the processor.
    let near = unsafe { Near::new::<T>(this.isa) };
    let slivers = this.n.div_ceil(near.limits.pair());
    let heads = this.heads();
    let blocks =
        slivers.div_ceil(MOST).max(slivers.div_ceil(WORTH).min(CHUNKS.div_ceil(heads.max(1))));
    let chunks = heads * blocks;
    // SAFETY: each chunk writes queries of its own.
    let to = unsafe { Shared::new((out, logsumexp)) };
    let nanoseconds = this.pairs() * (this.d + this.e + 8) * size_of::<T>() / 320;
    threads::run(chunks, nanoseconds, &|chunk| {
        let (out, logsumexp) = to.get();
        let (head, block) = (chunk / blocks, chunk % blocks);
        let index = this.index(head);
        let (first, last) = (cut(slivers, blocks, block), cut(slivers, blocks, block + 1));
        let pair = near.limits.pair();
        let (start, end) = (first * pair, this.n.min(last * pair));
        let queries = Queries { near, this, head, index, start, end };
        // SAFETY: within the operands and the outputs.
        unsafe { queries.attend(out.at(&index), logsumexp.wrapping_add(head * this.n)) };
    });
}

/// A block of queries of one head.
struct Queries<'a, T> {
    near: Near,
    this: &'a Attention<T>,
    head: usize,
    index: [usize; STACK_DIMS],
    start: usize,
    end: usize,
}

impl<T: Real> Queries<'_, T> {
    unsafe fn attend(&self, out: Matrix<T>, logsumexp: *mut T) {
        let Self { near, this, head, ref index, start, end } = *self;
        let Attention { isa, d, e, .. } = *this;
        let pair = near.limits.pair();
        let slivers = (end - start).div_ceil(pair);
        let turned = self.turned();
        let sums = scratch::<T>(near, slivers * pair * e, end - start);
        let state = Scratch::<T>::new(3 * slivers * pair);
        let scores = scratch::<T>(near, KEYS * pair, end - start);
        let rows = [(&this.key, d), (&this.value, e)].map(|(x, w)| Rows::new(x.at(index), KEYS, w));
        let masked = Masked::new(this, index, KEYS * pair);
        let dropped = Dropped::new(this, head, KEYS * pair);
        let tops = state.as_ptr();
        let masses = tops.wrapping_add(slivers * pair);
        let factors = masses.wrapping_add(slivers * pair);
        // SAFETY: within the operands, the scratch and the outputs.
        unsafe {
            for j in 0..slivers * pair {
                *tops.add(j) = -T::INFINITY;
                *masses.add(j) = T::ZERO;
            }
            for i in 0..this.m.div_ceil(KEYS) {
                let (first, last) = block(0, this.m, i);
                if first >= this.reach(end) {
                    break;
                }
                let (key, value) = (rows[0].read(isa, first, last), rows[1].read(isa, first, last));
                for sliver in 0..slivers {
                    let left = start + sliver * pair;
                    let right = end.min(left + pair);
                    let last = last.min(this.reach(right));
                    if last <= first {
                        continue;
                    }
                    let (columns, count) = (right - left, last - first);
                    let at = |x: *mut T, rows| x.wrapping_add(sliver * pair * rows);
                    let block = Block { data: scores.as_ptr(), rows: count, columns, line: pair };
                    let b = (at(turned.as_ptr(), d).cast_const(), pair);
                    near.product((count, d, columns), key, b, (block.data, pair), false);
                    masked.apply(block, left..right, first..last);
                    let (top, mass, factor) = (at(tops, 1), at(masses, 1), at(factors, 1));
                    let changed = dispatch(isa, Online { scores: block, top, mass, factor });
                    if let Some(dropped) = &dropped {
                        let factors = dropped.factors(left..right, first..last, pair);
                        dispatch(isa, Multiply { weights: block, factors });
                    }
                    let sum = Block { data: at(sums.as_ptr(), e), rows: e, columns, line: pair };
                    if first > 0 && changed {
                        dispatch(isa, Rescale { block: sum, factor });
                    }
                    let b = (block.data.cast_const(), pair);
                    let size = (e, count, columns);
                    near.product(size, value.transposed(), b, (sum.data, pair), first > 0);
                }
            }
            for sliver in 0..slivers {
                let left = start + sliver * pair;
                let columns = pair.min(end - left);
                let at = |x: *mut T, rows| x.wrapping_add(sliver * pair * rows);
                let (top, mass) = (at(tops, 1), at(masses, 1));
                let block = Block { data: at(sums.as_ptr(), e), rows: e, columns, line: pair };
                dispatch(isa, Finish { block, top, mass });
                mass.copy_to_nonoverlapping(logsumexp.add(left), columns);
                let from = Matrix { data: block.data, rows: 1, columns: pair as isize };
                let to = out.from(left, 0).data.cast_mut();
                pack(isa, from, columns, e, to, out.rows as usize);
            }
        }
    }

    /// The queries, turned and scaled: slivers as wide as a tile.
    fn turned(&self) -> Scratch<T> {
        let Self { near, this, ref index, start, end, .. } = *self;
        let Attention { isa, d, scale, .. } = *this;
        let pair = near.limits.pair();
        let slivers = (end - start).div_ceil(pair);
        let turned = scratch::<T>(near, slivers * pair * d, end - start);
        let query = this.query.at(index);
        for sliver in 0..slivers {
            let left = start + sliver * pair;
            let columns = pair.min(end - left);
            let data = turned.as_ptr().wrapping_add(sliver * pair * d);
            // SAFETY: within the operand, and there is room.
            unsafe {
                pack(isa, query.from(left, 0).transposed(), d, columns, data, pair);
                dispatch(isa, Scale { block: Block { data, rows: d, columns, line: pair }, scale });
            }
        }
        turned
    }
}
