//! Elementwise kernels.

use std::mem::MaybeUninit;

use backpass_kernels::elementwise::{
    Elementwise, apply, apply_contiguous, constant_power, constant_power_rule,
};
use backpass_kernels::isa::Isa;
use backpass_kernels::layout::{Lines, MAX_DIMS, Operand};
use numpy::npyffi::{NPY_ARRAY_WRITEABLE, PyArrayObject};
use pyo3::ffi;

use crate::network::images::{Layout, laid, new_images, shape_of};
use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, new_scalar, unlocked,
};
use crate::order::Dense;
use crate::views::read_only;

/// What is known of a kernel beside its loop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A function: its results are fresh arrays.
    Function,
    /// A function that takes arrays only: with Python's numbers `SciPy` computes in float64.
    Strict,
    /// A rule: of nothing but repeated elements it gives a repeated element.
    Rule,
    /// A rule that multiplies the cotangent by its other operand: by a cotangent of ones it gives
    /// that operand, as a view that can only be read.
    Factor,
}

/// Calls `kernel` from Python.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
#[inline(always)]
pub unsafe fn call<const N: usize>(
    kernel: &'static Elementwise<N>,
    role: Role,
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(
            #[inline(always)]
            || run(kernel, role, isa, &arguments(args, nargs, kwnames)?),
        )
    }
}

/// Reads the arguments.
#[inline(always)]
unsafe fn arguments<const N: usize>(
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> Result<[Argument; N], Refused> {
    if nargs as usize != N || !kwnames.is_null() {
        return Err(Refused);
    }
    let mut operands = [const { MaybeUninit::<Argument>::uninit() }; N];
    for (i, slot) in operands.iter_mut().enumerate() {
        // SAFETY: the interpreter's lock is held and the arguments are alive.
        slot.write(unsafe { Argument::new(*args.add(i))? });
    }
    // SAFETY: all are written.
    Ok(operands.map(|slot| unsafe { slot.assume_init() }))
}

/// Applies `kernel` to operands.
///
/// # Safety
///
/// The interpreter's lock is held, and the operands are alive.
#[inline(always)]
pub unsafe fn run<const N: usize>(
    kernel: &'static Elementwise<N>,
    role: Role,
    isa: Isa,
    operands: &[Argument; N],
) -> Outcome {
    if isa == Isa::Scalar && !operands.iter().all(few) && SIMPLE.contains(&kernel.name) {
        return Err(Refused);
    }
    if role == Role::Strict && operands.iter().any(|x| x.kind == Kind::Weak) {
        return Err(Refused);
    }
    // SAFETY: the caller's.
    unsafe {
        match common_kind(operands)? {
            Kind::Single => typed::<f32, N>(kernel, role, isa, operands),
            _ => typed::<f64, N>(kernel, role, isa, operands),
        }
    }
}

/// Functions of one instruction or a few, which `NumPy` computes in vectors on every processor. Plain
/// Rust is slower than that.
const SIMPLE: [&str; 18] = [
    "absolute",
    "add",
    "ceil",
    "divide",
    "fabs",
    "floor",
    "fmax",
    "fmin",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "reciprocal",
    "rint",
    "sqrt",
    "square",
    "subtract",
    "trunc",
];

/// Whether an array is computed sooner than another library's function begins.
fn few(x: &Argument) -> bool {
    x.shape().iter().product::<usize>() <= 32
}

/// Whether an exponent is `value` everywhere. With 0.5 `NumPy` takes square roots, which differ from
/// powers at -0 and -inf.
fn is_everywhere(y: &Argument, value: f64) -> bool {
    if y.array.is_null() {
        return y.scalar == value;
    }
    let repeats = |d: usize| y.shape()[d] == 1 || y.stride::<u8>(d) == 0;
    if y.shape().contains(&0) || !(0..y.ndim()).all(repeats) {
        return false;
    }
    // SAFETY: the array is alive and has an element of its kind.
    unsafe {
        match y.kind {
            Kind::Single => f64::from(*y.data::<f32>()) == value,
            _ => *y.data::<f64>() == value,
        }
    }
}

/// `power`: a constant small exponent has a way of its own, a constant of a half is left to `NumPy`.
/// `NumPy`'s function of two arrays is the faster one on AVX-512.
///
/// # Safety
///
/// As [`call`].
pub unsafe fn power(
    kernel: &'static Elementwise<2>,
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the caller's.
    unsafe {
        finish(|| {
            let operands: [Argument; 2] = arguments(args, nargs, kwnames)?;
            let [x, y] = operands;
            match constant_power(y.scalar).filter(|_| y.array.is_null() && x.ndim() > 0) {
                Some(constant) if common_kind(&operands)? == x.kind => {
                    run(constant, Role::Function, isa, &[x])
                }
                _ if is_everywhere(&y, 0.5) || (isa == Isa::Avx512 && !few(&x)) => Err(Refused),
                _ => run(kernel, Role::Function, isa, &operands),
            }
        })
    }
}

/// The rule of `power` for its base.
///
/// # Safety
///
/// As [`call`].
pub unsafe fn power_vjp0(
    kernel: &'static Elementwise<3>,
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the caller's.
    unsafe {
        finish(|| {
            let operands: [Argument; 3] = arguments(args, nargs, kwnames)?;
            let [g, x, y] = operands;
            match constant_power_rule(y.scalar).filter(|_| y.array.is_null() && x.ndim() > 0) {
                Some(constant) if common_kind(&operands)? == x.kind => {
                    run(constant, Role::Rule, isa, &[g, x])
                }
                // The rule reads the power 0.5 of the base then.
                _ if is_everywhere(&y, 1.5) => Err(Refused),
                _ => run(kernel, Role::Rule, isa, &operands),
            }
        })
    }
}

#[inline]
unsafe fn typed<T: Element, const N: usize>(
    kernel: &'static Elementwise<N>,
    role: Role,
    isa: Isa,
    operands: &[Argument; N],
) -> Outcome {
    let Some(first) = operands.iter().find(|x| x.ndim() > 0) else {
        return scalar::<T, N>(kernel, isa, operands);
    };
    let shape = first.shape();
    let mut slots = [T::ZERO; N];
    let mut ins = [std::ptr::null::<T>(); N];
    let mut advance = [1; N];
    for i in 0..N {
        let x = &operands[i];
        if x.ndim() == 0 {
            slots[i] = x.value()?;
            ins[i] = &raw const slots[i];
            advance[i] = 0;
        } else if x.contiguous() && x.shape() == shape {
            ins[i] = x.data();
        } else {
            // SAFETY: the caller's.
            return unsafe { strided::<T, N>(kernel, role, isa, operands) };
        }
    }
    let size = shape.iter().product::<usize>();
    // SAFETY: the operands are contiguous and of one shape, or scalars.
    unsafe {
        let (array, out) = match new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), size)
        {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        unlocked(kernel.time(isa, size), || {
            apply_contiguous(isa, kernel, out, size, ins, advance);
        });
        Ok(array)
    }
}

/// The kernel's value for one element each.
unsafe fn single<T: Element, const N: usize>(
    kernel: &'static Elementwise<N>,
    isa: Isa,
    ins: [*const T; N],
) -> T {
    let mut out = T::ZERO;
    let line = Lines { out: &raw mut out, lines: 1, length: 1, ins, advance: [0; N], jump: [0; N] };
    // SAFETY: the caller vouches for the operands; the output has one element.
    unsafe { T::pick(kernel)(isa, &line, false) };
    out
}

fn scalar<T: Element, const N: usize>(
    kernel: &'static Elementwise<N>,
    isa: Isa,
    operands: &[Argument; N],
) -> Outcome {
    let mut slots = [T::ZERO; N];
    for (slot, x) in slots.iter_mut().zip(operands) {
        *slot = x.value()?;
    }
    let ins = std::array::from_fn(|i| &raw const slots[i]);
    // SAFETY: the operands are there; the lock is held.
    unsafe { Ok(new_scalar(single(kernel, isa, ins))) }
}

/// Broadcast or strided operands.
#[inline(never)]
unsafe fn strided<T: Element, const N: usize>(
    kernel: &'static Elementwise<N>,
    role: Role,
    isa: Isa,
    operands: &[Argument; N],
) -> Outcome {
    // SAFETY: the caller's.
    if let Some(made) = unsafe { images::<T, N>(kernel, isa, operands)? } {
        return Ok(made);
    }
    let nd = operands.iter().map(Argument::ndim).max().unwrap_or(0);
    let mut shape = [1usize; MAX_DIMS];
    let shape = &mut shape[..nd];
    for x in operands {
        let own = x.shape();
        let lead = nd - own.len();
        for (d, &size) in own.iter().enumerate() {
            let joint = &mut shape[lead + d];
            if *joint == 1 {
                *joint = size;
            } else if size != 1 && size != *joint {
                return Err(Refused);
            }
        }
    }
    let size = shape.iter().product::<usize>();
    let mut slots = [T::ZERO; N];
    let mut views = [const { MaybeUninit::<Operand<T>>::uninit() }; N];
    for i in 0..N {
        views[i].write(operands[i].broadcast(shape, &mut slots[i])?);
    }
    // SAFETY: all are written.
    let mut views = views.map(|view| unsafe { view.assume_init() });
    if matches!(role, Role::Rule | Role::Factor) && size > 1 {
        let repeated = |view: &Operand<T>| view.strides[..nd].iter().all(|&stride| stride == 0);
        if views.iter().all(repeated) {
            // SAFETY: the operands have an element; the lock is held.
            return unsafe {
                let value = single(kernel, isa, views.map(|view| view.data));
                Ok(new_repeated(value, shape))
            };
        }
        // SAFETY: the operand has an element.
        let ones =
            role == Role::Factor && repeated(&views[0]) && unsafe { *views[0].data } == T::ONE;
        if ones && operands[N - 1].shape() == shape {
            // SAFETY: the array is alive and the lock is held.
            return unsafe { read_only(operands[N - 1].array.cast()) };
        }
    }

    // The output lies in memory as the operands do: walk the dimensions in their order.
    let order = memory_order(nd, &views);
    let mut strides = [0isize; MAX_DIMS];
    let in_order = (0..nd).all(|d| order[d] == d);
    if !in_order {
        let mut stride = size_of::<T>() as isize;
        for d in (0..nd).rev() {
            strides[order[d]] = stride;
            stride *= shape[order[d]] as isize;
        }
    }
    // SAFETY: the strides and the shape have `nd` entries; the operands are readable at every index
    // of the shape.
    unsafe {
        let strides = if in_order { std::ptr::null() } else { strides.as_ptr() };
        let (array, out) = match new_array::<T>(nd, shape.as_ptr(), strides, size) {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        if !in_order {
            let old: [usize; MAX_DIMS] = std::array::from_fn(|d| if d < nd { shape[d] } else { 1 });
            for d in 0..nd {
                shape[d] = old[order[d]];
            }
            for view in &mut views {
                let old = view.strides;
                for d in 0..nd {
                    view.strides[d] = old[order[d]];
                }
            }
        }
        unlocked(kernel.time(isa, size), || apply(isa, kernel, out, shape, &views));
        Ok(array)
    }
}

/// Images of one shape, some with their channels innermost and some as planes: the planes are turned
/// first, square by square, and so the output lies as the others do.
unsafe fn images<T: Element, const N: usize>(
    kernel: &'static Elementwise<N>,
    isa: Isa,
    operands: &[Argument; N],
) -> Result<Option<*mut ffi::PyObject>, Refused> {
    let Some(shape) = operands.iter().find_map(|x| shape_of(x).ok()) else { return Ok(None) };
    let size = shape.iter().product::<usize>();
    let mut layouts = [false; 2];
    for x in operands.iter().filter(|x| x.ndim() > 0) {
        if x.shape() != shape {
            return Ok(None);
        }
        match Layout::find(shape, std::array::from_fn(|d| x.stride::<T>(d))) {
            Some(layout) => layouts[usize::from(layout == Layout::ChannelsLast)] = true,
            None => return Ok(None),
        }
    }
    if layouts != [true; 2] || size < TURNED {
        return Ok(None);
    }
    let layout = Layout::ChannelsLast;
    let mut slots = [T::ZERO; N];
    let mut advance = [1; N];
    let mut laid_out = [const { None }; N];
    for i in 0..N {
        if operands[i].ndim() == 0 {
            (slots[i], advance[i]) = (operands[i].value()?, 0);
        } else {
            laid_out[i] = Some(laid::<T>(isa, &operands[i], layout)?);
        }
    }
    let ins =
        std::array::from_fn(|i| laid_out[i].as_ref().map_or(&raw const slots[i], Dense::as_ptr));
    // SAFETY: the lock is held; the operands are contiguous in the output's order, or scalars.
    unsafe {
        match new_images::<T>(layout, shape) {
            Ok((array, out)) => {
                unlocked(kernel.time(isa, size), || {
                    apply_contiguous(isa, kernel, out, size, ins, advance);
                });
                Ok(Some(array))
            }
            Err(null) => Ok(Some(null)),
        }
    }
}

/// Below so many elements, turning costs more than walking.
const TURNED: usize = 1024;

/// A read-only array that repeats one element: a new reference, or null with an exception set.
unsafe fn new_repeated<T: Element>(value: T, shape: &[usize]) -> *mut ffi::PyObject {
    let strides = [0isize; MAX_DIMS];
    // SAFETY: the lock is held; the strides lead to the one element.
    unsafe {
        match new_array::<T>(shape.len(), shape.as_ptr(), strides.as_ptr(), 1) {
            Ok((array, out)) => {
                out.write(value);
                (*array.cast::<PyArrayObject>()).flags &= !NPY_ARRAY_WRITEABLE;
                array
            }
            Err(null) => null,
        }
    }
}

/// The dimensions from the outermost to the innermost in memory, as `NumPy` finds them: a dimension
/// goes outside another one if no operand objects, and one wishes it.
fn memory_order<T, const N: usize>(nd: usize, views: &[Operand<T>; N]) -> [usize; MAX_DIMS] {
    let mut order: [usize; MAX_DIMS] = std::array::from_fn(|d| d);
    for next in (0..nd).rev() {
        // `next` goes inwards past all that it must.
        let mut place = next;
        for (inner, &beside) in order.iter().enumerate().take(nd).skip(next + 1) {
            let (mut wished, mut clear) = (false, false);
            for view in views {
                let (mine, other) = (view.strides[next].abs(), view.strides[beside].abs());
                if mine != 0 && other != 0 {
                    if other <= mine {
                        (wished, clear) = (false, true);
                        break;
                    }
                    (wished, clear) = (true, true);
                }
            }
            if wished {
                place = inner;
            } else if clear {
                break;
            }
        }
        order[next..=place].rotate_left(1);
    }
    order
}
