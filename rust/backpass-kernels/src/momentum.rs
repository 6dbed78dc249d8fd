//! Stochastic gradient descent with momentum, in place.

use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

struct Update<T> {
    weights: *mut T,
    velocity: *mut T,
    gradient: *const T,
    n: usize,
    learning_rate: T,
    momentum: T,
    rest: T,
}

impl<T: Real> Kernel<T> for Update<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let (rate, momentum) = (s.splat(self.learning_rate), s.splat(self.momentum));
        let rest = s.splat(self.rest);
        let new = |w, v, g| {
            let v = s.fma(momentum, v, s.mul(rest, g));
            (s.fnma(rate, v, w), v)
        };
        let mut i = 0;
        while i + S::LANES <= self.n {
            // SAFETY: `i` and the vector behind it lie within the arrays.
            unsafe {
                let (w, v) = new(
                    s.load(self.weights.add(i)),
                    s.load(self.velocity.add(i)),
                    s.load(self.gradient.add(i)),
                );
                s.store(self.velocity.add(i), v);
                s.store(self.weights.add(i), w);
            }
            i += S::LANES;
        }
        let left = self.n - i;
        if left > 0 {
            // SAFETY: `left` elements are left.
            unsafe {
                let (w, v) = new(
                    s.load_partial(self.weights.add(i), left),
                    s.load_partial(self.velocity.add(i), left),
                    s.load_partial(self.gradient.add(i), left),
                );
                s.store_partial(self.velocity.add(i), left, v);
                s.store_partial(self.weights.add(i), left, w);
            }
        }
    }
}

/// One parameter: weights, velocity and gradient of `n` elements each.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<T> {
    /// Overwritten.
    pub weights: *mut T,
    /// Overwritten.
    pub velocity: *mut T,
    /// Only read.
    pub gradient: *const T,
    /// Elements of each.
    pub n: usize,
}

/// `v = momentum v + (1 - momentum) g`, then `w = w - learning_rate v`, over all leaves, on several
/// threads if that is worth it: each has the same part of every leaf each time.
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
    const LENGTH: usize = 4096;
    let total: usize = leaves.iter().map(|leaf| leaf.n).sum();
    let parts = (total / LENGTH).clamp(1, 16);
    // SAFETY: each chunk writes a part of a leaf of its own.
    let shared = unsafe { Shared::new(leaves.as_ptr()) };
    let count = leaves.len();
    threads::run(parts * count, total * size_of::<T>() / 50, &|chunk| {
        let (part, which) = (chunk / count, chunk % count);
        // SAFETY: below the number of leaves.
        let leaf = unsafe { *shared.get().add(which) };
        let (start, end) = (leaf.n * part / parts, leaf.n * (part + 1) / parts);
        let kernel = Update {
            weights: leaf.weights.wrapping_add(start),
            velocity: leaf.velocity.wrapping_add(start),
            gradient: leaf.gradient.wrapping_add(start),
            n: end - start,
            learning_rate: T::of(learning_rate),
            momentum: T::of(momentum),
            rest: T::of(1.0 - momentum),
        };
        // SAFETY: the caller vouches for the arrays and the processor.
        unsafe { dispatch(isa, kernel) };
    });
}
