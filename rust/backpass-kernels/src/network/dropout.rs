//! Dropout, by the random bits of [`super::philox`]: a function of a key and a place, which the rule
//! computes again. Each counter's four words go to places a quarter of the elements apart.

use super::philox::Philox;
use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::{MAX_BYTES, Simd};
use crate::threads::{self, Shared};

/// Counters that are mixed at a time.
const BLOCK: usize = 256;
/// Counters of a chunk.
const CHUNK: usize = 4096;

/// What is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Mask {
    /// How many elements are dropped or kept, each by itself.
    pub n: usize,
    /// How many neighbours in memory each of them stands for.
    pub inner: usize,
    /// The probability of being dropped.
    pub rate: f64,
    /// Seed and counter.
    pub key: [u64; 2],
}

#[derive(Clone, Copy)]
struct Dropout<T> {
    mask: Mask,
    first: usize,
    last: usize,
    x: *const T,
    out: *mut T,
}

impl<T: Real> Dropout<T> {
    /// Multiplies the elements from number `first` on by `scale`, or sets them to 0 if their byte
    /// is 0.
    #[inline(always)]
    unsafe fn apply<S: Simd<T>>(self, s: S, first: usize, bytes: &[u8], scale: S::V) {
        let zero = s.splat(T::ZERO);
        // SAFETY: within the arrays; behind the bytes there are enough for a vector.
        unsafe {
            let (x, out) = (self.x.add(first), self.out.add(first));
            let n = bytes.len();
            let mut i = 0;
            while i + S::LANES <= n {
                let kept = s.truths(bytes.as_ptr().add(i));
                let scaled = s.mul(s.load(x.add(i)), scale);
                s.store(out.add(i), s.select(kept, scaled, zero));
                i += S::LANES;
            }
            if i < n {
                let kept = s.truths(bytes.as_ptr().add(i));
                let scaled = s.mul(s.load_partial(x.add(i), n - i), scale);
                s.store_partial(out.add(i), n - i, s.select(kept, scaled, zero));
            }
        }
    }

    /// The same where a number stands for several elements.
    #[inline(always)]
    unsafe fn apply_whole<S: Simd<T>>(self, s: S, first: usize, bytes: &[u8], scale: S::V) {
        let inner = self.mask.inner;
        let zero = s.splat(T::ZERO);
        for (i, &kept) in bytes.iter().enumerate() {
            // SAFETY: within the arrays.
            unsafe {
                let from = (first + i) * inner;
                let (x, out) = (self.x.add(from), self.out.add(from));
                let mut k = 0;
                while k + S::LANES <= inner {
                    let scaled = if kept == 0 { zero } else { s.mul(s.load(x.add(k)), scale) };
                    s.store(out.add(k), scaled);
                    k += S::LANES;
                }
                if k < inner {
                    let scaled = s.mul(s.load_partial(x.add(k), inner - k), scale);
                    s.store_partial(out.add(k), inner - k, if kept == 0 { zero } else { scaled });
                }
            }
        }
    }
}

impl<T: Real> Kernel<T> for Dropout<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Mask { n, inner, rate, key } = self.mask;
        let m = n.div_ceil(4);
        let threshold = (rate * 4_294_967_296.0).round_ties_even() as u64;
        let scale = s.splat(T::of(if rate < 1.0 { 1.0 / (1.0 - rate) } else { 0.0 }));
        let bits = Philox::new(key);
        let mut kept = [[0u8; BLOCK + MAX_BYTES / size_of::<f32>()]; 4];
        let mut first = self.first;
        while first < self.last {
            let [ones, twos, threes, fours] = &mut kept;
            for i in 0..BLOCK {
                let index = (first + i) as u64;
                let words = bits.words(index);
                ones[i] = u8::from(words[0] >= threshold);
                twos[i] = u8::from(words[1] >= threshold);
                threes[i] = u8::from(words[2] >= threshold);
                fours[i] = u8::from(words[3] >= threshold);
            }
            let counters = BLOCK.min(self.last - first);
            for (word, bytes) in kept.iter().enumerate() {
                let from = word * m + first;
                let bytes = &bytes[..counters.min(n.saturating_sub(from))];
                // SAFETY: there are `n` elements, times `inner`.
                unsafe {
                    if inner == 1 {
                        self.apply(s, from, bytes, scale);
                    } else {
                        self.apply_whole(s, from, bytes, scale);
                    }
                }
            }
            first += BLOCK;
        }
    }
}

/// `x` with what the mask drops set to 0, whatever it is, and the rest divided by the probability of
/// being kept; its own rule.
///
/// # Safety
///
/// `x` and `out` hold the mask's elements and do not overlap; the processor has `isa`.
pub unsafe fn dropout<T: Real>(isa: Isa, mask: Mask, x: *const T, out: *mut T) {
    let counters = mask.n.div_ceil(4);
    let chunk = CHUNK.div_ceil(mask.inner).next_multiple_of(BLOCK);
    // SAFETY: each chunk has elements of its own.
    let shared = unsafe { Shared::new((x, out)) };
    let nanoseconds = mask.n * (1 + mask.inner * size_of::<T>() / 16) / 2;
    threads::run(counters.div_ceil(chunk), nanoseconds, &|i| {
        let (x, out) = shared.get();
        let (first, last) = (i * chunk, counters.min((i + 1) * chunk));
        // SAFETY: the caller vouches for the arrays and the processor.
        unsafe { dispatch(isa, Dropout { mask, first, last, x, out }) };
    });
}
