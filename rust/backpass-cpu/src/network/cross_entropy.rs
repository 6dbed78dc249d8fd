//! Cross-entropy and the negative log-likelihood.

use backpass_kernels::isa::Isa;
use backpass_kernels::network::cross_entropy::{
    Cotangents, Labels, Targets, losses, losses_vjp, soft_losses, soft_losses_vjp,
};
use backpass_kernels::pool::Scratch;
use backpass_kernels::reduce::{Reduction as Reduce, Shape, reduce};
use pyo3::ffi;

use super::Family;
use super::given::{Integers, dense, dense_or_none, optional, pointer};
use crate::keywords::{Names, each_keyword, integer, number, one_axis};
use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, new_scalar, unlocked,
};
use crate::order::Dense;
use crate::table::{Args, Object, functions, isa};
use crate::views::Dims;

/// The kernels.
pub static KERNELS: Family = &[
    ("cross_entropy", cross_entropy),
    ("cross_entropy.vjp", cross_entropy_vjp),
    ("nll_loss", nll_loss),
    ("nll_loss.vjp", nll_loss_vjp),
    ("soft_cross_entropy", soft_cross_entropy),
    ("soft_cross_entropy.vjp0", soft_to_logits),
    ("soft_cross_entropy.vjp1", soft_to_target),
    ("within", within),
];

functions! {
    cross_entropy: |a, n, k| finish(|| call(isa(), Loss::Function(true), a, n, k));
    cross_entropy_vjp: |a, n, k| finish(|| call(isa(), Loss::Rule(true), a, n, k));
    nll_loss: |a, n, k| finish(|| call(isa(), Loss::Function(false), a, n, k));
    nll_loss_vjp: |a, n, k| finish(|| call(isa(), Loss::Rule(false), a, n, k));
    soft_cross_entropy: |a, n, k| finish(|| soft(isa(), SoftLoss::Function, a, n, k));
    soft_to_logits: |a, n, k| finish(|| soft(isa(), SoftLoss::ToLogits, a, n, k));
    soft_to_target: |a, n, k| finish(|| soft(isa(), SoftLoss::ToTarget, a, n, k));
    within: |a, n, k| finish(|| are_within(a, n, k));
}

/// For labels: whether the softmax is taken first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    /// x, target, weight
    Function(bool),
    /// g, x, target, weight
    Rule(bool),
}

/// For probabilities.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SoftLoss {
    /// logits, target, weight
    Function,
    /// g, logits, target, weight
    ToLogits,
    /// g, logits, weight
    ToTarget,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reduction {
    None,
    Sum,
    Mean,
}

/// Keywords.
struct Options {
    axis: Object,
    ignored: Option<i64>,
    reduction: Reduction,
    smoothing: f64,
}

impl Options {
    unsafe fn read(values: Args, kwnames: Object) -> Result<Self, Refused> {
        static NAMES: Names<4> =
            Names::new([c"axis", c"ignore_index", c"reduction", c"label_smoothing"]);
        let mut found = Self {
            axis: std::ptr::null_mut(),
            ignored: None,
            reduction: Reduction::Mean,
            smoothing: 0.0,
        };
        // SAFETY: the lock is held and the values are alive.
        unsafe {
            each_keyword(kwnames, values, NAMES.get()?, |place, value| {
                match place {
                    0 => found.axis = value,
                    1 if value == ffi::Py_None() => found.ignored = None,
                    1 => found.ignored = Some(integer(value)? as i64),
                    2 => found.reduction = reduction(value)?,
                    _ => found.smoothing = number(value)?,
                }
                Ok(())
            })?;
        }
        if found.axis.is_null() { Err(Refused) } else { Ok(found) }
    }

    /// The shape about the axis of the classes.
    unsafe fn about(&self, shape: &[usize]) -> Result<(usize, Shape), Refused> {
        // SAFETY: the axis is a live object.
        let axis = unsafe { one_axis(self.axis, shape.len())? };
        let about = Shape {
            outer: shape[..axis].iter().product(),
            len: shape[axis],
            inner: shape[axis + 1..].iter().product(),
        };
        if about.size() == 0 { Err(Refused) } else { Ok((axis, about)) }
    }
}

unsafe fn reduction(value: Object) -> Result<Reduction, Refused> {
    // SAFETY: the test of the type comes first.
    unsafe {
        if ffi::Py_TYPE(value) != &raw mut ffi::PyUnicode_Type {
            return Err(Refused);
        }
        let is = |name: &std::ffi::CStr| {
            ffi::PyUnicode_CompareWithASCIIString(value, name.as_ptr()) == 0
        };
        match value {
            _ if is(c"mean") => Ok(Reduction::Mean),
            _ if is(c"sum") => Ok(Reduction::Sum),
            _ if is(c"none") => Ok(Reduction::None),
            _ => Err(Refused),
        }
    }
}

/// Whether `shape` is `whole` without an axis.
fn is_without(shape: &[usize], whole: &[usize], axis: usize) -> bool {
    shape.len() + 1 == whole.len()
        && shape[..axis] == whole[..axis]
        && shape[axis..] == whole[axis + 1..]
}

unsafe fn call(isa: Isa, loss: Loss, args: Args, nargs: isize, kwnames: Object) -> Outcome {
    // SAFETY: the lock is held and the arguments are alive.
    unsafe {
        let rule = matches!(loss, Loss::Rule(_));
        if nargs != 3 + isize::from(rule) {
            return Err(Refused);
        }
        let options = Options::read(args.offset(nargs), kwnames)?;
        let operands = args.add(usize::from(rule));
        let g = if rule { Some(Argument::new(*args)?) } else { None };
        // The rule of what is linear has the shape only.
        let x = if loss == Loss::Rule(false) { None } else { Some(Argument::new(*operands)?) };
        let shape = Dims::of(*operands)?;
        let weight = optional(*operands.add(2))?;
        let labels = Integers::read(*operands.add(1))?;
        let given: Vec<Argument> = [x, g].into_iter().flatten().collect();
        let call = Call { isa, loss, options, shape, g, x, weight, labels };
        match common_kind(&given)? {
            Kind::Single => call.typed::<f32>(),
            _ => call.typed::<f64>(),
        }
    }
}

/// A call of a loss for labels, or of its rule.
struct Call {
    isa: Isa,
    loss: Loss,
    options: Options,
    shape: Dims,
    g: Option<Argument>,
    x: Option<Argument>,
    weight: Option<Argument>,
    labels: Integers,
}

impl Call {
    unsafe fn typed<T: Element>(&self) -> Outcome {
        let shape: Vec<usize> = self.shape.lengths().iter().map(|&n| n as usize).collect();
        // SAFETY: the axis is alive; labels are looked at before they are used.
        unsafe {
            let (axis, about) = self.options.about(&shape)?;
            if !is_without(self.labels.shape(), &shape, axis) {
                return Err(Refused);
            }
            let weight = dense_or_none::<T>(self.isa, self.weight.as_ref(), &[about.len])?;
            let labels = Labels {
                labels: self.labels.as_ptr(),
                ignored: self.options.ignored,
                weight: pointer(weight.as_ref()),
                smoothing: self.options.smoothing,
            };
            if !labels.fit(about.groups(), about.len) {
                return Err(Refused);
            }
            let x = dense_or_none::<T>(self.isa, self.x.as_ref(), &shape)?;
            let x = pointer(x.as_ref());
            match self.loss {
                Loss::Function(true) => self.function::<T, true>(about, labels, x),
                Loss::Function(false) => self.function::<T, false>(about, labels, x),
                Loss::Rule(true) => self.rule::<T, true>(about, labels, x, &shape),
                Loss::Rule(false) => self.rule::<T, false>(about, labels, x, &shape),
            }
        }
    }

    /// How much all groups count.
    unsafe fn total<T: Element>(&self, about: Shape, labels: Labels<T>) -> T {
        let groups = about.groups();
        if labels.weight.is_null() && labels.ignored.is_none() {
            return T::count(groups);
        }
        let counts = Scratch::<T>::new(groups);
        // SAFETY: the labels fit.
        unsafe {
            labels.write_counts(groups, counts.as_ptr());
            sum(self.isa, groups, counts.as_ptr())
        }
    }

    unsafe fn function<T: Element, const SOFTMAX: bool>(
        &self,
        about: Shape,
        labels: Labels<T>,
        x: *const T,
    ) -> Outcome {
        let cost = if SOFTMAX { about.size() * 350 } else { about.groups() * 1000 };
        let run = |out: *mut T| {
            // SAFETY: `x` has the shape, `out` a number a group; the labels fit.
            unsafe { losses::<T, SOFTMAX>(self.isa, about, labels, x, out) };
        };
        // SAFETY: the lock is held; the labels fit.
        unsafe {
            reduced(self.isa, self.options.reduction, self.labels.shape(), cost, run, || {
                self.total(about, labels)
            })
        }
    }

    unsafe fn rule<T: Element, const SOFTMAX: bool>(
        &self,
        about: Shape,
        labels: Labels<T>,
        x: *const T,
        shape: &[usize],
    ) -> Outcome {
        // SAFETY: the lock is held; the labels fit; the output has the shape.
        unsafe {
            let g = Spread::<T>::new(
                self.isa,
                self.g.as_ref().ok_or(Refused)?,
                self.options.reduction,
                self.labels.shape(),
                || self.total(about, labels),
            )?;
            Ok(match new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), about.size()) {
                Ok((array, out)) => {
                    let cost = if SOFTMAX { 400 } else { 60 };
                    unlocked(about.size() * cost, || {
                        losses_vjp::<T, SOFTMAX>(self.isa, about, labels, g.get(), x, out);
                    });
                    array
                }
                Err(null) => null,
            })
        }
    }
}

/// The cotangent of a loss as those of its terms.
enum Spread<T: Copy> {
    /// One for all.
    One(T),
    /// One each.
    Each(Dense<T>),
}

impl<T: Element> Spread<T> {
    fn new(
        isa: Isa,
        g: &Argument,
        reduction: Reduction,
        terms: &[usize],
        total: impl FnOnce() -> T,
    ) -> Result<Self, Refused> {
        if reduction == Reduction::None && !terms.is_empty() {
            return Ok(Self::Each(dense(isa, g, terms)?));
        }
        let other = if T::DOUBLE { Kind::Single } else { Kind::Double };
        if g.ndim() != 0 || (!g.array.is_null() && g.kind == other) {
            return Err(Refused);
        }
        let g = g.value::<T>()?;
        Ok(Self::One(if reduction == Reduction::Mean { g / total() } else { g }))
    }

    fn get(&self) -> Cotangents<T> {
        match self {
            Self::One(g) => Cotangents { g, each: false },
            Self::Each(g) => Cotangents { g: g.as_ptr(), each: true },
        }
    }
}

/// The sum of `n` numbers.
unsafe fn sum<T: Element>(isa: Isa, n: usize, x: *const T) -> T {
    let mut sum = T::ZERO;
    let row = Shape { outer: 1, len: n, inner: 1 };
    // SAFETY: the caller's.
    unsafe { reduce(isa, Reduce::Sum, row, x, &raw mut sum, T::ONE) };
    sum
}

/// The terms that `run` writes, or their sum, for the mean divided by `total`.
#[allow(clippy::unnecessary_wraps)] // it is what a kernel's body gives
unsafe fn reduced<T: Element>(
    isa: Isa,
    reduction: Reduction,
    shape: &[usize],
    cost: usize,
    run: impl Fn(*mut T),
    total: impl FnOnce() -> T,
) -> Outcome {
    let count = shape.iter().product();
    // SAFETY: the lock is held; there is room for the terms.
    unsafe {
        if reduction == Reduction::None && !shape.is_empty() {
            let made = new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), count);
            return Ok(match made {
                Ok((array, out)) => {
                    unlocked(cost, || run(out));
                    array
                }
                Err(null) => null,
            });
        }
        let terms = Scratch::<T>::new(count);
        let mut value = T::ZERO;
        unlocked(cost, || {
            run(terms.as_ptr());
            value = sum(isa, count, terms.as_ptr());
        });
        if reduction == Reduction::Mean {
            value = value / total();
        }
        Ok(new_scalar(value))
    }
}

unsafe fn soft(isa: Isa, loss: SoftLoss, args: Args, nargs: isize, kwnames: Object) -> Outcome {
    // SAFETY: the lock is held and the arguments are alive.
    unsafe {
        let (first, count) = match loss {
            SoftLoss::Function => (0, 3),
            SoftLoss::ToLogits => (1, 4),
            SoftLoss::ToTarget => (1, 3),
        };
        if nargs != count {
            return Err(Refused);
        }
        let options = Options::read(args.offset(nargs), kwnames)?;
        let last = count as usize - 1;
        let weight = optional(*args.add(last))?;
        let mut given = Vec::with_capacity(3);
        for i in 0..last {
            given.push(Argument::new(*args.add(i))?);
        }
        let kind = common_kind(&given)?;
        let g = if first == 1 { Some(given.remove(0)) } else { None };
        match kind {
            Kind::Single => soft_typed::<f32>(isa, loss, &options, g, &given, weight),
            _ => soft_typed::<f64>(isa, loss, &options, g, &given, weight),
        }
    }
}

unsafe fn soft_typed<T: Element>(
    isa: Isa,
    loss: SoftLoss,
    options: &Options,
    g: Option<Argument>,
    given: &[Argument],
    weight: Option<Argument>,
) -> Outcome {
    let shape = given[0].shape();
    // SAFETY: the axis is alive; the operands have the shape.
    unsafe {
        let (axis, about) = options.about(shape)?;
        let terms: Vec<usize> = [&shape[..axis], &shape[axis + 1..]].concat();
        let x = dense::<T>(isa, &given[0], shape)?;
        let target = dense_or_none::<T>(isa, given.get(1), shape)?;
        let weight = dense_or_none::<T>(isa, weight.as_ref(), &[about.len])?;
        let targets = Targets {
            target: pointer(target.as_ref()),
            weight: pointer(weight.as_ref()),
            smoothing: options.smoothing,
            classes: about.len,
        };
        let cost = about.size() * 450;
        let x = x.as_ptr();
        let Some(g) = g else {
            return reduced(
                isa,
                options.reduction,
                &terms,
                cost,
                |out| soft_losses(isa, about, targets, x, out),
                || T::count(about.groups()),
            );
        };
        let total = || T::count(about.groups());
        let g = Spread::<T>::new(isa, &g, options.reduction, &terms, total)?;
        Ok(match new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), about.size()) {
            Ok((array, out)) => {
                unlocked(cost, || {
                    if loss == SoftLoss::ToTarget {
                        soft_losses_vjp::<T, true>(isa, about, targets, g.get(), x, out);
                    } else {
                        soft_losses_vjp::<T, false>(isa, about, targets, g.get(), x, out);
                    }
                });
                array
            }
            Err(null) => null,
        })
    }
}

/// `within(integers, count)`: whether each of them is from 0 to count - 1; with a third argument, or
/// is that one.
unsafe fn are_within(args: Args, nargs: isize, kwnames: Object) -> Outcome {
    // SAFETY: the lock is held and the arguments are alive.
    unsafe {
        if !(2..=3).contains(&nargs) || !kwnames.is_null() {
            return Err(Refused);
        }
        let integers = Integers::read(*args)?;
        let count = integer(*args.add(1))? as u64;
        let all = if nargs == 2 {
            fits_all(&integers, |i| (i as u64) < count)
        } else {
            let other = integer(*args.add(2))? as i64;
            fits_all(&integers, |i| (i as u64) < count || i == other)
        };
        let made = if all { ffi::Py_True() } else { ffi::Py_False() };
        ffi::Py_INCREF(made);
        Ok(made)
    }
}

/// Whether each of them fits; all are looked at, which is faster than to stop.
#[allow(clippy::needless_bitwise_bool)]
fn fits_all(integers: &Integers, fits: impl Fn(i64) -> bool) -> bool {
    integers.as_slice().iter().fold(true, |all, &i| all & fits(i))
}
