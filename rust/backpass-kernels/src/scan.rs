//! Cumulative sums along one axis, in either direction, in the order of the elements.

use crate::along::{Axis, Row, Shape};
use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;

struct CumulativeSum<T> {
    shape: Shape,
    backwards: bool,
    x: *const T,
    out: *mut T,
}

impl<T: Real> Kernel<T> for CumulativeSum<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { shape: Shape { outer, len, inner }, backwards, x, out } = self;
        let row = Row { len: inner };
        for o in 0..outer {
            // SAFETY: within the shape.
            unsafe {
                let (x, out) = (x.add(o * len * inner), out.add(o * len * inner));
                let mut sum = T::ZERO;
                for i in 0..len {
                    let k = if backwards { len - 1 - i } else { i };
                    if inner == 1 {
                        sum = if i == 0 { *x.add(k) } else { sum + *x.add(k) };
                        *out.add(k) = sum;
                        continue;
                    }
                    let (x, to) = (x.add(k * inner), out.add(k * inner));
                    let before =
                        if backwards { to.wrapping_add(inner) } else { to.wrapping_sub(inner) };
                    row.each(
                        s,
                        #[inline(always)]
                        |step| {
                            let mut value = row.load(s, x, step);
                            if i > 0 {
                                value = s.add(row.load(s, before, step), value);
                            }
                            row.store(s, to, step, value);
                        },
                    );
                }
            }
        }
    }
}

/// The sums of the elements up to each one along the axis; `backwards`, from each one on.
///
/// # Safety
///
/// `x` and `out` have `shape`, are contiguous and do not overlap; the processor has `isa`.
pub unsafe fn cumulative_sum<T: Real>(
    isa: Isa,
    backwards: bool,
    shape: Shape,
    x: *const T,
    out: *mut T,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe { dispatch(isa, CumulativeSum { shape, backwards, x, out }) };
}
