//! How images lie in memory: planes one after the other, or all channels of a pixel side by side.

use backpass_kernels::isa::Isa;
use backpass_kernels::layout::{MAX_DIMS, Operand};
use backpass_kernels::pool::Scratch;
use backpass_kernels::transpose::transpose;
use pyo3::ffi;

use crate::operand::{Argument, Element, Refused, new_array};
use crate::order::Dense;

/// Strides of an array of shape (batch, channels, height, width), in elements.
pub type Strides = [isize; 4];

/// Where the channels lie, in a contiguous array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Channels before rows and columns.
    Planes,
    /// Channels innermost.
    ChannelsLast,
}

impl Layout {
    /// The strides of such an array.
    pub fn strides(self, [_, c, h, w]: [usize; 4]) -> Strides {
        let strides = match self {
            Self::Planes => [c * h * w, h * w, w, 1],
            Self::ChannelsLast => [c * h * w, 1, w * c, c],
        };
        strides.map(|stride| stride as isize)
    }

    /// Whether an array with these strides lies so.
    fn is(self, shape: [usize; 4], strides: Strides) -> bool {
        (0..4).all(|d| shape[d] == 1 || strides[d] == self.strides(shape)[d])
    }

    /// How an array lies, if contiguously.
    pub fn find(shape: [usize; 4], strides: Strides) -> Option<Self> {
        [Self::Planes, Self::ChannelsLast].into_iter().find(|layout| layout.is(shape, strides))
    }

    /// How an array lies, or how a copy of it should.
    pub fn of<T: Element>(x: &Argument, shape: [usize; 4]) -> Self {
        let strides = std::array::from_fn(|d| x.stride::<T>(d));
        Self::find(shape, strides).unwrap_or(if strides[1].abs() < strides[3].abs() {
            Self::ChannelsLast
        } else {
            Self::Planes
        })
    }

    /// How many images, or planes, there are, and how many channels lie side by side.
    pub fn outer(self, [n, c, ..]: [usize; 4]) -> (usize, usize) {
        if self == Self::Planes { (n * c, 1) } else { (n, c) }
    }
}

/// The shape of an array with four axes.
pub fn shape_of(x: &Argument) -> Result<[usize; 4], Refused> {
    x.shape().try_into().map_err(|_| Refused)
}

/// An array laid out in a given way: itself, or a copy.
pub fn laid<T: Element>(isa: Isa, x: &Argument, layout: Layout) -> Result<Dense<T>, Refused> {
    let shape = shape_of(x)?;
    let [n, c, h, w] = shape;
    let strides: Strides = std::array::from_fn(|d| x.stride::<T>(d));
    if layout.is(shape, strides) {
        return Ok(Dense::Itself(x.data()));
    }
    if Layout::find(shape, strides).is_some() {
        let (rows, columns) = if layout == Layout::Planes { (h * w, c) } else { (c, h * w) };
        let copy = Scratch::<T>::new(n * c * h * w);
        // SAFETY: the array is contiguous in the other way, and the copy as large.
        unsafe { transpose(isa, n, rows, columns, x.data(), copy.as_ptr()) };
        return Ok(Dense::Copied(copy));
    }
    let order = if layout == Layout::Planes { [0, 1, 2, 3] } else { [0, 2, 3, 1] };
    let mut view = Operand { data: x.data(), strides: [0; MAX_DIMS] };
    for (d, &from) in order.iter().enumerate() {
        view.strides[d] = strides[from];
    }
    Ok(Dense::new(isa, &view, &order.map(|d| shape[d])))
}

/// An uninitialised array of this layout, and its data.
///
/// # Safety
///
/// The interpreter's lock is held.
pub unsafe fn new_images<T: Element>(
    layout: Layout,
    shape: [usize; 4],
) -> Result<(*mut ffi::PyObject, *mut T), *mut ffi::PyObject> {
    let strides = layout.strides(shape).map(|stride| stride * size_of::<T>() as isize);
    // SAFETY: the lock is held; shape and strides have four entries.
    unsafe { new_array(4, shape.as_ptr(), strides.as_ptr(), shape.iter().product()) }
}
