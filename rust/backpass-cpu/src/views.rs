//! Kernels that move nothing: views of an array, of any dtype, by strides.

use std::ffi::c_void;
use std::ptr::null_mut;

use backpass_kernels::layout::MAX_DIMS;
use backpass_kernels::transpose::transpose as turn;
use numpy::npyffi::{
    NPY_ARRAY_ALIGNED, NPY_ARRAY_C_CONTIGUOUS, NPY_ARRAY_CARRAY, NPY_ARRAY_WRITEABLE,
    PyArray_Descr, PyArrayObject,
};
use pyo3::ffi;

use crate::api::api;
use crate::block::new_block;
use crate::keywords::{Keywords, axes, each_keyword, integer, one_axis};
use crate::network::images::{Layout, shape_of};
use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, finish, new_array, new_scalar, unlocked,
};
use crate::table::isa;

/// Which view.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// x, shape
    BroadcastTo,
    /// x, shape
    Reshape,
    /// x, axis
    Flip,
    /// x, axes
    Transpose,
    /// g, x's node
    SumVjp,
    /// g, x's node
    MeanVjp,
}

/// A shape.
pub struct Dims {
    dims: [isize; MAX_DIMS],
    nd: usize,
}

impl Dims {
    /// No dimension.
    pub fn new() -> Self {
        Self { dims: [0; MAX_DIMS], nd: 0 }
    }

    /// These lengths.
    pub fn from(lengths: &[isize]) -> Result<Self, Refused> {
        let mut made = Self::new();
        lengths.iter().try_for_each(|&n| made.push(n))?;
        Ok(made)
    }

    /// A tuple of lengths, or one length.
    ///
    /// # Safety
    ///
    /// `object` is a live object.
    pub unsafe fn read(object: *mut ffi::PyObject) -> Result<Self, Refused> {
        let mut found = Self::new();
        // SAFETY: the test of the type comes first.
        unsafe {
            if ffi::Py_TYPE(object) != &raw mut ffi::PyTuple_Type {
                found.push(integer(object)?)?;
                return Ok(found);
            }
            for i in 0..ffi::PyTuple_GET_SIZE(object) {
                found.push(integer(ffi::PyTuple_GET_ITEM(object, i))?)?;
            }
        }
        Ok(found)
    }

    /// One dimension more.
    pub fn push(&mut self, length: isize) -> Result<(), Refused> {
        *self.dims.get_mut(self.nd).ok_or(Refused)? = length;
        self.nd += 1;
        Ok(())
    }

    /// The shape of an array or of a node.
    ///
    /// # Safety
    ///
    /// `object` is a live object and the interpreter's lock is held.
    pub unsafe fn of(object: *mut ffi::PyObject) -> Result<Self, Refused> {
        // SAFETY: each cast follows a test of the exact type.
        unsafe {
            let api = api();
            if ffi::Py_TYPE(object) == api.array {
                let array = object.cast::<PyArrayObject>();
                let mut found = Self::new();
                for d in 0..(*array).nd as usize {
                    found.push(*(*array).dimensions.add(d))?;
                }
                return Ok(found);
            }
            let shape = ffi::PyObject_GetAttr(object, api.shape);
            if shape.is_null() {
                ffi::PyErr_Clear();
                return Err(Refused);
            }
            let found = if ffi::Py_TYPE(shape) == &raw mut ffi::PyTuple_Type {
                Self::read(shape)
            } else {
                Err(Refused)
            };
            ffi::Py_DECREF(shape);
            found
        }
    }

    /// The lengths.
    pub fn lengths(&self) -> &[isize] {
        &self.dims[..self.nd]
    }
}

/// What a view looks at: an array, or a `NumPy` scalar.
struct Source {
    object: *mut ffi::PyObject,
    descr: *mut PyArray_Descr,
    data: *mut c_void,
    dims: *const isize,
    strides: *const isize,
    nd: usize,
    flags: i32,
}

impl Source {
    unsafe fn new(object: *mut ffi::PyObject) -> Result<Self, Refused> {
        // SAFETY: each cast follows a test of the exact type.
        unsafe {
            let api = api();
            let class = ffi::Py_TYPE(object);
            if class == api.array {
                let array = object.cast::<PyArrayObject>();
                if (*array).nd as usize > MAX_DIMS {
                    return Err(Refused);
                }
                return Ok(Self {
                    object,
                    descr: (*array).descr,
                    data: (*array).data.cast(),
                    dims: (*array).dimensions,
                    strides: (*array).strides,
                    nd: (*array).nd as usize,
                    flags: (*array).flags,
                });
            }
            let descr = if class == api.float64 {
                api.descr64
            } else if class == api.float32 {
                api.descr32
            } else {
                return Err(Refused);
            };
            // A NumPy scalar's value follows the object's head.
            let data = object.add(1).cast();
            let (dims, strides) = (std::ptr::null(), std::ptr::null());
            Ok(Self { object, descr, data, dims, strides, nd: 0, flags: 0 })
        }
    }

    fn dims(&self) -> &[isize] {
        if self.nd == 0 {
            return &[];
        }
        // SAFETY: the array is alive.
        unsafe { std::slice::from_raw_parts(self.dims, self.nd) }
    }

    fn strides(&self) -> &[isize] {
        if self.nd == 0 {
            return &[];
        }
        // SAFETY: the array is alive.
        unsafe { std::slice::from_raw_parts(self.strides, self.nd) }
    }

    /// A view of this shape: a new reference, or null with an exception set. Strides in bytes; none
    /// for C order.
    unsafe fn view(
        &self,
        data: *mut c_void,
        dims: &[isize],
        strides: Option<&[isize]>,
        writeable: bool,
    ) -> *mut ffi::PyObject {
        // SAFETY: the interpreter's lock is held; the constructor takes a reference to the dtype.
        unsafe {
            let api = api();
            ffi::Py_INCREF(self.descr.cast());
            let array = (api.new_array)(
                api.array,
                self.descr,
                dims.len() as i32,
                dims.as_ptr().cast_mut(),
                strides.map_or(null_mut(), |s| s.as_ptr().cast_mut()),
                data,
                // Contiguity NumPy finds out itself.
                self.flags & (NPY_ARRAY_ALIGNED | if writeable { NPY_ARRAY_WRITEABLE } else { 0 })
                    | if strides.is_none() { NPY_ARRAY_C_CONTIGUOUS } else { 0 },
                null_mut(),
            );
            if !array.is_null() {
                ffi::Py_INCREF(self.object);
                (*array.cast::<PyArrayObject>()).base = self.object;
            }
            array
        }
    }
}

/// Calls a kernel from Python.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
pub unsafe fn call(
    view: View,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            let rule = matches!(view, View::SumVjp | View::MeanVjp);
            if nargs != 1 + isize::from(rule) {
                return Err(Refused);
            }
            let values = args.offset(nargs);
            if rule {
                return spread(view, *args, *args.add(1), values, kwnames);
            }
            let source = Source::new(*args)?;
            match view {
                View::BroadcastTo | View::Reshape => {
                    let mut shape = null_mut();
                    each_keyword(kwnames, values, [api().shape], |_, value| {
                        shape = value;
                        Ok(())
                    })?;
                    if shape.is_null() {
                        return Err(Refused);
                    }
                    let shape = Dims::read(shape)?;
                    if view == View::Reshape {
                        return reshape(&source, shape);
                    }
                    broadcast_to(&source, &shape)
                }
                View::Flip => {
                    let axis = Keywords::read(false, false, values, kwnames)?.axis;
                    flip(&source, axes(axis, source.nd)?)
                }
                _ => {
                    let mut order = ffi::Py_None();
                    each_keyword(kwnames, values, [api().axes], |_, value| {
                        order = value;
                        Ok(())
                    })?;
                    transpose(&source, order)
                }
            }
        })
    }
}

/// Strides of 0 along what is repeated.
unsafe fn broadcast_to(source: &Source, shape: &Dims) -> Outcome {
    let wanted = shape.lengths();
    let lead = wanted.len().checked_sub(source.nd).ok_or(Refused)?;
    let mut strides = [0; MAX_DIMS];
    for (d, (&n, &stride)) in source.dims().iter().zip(source.strides()).enumerate() {
        if n == wanted[lead + d] {
            strides[lead + d] = stride;
        } else if n != 1 {
            return Err(Refused);
        }
    }
    if wanted.iter().any(|&n| n < 0) {
        return Err(Refused);
    }
    // SAFETY: every index of the view is one of the source.
    Ok(unsafe { source.view(source.data, wanted, Some(&strides[..wanted.len()]), false) })
}

/// The same elements of a contiguous array; of images whose channels lie innermost, a copy.
unsafe fn reshape(source: &Source, mut shape: Dims) -> Outcome {
    let size: isize = source.dims().iter().product();
    let mut known = 1;
    let mut open = None;
    for (d, &n) in shape.lengths().iter().enumerate() {
        if n >= 0 {
            known *= n;
        } else if n != -1 || open.replace(d).is_some() {
            return Err(Refused);
        }
    }
    if let Some(d) = open {
        if known == 0 {
            return Err(Refused);
        }
        shape.dims[d] = size / known;
        known *= shape.dims[d];
    }
    let array = source.object.cast::<PyArrayObject>();
    let contiguous = source.flags & NPY_ARRAY_C_CONTIGUOUS != 0;
    if known != size || array.is_null() {
        return Err(Refused);
    }
    if !contiguous {
        // SAFETY: the object is an array.
        return unsafe {
            let x = Argument::new(source.object)?;
            match x.kind {
                Kind::Single => laid_anew::<f32>(&x, &shape),
                _ => laid_anew::<f64>(&x, &shape),
            }
        };
    }
    if shape.nd == 0 {
        // SAFETY: the object is an array of one element.
        return unsafe { item(&Argument::new(source.object)?) };
    }
    // SAFETY: the source is contiguous and has as many elements.
    Ok(unsafe { source.view(source.data, shape.lengths(), None, true) })
}

/// A copy, in C order and of another shape, of images whose channels lie innermost.
unsafe fn laid_anew<T: Element>(x: &Argument, shape: &Dims) -> Outcome {
    let own = shape_of(x)?;
    let strides = std::array::from_fn(|d| x.stride::<T>(d));
    if Layout::find(own, strides) != Some(Layout::ChannelsLast) {
        return Err(Refused);
    }
    let [n, c, h, w] = own;
    let size = n * c * h * w;
    // SAFETY: the lock is held; no length is negative, and both arrays hold the whole.
    unsafe {
        match new_array::<T>(shape.nd, shape.dims.as_ptr().cast(), std::ptr::null(), size) {
            Ok((array, out)) => {
                unlocked(size * size_of::<T>() * 60, || {
                    turn(isa(), n, h * w, c, x.data(), out);
                });
                Ok(array)
            }
            Err(null) => Ok(null),
        }
    }
}

/// The only element of an array, as a scalar.
unsafe fn item(x: &Argument) -> Outcome {
    // SAFETY: the array has one element, of its own type.
    unsafe {
        match x.kind {
            Kind::Single => Ok(new_scalar(*x.data::<f32>())),
            Kind::Double => Ok(new_scalar(*x.data::<f64>())),
            Kind::Weak => Err(Refused),
        }
    }
}

/// Strides the other way.
unsafe fn flip(source: &Source, mask: u64) -> Outcome {
    let mut strides = [0; MAX_DIMS];
    let mut data = source.data.cast::<u8>();
    for (d, (&n, &stride)) in source.dims().iter().zip(source.strides()).enumerate() {
        strides[d] = stride;
        if mask >> d & 1 == 1 && n > 0 {
            strides[d] = -stride;
            data = data.wrapping_offset((n - 1) * stride);
        }
    }
    if source.nd == 0 {
        return Err(Refused);
    }
    // SAFETY: every index of the view is one of the source.
    Ok(unsafe { source.view(data.cast(), source.dims(), Some(&strides[..source.nd]), true) })
}

/// Strides in another order.
unsafe fn transpose(source: &Source, order: *mut ffi::PyObject) -> Outcome {
    let nd = source.nd;
    let mut dims = [0; MAX_DIMS];
    let mut strides = [0; MAX_DIMS];
    let mut seen = 0u64;
    // SAFETY: the test of the type comes first.
    unsafe {
        let reversed = order == ffi::Py_None();
        if nd == 0
            || (!reversed
                && (ffi::Py_TYPE(order) != &raw mut ffi::PyTuple_Type
                    || ffi::PyTuple_GET_SIZE(order) as usize != nd))
        {
            return Err(Refused);
        }
        for d in 0..nd {
            let from = if reversed {
                nd - 1 - d
            } else {
                one_axis(ffi::PyTuple_GET_ITEM(order, d as isize), nd)?
            };
            seen |= 1 << from;
            dims[d] = source.dims()[from];
            strides[d] = source.strides()[from];
        }
        if seen.count_ones() as usize != nd {
            return Err(Refused);
        }
        Ok(source.view(source.data, &dims[..nd], Some(&strides[..nd]), true))
    }
}

/// The rules of `sum` and `mean`: the cotangent, or its share, over the axes that were reduced.
unsafe fn spread(
    view: View,
    g: *mut ffi::PyObject,
    x: *mut ffi::PyObject,
    values: *const *mut ffi::PyObject,
    kwnames: *mut ffi::PyObject,
) -> Outcome {
    // SAFETY: the caller's.
    unsafe {
        let api = api();
        let mut axis = ffi::Py_None();
        let mut keepdims = false;
        let known = [api.axis, api.keepdims, api.initial];
        each_keyword(kwnames, values, known, |place, value| {
            match place {
                0 => axis = value,
                1 => keepdims = crate::keywords::truth(value)?,
                // A constant that is added has no part in the rule.
                _ => {}
            }
            Ok(())
        })?;
        let source = Source::new(g)?;
        let shape = Dims::of(x)?;
        let whole = shape.lengths();
        let mask = axes(axis, whole.len())?;
        let mut strides = [0; MAX_DIMS];
        let mut next = 0;
        let mut times = 1;
        for (d, &n) in whole.iter().enumerate() {
            let reduced = mask >> d & 1 == 1;
            if reduced {
                times *= n;
            }
            if source.nd > 0 && (!reduced || keepdims) {
                let length = *source.dims().get(next).ok_or(Refused)?;
                if length != if reduced { 1 } else { n } {
                    return Err(Refused);
                }
                strides[d] = if reduced { 0 } else { source.strides()[next] };
                next += 1;
            }
        }
        // A scalar stands for all where every axis is reduced.
        if next != source.nd || (source.nd == 0 && mask.count_ones() as usize != whole.len()) {
            return Err(Refused);
        }
        let strides = &mut strides[..whole.len()];
        if view == View::SumVjp {
            return Ok(source.view(source.data, whole, Some(strides), false));
        }
        if times == 0 {
            return Err(Refused);
        }
        let argument = Argument::new(g)?;
        let shared = match argument.kind {
            Kind::Single => shared::<f32>(&argument, times as usize)?,
            Kind::Double => shared::<f64>(&argument, times as usize)?,
            Kind::Weak => return Err(Refused),
        };
        if shared.is_null() {
            return Ok(shared);
        }
        let made =
            Source::new(shared).map(|source| source.view(source.data, whole, Some(strides), false));
        ffi::Py_DECREF(shared);
        made
    }
}

/// g / n, laid out as g is: a new reference.
unsafe fn shared<T: Element>(g: &Argument, n: usize) -> Outcome {
    let divisor = T::count(n);
    // SAFETY: the caller's; a contiguous array's elements lie one after the other.
    unsafe {
        if g.ndim() == 0 {
            return Ok(new_scalar(g.value::<T>()? / divisor));
        }
        if !g.contiguous() {
            return Err(Refused);
        }
        let shape = g.shape();
        let size = shape.iter().product();
        Ok(match new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), size) {
            Ok((array, out)) => {
                let from = g.data::<T>();
                for i in 0..size {
                    *out.add(i) = *from.add(i) / divisor;
                }
                array
            }
            Err(null) => null,
        })
    }
}

/// `x` without its first `extra` dimensions, which have length 1: a new reference.
///
/// # Safety
///
/// `x` is an array with more dimensions than that, and the interpreter's lock is held.
pub unsafe fn without_leading(x: *mut ffi::PyObject, extra: usize) -> Outcome {
    // SAFETY: the caller's.
    unsafe {
        let source = Source::new(x)?;
        let (dims, strides) = (&source.dims()[extra..], &source.strides()[extra..]);
        Ok(source.view(source.data, dims, Some(strides), true))
    }
}

/// An array as it is, to be read only: a new reference.
///
/// # Safety
///
/// The interpreter's lock is held and `x` is alive.
pub unsafe fn read_only(x: *mut ffi::PyObject) -> Outcome {
    // SAFETY: the caller's.
    unsafe {
        let source = Source::new(x)?;
        Ok(source.view(source.data, source.dims(), Some(source.strides()), false))
    }
}

/// An uninitialised array of any dtype over pool memory: a new reference and its data. `strides` are
/// in bytes, null for C order.
///
/// # Safety
///
/// The interpreter's lock is held; the dtype's elements need no construction and take `bytes` in all;
/// there are as many strides as dimensions.
pub unsafe fn new_array_of(
    descr: *mut PyArray_Descr,
    dims: &[isize],
    strides: *const isize,
    bytes: usize,
) -> Result<(*mut ffi::PyObject, *mut u8), *mut ffi::PyObject> {
    // SAFETY: the caller's; the constructor takes a reference to the dtype.
    unsafe {
        let api = api();
        let Some((block, data)) = new_block(api.block, bytes) else {
            return Err(ffi::PyErr_NoMemory());
        };
        ffi::Py_INCREF(descr.cast());
        let array = (api.new_array)(
            api.array,
            descr,
            dims.len() as i32,
            dims.as_ptr().cast_mut(),
            strides.cast_mut(),
            data.cast(),
            NPY_ARRAY_CARRAY,
            null_mut(),
        );
        if array.is_null() {
            ffi::Py_DECREF(block);
            return Err(array);
        }
        (*array.cast::<PyArrayObject>()).base = block;
        Ok((array, data))
    }
}
