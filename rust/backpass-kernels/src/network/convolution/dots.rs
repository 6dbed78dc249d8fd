//! Products with a few columns only: the channels that are summed over are the vectors.

use super::tile::Run;
use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;

/// The most columns.
pub(super) const FEW: usize = 3;
/// The most rows at a time.
pub(super) const ROWS: usize = 4;

/// `outs[r][j] = bias[j] + sum over k in the runs of rows[r][columns[k]] * b[j][k]`.
///
/// Stretches of `channels` elements are contiguous in the rows and in `b`.
#[derive(Clone, Copy)]
pub(super) struct Dots<'a, T> {
    pub rows: &'a [*const T],
    pub columns: &'a [isize],
    pub runs: &'a [Run],
    pub channels: usize,
    pub b: *const T,
    /// Elements from column to column of `b`.
    pub b_column: usize,
    /// May be null.
    pub bias: *const T,
    pub outs: &'a [*mut T],
}

struct RunDots<'a, T, const R: usize, const N: usize>(Dots<'a, T>);

impl<T: Real, const R: usize, const N: usize> Kernel<T> for RunDots<'_, T, R, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Dots { rows, columns, runs, channels, b, b_column, bias, outs } = self.0;
        let rows: [*const T; R] = std::array::from_fn(|r| rows[r]);
        let mut sums = [[s.splat(T::ZERO); N]; R];
        // SAFETY: whoever made it vouches for the operands.
        unsafe {
            for run in runs {
                for k in (run.first..run.first + run.count).step_by(channels) {
                    let from = rows.map(|row| row.offset(columns[k]));
                    let b = b.add(k);
                    let mut c = 0;
                    while c < channels {
                        let lanes = S::LANES.min(channels - c);
                        let mut y = [s.splat(T::ZERO); N];
                        for (j, y) in y.iter_mut().enumerate() {
                            *y = s.load_partial(b.add(j * b_column + c), lanes);
                        }
                        for (sums, from) in sums.iter_mut().zip(from) {
                            let x = s.load_partial(from.add(c), lanes);
                            for (sum, y) in sums.iter_mut().zip(y) {
                                *sum = s.fma(x, y, *sum);
                            }
                        }
                        c += S::LANES;
                    }
                }
            }
            for (sums, out) in sums.iter().zip(outs) {
                for (j, &sum) in sums.iter().enumerate() {
                    let sum = s.fold(
                        sum,
                        #[inline(always)]
                        |a, b| s.add(a, b),
                    );
                    *out.add(j) = if bias.is_null() { sum } else { sum + *bias.add(j) };
                }
            }
        }
    }
}

/// Computes them for at most [`ROWS`] rows and `n` columns, at most [`FEW`].
///
/// # Safety
///
/// The operands are readable, the output writeable; the processor has `isa`.
pub(super) unsafe fn run_dots<T: Real>(isa: Isa, n: usize, dots: Dots<'_, T>) {
    macro_rules! sizes {
        ($($r:literal $n:literal),*) => {
            match (dots.rows.len(), n) {
                // SAFETY: the caller's.
                $(($r, $n) => unsafe { dispatch(isa, RunDots::<T, $r, $n>(dots)) },)*
                _ => unreachable!("there are no more"),
            }
        };
    }
    sizes!(1 1, 1 2, 1 3, 2 1, 2 2, 2 3, 3 1, 3 2, 3 3, 4 1, 4 2, 4 3);
}
