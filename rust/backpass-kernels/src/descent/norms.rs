//! The norm of several arrays together, in double precision.

use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// Which norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The sum of the absolute values.
    One,
    /// The root of the sum of the squares.
    Two,
    /// The largest absolute value; nan if there is one.
    Infinity,
}

/// Elements that one sum goes over: the sums are then added in order, whoever made them.
const BLOCK: usize = 8192;
/// Sums side by side, as many as fill the vectors of any instruction set.
const LANES: usize = 32;

/// The sum, or the largest value, of one block.
struct Partial<T> {
    order: Order,
    data: *const T,
    n: usize,
}

impl<T: Real> Kernel<T> for Partial<T> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) -> f64 {
        // SAFETY: the caller vouches for the array.
        let values = unsafe { std::slice::from_raw_parts(self.data, self.n) };
        match self.order {
            Order::Infinity => largest(s, values),
            Order::One => sum(values, f64::abs),
            Order::Two => sum(values, |x| x * x),
        }
    }
}

/// The sum of a function of each value.
#[inline(always)]
fn sum<T: Real>(values: &[T], term: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let mut rows = values.chunks_exact(LANES);
    for row in rows.by_ref() {
        for k in 0..LANES {
            sums[k] += term(row[k].wide());
        }
    }
    let mut total = 0.0;
    for &x in rows.remainder() {
        total += term(x.wide());
    }
    let mut width = LANES / 2;
    while width > 0 {
        for k in 0..width {
            sums[k] += sums[k + width];
        }
        width /= 2;
    }
    total + sums[0]
}

#[inline(always)]
fn largest<T: Real, S: Simd<T>>(s: S, values: &[T]) -> f64 {
    let mut most = s.splat(T::ZERO);
    let mut i = 0;
    while i < values.len() {
        let n = (values.len() - i).min(S::LANES);
        // SAFETY: `n` values follow.
        let x = unsafe {
            let at = values.as_ptr().add(i);
            s.abs(if n == S::LANES { s.load(at) } else { s.load_partial(at, n) })
        };
        most = s.select(s.or(s.lt(most, x), s.is_nan(x)), x, most);
        i += S::LANES;
    }
    if s.any(s.is_nan(most)) {
        return f64::NAN;
    }
    s.fold(most, |a, b| s.max(a, b)).wide()
}

/// The norm of all arrays, each a pointer and a number of elements, as of one long vector.
///
/// # Safety
///
/// The arrays hold their elements, and the processor has `isa`.
#[must_use]
pub unsafe fn norm<T: Real>(isa: Isa, arrays: &[(*const T, usize)], order: Order) -> f64 {
    let mut blocks = Vec::new();
    for &(data, n) in arrays {
        for start in (0..n).step_by(BLOCK) {
            blocks.push((data.wrapping_add(start), BLOCK.min(n - start)));
        }
    }
    let mut partials = vec![0.0; blocks.len()];
    let total: usize = arrays.iter().map(|&(_, n)| n).sum();
    // SAFETY: each chunk writes its own number.
    let (from, to) = unsafe { (Shared::new(blocks.as_ptr()), Shared::new(partials.as_mut_ptr())) };
    threads::run(blocks.len(), total * size_of::<T>() / 40, &|i| {
        // SAFETY: both have as many elements as there are chunks, and outlive the job; the caller
        // vouches for the arrays and the processor.
        unsafe {
            let (data, n) = *from.get().add(i);
            to.get().add(i).write(dispatch(isa, Partial { order, data, n }));
        }
    });
    match order {
        Order::One => partials.iter().sum(),
        Order::Two => partials.iter().sum::<f64>().sqrt(),
        Order::Infinity => {
            let larger = |most: f64, &x: &f64| if x > most || x.is_nan() { x } else { most };
            partials.iter().fold(0.0, larger)
        }
    }
}
