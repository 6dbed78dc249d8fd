//! A column times a row: bound by writing.

use super::{Matrix, Product, cut};
use crate::isa::{Kernel, dispatch};
use crate::pool::Scratch;
use crate::real::Real;
use crate::simd::Simd;
use crate::threads;

use super::pack::pack;

impl<T: Real> Product<T> {
    /// A column times a row.
    pub(super) unsafe fn outer(mut self) {
        let Self { isa, m, n, y, .. } = self;
        let row = (y.columns != 1 && n > 1).then(|| Scratch::<T>::new(n));
        if let Some(row) = &row {
            // SAFETY: within the operand and the copy.
            unsafe { pack(isa, y, 1, n, row.as_ptr(), n) };
            self.y = Matrix { data: row.as_ptr(), rows: 0, columns: 1 };
        }
        let chunks = m.div_ceil(8).min(8);
        threads::run(chunks, m * n * size_of::<T>() / 40, &|chunk| {
            let Self { isa, m, n, x, y, out, epilogue, .. } = self.whole();
            let (top, bottom) = (cut(m, chunks, chunk), cut(m, chunks, chunk + 1));
            let kernel = Outer {
                rows: bottom - top,
                n,
                x: x.from(top, 0),
                row: y.data,
                out: out.wrapping_add(top * n),
            };
            // SAFETY: within the operands.
            unsafe {
                dispatch(isa, kernel);
                epilogue.apply(isa, self.region(top, 0, bottom - top, n));
            }
        });
    }
}

struct Outer<T> {
    rows: usize,
    n: usize,
    x: Matrix<T>,
    row: *const T,
    out: *mut T,
}

impl<T: Real> Kernel<T> for Outer<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        for i in 0..self.rows {
            // SAFETY: whoever made it vouches for the operands.
            unsafe {
                let x = s.splat(*self.x.from(i, 0).data);
                let out = self.out.add(i * self.n);
                let mut j = 0;
                while j + S::LANES <= self.n {
                    s.store(out.add(j), s.mul(x, s.load(self.row.add(j))));
                    j += S::LANES;
                }
                if j < self.n {
                    let rest = self.n - j;
                    let row = s.load_partial(self.row.add(j), rest);
                    s.store_partial(out.add(j), rest, s.mul(x, row));
                }
            }
        }
    }
}
