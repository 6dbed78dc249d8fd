//! Dropout of the weights, computed again for each block.

use std::ops::Range;

use super::Attention;
use crate::isa::{Isa, Kernel, dispatch};
use crate::matmul::Matrix;
use crate::matmul::pack::pack;
use crate::network::philox::Philox;
use crate::pool::Scratch;
use crate::real::Real;
use crate::simd::Simd;

/// Which weights are set to 0.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// The probability.
    pub rate: f64,
    /// Seed and counter of the random bits.
    pub key: [u64; 2],
}

/// The dropout of one head.
pub(super) struct Dropped<T> {
    isa: Isa,
    bits: Philox,
    threshold: u64,
    scale: T,
    /// The number of the head's first weight.
    first: usize,
    /// Keys, and so weights of a query.
    m: usize,
    /// A quarter of the weights of all heads.
    quarter: usize,
    lines: Scratch<T>,
    turned: Scratch<T>,
}

impl<T: Real> Dropped<T> {
    /// For blocks of up to `size` weights; `None` where nothing is dropped.
    pub fn new(attention: &Attention<T>, head: usize, size: usize) -> Option<Self> {
        let Attention { isa, n, m, .. } = *attention;
        let Dropout { rate, key } = attention.dropout?;
        Some(Self {
            isa,
            bits: Philox::new(key),
            threshold: (rate * 4_294_967_296.0).round_ties_even() as u64,
            scale: T::of(if rate < 1.0 { 1.0 / (1.0 - rate) } else { 0.0 }),
            first: head * n * m,
            m,
            quarter: (attention.heads() * n * m).div_ceil(4),
            lines: Scratch::new(size),
            turned: Scratch::new(size),
        })
    }

    /// What the weights of some queries and keys are multiplied by, turned as the scores are, with
    /// rows `line` apart.
    pub unsafe fn factors(
        &self,
        queries: Range<usize>,
        keys: Range<usize>,
        line: usize,
    ) -> *const T {
        let Self { isa, ref turned, ref lines, .. } = *self;
        let (rows, columns) = (keys.len(), queries.len());
        let kernel = Factors { dropped: self, queries, keys };
        let from = Matrix { data: lines.as_ptr().cast_const(), rows: 1, columns: rows as isize };
        // SAFETY: there is room for the block, and the caller vouches for the processor.
        unsafe {
            dispatch(isa, kernel);
            pack(isa, from, rows, columns, turned.as_ptr(), line);
        }
        turned.as_ptr()
    }
}

struct Factors<'a, T> {
    dropped: &'a Dropped<T>,
    queries: Range<usize>,
    keys: Range<usize>,
}

impl<T: Real> Kernel<T> for Factors<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, _: S) {
        let Dropped { bits, threshold, scale, first, m, quarter, ref lines, .. } = *self.dropped;
        let mut to = lines.as_ptr();
        for query in self.queries {
            let (mut number, end) =
                (first + query * m + self.keys.start, first + query * m + self.keys.end);
            while number < end {
                // Numbers of one word.
                let word = number / quarter;
                let count = end.min((word + 1) * quarter) - number;
                let counter = (number - word * quarter) as u64;
                // SAFETY: there is room for the block.
                let line = unsafe { std::slice::from_raw_parts_mut(to, count) };
                match word {
                    0 => fill::<T, 0>(line, &bits, counter, threshold, scale),
                    1 => fill::<T, 1>(line, &bits, counter, threshold, scale),
                    2 => fill::<T, 2>(line, &bits, counter, threshold, scale),
                    _ => fill::<T, 3>(line, &bits, counter, threshold, scale),
                }
                to = to.wrapping_add(count);
                number += count;
            }
        }
    }
}

/// The factors whose bits are word `W` of the counters from `counter` on.
#[inline(always)]
fn fill<T: Real, const W: usize>(
    line: &mut [T],
    bits: &Philox,
    counter: u64,
    threshold: u64,
    scale: T,
) {
    for (i, to) in line.iter_mut().enumerate() {
        let kept = bits.words(counter + i as u64)[W] >= threshold;
        *to = if kept { scale } else { T::ZERO };
    }
}
