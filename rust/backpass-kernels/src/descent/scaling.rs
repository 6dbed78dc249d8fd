//! Several arrays times one number.

use super::{LENGTH, PARTS, border};
use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// An array, and where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Scaled<T> {
    /// Only read.
    pub from: *const T,
    /// Overwritten.
    pub to: *mut T,
    /// Elements of each.
    pub n: usize,
}

/// A part of every array.
struct Scale<'a, T> {
    arrays: &'a [Scaled<T>],
    part: usize,
    parts: usize,
    factor: T,
}

impl<T: Real> Kernel<T> for Scale<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let factor = s.splat(self.factor);
        for &Scaled { from, to, n } in self.arrays {
            let end = border(n, self.part + 1, self.parts);
            let mut i = border(n, self.part, self.parts);
            while i + S::LANES <= end {
                // SAFETY: `i` and the vector behind it lie within the arrays.
                unsafe { s.store(to.add(i), s.mul(factor, s.load(from.add(i)))) };
                i += S::LANES;
            }
            let left = end - i;
            if left > 0 {
                // SAFETY: `left` elements are left.
                unsafe {
                    let x = s.load_partial(from.add(i), left);
                    s.store_partial(to.add(i), left, s.mul(factor, x));
                }
            }
        }
    }
}

/// `to = factor from` for all arrays in one job.
///
/// # Safety
///
/// `from` and `to` hold `n` elements, what is written overlaps nothing, and the processor has `isa`.
pub unsafe fn scale_all<T: Real>(isa: Isa, arrays: &[Scaled<T>], factor: f64) {
    let total: usize = arrays.iter().map(|x| x.n).sum();
    let parts = (total / LENGTH).clamp(1, PARTS);
    let count = arrays.len();
    let factor = T::of(factor);
    // SAFETY: each chunk writes its own part of the arrays.
    let shared = unsafe { Shared::new(arrays.as_ptr()) };
    threads::run(parts, total * size_of::<T>() / 60, &|part| {
        // SAFETY: the slice outlives the job.
        let arrays = unsafe { std::slice::from_raw_parts(shared.get(), count) };
        // SAFETY: the caller vouches for the arrays and the processor.
        unsafe { dispatch(isa, Scale { arrays, part, parts, factor }) };
    });
}
