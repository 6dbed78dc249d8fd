//! Elementwise kernels.

use std::mem::MaybeUninit;

use backpass_kernels::elementwise::{Elementwise, apply, apply_contiguous};
use backpass_kernels::isa::Isa;
use backpass_kernels::layout::{MAX_DIMS, Operand, Splat};
use numpy::npyffi::NPY_ARRAY_F_CONTIGUOUS;
use pyo3::ffi;

use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, new_scalar, unlocked,
};

/// Calls `kernel` from Python.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
#[inline(always)]
pub unsafe fn call<const N: usize>(
    kernel: &'static Elementwise<N>,
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(
            #[inline(always)]
            || {
                if nargs as usize != N || !kwnames.is_null() {
                    return Err(Refused);
                }
                let mut operands = [MaybeUninit::<Argument>::uninit(); N];
                for (i, slot) in operands.iter_mut().enumerate() {
                    slot.write(Argument::new(*args.add(i))?);
                }
                let operands = operands.map(|slot| slot.assume_init());
                match common_kind(&operands)? {
                    Kind::Single => typed::<f32, N>(kernel, isa, &operands),
                    _ => typed::<f64, N>(kernel, isa, &operands),
                }
            },
        )
    }
}

#[inline]
unsafe fn typed<T: Element, const N: usize>(
    kernel: &'static Elementwise<N>,
    isa: Isa,
    operands: &[Argument; N],
) -> Outcome {
    let Some(first) = operands.iter().find(|x| x.ndim() > 0) else {
        return scalar::<T, N>(kernel, isa, operands);
    };
    let shape = first.shape();
    let mut ins = [std::ptr::null::<T>(); N];
    let mut advance = [1; N];
    let mut splats = [MaybeUninit::<Splat<T>>::uninit(); N];
    for i in 0..N {
        let x = &operands[i];
        if x.ndim() == 0 {
            ins[i] = splats[i].write(Splat::new(x.value()?)).as_ptr();
            advance[i] = 0;
        } else if x.contiguous() && x.shape() == shape {
            ins[i] = x.data();
        } else {
            // SAFETY: the caller's.
            return unsafe { strided::<T, N>(kernel, isa, operands) };
        }
    }
    let size = shape.iter().product::<usize>();
    if !kernel.suits(size) {
        return Err(Refused);
    }
    // SAFETY: the operands are contiguous and of one shape, or splats.
    unsafe {
        let (array, out) = match new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), size)
        {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        unlocked(size * kernel.cost as usize, || {
            apply_contiguous(isa, kernel, out, size, ins, advance);
        });
        Ok(array)
    }
}

#[cold]
fn scalar<T: Element, const N: usize>(
    kernel: &'static Elementwise<N>,
    isa: Isa,
    operands: &[Argument; N],
) -> Outcome {
    let mut splats = [Splat::new(T::ZERO); N];
    for (splat, x) in splats.iter_mut().zip(operands) {
        *splat = Splat::new(x.value()?);
    }
    let ins = std::array::from_fn(|i| splats[i].as_ptr());
    let mut out = T::ZERO;
    // SAFETY: the operands are splats, the output has one element; the lock is held.
    unsafe {
        T::pick(kernel)(isa, &raw mut out, 1, ins, [0; N]);
        Ok(new_scalar(out))
    }
}

/// Broadcast or strided operands.
#[inline(never)]
unsafe fn strided<T: Element, const N: usize>(
    kernel: &'static Elementwise<N>,
    isa: Isa,
    operands: &[Argument; N],
) -> Outcome {
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
    if !kernel.suits(size) {
        return Err(Refused);
    }
    let mut slots = [T::ZERO; N];
    let mut views = [const { MaybeUninit::<Operand<T>>::uninit() }; N];
    for i in 0..N {
        views[i].write(operands[i].broadcast(shape, &mut slots[i])?);
    }
    // SAFETY: all are written.
    let mut views = views.map(|view| unsafe { view.assume_init() });

    // Column-major operands give a column-major output, as NumPy's do: walk the dimensions backwards.
    let fortran = nd > 1
        && operands.iter().any(|x| x.ndim() == nd && !x.contiguous())
        && operands.iter().all(|x| {
            // SAFETY: the array is alive.
            x.ndim() < nd || unsafe { (*x.array).flags & NPY_ARRAY_F_CONTIGUOUS != 0 }
        });
    let mut strides = [0isize; MAX_DIMS];
    if fortran {
        let mut stride = size_of::<T>() as isize;
        for d in 0..nd {
            strides[d] = stride;
            stride *= shape[d] as isize;
        }
    }
    // SAFETY: the strides and the shape have `nd` entries; the operands are readable at every index
    // of the shape.
    unsafe {
        let order = if fortran { strides.as_ptr() } else { std::ptr::null() };
        let (array, out) = match new_array::<T>(nd, shape.as_ptr(), order, size) {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        if fortran {
            shape.reverse();
            for view in &mut views {
                view.strides[..nd].reverse();
            }
        }
        unlocked(size * kernel.cost as usize, || apply(isa, kernel, out, shape, &views));
        Ok(array)
    }
}
