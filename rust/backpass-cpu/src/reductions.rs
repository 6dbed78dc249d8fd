//! Reductions, softmax and its relatives.

use backpass_kernels::extremes;
use backpass_kernels::isa::Isa;
use backpass_kernels::layout::{MAX_DIMS, Operand};
use backpass_kernels::pool::Scratch;
use backpass_kernels::reduce::{self, Reduction, Shape};
use backpass_kernels::softmax;
use backpass_kernels::variance;
use pyo3::ffi;

use crate::keywords::{Keywords, axes};
use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, new_scalar, unlocked,
};
use crate::order::{Dense, Order, groups, output};

/// A kernel along an axis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Along {
    /// x
    Reduce(Reduction),
    /// g, ans, x
    ExtremeVjp,
    /// x; whether the root is taken, and `ddof`
    Variance(bool, isize),
    /// g, x; for the root g, ans, x
    VarianceVjp(bool, isize),
    /// x
    LogSumExp,
    /// g, ans, x
    LogSumExpVjp,
    /// x
    Softmax,
    /// g, ans
    SoftmaxVjp,
    /// x
    LogSoftmax,
    /// g, ans
    LogSoftmaxVjp,
}

impl Along {
    fn arity(self) -> usize {
        match self {
            Self::Reduce(_)
            | Self::Variance(..)
            | Self::LogSumExp
            | Self::Softmax
            | Self::LogSoftmax => 1,
            Self::SoftmaxVjp | Self::LogSoftmaxVjp | Self::VarianceVjp(false, _) => 2,
            Self::ExtremeVjp | Self::LogSumExpVjp | Self::VarianceVjp(true, _) => 3,
        }
    }

    fn reduces(self) -> bool {
        matches!(self, Self::Reduce(_) | Self::Variance(..) | Self::LogSumExp)
    }

    fn has_keepdims(self) -> bool {
        self.reduces()
            || matches!(self, Self::ExtremeVjp | Self::LogSumExpVjp | Self::VarianceVjp(..))
    }

    fn has_ddof(self) -> bool {
        matches!(self, Self::Variance(..) | Self::VarianceVjp(..))
    }

    /// The same with a `ddof`, which must be less than `n`.
    fn with_ddof(self, ddof: isize, n: usize) -> Result<Self, Refused> {
        let made = match self {
            Self::Variance(root, _) => Self::Variance(root, ddof),
            Self::VarianceVjp(root, _) => Self::VarianceVjp(root, ddof),
            other => return Ok(other),
        };
        if (n as isize) > ddof { Ok(made) } else { Err(Refused) }
    }

    fn picoseconds(self) -> usize {
        match self {
            Self::Reduce(_) => 60,
            Self::ExtremeVjp | Self::Variance(..) | Self::VarianceVjp(..) => 200,
            _ => 800,
        }
    }
}

/// Calls a kernel from Python.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
pub unsafe fn call(
    kernel: Along,
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            let arity = kernel.arity();
            if nargs as usize != arity {
                return Err(Refused);
            }
            let (keepdims, ddof) = (kernel.has_keepdims(), kernel.has_ddof());
            let keywords = Keywords::read(keepdims, ddof, args.add(arity), kwnames)?;
            let mut read = [Argument::new(*args)?; 3];
            for (i, slot) in read[..arity].iter_mut().enumerate() {
                *slot = Argument::new(*args.add(i))?;
            }
            match common_kind(&read[..arity])? {
                Kind::Single => typed::<f32>(kernel, isa, &read[..arity], &keywords),
                _ => typed::<f64>(kernel, isa, &read[..arity], &keywords),
            }
        })
    }
}

unsafe fn typed<T: Element>(
    kernel: Along,
    isa: Isa,
    arguments: &[Argument],
    keywords: &Keywords,
) -> Outcome {
    let x = &arguments[arguments.len() - 1];
    let nd = x.ndim();
    let shape = x.shape();
    let size: usize = shape.iter().product();
    if nd == 0 || size == 0 {
        return Err(Refused);
    }
    // SAFETY: the axis is a live object.
    let mask = unsafe { axes(keywords.axis, nd)? };
    let ones = if keywords.keepdims { mask } else { 0 };
    let kernel = if kernel.has_ddof() {
        let reduced = (0..nd).filter(|d| mask >> d & 1 == 1).map(|d| shape[d]).product();
        kernel.with_ddof(keywords.ddof, reduced)?
    } else {
        kernel
    };
    // SAFETY: the lock is held.
    unsafe {
        if kernel.reduces() {
            return reduced::<T>(kernel, isa, x, mask, ones);
        }
        along::<T>(kernel, isa, arguments, mask, keywords.keepdims)
    }
}

/// `x`, which has elements, reduced along the axes in `mask`; those in `ones` stay, with length 1.
///
/// # Safety
///
/// The interpreter's lock is held.
pub unsafe fn reduced<T: Element>(
    kernel: Along,
    isa: Isa,
    x: &Argument,
    mask: u64,
    ones: u64,
) -> Outcome {
    // SAFETY: the caller's.
    unsafe {
        if x.contiguous()
            && let Some(about) = plain(x.shape(), mask)
        {
            return Ok(plain_reduction::<T>(kernel, isa, x, about, mask, ones));
        }
        match kernel {
            Along::Reduce(kind) => reduction::<T>(kind, isa, x, mask, ones),
            _ => general::<T>(kernel, isa, x, mask, ones),
        }
    }
}

/// The shape of a contiguous array about the axes if they are neighbours: the usual case.
#[inline(always)]
pub fn plain(shape: &[usize], mask: u64) -> Option<Shape> {
    if mask == 0 {
        return None;
    }
    let first = mask.trailing_zeros() as usize;
    let last = mask.ilog2() as usize;
    if (mask >> first).count_ones() as usize != last - first + 1 {
        return None;
    }
    let product = |part: &[usize]| part.iter().product();
    Some(Shape {
        outer: product(&shape[..first]),
        len: product(&shape[first..=last]),
        inner: product(&shape[last + 1..]),
    })
}

/// Computes what reduces `x`, which is contiguous.
unsafe fn run_reduction<T: Element>(
    kernel: Along,
    isa: Isa,
    about: Shape,
    x: *const T,
    out: *mut T,
) {
    // SAFETY: the caller's.
    unsafe {
        match kernel {
            Along::Reduce(kind) => reduce::reduce(isa, kind, about, x, out, T::count(about.len)),
            Along::Variance(root, ddof) => {
                let divisor = T::of((about.len as isize - ddof) as f64);
                variance::variance(isa, root, about, x, out, divisor);
            }
            _ => softmax::logsumexp(isa, about, x, out),
        }
    }
}

/// A reduction of an array in the usual case: a new reference, or null with an exception set.
unsafe fn plain_reduction<T: Element>(
    kernel: Along,
    isa: Isa,
    x: &Argument,
    about: Shape,
    mask: u64,
    ones: u64,
) -> *mut ffi::PyObject {
    let cost = about.size() * kernel.picoseconds();
    // SAFETY: the array has the shape, the output a number for each group.
    let run = |out: *mut T| unsafe { run_reduction(kernel, isa, about, x.data(), out) };
    let mut dims = [std::mem::MaybeUninit::<usize>::uninit(); MAX_DIMS];
    let mut nd = 0;
    for (d, &size) in x.shape().iter().enumerate() {
        let reduced = mask >> d & 1 == 1;
        if !reduced || ones >> d & 1 == 1 {
            dims[nd].write(if reduced { 1 } else { size });
            nd += 1;
        }
    }
    // SAFETY: the lock is held; `nd` dimensions are written.
    unsafe {
        if nd == 0 {
            let mut out = T::ZERO;
            unlocked(cost, || run(&raw mut out));
            return new_scalar(out);
        }
        match new_array::<T>(nd, dims.as_ptr().cast(), std::ptr::null(), about.groups()) {
            Ok((array, out)) => {
                unlocked(cost, || run(out));
                array
            }
            Err(null) => null,
        }
    }
}

/// The dimensions along which a broadcast array repeats itself.
fn repeated(x: &Argument, mask: u64) -> u64 {
    if x.contiguous() {
        return 0;
    }
    let shape = x.shape();
    (0..shape.len())
        .filter(|&d| mask >> d & 1 == 1 && shape[d] > 1 && x.stride::<u8>(d) == 0)
        .fold(0, |bits, d| bits | 1 << d)
}

unsafe fn reduction<T: Element>(
    kind: Reduction,
    isa: Isa,
    x: &Argument,
    mask: u64,
    ones: u64,
) -> Outcome {
    let shape = x.shape();
    let nd = shape.len();
    let flat = repeated(x, mask);
    let times: usize = (0..nd).filter(|&d| flat >> d & 1 == 1).map(|d| shape[d]).product();
    let order = Order::of::<T>(x, flat);
    let size: usize = shape.iter().product::<usize>() / times;
    let mut slot = T::ZERO;
    let whole = x.broadcast(shape, &mut slot)?;
    let (view, mut dims, used) = order.operand(&whole, shape, u64::MAX);
    for (slot, &d) in dims[..used].iter_mut().zip(&order.dims) {
        if flat >> d & 1 == 1 {
            *slot = 1;
        }
    }
    let dense = Dense::new(isa, &view, &dims[..used]);
    let (shapes, passes) = groups(&order, shape, mask, flat);
    let keep = !mask & ((1 << nd) - 1);
    let scalar = keep == 0 && ones == 0;
    let divisor = shapes[..passes].iter().map(|s| s.len).product::<usize>();
    let run = |out: *mut T| {
        let mut from = dense.as_ptr();
        let mut kept: Option<Scratch<T>> = None;
        for (i, &part) in shapes[..passes].iter().enumerate() {
            let last = i + 1 == passes;
            let pass = if kind == Reduction::Mean && !last { Reduction::Sum } else { kind };
            let next = (!last).then(|| Scratch::<T>::new(part.groups()));
            let to = next.as_ref().map_or(out, Scratch::as_ptr);
            // SAFETY: the source has the part's shape, the target its groups.
            unsafe { reduce::reduce(isa, pass, part, from, to, T::count(divisor)) };
            from = to;
            kept = next.or(kept);
        }
        if kind == Reduction::Sum && times > 1 {
            for i in 0..shapes[passes - 1].groups() {
                // SAFETY: within the output.
                unsafe { *out.add(i) = *out.add(i) * T::count(times) };
            }
        }
    };
    // SAFETY: the lock is held; the output has a number for each group.
    unsafe {
        if scalar {
            let mut out = T::ZERO;
            unlocked(size * Along::Reduce(kind).picoseconds(), || run(&raw mut out));
            return Ok(new_scalar(out));
        }
        match output::<T>(&order, shape, keep, ones) {
            Ok((array, out)) => {
                unlocked(size * Along::Reduce(kind).picoseconds(), || run(out));
                Ok(array)
            }
            Err(null) => Ok(null),
        }
    }
}

/// A reduction that is not made of reductions of parts.
unsafe fn general<T: Element>(
    kernel: Along,
    isa: Isa,
    x: &Argument,
    mask: u64,
    ones: u64,
) -> Outcome {
    let shape = x.shape();
    let (order, about) = Order::about::<T>(x, mask);
    let mut slot = T::ZERO;
    let whole = x.broadcast(shape, &mut slot)?;
    let (view, dims, nd) = order.operand(&whole, shape, u64::MAX);
    let dense = Dense::new(isa, &view, &dims[..nd]);
    let keep = !mask & ((1 << nd) - 1);
    let cost = about.size() * kernel.picoseconds();
    // SAFETY: the lock is held; the output has a number for each group.
    unsafe {
        if keep == 0 && ones == 0 {
            let mut out = T::ZERO;
            unlocked(cost, || run_reduction(kernel, isa, about, dense.as_ptr(), &raw mut out));
            return Ok(new_scalar(out));
        }
        match output::<T>(&order, shape, keep, ones) {
            Ok((array, out)) => {
                unlocked(cost, || run_reduction(kernel, isa, about, dense.as_ptr(), out));
                Ok(array)
            }
            Err(null) => Ok(null),
        }
    }
}

/// `argument`, which has one number a group (or is a scalar that stands for all), as an operand of the whole shape.
fn grouped<T: Element>(
    argument: &Argument,
    shape: &[usize],
    mask: u64,
    keepdims: bool,
    slot: &mut T,
) -> Result<Operand<T>, Refused> {
    let nd = shape.len();
    let mut strides = [0; MAX_DIMS];
    if argument.ndim() == 0 {
        *slot = argument.value()?;
        return Ok(Operand { data: slot, strides });
    }
    let own = argument.shape();
    let mut next = 0;
    for d in 0..nd {
        let reduced = mask >> d & 1 == 1;
        if reduced && !keepdims {
            continue;
        }
        let size = *own.get(next).ok_or(Refused)?;
        if size != if reduced { 1 } else { shape[d] } {
            return Err(Refused);
        }
        strides[d] = argument.stride::<T>(next);
        next += 1;
    }
    if next == own.len() { Ok(Operand { data: argument.data(), strides }) } else { Err(Refused) }
}

/// The kernels whose output has the array's own shape.
unsafe fn along<T: Element>(
    kernel: Along,
    isa: Isa,
    arguments: &[Argument],
    mask: u64,
    keepdims: bool,
) -> Outcome {
    let x = &arguments[arguments.len() - 1];
    let shape = x.shape();
    let (order, about) = Order::about::<T>(x, mask);
    let keep = !mask & ((1 << order.nd) - 1);
    let mut slots = [T::ZERO; 3];
    let [first_slot, second_slot, third_slot] = &mut slots;
    let lay = |whole: &Operand<T>, keep: u64| {
        let (view, dims, nd) = order.operand(whole, shape, keep);
        Dense::new(isa, &view, &dims[..nd])
    };
    let x = lay(&x.broadcast(shape, third_slot)?, u64::MAX);
    let (g, ans) = match kernel {
        Along::VarianceVjp(false, _) => {
            let g = grouped(&arguments[0], shape, mask, keepdims, first_slot)?;
            (Some(lay(&g, keep)), None)
        }
        Along::ExtremeVjp | Along::LogSumExpVjp | Along::VarianceVjp(..) => {
            let g = grouped(&arguments[0], shape, mask, keepdims, first_slot)?;
            let ans = grouped(&arguments[1], shape, mask, keepdims, second_slot)?;
            (Some(lay(&g, keep)), Some(lay(&ans, keep)))
        }
        Along::SoftmaxVjp | Along::LogSoftmaxVjp => {
            let g = &arguments[0];
            if g.ndim() > 0 && g.shape() != shape {
                return Err(Refused);
            }
            (Some(lay(&g.broadcast(shape, first_slot)?, u64::MAX)), None)
        }
        _ => (None, None),
    };
    let pointer = |dense: &Option<Dense<T>>| dense.as_ref().map_or(std::ptr::null(), Dense::as_ptr);
    let (x, g, ans) = (x.as_ptr(), pointer(&g), pointer(&ans));
    // SAFETY: the lock is held; every operand is contiguous in the output's order.
    unsafe {
        let (array, out) = match output::<T>(&order, shape, u64::MAX, 0) {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        unlocked(about.size() * kernel.picoseconds(), || match kernel {
            Along::ExtremeVjp => extremes::extreme_vjp(isa, about, g, ans, x, out),
            Along::LogSumExpVjp => softmax::logsumexp_vjp(isa, about, g, ans, x, out),
            Along::Softmax => softmax::softmax(isa, about, x, out),
            Along::LogSoftmax => softmax::log_softmax(isa, about, x, out),
            Along::SoftmaxVjp => softmax::softmax_vjp(isa, about, g, x, out),
            Along::LogSoftmaxVjp => softmax::log_softmax_vjp(isa, about, g, x, out),
            Along::VarianceVjp(root, ddof) => {
                let divisor = T::of((about.len as isize - ddof) as f64);
                variance::variance_vjp(isa, root, about, g, ans, x, out, divisor);
            }
            Along::Reduce(_) | Along::Variance(..) | Along::LogSumExp => {
                unreachable!("these reduce")
            }
        });
        Ok(array)
    }
}
