//! The way back through a dense layer's activation, and the bias's cotangent, in one pass.

use crate::along::Shape;
use crate::isa::{Isa, Kernel, dispatch};
use crate::matmul::Activation;
use crate::pool::Scratch;
use crate::real::Real;
use crate::reduce::{Reduction, reduce};
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// Rows that are added up one after the other.
const BLOCK: usize = 32;
/// Vectors of a column that is walked down.
const WIDTH: usize = 4;
/// Elements of a chunk, at least.
const CHUNK: usize = 4096;
/// Chunks of a job, at most.
const MOST_CHUNKS: usize = 64;

/// A matrix of outputs and their cotangents.
#[derive(Clone, Copy, Debug)]
pub struct Layer<T> {
    /// Rows: the batch.
    pub rows: usize,
    /// Columns: the outputs of an example.
    pub columns: usize,
    /// The cotangents of the outputs.
    pub g: *const T,
    /// The outputs.
    pub ans: *const T,
    /// Where the cotangents of what went into the activation go.
    pub out: *mut T,
    /// Where their sums over all rows go; null for nowhere.
    pub sums: *mut T,
}

/// Carries cotangents through an activation; where they are 0 they stay so.
///
/// # Safety
///
/// The matrices are contiguous, and what is written overlaps nothing; the processor has `isa`.
pub unsafe fn through<T: Real>(isa: Isa, activation: Activation, layer: Layer<T>) {
    let Layer { rows, columns, sums, .. } = layer;
    let blocks = rows.div_ceil(BLOCK);
    if blocks * columns == 0 {
        if !sums.is_null() {
            // SAFETY: there is room; the bits of zeros are zeros.
            unsafe { sums.write_bytes(0, columns) };
        }
        return;
    }
    let partial = (blocks > 1 && !sums.is_null()).then(|| Scratch::<T>::new(blocks * columns));
    let to = partial.as_ref().map_or(sums, Scratch::as_ptr);
    let size = rows * columns;
    let wanted = (size / CHUNK).clamp(1, MOST_CHUNKS);
    // A chunk has some blocks, or some columns of one.
    let parts = wanted.div_ceil(blocks).min(columns.div_ceil(WIDTH * 16));
    let pieces = blocks * parts;
    let chunks = wanted.min(pieces);
    // SAFETY: each piece writes elements of its own.
    let shared = unsafe { Shared::new((layer, to)) };
    threads::run(chunks, size * size_of::<T>() / 20, &|chunk| {
        let (layer, to) = shared.get();
        for piece in pieces * chunk / chunks..pieces * (chunk + 1) / chunks {
            let (block, part) = (piece / parts, piece % parts);
            let cut = |part: usize| (columns * part / parts).next_multiple_of(16).min(columns);
            let piece = Piece {
                activation,
                layer,
                rows: (block * BLOCK, rows.min((block + 1) * BLOCK)),
                columns: (if part == 0 { 0 } else { cut(part) }, cut(part + 1)),
                sums: if to.is_null() { to } else { to.wrapping_add(block * columns) },
            };
            // SAFETY: the caller vouches for the processor.
            unsafe { dispatch(isa, piece) };
        }
    });
    if let Some(partial) = &partial {
        let shape = Shape { outer: 1, len: blocks, inner: columns };
        // SAFETY: both have room.
        unsafe { reduce(isa, Reduction::Sum, shape, partial.as_ptr(), sums, T::ONE) };
    }
}

/// Some columns of a block of rows.
struct Piece<T> {
    activation: Activation,
    layer: Layer<T>,
    rows: (usize, usize),
    columns: (usize, usize),
    sums: *mut T,
}

impl<T: Real> Kernel<T> for Piece<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
        match self.activation {
            Activation::Relu => self.each(
                s,
                #[inline(always)]
                |g, ans| s.select(s.ne(ans, zero), g, zero),
            ),
            Activation::Tanh => self.each(
                s,
                #[inline(always)]
                |g, ans| s.zero_mul(g, s.fnma(ans, ans, one)),
            ),
            Activation::Sigmoid => self.each(
                s,
                #[inline(always)]
                |g, ans| s.zero_mul(g, s.mul(ans, s.sub(one, ans))),
            ),
            Activation::Identity | Activation::Gelu => unreachable!("read from no output"),
        }
    }
}

impl<T: Real> Piece<T> {
    #[inline(always)]
    fn each<S: Simd<T>>(&self, s: S, f: impl Fn(S::V, S::V) -> S::V) {
        let Layer { columns: length, g, ans, out, .. } = self.layer;
        let (mut left, right) = self.columns;
        while left < right {
            let several = right - left >= WIDTH * S::LANES;
            let n = S::LANES.min(right - left);
            let width = if several { WIDTH } else { 1 };
            let mut sums = [s.splat(T::ZERO); WIDTH];
            for row in self.rows.0..self.rows.1 {
                let at = row * length + left;
                // SAFETY: within the matrices.
                unsafe {
                    if several {
                        for (k, sum) in sums.iter_mut().enumerate() {
                            let at = at + k * S::LANES;
                            let made = f(s.load(g.add(at)), s.load(ans.add(at)));
                            s.store(out.add(at), made);
                            *sum = s.add(*sum, made);
                        }
                    } else {
                        let (g, ans) =
                            (s.load_partial(g.add(at), n), s.load_partial(ans.add(at), n));
                        let made = f(g, ans);
                        s.store_partial(out.add(at), n, made);
                        sums[0] = s.add(sums[0], made);
                    }
                }
            }
            if !self.sums.is_null() {
                for (k, &sum) in sums[..width].iter().enumerate() {
                    // SAFETY: within the sums.
                    unsafe { s.store_partial(self.sums.add(left + k * S::LANES), n, sum) };
                }
            }
            left += if several { WIDTH * S::LANES } else { n };
        }
    }
}
