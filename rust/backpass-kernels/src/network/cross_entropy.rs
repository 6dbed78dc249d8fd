//! Cross-entropy and the negative log-likelihood along one axis, for labels and for probabilities,
//! and their rules: the softmax is never kept.

use crate::along::{Axis, Body, Max, Shape, Step, Sum, for_groups};
use crate::isa::Isa;
use crate::real::Real;
use crate::simd::{MAX_BYTES, Simd};
use crate::softmax::shift;

/// The most lanes of a vector.
const LANES: usize = MAX_BYTES / size_of::<f32>();

/// Labels, and how much each counts.
#[derive(Clone, Copy, Debug)]
pub struct Labels<T> {
    /// A label a group.
    pub labels: *const i64,
    /// The label of groups that do not count.
    pub ignored: Option<i64>,
    /// How much each class counts: null, or a number a class.
    pub weight: *const T,
    /// From 0 to 1: so much of what is at the label is spread over all classes.
    pub smoothing: f64,
}

impl<T: Real> Labels<T> {
    /// Whether every label that counts is one of so many classes.
    ///
    /// # Safety
    ///
    /// There are labels for `groups`.
    #[must_use]
    pub unsafe fn fit(&self, groups: usize, classes: usize) -> bool {
        (0..groups).all(|i| {
            // SAFETY: the caller's.
            let label = unsafe { *self.labels.add(i) };
            (label as u64) < classes as u64 || Some(label) == self.ignored
        })
    }

    /// How much the groups count, and how much without the classes' weights, into `counts`.
    ///
    /// # Safety
    ///
    /// The labels of these groups [fit](Labels::fit).
    #[inline(always)]
    unsafe fn counts(&self, group: usize, counts: &mut [T], here: &mut [T]) {
        for (i, (count, here)) in counts.iter_mut().zip(here).enumerate() {
            // SAFETY: the caller's.
            unsafe {
                let label = *self.labels.add(group + i);
                let counted = Some(label) != self.ignored;
                *here = if counted { T::ONE } else { T::ZERO };
                *count = match counted {
                    true if self.weight.is_null() => T::ONE,
                    true => *self.weight.add(label as usize),
                    false => T::ZERO,
                };
            }
        }
    }

    /// How much `groups` groups count, into `out`.
    ///
    /// # Safety
    ///
    /// The labels fit, and `out` has room.
    pub unsafe fn write_counts(&self, groups: usize, out: *mut T) {
        // SAFETY: the caller's.
        unsafe {
            for i in 0..groups {
                let mut count = [T::ZERO];
                self.counts(i, &mut count, &mut [T::ZERO]);
                out.add(i).write(count[0]);
            }
        }
    }
}

/// What is taken from every element for its logarithm: the shift, and the logarithm of the sum.
#[inline(always)]
unsafe fn logarithm<T: Real, S: Simd<T>, A: Axis<T, S>>(s: S, axis: A, x: *const T) -> [S::V; 2] {
    // SAFETY: the caller vouches for the group behind `x`.
    unsafe {
        let (_, shift) = shift(s, axis, x);
        let sum = axis.fold::<Sum>(
            s,
            #[inline(always)]
            |k| T::exp(s, s.sub(axis.load(s, x, k), shift)),
        );
        [shift, T::ln(s, sum)]
    }
}

#[inline(always)]
fn less<T: Real, S: Simd<T>>(s: S, x: S::V, [shift, log]: [S::V; 2]) -> S::V {
    s.sub(s.sub(x, shift), log)
}

/// Not `SOFTMAX`: `x` holds logarithms already.
#[derive(Clone, Copy)]
struct Losses<T, const SOFTMAX: bool> {
    labels: Labels<T>,
    classes: usize,
    x: *const T,
    out: *mut T,
}

impl<T: Real, const SOFTMAX: bool> Body<T> for Losses<T, SOFTMAX> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        let Self { labels, classes, x, out } = self;
        // SAFETY: the caller vouches for the offsets; the labels fit.
        unsafe {
            let x = x.add(data);
            let taken = if SOFTMAX { logarithm(s, axis, x) } else { [s.splat(T::ZERO); 2] };
            let (mut counts, mut here) = ([T::ZERO; LANES], [T::ZERO; LANES]);
            let mut chosen = [T::ZERO; LANES];
            let groups = axis.groups();
            labels.counts(group, &mut counts[..groups], &mut here[..groups]);
            for i in 0..groups {
                if here[i] != T::ZERO {
                    let label = *labels.labels.add(group + i) as usize;
                    chosen[i] = *x.add(axis.offset(label) + i);
                }
            }
            let [counts, here, chosen] =
                [counts, here, chosen].map(|lanes| axis.get(s, lanes.as_ptr()));
            let scale = s.splat(T::of(labels.smoothing - 1.0));
            let mut value = s.zero_mul(counts, s.mul(scale, less(s, chosen, taken)));
            if labels.smoothing != 0.0 {
                let every = axis.fold::<Sum>(
                    s,
                    #[inline(always)]
                    |k| {
                        let log = less(s, axis.load(s, x, k), taken);
                        if labels.weight.is_null() {
                            log
                        } else {
                            s.zero_mul(axis.along(s, labels.weight, k), log)
                        }
                    },
                );
                let share = s.splat(T::of(labels.smoothing / classes as f64));
                value = s.sub(value, s.zero_mul(here, s.mul(share, every)));
            }
            axis.put(s, out.add(group), value);
        }
    }
}

/// The loss of each group: minus the logarithm of its label's softmax, or, not `SOFTMAX`, minus the
/// element at its label.
///
/// # Safety
///
/// `x` has `shape` and is contiguous, `out` holds a number a group, and overlaps nothing; the labels
/// fit; the processor has `isa`.
pub unsafe fn losses<T: Real, const SOFTMAX: bool>(
    isa: Isa,
    shape: Shape,
    labels: Labels<T>,
    x: *const T,
    out: *mut T,
) {
    let cost = if SOFTMAX { 350 } else { 10 } + if labels.smoothing == 0.0 { 0 } else { 100 };
    let body = Losses::<T, SOFTMAX> { labels, classes: shape.len, x, out };
    // SAFETY: the caller vouches for all of it.
    unsafe { for_groups(isa, shape, cost * size_of::<T>() / 4, body) };
}

/// Cotangents of the groups' losses.
#[derive(Clone, Copy, Debug)]
pub struct Cotangents<T> {
    /// The first.
    pub g: *const T,
    /// Whether each group has one of its own; else the first stands for all.
    pub each: bool,
}

impl<T: Real> Cotangents<T> {
    #[inline(always)]
    unsafe fn get<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, group: usize) -> S::V {
        // SAFETY: the caller vouches for the group.
        unsafe { if self.each { axis.get(s, self.g.add(group)) } else { s.splat(*self.g) } }
    }
}

/// e to the elements, less the largest of a group, to `out`; their sum.
#[inline(always)]
unsafe fn powers<T: Real, S: Simd<T>, A: Axis<T, S>>(
    s: S,
    axis: A,
    x: *const T,
    out: *mut T,
) -> S::V {
    // SAFETY: the caller vouches for the groups.
    unsafe {
        let max = axis.fold::<Max>(
            s,
            #[inline(always)]
            |k| axis.load(s, x, k),
        );
        axis.fold::<Sum>(
            s,
            #[inline(always)]
            |k| {
                let e = T::exp(s, s.sub(axis.load(s, x, k), max));
                axis.store(s, out, k, e);
                e
            },
        )
    }
}

#[derive(Clone, Copy)]
struct LossesVjp<T, const SOFTMAX: bool> {
    labels: Labels<T>,
    classes: usize,
    /// The sum of the classes' weights.
    total: T,
    g: Cotangents<T>,
    x: *const T,
    out: *mut T,
}

impl<T: Real, const SOFTMAX: bool> LossesVjp<T, SOFTMAX> {
    /// The cotangent of a logarithm as one of all, times what its class counts.
    #[inline(always)]
    unsafe fn spread<S: Simd<T>, A: Axis<T, S>>(
        &self,
        s: S,
        axis: A,
        every: S::V,
        k: Step,
    ) -> S::V {
        if self.labels.weight.is_null() {
            return every;
        }
        // SAFETY: there is a weight a class.
        s.mul(every, unsafe { axis.along(s, self.labels.weight, k) })
    }
}

impl<T: Real, const SOFTMAX: bool> Body<T> for LossesVjp<T, SOFTMAX> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        let Self { labels, classes, total, g, x, out } = self;
        // SAFETY: the caller vouches for the offsets; the labels fit.
        unsafe {
            let out = out.add(data);
            let (mut counts, mut here) = ([T::ZERO; LANES], [T::ZERO; LANES]);
            let groups = axis.groups();
            labels.counts(group, &mut counts[..groups], &mut here[..groups]);
            let [weights, places] = [&counts, &here].map(|lanes| axis.get(s, lanes.as_ptr()));
            let g = g.get(s, axis, group);
            let zero = s.splat(T::ZERO);
            // The cotangents of the logarithms: those at the labels, and those at all classes.
            let scale = s.splat(T::of(labels.smoothing - 1.0));
            let chosen = s.zero_mul(s.mul(scale, weights), g);
            let smooth = labels.smoothing != 0.0;
            let every = if smooth {
                let share = s.splat(T::of(-labels.smoothing / classes as f64));
                s.zero_mul(s.mul(share, places), g)
            } else {
                zero
            };
            if SOFTMAX {
                let sum = powers(s, axis, x.add(data), out);
                let whole = s.fma(every, s.splat(total), chosen);
                let counts = s.ne(whole, zero);
                let share = s.div(whole, sum);
                axis.each(
                    s,
                    #[inline(always)]
                    |k| {
                        let part = s.mul(share, axis.load(s, out, k));
                        let part = s.select(counts, part, zero);
                        let value = if smooth {
                            s.sub(self.spread(s, axis, every, k), part)
                        } else {
                            s.neg(part)
                        };
                        axis.store(s, out, k, value);
                    },
                );
            } else {
                axis.each(
                    s,
                    #[inline(always)]
                    |k| {
                        let value = if smooth { self.spread(s, axis, every, k) } else { zero };
                        axis.store(s, out, k, value);
                    },
                );
            }
            let mut lanes = [T::ZERO; LANES];
            axis.put(s, lanes.as_mut_ptr(), chosen);
            for i in 0..groups {
                if here[i] != T::ZERO {
                    let label = *labels.labels.add(group + i) as usize;
                    let place = out.add(axis.offset(label) + i);
                    *place = *place + lanes[i];
                }
            }
        }
    }
}

/// The rule of [`losses`].
///
/// # Safety
///
/// `x` and `out` have `shape` and are contiguous (`x` is not read unless `SOFTMAX`), `g` has what it
/// says; `out` overlaps nothing; the labels fit; the processor has `isa`.
pub unsafe fn losses_vjp<T: Real, const SOFTMAX: bool>(
    isa: Isa,
    shape: Shape,
    labels: Labels<T>,
    g: Cotangents<T>,
    x: *const T,
    out: *mut T,
) {
    let classes = shape.len;
    let mut total = T::count(classes);
    if !labels.weight.is_null() {
        let mut sum = 0.0;
        for i in 0..classes {
            // SAFETY: there is a weight a class.
            sum += unsafe { *labels.weight.add(i) }.wide();
        }
        total = T::of(sum);
    }
    let body = LossesVjp::<T, SOFTMAX> { labels, classes, total, g, x, out };
    let cost = if SOFTMAX { 400 } else { 60 };
    // SAFETY: the caller vouches for all of it.
    unsafe { for_groups(isa, shape, cost * size_of::<T>() / 4, body) };
}

/// Probabilities, and how much each class counts.
#[derive(Clone, Copy, Debug)]
pub struct Targets<T> {
    /// One an element, as the elements lie.
    pub target: *const T,
    /// How much each class counts: null, or a number a class.
    pub weight: *const T,
    /// From 0 to 1: so much of the uniform distribution is mixed in.
    pub smoothing: f64,
    /// The number of classes.
    pub classes: usize,
}

impl<T: Real> Targets<T> {
    /// How much the logarithm at `k` counts.
    #[inline(always)]
    unsafe fn share<S: Simd<T>, A: Axis<T, S>>(&self, s: S, axis: A, data: usize, k: Step) -> S::V {
        // SAFETY: the caller vouches for the group.
        unsafe {
            let mut share = axis.load(s, self.target.add(data), k);
            if self.smoothing != 0.0 {
                let uniform = s.splat(T::of(self.smoothing / self.classes as f64));
                share = s.fma(share, s.splat(T::of(1.0 - self.smoothing)), uniform);
            }
            self.weighted(s, axis, share, k)
        }
    }

    #[inline(always)]
    unsafe fn weighted<S: Simd<T>, A: Axis<T, S>>(&self, s: S, axis: A, x: S::V, k: Step) -> S::V {
        if self.weight.is_null() {
            return x;
        }
        // SAFETY: there is a weight a class.
        s.zero_mul(unsafe { axis.along(s, self.weight, k) }, x)
    }
}

#[derive(Clone, Copy)]
struct SoftLosses<T> {
    targets: Targets<T>,
    x: *const T,
    out: *mut T,
}

impl<T: Real> Body<T> for SoftLosses<T> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let x = self.x.add(data);
            let taken = logarithm(s, axis, x);
            let sum = axis.fold::<Sum>(
                s,
                #[inline(always)]
                |k| {
                    let log = less(s, axis.load(s, x, k), taken);
                    s.zero_mul(self.targets.share(s, axis, data, k), log)
                },
            );
            axis.put(s, self.out.add(group), s.neg(sum));
        }
    }
}

/// The loss of each group for probabilities.
///
/// # Safety
///
/// `x` and the targets have `shape` and are contiguous, `out` holds a number a group, and overlaps
/// nothing; the processor has `isa`.
pub unsafe fn soft_losses<T: Real>(
    isa: Isa,
    shape: Shape,
    targets: Targets<T>,
    x: *const T,
    out: *mut T,
) {
    // SAFETY: the caller vouches for all of it.
    unsafe { for_groups(isa, shape, 450 * size_of::<T>() / 4, SoftLosses { targets, x, out }) };
}

/// The rule of [`soft_losses`] for the logits, or, if `TARGET`, for the targets.
#[derive(Clone, Copy)]
struct SoftLossesVjp<T, const TARGET: bool> {
    targets: Targets<T>,
    g: Cotangents<T>,
    x: *const T,
    out: *mut T,
}

impl<T: Real, const TARGET: bool> Body<T> for SoftLossesVjp<T, TARGET> {
    #[inline(always)]
    unsafe fn compute<S: Simd<T>, A: Axis<T, S>>(self, s: S, axis: A, data: usize, group: usize) {
        let Self { targets, g, x, out } = self;
        // SAFETY: the caller vouches for the offsets.
        unsafe {
            let (x, out) = (x.add(data), out.add(data));
            let g = s.neg(g.get(s, axis, group));
            if TARGET {
                let taken = logarithm(s, axis, x);
                let g = s.mul(s.splat(T::of(1.0 - targets.smoothing)), g);
                axis.each(
                    s,
                    #[inline(always)]
                    |k| {
                        let log = less(s, axis.load(s, x, k), taken);
                        let log = targets.weighted(s, axis, log, k);
                        axis.store(s, out, k, s.zero_mul(g, log));
                    },
                );
                return;
            }
            let sum = powers(s, axis, x, out);
            let whole = axis.fold::<Sum>(
                s,
                #[inline(always)]
                |k| s.zero_mul(targets.share(s, axis, data, k), g),
            );
            let zero = s.splat(T::ZERO);
            let counts = s.ne(whole, zero);
            let share = s.div(whole, sum);
            axis.each(
                s,
                #[inline(always)]
                |k| {
                    let part = s.select(counts, s.mul(share, axis.load(s, out, k)), zero);
                    let own = s.zero_mul(targets.share(s, axis, data, k), g);
                    axis.store(s, out, k, s.sub(own, part));
                },
            );
        }
    }
}

/// The rule of [`soft_losses`] for the logits, or, if `TARGET`, for the targets.
///
/// # Safety
///
/// `x`, the targets and `out` have `shape` and are contiguous, `g` has what it says; `out` overlaps
/// nothing; the processor has `isa`.
pub unsafe fn soft_losses_vjp<T: Real, const TARGET: bool>(
    isa: Isa,
    shape: Shape,
    targets: Targets<T>,
    g: Cotangents<T>,
    x: *const T,
    out: *mut T,
) {
    let body = SoftLossesVjp::<T, TARGET> { targets, g, x, out };
    // SAFETY: the caller vouches for all of it.
    unsafe { for_groups(isa, shape, 500 * size_of::<T>() / 4, body) };
}
