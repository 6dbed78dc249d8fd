//! Gradient descent, plain and with momentum, in place.
//!
//! Each product is rounded before it is added, so that the weights are those of the formula computed
//! array by array, bit for bit; memory is what takes the time.

use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// One parameter: weights, velocity and gradient of `n` elements each.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<T> {
    /// Overwritten.
    pub weights: *mut T,
    /// Overwritten; not looked at without momentum.
    pub velocity: *mut T,
    /// Only read.
    pub gradient: *const T,
    /// Elements of each.
    pub n: usize,
}

impl<T> Leaf<T> {
    /// One of `parts` parts. They begin at whole cache lines, if the arrays do.
    #[inline(always)]
    fn part(&self, part: usize, parts: usize) -> Self {
        let border = |part: usize| {
            if part == parts { self.n } else { self.n * part / parts / LINE * LINE }
        };
        let start = border(part);
        Self {
            weights: self.weights.wrapping_add(start),
            velocity: self.velocity.wrapping_add(start),
            gradient: self.gradient.wrapping_add(start),
            n: border(part + 1) - start,
        }
    }
}

/// Elements that fill whole cache lines.
const LINE: usize = 32;
/// A part has about so many elements, at least.
const LENGTH: usize = 4096;
/// More parts than threads: whoever is late does fewer of them.
const PARTS: usize = 16;

/// A part of every leaf.
struct Update<'a, T, const MOMENTUM: bool> {
    leaves: &'a [Leaf<T>],
    part: usize,
    parts: usize,
    learning_rate: T,
    momentum: T,
    rest: T,
}

impl<T: Real, const MOMENTUM: bool> Kernel<T> for Update<'_, T, MOMENTUM> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let (rate, momentum) = (s.splat(self.learning_rate), s.splat(self.momentum));
        let rest = s.splat(self.rest);
        for leaf in self.leaves {
            let Leaf { weights, velocity, gradient, n } = leaf.part(self.part, self.parts);
            let mut i = 0;
            while i + S::LANES <= n {
                // SAFETY: `i` and the vector behind it lie within the arrays.
                unsafe {
                    let mut slope = s.load(gradient.add(i));
                    if MOMENTUM {
                        let old = s.load(velocity.add(i));
                        slope = s.add(s.mul(momentum, old), s.mul(rest, slope));
                        s.store(velocity.add(i), slope);
                    }
                    let w = s.sub(s.load(weights.add(i)), s.mul(rate, slope));
                    s.store(weights.add(i), w);
                }
                i += S::LANES;
            }
            let left = n - i;
            if left > 0 {
                // SAFETY: `left` elements are left.
                unsafe {
                    let mut slope = s.load_partial(gradient.add(i), left);
                    if MOMENTUM {
                        let old = s.load_partial(velocity.add(i), left);
                        slope = s.add(s.mul(momentum, old), s.mul(rest, slope));
                        s.store_partial(velocity.add(i), left, slope);
                    }
                    let w = s.sub(s.load_partial(weights.add(i), left), s.mul(rate, slope));
                    s.store_partial(weights.add(i), left, w);
                }
            }
        }
    }
}

/// Updates all leaves in one job, on several threads if that is worth it. A thread has the same part
/// of every leaf each time: what it wrote at the last step is in its cache.
///
/// # Safety
///
/// As [`momentum_update`].
unsafe fn update<T: Real, const MOMENTUM: bool>(
    isa: Isa,
    leaves: &[Leaf<T>],
    learning_rate: f64,
    momentum: f64,
) {
    let total: usize = leaves.iter().map(|leaf| leaf.n).sum();
    let parts = (total / LENGTH).clamp(1, PARTS);
    let count = leaves.len();
    // SAFETY: each chunk writes its own part of the leaves.
    let shared = unsafe { Shared::new(leaves.as_ptr()) };
    threads::run(parts, total * size_of::<T>() / 50, &|part| {
        let kernel = Update::<T, MOMENTUM> {
            // SAFETY: the slice outlives the job.
            leaves: unsafe { std::slice::from_raw_parts(shared.get(), count) },
            part,
            parts,
            learning_rate: T::of(learning_rate),
            momentum: T::of(momentum),
            rest: T::of(1.0 - momentum),
        };
        // SAFETY: the caller vouches for the arrays and the processor.
        unsafe { dispatch(isa, kernel) };
    });
}

/// `v = momentum v + (1 - momentum) g`, then `w = w - learning_rate v`, over all leaves.
///
/// # Safety
///
/// Each array holds its leaf's `n` elements, no written array overlaps another one, and the processor
/// has `isa`.
pub unsafe fn momentum_update<T: Real>(
    isa: Isa,
    leaves: &[Leaf<T>],
    learning_rate: f64,
    momentum: f64,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe { update::<T, true>(isa, leaves, learning_rate, momentum) };
}

/// `w = w - learning_rate g` over all leaves; their velocities may be null.
///
/// # Safety
///
/// As [`momentum_update`].
pub unsafe fn sgd_update<T: Real>(isa: Isa, leaves: &[Leaf<T>], learning_rate: f64) {
    // SAFETY: the caller vouches for all of it.
    unsafe { update::<T, false>(isa, leaves, learning_rate, 0.0) };
}
