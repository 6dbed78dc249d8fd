//! Reading at indices, and its rule: cotangents added to zeros there.

use backpass_kernels::gather::{Blocks, Move, gather, move_elements, scatter_add};
use backpass_kernels::isa::Isa;
use backpass_kernels::layout::MAX_DIMS;
use backpass_kernels::pool::Scratch;
use numpy::npyffi::{NPY_ARRAY_ALIGNED, NPY_ARRAY_C_CONTIGUOUS, PyArrayObject};
use pyo3::ffi;

use crate::api::api;
use crate::keywords::{each_keyword, one_axis};
use crate::operand::{Argument, Element, Kind, Outcome, Refused, finish, new_array, unlocked};
use crate::order::Dense;
use crate::views::Dims;

/// Which kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Indexing {
    /// x, index
    GetItem,
    /// g, x's node, index
    GetItemVjp,
    /// g, index, shape
    Scatter,
    /// x, order, axis
    Permute,
    /// x, order, axis
    PermuteBack,
}

/// Calls a kernel from Python.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
pub unsafe fn call(
    kernel: Indexing,
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            if nargs != 1 + isize::from(kernel == Indexing::GetItemVjp) {
                return Err(Refused);
            }
            let api = api();
            let mut found = [std::ptr::null_mut(); 4];
            let known = [api.index, api.shape, api.order, api.axis];
            each_keyword(kwnames, args.offset(nargs), known, |place, value| {
                found[place] = value;
                Ok(())
            })?;
            let [index, shape, order, axis] = found;
            match kernel {
                Indexing::GetItem if !index.is_null() => read(*args, index),
                Indexing::GetItemVjp if !index.is_null() => {
                    write(isa, *args, index, &Dims::of(*args.add(1))?)
                }
                Indexing::Scatter if !index.is_null() && !shape.is_null() => {
                    write(isa, *args, index, &Dims::read(shape)?)
                }
                Indexing::Permute | Indexing::PermuteBack
                    if !order.is_null() && !axis.is_null() =>
                {
                    let back = kernel == Indexing::PermuteBack;
                    let x = Argument::new(*args)?;
                    match x.kind {
                        Kind::Single => permuted::<f32>(&x, order, axis, back),
                        Kind::Double => permuted::<f64>(&x, order, axis, back),
                        Kind::Weak => Err(Refused),
                    }
                }
                _ => Err(Refused),
            }
        })
    }
}

/// Whether no element can be met twice, and `NumPy` is fast: numbers, slices, `None` and `...`.
unsafe fn is_basic(index: *mut ffi::PyObject) -> bool {
    // SAFETY: the caller's; an item of a tuple is alive.
    unsafe {
        if ffi::Py_TYPE(index) == &raw mut ffi::PyTuple_Type {
            return (0..ffi::PyTuple_GET_SIZE(index))
                .all(|i| is_basic_part(ffi::PyTuple_GET_ITEM(index, i)));
        }
        is_basic_part(index)
    }
}

unsafe fn is_basic_part(part: *mut ffi::PyObject) -> bool {
    // SAFETY: the caller's.
    unsafe {
        let class = ffi::Py_TYPE(part);
        class == &raw mut ffi::PyLong_Type
            || class == &raw mut ffi::PySlice_Type
            || class == api().intp
            || part == ffi::Py_None()
            || part == ffi::Py_Ellipsis()
    }
}

/// Lists of numbers along neighbouring axes, read from an index.
struct Places {
    /// The number of axes before them, which are taken whole.
    lead: usize,
    /// The number of axes they stand for.
    axes: usize,
    /// Their common shape.
    shape: Dims,
    /// The number of the block at each place, `lead` aside.
    numbers: Scratch<usize>,
    count: usize,
}

impl Places {
    /// Reads arrays of integers, after whole slices if it is a single one.
    unsafe fn read(index: *mut ffi::PyObject, whole: &[isize]) -> Result<Self, Refused> {
        let mut parts = [std::ptr::null_mut::<PyArrayObject>(); MAX_DIMS];
        let (mut lead, mut axes) = (0, 0);
        // SAFETY: each cast follows a test of the exact type.
        unsafe {
            let api = api();
            let several = ffi::Py_TYPE(index) == &raw mut ffi::PyTuple_Type;
            let count = if several { ffi::PyTuple_GET_SIZE(index) } else { 1 };
            for i in 0..count {
                let part = if several { ffi::PyTuple_GET_ITEM(index, i) } else { index };
                if axes == 0 && is_whole(part) {
                    lead += 1;
                    continue;
                }
                let array = part.cast::<PyArrayObject>();
                let usable = NPY_ARRAY_ALIGNED | NPY_ARRAY_C_CONTIGUOUS;
                if ffi::Py_TYPE(part) != api.array
                    || (*array).descr != api.descr_intp
                    || (*array).flags & usable != usable
                {
                    return Err(Refused);
                }
                *parts.get_mut(axes).ok_or(Refused)? = array;
                axes += 1;
            }
            if axes == 0 || (lead > 0 && axes > 1) || lead + axes > whole.len() {
                return Err(Refused);
            }
            let shape = Dims::of(parts[0].cast())?;
            let count = shape.lengths().iter().product::<isize>() as usize;
            let numbers = Scratch::new(count.max(1));
            let found = Self { lead, axes, shape, numbers, count };
            for (a, &part) in parts[..axes].iter().enumerate() {
                if a > 0 && Dims::of(part.cast())?.lengths() != found.shape.lengths() {
                    return Err(Refused);
                }
                found.add((*part).data.cast(), a == 0, whole[lead + a] as usize)?;
            }
            Ok(found)
        }
    }

    /// Adds the places along one axis more.
    unsafe fn add(&self, data: *const isize, first: bool, length: usize) -> Result<(), Refused> {
        let numbers = self.numbers.as_ptr();
        for i in 0..self.count {
            // SAFETY: the index has as many numbers, the scratch has room for them.
            unsafe {
                let place = *data.add(i);
                let place = if place < 0 { place + length as isize } else { place } as usize;
                if place >= length {
                    return Err(Refused);
                }
                *numbers.add(i) = if first { place } else { *numbers.add(i) * length + place };
            }
        }
        Ok(())
    }

    /// The blocks of an array of this shape that are meant.
    fn blocks(&self, whole: &[isize]) -> Blocks<'_> {
        let product = |part: &[isize]| part.iter().product::<isize>() as usize;
        Blocks {
            outer: product(&whole[..self.lead]),
            len: product(&whole[self.lead..self.lead + self.axes]),
            block: product(&whole[self.lead + self.axes..]),
            // SAFETY: `read` has filled the scratch.
            places: unsafe { std::slice::from_raw_parts(self.numbers.as_ptr(), self.count) },
        }
    }

    /// The shape of what is read there.
    fn result(&self, whole: &[isize]) -> Result<Dims, Refused> {
        let mut made = Dims::new();
        let before = whole[..self.lead].iter();
        let behind = whole[self.lead + self.axes..].iter();
        for &n in before.chain(self.shape.lengths()).chain(behind) {
            made.push(n)?;
        }
        Ok(made)
    }
}

/// Whether an index is `:`.
unsafe fn is_whole(part: *mut ffi::PyObject) -> bool {
    // SAFETY: the cast follows a test of the type.
    unsafe {
        if ffi::Py_TYPE(part) != &raw mut ffi::PySlice_Type {
            return false;
        }
        let slice = part.cast::<ffi::PySliceObject>();
        let none = ffi::Py_None();
        (*slice).start == none && (*slice).stop == none && (*slice).step == none
    }
}

/// x[index]
unsafe fn read(x: *mut ffi::PyObject, index: *mut ffi::PyObject) -> Outcome {
    // SAFETY: the interpreter's lock is held and both are alive.
    unsafe {
        if ffi::Py_TYPE(x) != api().array {
            return Err(Refused);
        }
        if is_basic(index) {
            return Ok(ffi::PyObject_GetItem(x, index));
        }
        if let Ok(argument) = Argument::new(x)
            && argument.contiguous()
        {
            let made = match argument.kind {
                Kind::Single => gathered::<f32>(&argument, index),
                _ => gathered::<f64>(&argument, index),
            };
            if made.is_ok() {
                return made;
            }
        }
        Ok(ffi::PyObject_GetItem(x, index))
    }
}

unsafe fn gathered<T: Element>(x: &Argument, index: *mut ffi::PyObject) -> Outcome {
    // SAFETY: the caller's; every place is within the array.
    unsafe {
        if let Some((places, n)) = single(index, x.ndim()) {
            let len = x.shape()[0];
            return moved(Move::Take, len, n, n, x.data::<T>(), places);
        }
        let whole = Dims::of(x.array.cast())?;
        let places = Places::read(index, whole.lengths())?;
        let shape = places.result(whole.lengths())?;
        let blocks = places.blocks(whole.lengths());
        let size = blocks.outer * blocks.places.len() * blocks.block;
        if shape.lengths().is_empty() {
            return Err(Refused);
        }
        let dims = shape.lengths();
        Ok(match new_array::<T>(dims.len(), dims.as_ptr().cast(), std::ptr::null(), size) {
            Ok((array, out)) => {
                unlocked(size * 500, || gather(blocks, x.data(), out));
                array
            }
            Err(null) => null,
        })
    }
}

/// The numbers in `index`, if that is one row of places in an array of one dimension.
unsafe fn single(index: *mut ffi::PyObject, ndim: usize) -> Option<(*const isize, usize)> {
    // SAFETY: the cast follows a test of the exact type.
    unsafe {
        let api = api();
        let array = index.cast::<PyArrayObject>();
        let usable = NPY_ARRAY_ALIGNED | NPY_ARRAY_C_CONTIGUOUS;
        let fits = ndim == 1
            && ffi::Py_TYPE(index) == api.array
            && (*array).descr == api.descr_intp
            && (*array).flags & usable == usable
            && (*array).nd == 1;
        fits.then(|| ((*array).data.cast::<isize>().cast_const(), *(*array).dimensions as usize))
    }
}

/// An array of `size` elements into which `n` are moved.
unsafe fn moved<T: Element>(
    what: Move,
    len: usize,
    n: usize,
    size: usize,
    x: *const T,
    places: *const isize,
) -> Outcome {
    // SAFETY: the lock is held; the caller vouches for the operands.
    unsafe {
        let (array, out) = match new_array::<T>(1, &raw const size, std::ptr::null(), size) {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        let mut done = false;
        unlocked(n * 1000 + size * 50, || {
            if what == Move::Add {
                out.write_bytes(0, size);
            }
            done = move_elements(what, 1, len, n, x, places, out);
        });
        if !done {
            ffi::Py_DECREF(array);
            return Err(Refused);
        }
        Ok(array)
    }
}

/// Zeros of a shape with `g` added at the index.
unsafe fn write(
    isa: Isa,
    object: *mut ffi::PyObject,
    index: *mut ffi::PyObject,
    shape: &Dims,
) -> Outcome {
    // SAFETY: the interpreter's lock is held and all are alive.
    unsafe {
        let g = Argument::new(object)?;
        match g.kind {
            Kind::Single => written::<f32>(isa, &g, object, index, shape),
            Kind::Double => written::<f64>(isa, &g, object, index, shape),
            Kind::Weak => Err(Refused),
        }
    }
}

unsafe fn written<T: Element>(
    isa: Isa,
    g: &Argument,
    object: *mut ffi::PyObject,
    index: *mut ffi::PyObject,
    shape: &Dims,
) -> Outcome {
    let whole = shape.lengths();
    if whole.iter().any(|&n| n < 0) {
        return Err(Refused);
    }
    let size = whole.iter().product::<isize>() as usize;
    // SAFETY: the caller's; every place is within the output.
    unsafe {
        if let Some((places, n)) = single(index, whole.len())
            && g.shape() == [n]
            && g.contiguous()
        {
            return moved(Move::Add, size, n, size, g.data::<T>(), places);
        }
        let basic = is_basic(index);
        let places = if basic { None } else { Some(Places::read(index, whole)?) };
        let mut dense = None;
        if let Some(places) = &places {
            let taken = places.result(whole)?;
            let mut slot = T::ZERO;
            if g.shape().iter().map(|&n| n as isize).ne(taken.lengths().iter().copied()) {
                return Err(Refused);
            }
            dense = Some(Dense::new(isa, &g.broadcast(g.shape(), &mut slot)?, g.shape()));
            if g.ndim() == 0 {
                return Err(Refused);
            }
        }
        let made = new_array::<T>(whole.len(), whole.as_ptr().cast(), std::ptr::null(), size);
        let (array, out) = match made {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        unlocked(size * 50, || out.write_bytes(0, size));
        if let (Some(places), Some(dense)) = (&places, &dense) {
            let blocks = places.blocks(whole);
            let count = blocks.outer * blocks.places.len() * blocks.block;
            unlocked(count * 500, || scatter_add(isa, blocks, dense.as_ptr(), out));
        } else if ffi::PyObject_SetItem(array, index, object) < 0 {
            ffi::Py_DECREF(array);
            return Ok(std::ptr::null_mut());
        }
        Ok(array)
    }
}

/// `x` along its last axis in an order, or put back from it.
unsafe fn permuted<T: Element>(
    x: &Argument,
    order: *mut ffi::PyObject,
    axis: *mut ffi::PyObject,
    back: bool,
) -> Outcome {
    // SAFETY: each cast follows a test of the exact type; the shapes are compared.
    unsafe {
        let api = api();
        let array = order.cast::<PyArrayObject>();
        let usable = NPY_ARRAY_ALIGNED | NPY_ARRAY_C_CONTIGUOUS;
        let shape = x.shape();
        if x.ndim() == 0
            || one_axis(axis, shape.len())? != shape.len() - 1
            || ffi::Py_TYPE(order) != api.array
            || (*array).descr != api.descr_intp
            || (*array).flags & usable != usable
            || Dims::of(order)?.lengths().iter().map(|&n| n as usize).ne(shape.iter().copied())
        {
            return Err(Refused);
        }
        let mut slot = T::ZERO;
        let dense = Dense::new(Isa::current(), &x.broadcast(shape, &mut slot)?, shape);
        let len = shape[shape.len() - 1];
        let size = shape.iter().product::<usize>();
        let rows = if len == 0 { 0 } else { size / len };
        let places = (*array).data.cast::<isize>();
        let made = new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), size);
        let (made, out) = match made {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        let mut done = false;
        let (what, x) = (if back { Move::Put } else { Move::Take }, dense.as_ptr());
        unlocked(size * 1000, || done = move_elements(what, rows, len, len, x, places, out));
        if !done {
            ffi::Py_DECREF(made);
            return Err(Refused);
        }
        Ok(made)
    }
}
