//! Walking strided operands without materialising broadcasts.

use crate::real::Real;
use crate::simd::MAX_BYTES;

/// The most dimensions an operand may have.
pub const MAX_DIMS: usize = 32;

/// Elements that are gathered at a time from an operand without unit stride.
const GATHER: usize = 256;

/// Up to this length of the innermost dimension, several lines are handled at once.
const SHORT: usize = 64;

/// A loop over `n` contiguous outputs. Operand `i` is read at `ins[i]` and advances with the output
/// if `advance[i]` is 1; if it is 0, [`MAX_BYTES`] bytes of the same value lie there.
pub type Inner<'a, T, const N: usize> = &'a mut dyn FnMut(*mut T, usize, [*const T; N], [usize; N]);

/// One operand: where its first element lies, and its strides in elements, one a dimension of the
/// output (0 where it is broadcast).
#[derive(Clone, Copy, Debug)]
pub struct Operand<T> {
    /// The element at index 0, 0, ...
    pub data: *const T,
    /// Strides in elements.
    pub strides: [isize; MAX_DIMS],
}

/// `MAX_BYTES` of the same value.
#[repr(align(64))]
#[derive(Clone, Copy)]
pub struct Splat<T>([T; MAX_BYTES / 4])
where
    T: Copy;

impl<T: Real> Splat<T> {
    /// `x`, over and over.
    #[inline(always)]
    pub fn new(x: T) -> Self {
        Self([x; MAX_BYTES / 4])
    }

    /// Where it begins.
    #[inline(always)]
    pub fn as_ptr(&self) -> *const T {
        self.0.as_ptr()
    }
}

/// Calls `inner` over the whole output of shape `shape`, which is contiguous (C order).
///
/// Neighbouring dimensions are merged where every operand allows it. An operand without unit stride
/// is gathered 256 elements at a time.
///
/// # Safety
///
/// Every operand is readable at every index of `shape`; `out` is what `inner` needs.
pub unsafe fn walk<T: Real, const N: usize>(
    out: *mut T,
    shape: &[usize],
    operands: &[Operand<T>; N],
    inner: Inner<'_, T, N>,
) {
    if shape.contains(&0) {
        return;
    }
    // Merge dimensions, the last one first: `dims[0]` is the innermost.
    let mut dims = [1usize; MAX_DIMS];
    let mut strides = [[0isize; N]; MAX_DIMS];
    let mut count = 0;
    for d in (0..shape.len()).rev() {
        if shape[d] == 1 {
            continue;
        }
        let mergeable = count > 0
            && (0..N).all(|i| {
                operands[i].strides[d] == strides[count - 1][i] * dims[count - 1] as isize
            });
        if mergeable {
            dims[count - 1] *= shape[d];
        } else {
            dims[count] = shape[d];
            for i in 0..N {
                strides[count][i] = operands[i].strides[d];
            }
            count += 1;
        }
    }
    let mut walk = Walk {
        dims,
        strides,
        count: count.max(1),
        bases: std::array::from_fn(|i| operands[i].data),
        index: [0; MAX_DIMS],
    };
    // A short innermost dimension is taken together with the next one.
    let paired = count > 1 && dims[0] <= SHORT;
    // SAFETY: the caller vouches for the operands.
    unsafe { if paired { walk.pairs(out, inner) } else { walk.lines(out, inner) } }
}

/// The merged dimensions, the innermost first, and where the walk stands.
struct Walk<T, const N: usize> {
    dims: [usize; MAX_DIMS],
    strides: [[isize; N]; MAX_DIMS],
    count: usize,
    bases: [*const T; N],
    index: [usize; MAX_DIMS],
}

impl<T: Real, const N: usize> Walk<T, N> {
    /// Goes on by one along the dimensions from `first` on.
    #[inline(always)]
    fn advance(&mut self, first: usize) {
        for d in first..self.count {
            self.index[d] += 1;
            for i in 0..N {
                self.bases[i] = self.bases[i].wrapping_offset(self.strides[d][i]);
            }
            if self.index[d] < self.dims[d] {
                return;
            }
            self.index[d] = 0;
            for i in 0..N {
                let back = self.strides[d][i] * self.dims[d] as isize;
                self.bases[i] = self.bases[i].wrapping_offset(-back);
            }
        }
    }

    /// Calls `inner` once a line of the innermost dimension, or more often where it must be gathered.
    unsafe fn lines(&mut self, mut out: *mut T, inner: Inner<'_, T, N>) {
        let length = self.dims[0];
        let step = self.strides[0];
        let outer: usize = self.dims[1..self.count].iter().product();
        let gathers = step.iter().any(|&s| s != 0 && s != 1);
        let advance = std::array::from_fn(|i| usize::from(step[i] != 0));
        let mut splats = [Splat::new(T::ZERO); N];
        let mut gathered = [[T::ZERO; GATHER]; N];
        for _ in 0..outer {
            let mut ins = self.bases;
            for i in 0..N {
                if step[i] == 0 {
                    // SAFETY: the caller vouches for every index.
                    splats[i] = Splat::new(unsafe { *self.bases[i] });
                    ins[i] = splats[i].as_ptr();
                }
            }
            let mut start = 0;
            while gathers && start < length {
                let n = GATHER.min(length - start);
                for i in 0..N {
                    if step[i] == 1 {
                        ins[i] = self.bases[i].wrapping_add(start);
                    } else if step[i] != 0 {
                        for (k, slot) in gathered[i][..n].iter_mut().enumerate() {
                            // SAFETY: within the operand.
                            *slot =
                                unsafe { *self.bases[i].offset((start + k) as isize * step[i]) };
                        }
                        ins[i] = gathered[i].as_ptr();
                    }
                }
                inner(out.wrapping_add(start), n, ins, advance);
                start += n;
            }
            if !gathers {
                inner(out, length, ins, advance);
            }
            out = out.wrapping_add(length);
            self.advance(1);
        }
    }

    /// Calls `inner` over as many short lines at once as the buffers hold.
    unsafe fn pairs(&mut self, mut out: *mut T, inner: Inner<'_, T, N>) {
        let (length, lines) = (self.dims[0], self.dims[1]);
        let (step, jump) = (self.strides[0], self.strides[1]);
        let outer: usize = self.dims[2..self.count.max(2)].iter().product();
        let fit = (GATHER / length).min(lines);
        let whole: [bool; N] = std::array::from_fn(|i| step[i] == 1 && jump[i] == length as isize);
        let single: [bool; N] = std::array::from_fn(|i| step[i] == 0 && jump[i] == 0);
        let advance = std::array::from_fn(|i| usize::from(!single[i]));
        let mut splats = [Splat::new(T::ZERO); N];
        let mut gathered = [[T::ZERO; GATHER]; N];
        for _ in 0..outer {
            let mut line = 0;
            while line < lines {
                let n = fit.min(lines - line);
                let mut ins = [std::ptr::null(); N];
                for i in 0..N {
                    let base = self.bases[i].wrapping_offset(line as isize * jump[i]);
                    if whole[i] {
                        ins[i] = base;
                    } else if single[i] {
                        // SAFETY: within the operand.
                        splats[i] = Splat::new(unsafe { *base });
                        ins[i] = splats[i].as_ptr();
                    } else {
                        // A line that repeats itself is gathered once.
                        if line == 0 || jump[i] != 0 {
                            let mut slots = gathered[i].iter_mut();
                            for l in 0..n as isize {
                                for k in 0..length as isize {
                                    if let Some(slot) = slots.next() {
                                        // SAFETY: within the operand.
                                        *slot = unsafe { *base.offset(l * jump[i] + k * step[i]) };
                                    }
                                }
                            }
                        }
                        ins[i] = gathered[i].as_ptr();
                    }
                }
                inner(out, n * length, ins, advance);
                out = out.wrapping_add(n * length);
                line += n;
            }
            self.advance(2);
        }
    }
}
