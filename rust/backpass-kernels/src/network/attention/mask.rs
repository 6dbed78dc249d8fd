//! Masks of scores.

use std::ops::Range;

use super::columns::{Block, Causal};
use super::{Attention, Heads, Mask};
use crate::isa::{Isa, Kernel, dispatch};
use crate::matmul::pack::pack;
use crate::matmul::{Matrix, STACK_DIMS};
use crate::pool::Scratch;
use crate::real::Real;
use crate::simd::Simd;

/// The mask of one head.
pub(super) struct Masked<T> {
    isa: Isa,
    causal: bool,
    mask: OneMask<T>,
}

/// A mask's part, turned as the scores are, in scratch of its own.
enum OneMask<T> {
    None,
    Keep { whole: Matrix<u8>, lines: Scratch<T>, turned: Scratch<T> },
    Add { whole: Matrix<T>, turned: Scratch<T> },
}

impl<T: Real> Masked<T> {
    /// For blocks of up to `size` scores.
    pub fn new(attention: &Attention<T>, index: &[usize; STACK_DIMS], size: usize) -> Self {
        let Attention { isa, causal, mask, .. } = *attention;
        let mask = match mask {
            Mask::None => OneMask::None,
            Mask::Keep(heads) => OneMask::Keep {
                whole: Heads::at(&heads, index),
                lines: Scratch::new(size),
                turned: Scratch::new(size),
            },
            Mask::Add(heads) => {
                OneMask::Add { whole: Heads::at(&heads, index), turned: Scratch::new(size) }
            }
        };
        Self { isa, causal, mask }
    }

    /// Masks the scores of some queries and keys.
    pub unsafe fn apply(&self, scores: Block<T>, queries: Range<usize>, keys: Range<usize>) {
        let Self { isa, causal, ref mask } = *self;
        let Block { rows, columns, line, .. } = scores;
        // SAFETY: within the mask; there is room for as many elements as there are scores.
        unsafe {
            match mask {
                OneMask::None => {}
                OneMask::Add { whole, turned } => {
                    let part = whole.from(queries.start, keys.start).transposed();
                    pack(isa, part, rows, columns, turned.as_ptr(), line);
                    dispatch(isa, Apply { scores, mask: turned.as_ptr(), keeps: false });
                }
                OneMask::Keep { whole, lines, turned } => {
                    let part = whole.from(queries.start, keys.start);
                    let to = lines.as_ptr();
                    if part.rows == 0 {
                        dispatch(isa, Widen { from: part, lines: 1, width: rows, to });
                        let one = Matrix { data: to.cast_const(), rows: 1, columns: 0 };
                        pack(isa, one, rows, columns, turned.as_ptr(), line);
                    } else {
                        dispatch(isa, Widen { from: part, lines: columns, width: rows, to });
                        let all = Matrix { data: to.cast_const(), rows: 1, columns: rows as isize };
                        pack(isa, all, rows, columns, turned.as_ptr(), line);
                    }
                    dispatch(isa, Apply { scores, mask: turned.as_ptr(), keeps: true });
                }
            }
            if causal && keys.end > queries.start + 1 {
                dispatch(isa, Causal { scores, query: queries.start, key: keys.start });
            }
        }
    }
}

/// Bytes become numbers: lines that follow each other.
struct Widen<T> {
    from: Matrix<u8>,
    lines: usize,
    width: usize,
    to: *mut T,
}

impl<T: Real> Kernel<T> for Widen<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let (zero, one) = (s.splat(T::ZERO), s.splat(T::ONE));
        for i in 0..self.lines {
            let (from, to) = (self.from.from(i, 0), self.to.wrapping_add(i * self.width));
            let mut j = 0;
            // SAFETY: within both places.
            unsafe {
                while from.columns == 1 && j + S::LANES <= self.width {
                    s.store(to.add(j), s.select(s.truths(from.data.add(j)), one, zero));
                    j += S::LANES;
                }
                while j < self.width {
                    let kept = *from.from(0, j).data != 0;
                    *to.add(j) = if kept { T::ONE } else { T::ZERO };
                    j += 1;
                }
            }
        }
    }
}

/// The scores with a mask of the same shape and lines: added to them, or -inf where it is 0.
struct Apply<T> {
    scores: Block<T>,
    mask: *const T,
    keeps: bool,
}

impl<T: Real> Kernel<T> for Apply<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Block { data, rows, columns, line } = self.scores;
        let (zero, low) = (s.splat(T::ZERO), s.splat(-T::INFINITY));
        for row in 0..rows {
            for j in (0..columns).step_by(S::LANES) {
                let (at, lanes) = (row * line + j, S::LANES.min(columns - j));
                // SAFETY: within the scores and the mask.
                unsafe {
                    let x = s.load_partial(data.add(at), lanes);
                    let mask = s.load_partial(self.mask.add(at), lanes);
                    let masked = if self.keeps {
                        s.select(s.ne(mask, zero), x, low)
                    } else {
                        s.add(x, mask)
                    };
                    s.store_partial(data.add(at), lanes, masked);
                }
            }
        }
    }
}
