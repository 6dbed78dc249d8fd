//! Walking strided operands without materialising broadcasts.

use crate::real::Real;

/// The most dimensions an operand may have.
pub const MAX_DIMS: usize = 32;

/// Elements that are gathered at a time from an operand without unit stride.
const GATHER: usize = 256;

/// Up to this length of the innermost dimension, several lines are handled at once.
const SHORT: usize = 64;

/// Up to this length, even where that means to gather an operand.
const SHORTEST: usize = 12;

/// Lines of outputs that lie one after the other.
///
/// Operand `i` of the first line begins at `ins[i]`, and that of the next one `jump[i]` elements
/// further on. Along a line it advances with the output if `advance[i]` is 1; if it is 0, one element
/// stands for the whole line.
#[derive(Clone, Copy, Debug)]
pub struct Lines<T, const N: usize> {
    /// The first output.
    pub out: *mut T,
    /// How many lines there are.
    pub lines: usize,
    /// Elements of a line.
    pub length: usize,
    /// Where each operand begins.
    pub ins: [*const T; N],
    /// 1 or 0.
    pub advance: [usize; N],
    /// Elements from line to line.
    pub jump: [isize; N],
}

/// What is done with lines.
pub type Inner<'a, T, const N: usize> = &'a mut dyn FnMut(&Lines<T, N>);

/// One operand: where its first element lies, and its strides in elements, one a dimension of the
/// output (0 where it is broadcast).
#[derive(Clone, Copy, Debug)]
pub struct Operand<T> {
    /// The element at index 0, 0, ...
    pub data: *const T,
    /// Strides in elements.
    pub strides: [isize; MAX_DIMS],
}

/// Operands whose neighbouring dimensions have been merged where every one of them allows it.
#[derive(Clone, Copy, Debug)]
pub struct Walk<T, const N: usize> {
    /// Sizes, the innermost first.
    dims: [usize; MAX_DIMS],
    strides: [[isize; N]; MAX_DIMS],
    /// How many dimensions are left, at least 1.
    count: usize,
    bases: [*const T; N],
    index: [usize; MAX_DIMS],
}

impl<T: Real, const N: usize> Walk<T, N> {
    /// The walk over operands of the shape `shape`.
    #[must_use]
    pub fn new(shape: &[usize], operands: &[Operand<T>; N]) -> Self {
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
        Self {
            dims,
            strides,
            count: count.max(1),
            bases: std::array::from_fn(|i| operands[i].data),
            index: [0; MAX_DIMS],
        }
    }

    /// Elements of the output.
    #[must_use]
    pub fn size(&self) -> usize {
        self.dims[..self.count].iter().product()
    }

    /// The size of the outermost dimension.
    #[must_use]
    pub fn outermost(&self) -> usize {
        self.dims[self.count - 1]
    }

    /// The part of the walk from `start` to `end` of the outermost dimension.
    #[must_use]
    pub fn part(&self, start: usize, end: usize) -> Self {
        let mut part = *self;
        let last = self.count - 1;
        part.dims[last] = end - start;
        for (base, stride) in part.bases.iter_mut().zip(self.strides[last]) {
            *base = base.wrapping_offset(start as isize * stride);
        }
        part
    }

    /// The walk at one index of the outermost dimension; there must be another one.
    #[must_use]
    pub fn at(&self, index: usize) -> Self {
        let mut part = self.part(index, index + 1);
        part.count -= 1;
        part
    }

    /// The walk as one line, if that is what it is.
    #[must_use]
    pub fn line(&self, out: *mut T) -> Option<Lines<T, N>> {
        let step = self.strides[0];
        (self.count == 1 && step.iter().all(|&s| s == 0 || s == 1)).then(|| Lines {
            out,
            lines: 1,
            length: self.dims[0],
            ins: self.bases,
            advance: step.map(|s| usize::from(s != 0)),
            jump: [0; N],
        })
    }

    /// Whether there is but one dimension.
    #[must_use]
    pub fn is_flat(&self) -> bool {
        self.count == 1
    }

    /// Calls `inner` over the whole output, which is contiguous.
    ///
    /// # Safety
    ///
    /// Every operand is readable at every index; `out` is what `inner` needs.
    pub unsafe fn run(mut self, out: *mut T, inner: Inner<'_, T, N>) {
        if self.size() == 0 {
            return;
        }
        let (length, step, jump) = (self.dims[0], self.strides[0], self.strides[1]);
        let plain = step.iter().all(|&s| s == 0 || s == 1);
        let repeats = (0..N).all(|i| jump[i] == 0 || (step[i] == 1 && jump[i] == length as isize));
        // A short innermost dimension is taken together with the next one.
        let paired = self.count > 1
            && length <= SHORT
            && (!plain || length <= SHORTEST || (repeats && step != [0; N]));
        // SAFETY: the caller vouches for the operands.
        unsafe {
            if paired {
                self.pairs(out, inner);
            } else if plain {
                self.lines(out, inner);
            } else {
                self.gathered(out, inner);
            }
        }
    }

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

    /// Calls `inner` once for all lines of the two innermost dimensions.
    fn lines(&mut self, mut out: *mut T, inner: Inner<'_, T, N>) {
        let (length, lines) = (self.dims[0], self.dims[1]);
        let outer: usize = self.dims[2..self.count.max(2)].iter().product();
        let advance = std::array::from_fn(|i| usize::from(self.strides[0][i] != 0));
        let jump = self.strides[1];
        for _ in 0..outer {
            inner(&Lines { out, lines, length, ins: self.bases, advance, jump });
            out = out.wrapping_add(lines * length);
            self.advance(2);
        }
    }

    /// Calls `inner` after so many elements as fit have been gathered from operands without unit
    /// stride.
    unsafe fn gathered(&mut self, mut out: *mut T, inner: Inner<'_, T, N>) {
        let length = self.dims[0];
        let step = self.strides[0];
        let outer: usize = self.dims[1..self.count].iter().product();
        let advance = std::array::from_fn(|i| usize::from(step[i] != 0));
        let mut gathered = [[T::ZERO; GATHER]; N];
        for _ in 0..outer {
            let mut ins = self.bases;
            let mut start = 0;
            while start < length {
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
                inner(&Lines { out, lines: 1, length: n, ins, advance, jump: [0; N] });
                out = out.wrapping_add(n);
                start += n;
            }
            self.advance(1);
        }
    }

    /// Calls `inner` over as many short lines at once as the buffers hold.
    unsafe fn pairs(&mut self, mut out: *mut T, inner: Inner<'_, T, N>) {
        let (length, lines) = (self.dims[0], self.dims[1]);
        let (step, jump) = (self.strides[0], self.strides[1]);
        let outer: usize = self.dims[2..self.count].iter().product();
        let fit = (GATHER / length).min(lines);
        let whole: [bool; N] = std::array::from_fn(|i| step[i] == 1 && jump[i] == length as isize);
        let single: [bool; N] = std::array::from_fn(|i| step[i] == 0 && jump[i] == 0);
        let advance = std::array::from_fn(|i| usize::from(!single[i]));
        let mut gathered = [[T::ZERO; GATHER]; N];
        for _ in 0..outer {
            let mut line = 0;
            while line < lines {
                let n = fit.min(lines - line);
                let mut ins = [std::ptr::null(); N];
                for i in 0..N {
                    let base = self.bases[i].wrapping_offset(line as isize * jump[i]);
                    if whole[i] || single[i] {
                        ins[i] = base;
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
                inner(&Lines { out, lines: 1, length: n * length, ins, advance, jump: [0; N] });
                out = out.wrapping_add(n * length);
                line += n;
            }
            self.advance(2);
        }
    }
}
