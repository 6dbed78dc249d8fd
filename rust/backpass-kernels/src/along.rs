//! Kernels along one axis of an array of shape (outer, len, inner): how they go along it, and how
//! the groups are shared among threads.
//!
//! The order of summation is fixed by the shape and the instruction set: four interleaved
//! accumulators over blocks of [`BLOCK`] vectors, the blocks' sums then added pairwise.

use std::mem::MaybeUninit;

use crate::isa::{Isa, Kernel, dispatch};
use crate::real::Real;
use crate::simd::Simd;
use crate::threads::{self, Shared};

/// Vectors in a block of the summation.
const BLOCK: usize = 64;

/// How values are combined, and what leaves any value as it is.
///
/// A type and not a closure: a closure that is not inlined runs without the target feature.
pub(crate) trait Combine {
    /// The neutral value.
    fn identity<T: Real>() -> T;
    /// Both together.
    fn combine<T: Real, S: Simd<T>>(s: S, a: S::V, b: S::V) -> S::V;
}

/// The sum.
#[derive(Clone, Copy)]
pub(crate) struct Sum;

impl Combine for Sum {
    #[inline(always)]
    fn identity<T: Real>() -> T {
        T::ZERO
    }
    #[inline(always)]
    fn combine<T: Real, S: Simd<T>>(s: S, a: S::V, b: S::V) -> S::V {
        s.add(a, b)
    }
}

/// The largest; nan if either is.
#[derive(Clone, Copy)]
pub(crate) struct Max;

impl Combine for Max {
    #[inline(always)]
    fn identity<T: Real>() -> T {
        -T::INFINITY
    }
    #[inline(always)]
    fn combine<T: Real, S: Simd<T>>(s: S, a: S::V, b: S::V) -> S::V {
        s.select(s.is_nan(a), a, s.max(a, b))
    }
}

/// The smallest; nan if either is.
#[derive(Clone, Copy)]
pub(crate) struct Min;

impl Combine for Min {
    #[inline(always)]
    fn identity<T: Real>() -> T {
        T::INFINITY
    }
    #[inline(always)]
    fn combine<T: Real, S: Simd<T>>(s: S, a: S::V, b: S::V) -> S::V {
        s.select(s.is_nan(a), a, s.min(a, b))
    }
}

/// `N` values that are combined beside each other.
#[inline(always)]
fn combine<C: Combine, T: Real, S: Simd<T>, const N: usize>(
    s: S,
    mut a: [S::V; N],
    b: [S::V; N],
) -> [S::V; N] {
    for (a, b) in a.iter_mut().zip(b) {
        *a = C::combine(s, *a, b);
    }
    a
}

/// The vectors from `start` to `end` combined, in four interleaved accumulators.
#[inline(always)]
fn fold_block<C: Combine, T: Real, S: Simd<T>, const N: usize>(
    s: S,
    start: usize,
    end: usize,
    at: &mut impl FnMut(usize) -> [S::V; N],
) -> [S::V; N] {
    let mut sums = [[s.splat(C::identity::<T>()); N]; 4];
    let mut k = start;
    while k + 4 <= end {
        for (j, sum) in sums.iter_mut().enumerate() {
            *sum = combine::<C, T, S, N>(s, *sum, at(k + j));
        }
        k += 4;
    }
    while k < end {
        sums[0] = combine::<C, T, S, N>(s, sums[0], at(k));
        k += 1;
    }
    let [first, second, third, fourth] = sums;
    let low = combine::<C, T, S, N>(s, first, second);
    combine::<C, T, S, N>(s, low, combine::<C, T, S, N>(s, third, fourth))
}

/// `count` times `N` vectors combined in the fixed order.
#[inline(always)]
fn fold_sequence<C: Combine, T: Real, S: Simd<T>, const N: usize>(
    s: S,
    count: usize,
    mut at: impl FnMut(usize) -> [S::V; N],
) -> [S::V; N] {
    let blocks = count.div_ceil(BLOCK);
    // `partial[l]` holds the sum of 2**l blocks where bit l of the number of blocks is set.
    let mut partial = [const { MaybeUninit::<[S::V; N]>::uninit() }; 58];
    for b in 0..blocks {
        let mut sum = fold_block::<C, T, S, N>(s, b * BLOCK, count.min((b + 1) * BLOCK), &mut at);
        if blocks == 1 {
            return sum;
        }
        let mut level = 0;
        while (b >> level) & 1 == 1 {
            // SAFETY: the bit says that the level is written.
            sum = combine::<C, T, S, N>(s, unsafe { partial[level].assume_init() }, sum);
            level += 1;
        }
        partial[level].write(sum);
    }
    let mut sum = [s.splat(C::identity::<T>()); N];
    for (level, part) in
        partial.iter().enumerate().take(usize::BITS as usize - blocks.leading_zeros() as usize)
    {
        if (blocks >> level) & 1 == 1 {
            // SAFETY: the bit says that the level is written.
            sum = combine::<C, T, S, N>(s, unsafe { part.assume_init() }, sum);
        }
    }
    sum
}

/// How a vector kernel goes along the axis: see [`Row`] and [`Column`].
pub(crate) trait Axis<T: Real, S: Simd<T>>: Copy {
    /// Calls `f` with the index of each vector along the axis.
    fn each(self, s: S, f: impl FnMut(Step));
    /// The values of `at` along the axis, combined; the result in every lane that belongs to it.
    #[inline(always)]
    fn fold<C: Combine>(self, s: S, mut at: impl FnMut(Step) -> S::V) -> S::V {
        let [value] = self.folds::<C, 1>(
            s,
            #[inline(always)]
            |k| [at(k)],
        );
        value
    }
    /// The same of `N` values beside each other.
    fn folds<C: Combine, const N: usize>(
        self,
        s: S,
        at: impl FnMut(Step) -> [S::V; N],
    ) -> [S::V; N];
    /// What belongs to the axis at `step`, not to the groups: `p` has an element for each step.
    unsafe fn along(self, s: S, p: *const T, step: Step) -> S::V;
    /// How many groups go along together.
    fn groups(self) -> usize;
    /// How far from the first element the one at `index` along the axis is, in the first group.
    fn offset(self, index: usize) -> usize;
    /// The vector at `step` behind `p`.
    unsafe fn load(self, s: S, p: *const T, step: Step) -> S::V;
    /// `v` to the vector at `step` behind `p`.
    unsafe fn store(self, s: S, p: *mut T, step: Step, v: S::V);
    /// The group's number at `p`, which has one a group.
    unsafe fn get(self, s: S, p: *const T) -> S::V;
    /// The group's number to `p`, which has one a group.
    unsafe fn put(self, s: S, p: *mut T, v: S::V);
}

/// A vector along the axis: where it begins, and how many lanes of it belong to the array.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    offset: usize,
    lanes: usize,
    /// Along the axis.
    index: usize,
}

impl Step {
    /// Where the vector behind `p` begins.
    #[inline(always)]
    pub(crate) fn of<T>(self, p: *const T) -> *const T {
        p.wrapping_add(self.offset)
    }
}

/// The axis is the last one: vectors lie along it.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) len: usize,
}

/// Outputs of so many bytes are more than what most processors have as a second cache.
const LARGE: usize = 1 << 21;

/// Whether an output of `n` elements is better written past the caches, see [`Row::each_to`].
pub(crate) fn is_large<T>(n: usize) -> bool {
    n * size_of::<T>() >= LARGE
}

impl Row {
    /// How many elements lie before the first one at which `out` is aligned to a vector.
    #[inline(always)]
    pub(crate) fn lead<T: Real, S: Simd<T>>(self, _: S, out: *const T) -> usize {
        let size = S::LANES * size_of::<T>();
        let before = (out as usize).next_multiple_of(size) - out as usize;
        (before / size_of::<T>()).min(self.len)
    }

    /// Calls `f` with the index of each vector along the row, where whole ones begin after `lead`
    /// elements.
    #[inline(always)]
    pub(crate) fn each_after<T: Real, S: Simd<T>>(
        self,
        _: S,
        lead: usize,
        mut f: impl FnMut(Step),
    ) {
        if lead > 0 {
            f(Step { offset: 0, lanes: lead, index: 0 });
        }
        let mut offset = lead;
        while offset + S::LANES <= self.len {
            f(Step { offset, lanes: S::LANES, index: offset });
            offset += S::LANES;
        }
        if offset < self.len {
            f(Step { offset, lanes: self.len - offset, index: offset });
        }
    }

    /// `v` to the vector at `step` behind `p`; if `past`, a whole one past the caches, for which it
    /// must be aligned.
    #[inline(always)]
    pub(crate) unsafe fn write<T: Real, S: Simd<T>>(
        self,
        s: S,
        p: *mut T,
        step: Step,
        v: S::V,
        past: bool,
    ) {
        // SAFETY: the caller vouches for the row behind `p`.
        unsafe {
            if past && step.lanes == S::LANES {
                s.stream(p.add(step.offset), v);
            } else {
                self.store(s, p, step, v);
            }
        }
    }

    /// Writes the values of `f` along the row to `out`; if `past`, past the caches, and
    /// [`Simd::fence`] comes after all rows.
    #[inline(always)]
    pub(crate) unsafe fn each_to<T: Real, S: Simd<T>>(
        self,
        s: S,
        out: *mut T,
        past: bool,
        mut f: impl FnMut(Step) -> S::V,
    ) {
        // SAFETY: the caller vouches for the row behind `out`.
        unsafe {
            let lead = if past { self.lead(s, out.cast_const()) } else { 0 };
            self.each_after(
                s,
                lead,
                #[inline(always)]
                |k| self.write(s, out, k, f(k), past),
            );
        }
    }
}

impl<T: Real, S: Simd<T>> Axis<T, S> for Row {
    #[inline(always)]
    fn each(self, _: S, mut f: impl FnMut(Step)) {
        let whole = self.len / S::LANES * S::LANES;
        let mut offset = 0;
        while offset < whole {
            f(Step { offset, lanes: S::LANES, index: offset });
            offset += S::LANES;
        }
        if whole < self.len {
            f(Step { offset, lanes: self.len - whole, index: offset });
        }
    }

    #[inline(always)]
    fn folds<C: Combine, const N: usize>(
        self,
        s: S,
        mut at: impl FnMut(Step) -> [S::V; N],
    ) -> [S::V; N] {
        let whole = self.len / S::LANES;
        let rest = self.len % S::LANES;
        let mut sums = fold_sequence::<C, T, S, N>(
            s,
            whole,
            #[inline(always)]
            |k| at(Step { offset: k * S::LANES, lanes: S::LANES, index: k * S::LANES }),
        );
        if rest > 0 {
            let offset = whole * S::LANES;
            let tail = at(Step { offset, lanes: rest, index: offset });
            let none = s.splat(C::identity::<T>());
            for (sum, tail) in sums.iter_mut().zip(tail) {
                *sum = C::combine(s, *sum, s.select(s.head(rest), tail, none));
            }
        }
        for sum in &mut sums {
            *sum = s.splat(s.fold(
                *sum,
                #[inline(always)]
                |a, b| C::combine(s, a, b),
            ));
        }
        sums
    }

    #[inline(always)]
    unsafe fn along(self, s: S, p: *const T, step: Step) -> S::V {
        // SAFETY: the caller vouches for `p`.
        unsafe { <Self as Axis<T, S>>::load(self, s, p, step) }
    }

    #[inline(always)]
    fn groups(self) -> usize {
        1
    }

    #[inline(always)]
    fn offset(self, index: usize) -> usize {
        index
    }

    #[inline(always)]
    unsafe fn load(self, s: S, p: *const T, step: Step) -> S::V {
        // SAFETY: the caller vouches for the group behind `p`.
        unsafe {
            if step.lanes == S::LANES {
                s.load(p.add(step.offset))
            } else {
                s.load_partial(p.add(step.offset), step.lanes)
            }
        }
    }

    #[inline(always)]
    unsafe fn store(self, s: S, p: *mut T, step: Step, v: S::V) {
        // SAFETY: the caller vouches for the group behind `p`.
        unsafe {
            if step.lanes == S::LANES {
                s.store(p.add(step.offset), v);
            } else {
                s.store_partial(p.add(step.offset), step.lanes, v);
            }
        }
    }

    #[inline(always)]
    unsafe fn get(self, s: S, p: *const T) -> S::V {
        // SAFETY: the caller vouches for `p`.
        s.splat(unsafe { *p })
    }

    #[inline(always)]
    unsafe fn put(self, s: S, p: *mut T, v: S::V) {
        // SAFETY: the caller vouches for `p`.
        unsafe { *p = s.first(v) };
    }
}

/// The axis is not the last one: each lane is a group of its own. Not `FULL`: only `width` lanes.
#[derive(Clone, Copy)]
pub(crate) struct Column<const FULL: bool> {
    pub(crate) len: usize,
    pub(crate) inner: usize,
    pub(crate) width: usize,
}

impl<T: Real, S: Simd<T>, const FULL: bool> Axis<T, S> for Column<FULL> {
    #[inline(always)]
    fn each(self, _: S, mut f: impl FnMut(Step)) {
        for k in 0..self.len {
            f(Step { offset: k * self.inner, lanes: self.width, index: k });
        }
    }

    #[inline(always)]
    fn folds<C: Combine, const N: usize>(
        self,
        s: S,
        mut at: impl FnMut(Step) -> [S::V; N],
    ) -> [S::V; N] {
        fold_sequence::<C, T, S, N>(
            s,
            self.len,
            #[inline(always)]
            |k| at(Step { offset: k * self.inner, lanes: self.width, index: k }),
        )
    }

    #[inline(always)]
    unsafe fn along(self, s: S, p: *const T, step: Step) -> S::V {
        // SAFETY: the caller vouches for `p`.
        s.splat(unsafe { *p.add(step.index) })
    }

    #[inline(always)]
    fn groups(self) -> usize {
        self.width
    }

    #[inline(always)]
    fn offset(self, index: usize) -> usize {
        index * self.inner
    }

    #[inline(always)]
    unsafe fn load(self, s: S, p: *const T, step: Step) -> S::V {
        // SAFETY: the caller vouches for the group behind `p`.
        unsafe {
            if FULL {
                s.load(p.add(step.offset))
            } else {
                s.load_partial(p.add(step.offset), self.width)
            }
        }
    }

    #[inline(always)]
    unsafe fn store(self, s: S, p: *mut T, step: Step, v: S::V) {
        // SAFETY: the caller vouches for the group behind `p`.
        unsafe {
            if FULL {
                s.store(p.add(step.offset), v);
            } else {
                s.store_partial(p.add(step.offset), self.width, v);
            }
        }
    }

    #[inline(always)]
    unsafe fn get(self, s: S, p: *const T) -> S::V {
        // SAFETY: the caller vouches for `p`.
        unsafe { if FULL { s.load(p) } else { s.load_partial(p, self.width) } }
    }

    #[inline(always)]
    unsafe fn put(self, s: S, p: *mut T, v: S::V) {
        // SAFETY: the caller vouches for `p`.
        unsafe {
            if FULL {
                s.store(p, v);
            } else {
                s.store_partial(p, self.width, v);
            }
        }
    }
}

/// What is computed for each group of elements along the axis.
pub(crate) trait Body<T: Real>: Copy {
    /// Computes the groups of `axis` whose first element has the offset `data` in the array and the
    /// offset `group` in arrays with one number a group.
    ///
    /// # Safety
    ///
    /// Both offsets lie within the body's arrays.
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize);
}

/// An array's shape about the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Product of the dimensions before the axis.
    pub outer: usize,
    /// Elements along the axis.
    pub len: usize,
    /// Product of the dimensions behind the axis.
    pub inner: usize,
}

impl Shape {
    /// Elements in the array.
    #[must_use]
    pub fn size(self) -> usize {
        self.outer * self.len * self.inner
    }

    /// Groups of elements along the axis.
    #[must_use]
    pub fn groups(self) -> usize {
        self.outer * self.inner
    }
}

struct Groups<B> {
    shape: Shape,
    body: B,
}

impl<T: Real, B: Body<T>> Kernel<T> for Groups<B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Shape { outer, len, inner } = self.shape;
        for o in 0..outer {
            let base = o * len * inner;
            if inner == 1 {
                // SAFETY: within the shape.
                unsafe { self.body.compute(s, Row { len }, base, o) };
                continue;
            }
            // SAFETY: within the shape.
            unsafe { columns(s, self.body, len, inner, 0, inner, base, o * inner) };
        }
    }
}

/// Runs `body` over every group of `shape`, on several threads if that is worth it; an element takes
/// about `picoseconds`.
///
/// # Safety
///
/// The body's arrays have the shape; the processor has `isa`.
pub(crate) unsafe fn for_groups<T: Real, B: Body<T>>(
    isa: Isa,
    shape: Shape,
    picoseconds: usize,
    body: B,
) {
    let Shape { outer, len, inner } = shape;
    let nanoseconds = shape.size() * picoseconds / 1000;
    if nanoseconds < CHUNK || shape.groups() == 1 {
        // SAFETY: the caller vouches for the processor.
        return unsafe { dispatch(isa, Groups { shape, body: Part { body, data: 0, group: 0 } }) };
    }
    // SAFETY: each chunk has groups of its own.
    let shared = unsafe { Shared::new(body) };
    if outer > 1 {
        let chunks = outer.min(nanoseconds / CHUNK).clamp(1, 64);
        threads::run(chunks, nanoseconds, &|chunk| {
            let (first, last) = (outer * chunk / chunks, outer * (chunk + 1) / chunks);
            let part = Part { body: shared.get(), data: first * len * inner, group: first * inner };
            let shape = Shape { outer: last - first, len, inner };
            // SAFETY: within the shape; the caller vouches for the processor.
            unsafe { dispatch(isa, Groups { shape, body: part }) };
        });
    } else {
        // Ranges of columns, a cache line's worth at least.
        let lines = inner.div_ceil(64);
        let chunks = lines.min(nanoseconds / CHUNK).clamp(1, 64);
        threads::run(chunks, nanoseconds, &|chunk| {
            let (first, last) =
                (64 * (lines * chunk / chunks), 64 * (lines * (chunk + 1) / chunks));
            let columns = Columns { len, inner, first, last: last.min(inner), body: shared.get() };
            // SAFETY: within the shape; the caller vouches for the processor.
            unsafe { dispatch(isa, columns) };
        });
    }
}

/// Nanoseconds of a chunk, at least.
const CHUNK: usize = 2_000;

/// A body whose arrays are read from an offset on.
#[derive(Clone, Copy)]
struct Part<B> {
    body: B,
    data: usize,
    group: usize,
}

impl<T: Real, B: Body<T>> Body<T> for Part<B> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe { self.body.compute(s, axis, self.data + data, self.group + group) };
    }
}

/// Some of the columns of a matrix.
struct Columns<B> {
    len: usize,
    inner: usize,
    first: usize,
    last: usize,
    body: B,
}

impl<T: Real, B: Body<T>> Kernel<T> for Columns<B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        let Self { len, inner, first, last, body } = self;
        // SAFETY: within the shape.
        unsafe { columns(s, body, len, inner, first, last, 0, 0) };
    }
}

/// Columns `first` to `last` of the matrix at `base`, whose groups begin at `group`.
#[inline(always)]
unsafe fn columns<T: Real, S: Simd<T>, B: Body<T>>(
    s: S,
    body: B,
    len: usize,
    inner: usize,
    first: usize,
    last: usize,
    base: usize,
    group: usize,
) {
    let mut j = first;
    while j + S::LANES <= last {
        let axis = Column::<true> { len, inner, width: S::LANES };
        // SAFETY: the caller vouches for the matrix.
        unsafe { body.compute(s, axis, base + j, group + j) };
        j += S::LANES;
    }
    if j < last {
        let axis = Column::<false> { len, inner, width: last - j };
        // SAFETY: the caller vouches for the matrix.
        unsafe { body.compute(s, axis, base + j, group + j) };
    }
}
