//! Dropout, by the random bits of Philox4x32-10: a function of a key and a place, which the rule
//! computes again.
//!
//! Number `i` of n, with `m = ceil(n / 4)`, is word `i / m` of the counter `i % m`: each counter's
//! four words go to places m apart.
//!
//! J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel random numbers: as easy as 1, 2, 3,
//! SC 2011.

use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::{MAX_BYTES, Simd};
use crate::threads::{self, Shared};

const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What is added to the halves of the key after each round.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;
const LOW: u64 = 0xFFFF_FFFF;

/// Counters that are mixed at a time.
const BLOCK: usize = 256;
/// Counters of a chunk.
const CHUNK: usize = 4096;

/// The four words of a counter, each in the lower half; the upper halves are anything.
///
/// Every word is cut to its lower half where it is multiplied, and so a multiplication is one
/// instruction a vector.
#[inline(always)]
fn philox4x32(counter: [u64; 4], keys: &[[u64; 2]; ROUNDS]) -> [u64; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    for key in keys {
        let (p, q) = ((a & LOW) * MULTIPLIERS[0], (c & LOW) * MULTIPLIERS[1]);
        (a, b, c, d) = ((q >> 32) ^ b ^ key[0], q, (p >> 32) ^ d ^ key[1], p);
    }
    [a, b, c, d]
}

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
        let Mask { n, inner, rate, key: [seed, count] } = self.mask;
        let m = n.div_ceil(4);
        let threshold = (rate * 4_294_967_296.0).round_ties_even() as u64;
        let scale = s.splat(T::of(if rate < 1.0 { 1.0 / (1.0 - rate) } else { 0.0 }));
        let mut keys = [[0; 2]; ROUNDS];
        let mut key = [seed as u32, (seed >> 32) as u32];
        for slot in &mut keys {
            *slot = key.map(u64::from);
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let (low, high) = (count & LOW, count >> 32);
        let mut kept = [[0u8; BLOCK + MAX_BYTES / size_of::<f32>()]; 4];
        let mut first = self.first;
        while first < self.last {
            let [ones, twos, threes, fours] = &mut kept;
            for i in 0..BLOCK {
                let index = (first + i) as u64;
                let words = philox4x32([index, index >> 32, low, high], &keys);
                ones[i] = u8::from(words[0] & LOW >= threshold);
                twos[i] = u8::from(words[1] & LOW >= threshold);
                threes[i] = u8::from(words[2] & LOW >= threshold);
                fours[i] = u8::from(words[3] & LOW >= threshold);
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
