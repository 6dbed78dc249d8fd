//! Stacks of products.

use super::tile::Limits;
use super::{Epilogue, Matrix, Product, cut};
use crate::isa::Isa;
use crate::real::Real;
use crate::threads;

/// The most dimensions of a stack.
pub const STACK_DIMS: usize = 8;

/// Products that take less are shared out whole; larger ones are shared out each.
const SMALL: usize = 100_000;

/// The dimensions of a stack of products, and the operands' strides along them, in elements.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    /// How many dimensions there are.
    pub ndim: usize,
    /// Their lengths.
    pub shape: [usize; STACK_DIMS],
    /// The left operand's strides: 0 where it is broadcast.
    pub x: [isize; STACK_DIMS],
    /// The right operand's.
    pub y: [isize; STACK_DIMS],
}

impl Stack {
    /// No dimension: one product.
    pub const NONE: Self =
        Self { ndim: 0, shape: [1; STACK_DIMS], x: [0; STACK_DIMS], y: [0; STACK_DIMS] };

    /// Adds an innermost dimension, merged with the one before where both operands allow it.
    pub fn push(&mut self, length: usize, x: isize, y: isize) {
        if length == 1 {
            return;
        }
        if let Some(d) = self.ndim.checked_sub(1) {
            let step = length as isize;
            if self.x[d] == x * step && self.y[d] == y * step {
                self.shape[d] *= length;
                (self.x[d], self.y[d]) = (x, y);
                return;
            }
        }
        (self.shape[self.ndim], self.x[self.ndim], self.y[self.ndim]) = (length, x, y);
        self.ndim += 1;
    }

    /// How many products there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shape[..self.ndim].iter().product()
    }

    /// Where the operands of product `i` begin.
    #[inline(always)]
    fn offsets(&self, mut i: usize) -> (isize, isize) {
        let (mut x, mut y) = (0, 0);
        for d in (0..self.ndim).rev() {
            let index = (i % self.shape[d]) as isize;
            i /= self.shape[d];
            x += index * self.x[d];
            y += index * self.y[d];
        }
        (x, y)
    }
}

/// `out[i] = x[i] y[i]` for every index of the stack; `out` is contiguous.
///
/// # Safety
///
/// As for [`super::matmul`], for each product.
pub unsafe fn matmul_stack<T: Real>(
    isa: Isa,
    mut stack: Stack,
    m: usize,
    k: usize,
    n: usize,
    x: Matrix<T>,
    y: Matrix<T>,
    out: *mut T,
) {
    // SAFETY: the caller vouches for the processor.
    let limits = unsafe { Limits::of::<T>(isa) };
    let mut one = Product { isa, limits, m, k, n, x, y, out, epilogue: Epilogue::NONE };
    if n == 1 && m > 1 {
        // The same numbers lie in the same places as in the transposed products.
        (one.m, one.n) = (n, m);
        (one.x, one.y) = (y.transposed(), x.transposed());
        (stack.x, stack.y) = (stack.y, stack.x);
    }
    // Products with one right operand are one product, if their rows follow each other.
    while let Some(d) = stack.ndim.checked_sub(1) {
        let step = one.m as isize * one.x.rows;
        if stack.y[d] != 0 || (one.m > 1 && stack.x[d] != step) {
            break;
        }
        if one.m == 1 {
            one.x.rows = stack.x[d];
        }
        one.m *= stack.shape[d];
        stack.ndim = d;
    }
    let count = stack.count();
    let size = one.m * one.n;
    if size == 0 || count == 0 {
        return;
    }
    let product = |i: usize| {
        let (x, y) = stack.offsets(i);
        let mut this = one.whole();
        this.x.data = this.x.data.wrapping_offset(x);
        this.y.data = this.y.data.wrapping_offset(y);
        this.out = this.out.wrapping_add(i * size);
        // SAFETY: the caller vouches for every product.
        unsafe { this.compute() };
    };
    let each = one.nanoseconds(one.m, one.n) + 50;
    if count == 1 || each >= SMALL {
        (0..count).for_each(product);
        return;
    }
    let chunks = count.min(64);
    threads::run(chunks, count * each, &|chunk| {
        (cut(count, chunks, chunk)..cut(count, chunks, chunk + 1)).for_each(product);
    });
}
