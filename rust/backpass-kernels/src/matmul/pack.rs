//! Copies of parts of an operand to where a tile reads them best.

use super::Matrix;
use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;
use crate::simd::square::{side, turn};

/// `count` lines of `width` elements each, copied to where they follow each other, `line` elements
/// apart.
struct Pack<T> {
    from: Matrix<T>,
    count: usize,
    width: usize,
    to: *mut T,
    line: usize,
}

impl<T: Real> Kernel<T> for Pack<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        // SAFETY: whoever made it vouches for both places.
        unsafe {
            if self.from.columns == 1 {
                self.lines(s);
            } else if self.from.rows == 1 {
                self.turned(s);
            } else {
                self.singly(0, 0, self.count, self.width);
            }
        }
    }
}

impl<T: Real> Pack<T> {
    #[inline(always)]
    unsafe fn lines<S: Simd<T>>(&self, s: S) {
        let (mut from, mut to) = (self.from.data, self.to);
        for _ in 0..self.count {
            let mut j = 0;
            // SAFETY: the lines hold `width` elements.
            unsafe {
                while j + S::LANES <= self.width {
                    s.store(to.add(j), s.load(from.add(j)));
                    j += S::LANES;
                }
                if j < self.width {
                    let rest = self.width - j;
                    s.store_partial(to.add(j), rest, s.load_partial(from.add(j), rest));
                }
            }
            from = from.wrapping_offset(self.from.rows);
            to = to.wrapping_add(self.line);
        }
    }

    /// The columns are contiguous: squares of them are turned in registers.
    #[inline(always)]
    unsafe fn turned<S: Simd<T>>(&self, s: S) {
        let side = side::<T, S>();
        let (count, width) = (self.count / side * side, self.width / side * side);
        // SAFETY: the squares lie within both places.
        unsafe {
            for j in (0..width).step_by(side) {
                for i in (0..count).step_by(side) {
                    let to = self.to.add(i * self.line + j);
                    turn(s, self.from.from(i, j).data, self.from.columns, to, self.line);
                }
            }
            self.singly(0, width, count, self.width);
            self.singly(count, 0, self.count, self.width);
        }
    }

    /// The elements from one row and column to another, one by one.
    #[inline(always)]
    unsafe fn singly(&self, top: usize, left: usize, bottom: usize, right: usize) {
        for i in top..bottom {
            for j in left..right {
                // SAFETY: within both places.
                unsafe { *self.to.add(i * self.line + j) = *self.from.from(i, j).data };
            }
        }
    }
}

/// Copies the first `rows` rows and `columns` columns of `x` to rows that lie `line` elements apart.
///
/// # Safety
///
/// The operand is readable there, the rows writeable; the processor has `isa`.
pub(crate) unsafe fn pack<T: Real>(
    isa: Isa,
    x: Matrix<T>,
    rows: usize,
    columns: usize,
    to: *mut T,
    line: usize,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe { dispatch(isa, Pack { from: x, count: rows, width: columns, to, line }) };
}
