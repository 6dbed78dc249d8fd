//! Scaled dot-product attention, `softmax(scale Q Kᵀ + mask) V`, without the matrix of weights.
//!
//! What is computed are transposes: the scores of a block of keys and a few queries, `K Qᵀ`, have a
//! column for each query. So the softmax runs down the columns, a vector of queries at a time; the
//! products read keys and values as they lie, and only the queries are turned. Blocks stay in the
//! nearest caches. The maximum of a column and its sum of exponentials are carried from one block of
//! keys to the next ([`forward`]); the backward pass computes the weights again ([`backward`]).
//!
//! T. Dao, D. Fu, S. Ermon, A. Rudra, C. Ré: Flash attention, `NeurIPS` 2022.
//! M. Milakov, N. Gimelshein: Online normalizer calculation for softmax, 2018.

mod backward;
mod columns;
mod dropout;
mod forward;
mod mask;

pub use backward::{Answer, Cotangents, attention_back};
pub use dropout::Dropout;
pub use forward::attention;

use crate::isa::Isa;
use crate::matmul::pack::pack;
use crate::matmul::tile::{Limits, Tile, run_tile};
use crate::matmul::{Matrix, STACK_DIMS, cut};
use crate::pool::Scratch;
use crate::real::Real;

/// The most keys of a block.
const KEYS: usize = 128;

/// A stack of matrices: the first one, and the strides along the stack's dimensions, in elements.
#[derive(Clone, Copy, Debug)]
pub struct Heads<T> {
    /// The matrix at 0.
    pub matrix: Matrix<T>,
    /// The strides of the stack.
    pub stack: [isize; STACK_DIMS],
}

impl<T> Heads<T> {
    /// The matrix at an index.
    #[inline(always)]
    fn at(&self, index: &[usize; STACK_DIMS]) -> Matrix<T> {
        let offset = self.stack.iter().zip(index).map(|(step, &i)| step * i as isize).sum();
        Matrix { data: self.matrix.data.wrapping_offset(offset), ..self.matrix }
    }
}

/// Who may attend to whom: a matrix with a row for each query and a column for each key.
#[derive(Clone, Copy, Debug)]
pub enum Mask<T> {
    /// All to all.
    None,
    /// Where it is not 0.
    Keep(Heads<u8>),
    /// It is added to the scores.
    Add(Heads<T>),
}

/// The operands of an attention. Products of query, key and value broadcast by strides of 0.
#[derive(Clone, Copy, Debug)]
pub struct Attention<T> {
    /// The instruction set.
    pub isa: Isa,
    /// The dimensions of the stack of heads; 1 where there is none.
    pub stack: [usize; STACK_DIMS],
    /// How many queries there are.
    pub n: usize,
    /// How many keys and values.
    pub m: usize,
    /// The length of queries and keys.
    pub d: usize,
    /// The length of values.
    pub e: usize,
    /// The queries, a row each.
    pub query: Heads<T>,
    /// The keys, a row each.
    pub key: Heads<T>,
    /// The values, a row each.
    pub value: Heads<T>,
    /// Who may attend to whom.
    pub mask: Mask<T>,
    /// Whether query i may attend to keys 0 to i only.
    pub causal: bool,
    /// What the products of queries and keys are multiplied by.
    pub scale: T,
    /// Which weights are set to 0.
    pub dropout: Option<Dropout>,
}

// SAFETY: threads only read the operands.
unsafe impl<T> Sync for Attention<T> {}

impl<T: Real> Attention<T> {
    /// How many heads there are.
    fn heads(&self) -> usize {
        self.stack.iter().product()
    }

    /// Where head `i` lies in the stack.
    fn index(&self, mut i: usize) -> [usize; STACK_DIMS] {
        let mut index = [0; STACK_DIMS];
        for (place, length) in index.iter_mut().zip(self.stack).rev() {
            (*place, i) = (i % length, i / length);
        }
        index
    }

    /// The keys that queries before `end` may attend to.
    fn reach(&self, end: usize) -> usize {
        if self.causal { self.m.min(end) } else { self.m }
    }

    /// How many pairs of queries and keys there are, about.
    fn pairs(&self) -> usize {
        let pairs = self.heads() * self.n * self.m;
        if self.causal { pairs / 2 } else { pairs }
    }
}

/// The products of one thread.
#[derive(Clone, Copy)]
struct Near {
    isa: Isa,
    limits: Limits,
}

impl Near {
    unsafe fn new<T: Real>(isa: Isa) -> Self {
        // SAFETY: the caller vouches for the processor.
        Self { isa, limits: unsafe { Limits::of::<T>(isa) } }
    }

    /// `out = a b`, or `out += a b`, for `a` of (rows, k) and `b` of (k, columns), both near.
    unsafe fn product<T: Real>(
        self,
        (rows, k, columns): (usize, usize, usize),
        a: Matrix<T>,
        (b, b_rows): (*const T, usize),
        (out, out_rows): (*mut T, usize),
        add: bool,
    ) {
        let pair = self.limits.pair();
        let panels = rows.div_ceil(self.limits.rows);
        for left in (0..columns).step_by(pair) {
            for panel in 0..panels {
                let (top, bottom) = (cut(rows, panels, panel), cut(rows, panels, panel + 1));
                let tile = Tile {
                    k,
                    a: a.from(top, 0),
                    b: b.wrapping_add(left),
                    b_rows: b_rows as isize,
                    out: out.wrapping_add(top * out_rows + left),
                    out_rows,
                    add,
                };
                let columns = pair.min(columns - left);
                // SAFETY: within the caller's operands.
                unsafe { run_tile(self.isa, self.limits, bottom - top, columns, tile) };
            }
        }
    }
}

/// Blocks of rows, copied to where they follow each other if that is better than reading them where
/// they lie.
struct Rows<T> {
    whole: Matrix<T>,
    width: usize,
    copy: Option<Scratch<T>>,
}

impl<T: Real> Rows<T> {
    /// Blocks of up to `most` rows of `width` elements.
    fn new(whole: Matrix<T>, most: usize, width: usize) -> Self {
        let bytes = whole.rows.unsigned_abs() * size_of::<T>();
        let copies = (whole.columns != 1 && width > 1) || whole.rows < 0 || bytes >= 1024;
        Self { whole, width, copy: copies.then(|| Scratch::new(most * width)) }
    }

    /// The rows from `start` to `end`; what was read before is lost.
    unsafe fn read(&self, isa: Isa, start: usize, end: usize) -> Matrix<T> {
        let block = self.whole.from(start, 0);
        let Some(copy) = &self.copy else {
            return block;
        };
        let to = copy.as_ptr();
        // SAFETY: within the operand, and there is room.
        unsafe { pack(isa, block, end - start, self.width, to, self.width) };
        Matrix { data: to, rows: self.width as isize, columns: 1 }
    }
}

/// Some of the keys from `start` to `end`, as equal blocks as can be: where block `i` begins and ends.
fn block(start: usize, end: usize, i: usize) -> (usize, usize) {
    let (length, blocks) = (end - start, (end - start).div_ceil(KEYS));
    (start + cut(length, blocks, i), start + cut(length, blocks, i + 1))
}

/// Scratch for blocks of `columns` queries. Where these do not fill their vectors, it holds zeros: the
/// rest of the last vector is computed along.
fn scratch<T: Real>(near: Near, n: usize, columns: usize) -> Scratch<T> {
    let made = Scratch::<T>::new(n);
    if !columns.is_multiple_of(near.limits.lanes) {
        // SAFETY: there is room; the bits of zeros are zeros.
        unsafe { made.as_ptr().write_bytes(0, n) };
    }
    made
}
