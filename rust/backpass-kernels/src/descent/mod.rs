//! The optimizers' steps, in place: one pass over all parameters.
//!
//! Each product is rounded before it is added, as in the formulas computed array by array; memory is
//! what takes the time.

mod norms;
mod scaling;
mod steps;

pub use norms::{Order, norm};
pub use scaling::{Scaled, scale_all};
pub use steps::{Adagrad, Adam, Average, Descent, Lion, Momentum, RmsProp, Velocity};

use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// One parameter: the arrays that a step overwrites, the weights first, and the gradient.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<T, const W: usize> {
    /// Overwritten.
    pub arrays: [*mut T; W],
    /// Only read.
    pub gradient: *const T,
    /// Elements of each.
    pub n: usize,
}

/// What an optimizer does to an element, given what belongs to it and its gradient.
pub trait Step<T: Real, const W: usize>: Copy + Sync {
    /// The new values; mark it `#[inline(always)]`.
    fn take<S: Simd<T>>(self, s: S, own: [S::V; W], g: S::V) -> [S::V; W];
}

/// Elements that fill whole cache lines.
const LINE: usize = 32;
/// A part has about so many elements, at least.
const LENGTH: usize = 4096;
/// More parts than threads: whoever is late does fewer of them.
const PARTS: usize = 16;

/// Where part `part` of `parts` begins, of `n` elements: at a whole cache line, if the array does.
#[inline(always)]
fn border(n: usize, part: usize, parts: usize) -> usize {
    if part == parts { n } else { n * part / parts / LINE * LINE }
}

/// A part of every leaf.
struct Update<'a, T, P, const W: usize> {
    leaves: &'a [Leaf<T, W>],
    part: usize,
    parts: usize,
    step: P,
}

impl<T: Real, P: Step<T, W>, const W: usize> Kernel<T> for Update<'_, T, P, W> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        for leaf in self.leaves {
            let end = border(leaf.n, self.part + 1, self.parts);
            let mut i = border(leaf.n, self.part, self.parts);
            let mut own = [s.splat(T::ZERO); W];
            while i + S::LANES <= end {
                // SAFETY: `i` and the vector behind it lie within the arrays.
                unsafe {
                    for (x, array) in own.iter_mut().zip(leaf.arrays) {
                        *x = s.load(array.add(i));
                    }
                    let new = self.step.take(s, own, s.load(leaf.gradient.add(i)));
                    for (x, array) in new.into_iter().zip(leaf.arrays) {
                        s.store(array.add(i), x);
                    }
                }
                i += S::LANES;
            }
            let left = end - i;
            if left > 0 {
                // SAFETY: `left` elements are left.
                unsafe {
                    for (x, array) in own.iter_mut().zip(leaf.arrays) {
                        *x = s.load_partial(array.add(i), left);
                    }
                    let g = s.load_partial(leaf.gradient.add(i), left);
                    let new = self.step.take(s, own, g);
                    for (x, array) in new.into_iter().zip(leaf.arrays) {
                        s.store_partial(array.add(i), left, x);
                    }
                }
            }
        }
    }
}

/// Takes a step with all leaves in one job, on several threads if that is worth it. A thread has the
/// same part of every leaf each time: what it wrote at the last step is in its cache.
///
/// # Safety
///
/// Each array holds its leaf's `n` elements, no written array overlaps another one, and the processor
/// has `isa`.
pub unsafe fn update<T: Real, P: Step<T, W>, const W: usize>(
    isa: Isa,
    leaves: &[Leaf<T, W>],
    step: P,
) {
    let total: usize = leaves.iter().map(|leaf| leaf.n).sum();
    let parts = (total / LENGTH).clamp(1, PARTS);
    let count = leaves.len();
    // SAFETY: each chunk writes its own part of the leaves.
    let shared = unsafe { Shared::new(leaves.as_ptr()) };
    threads::run(parts, total * size_of::<T>() * (W + 1) / 50, &|part| {
        // SAFETY: the slice outlives the job.
        let leaves = unsafe { std::slice::from_raw_parts(shared.get(), count) };
        // SAFETY: the caller vouches for the arrays and the processor.
        unsafe { dispatch(isa, Update { leaves, part, parts, step }) };
    });
}
