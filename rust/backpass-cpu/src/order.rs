//! How an array lies in memory: the order of its dimensions, the shape about some of them, and an
//! output that lies likewise.

use backpass_kernels::elementwise::{COPY, apply};
use backpass_kernels::isa::Isa;
use backpass_kernels::layout::{MAX_DIMS, Operand};
use backpass_kernels::pool::Scratch;
use backpass_kernels::reduce::Shape;
use pyo3::ffi;

use crate::operand::{Argument, Element, new_array};

/// The array's dimensions in the order in which they lie in memory.
pub struct Order {
    /// The dimensions, the outermost first.
    pub dims: [usize; MAX_DIMS],
    /// How many.
    pub nd: usize,
    /// Whether the array is contiguous in this order.
    dense: bool,
}

impl Order {
    /// The order of `x`, without the dimensions in `flat`, along which it is one element.
    pub fn of<T: Element>(x: &Argument, flat: u64) -> Self {
        let nd = x.ndim();
        let shape = x.shape();
        let size = |d: usize| if flat >> d & 1 == 1 { 1 } else { shape[d] };
        let mut order = Self { dims: std::array::from_fn(|d| d), nd, dense: true };
        if !x.contiguous() || flat != 0 {
            order.dims[..nd].sort_by_key(|&d| {
                let unit = size(d) == 1;
                std::cmp::Reverse(if unit { isize::MAX } else { x.stride::<T>(d).abs() })
            });
            let mut expected = 1;
            for &d in order.dims[..nd].iter().rev() {
                if size(d) != 1 {
                    order.dense &= x.stride::<T>(d) == expected;
                    expected *= size(d) as isize;
                }
            }
            if !order.dense {
                order.dims = std::array::from_fn(|d| d);
            }
        }
        order
    }

    /// The order of `x` if the dimensions in `mask` are neighbours in it, else one in which they are:
    /// with the shape about them.
    pub fn about<T: Element>(x: &Argument, mask: u64) -> (Self, Shape) {
        let mut order = Self::of::<T>(x, 0);
        if groups(&order, x.shape(), mask, 0).1 > 1 {
            order.dims = std::array::from_fn(|d| d);
            order.dims[..order.nd].sort_by_key(|&d| mask >> d & 1);
        }
        let shape = groups(&order, x.shape(), mask, 0).0[0];
        (order, shape)
    }

    /// The argument's strides in this order, for the dimensions in `keep`.
    pub fn operand<T: Element>(
        &self,
        x: &Operand<T>,
        shape: &[usize],
        keep: u64,
    ) -> (Operand<T>, [usize; MAX_DIMS], usize) {
        let mut view = Operand { data: x.data, strides: [0; MAX_DIMS] };
        let mut dims = [1; MAX_DIMS];
        let mut nd = 0;
        for &d in &self.dims[..self.nd] {
            if keep >> d & 1 == 1 {
                dims[nd] = shape[d];
                view.strides[nd] = x.strides[d];
                nd += 1;
            }
        }
        (view, dims, nd)
    }
}

/// An operand laid out contiguously: itself, or a copy.
pub enum Dense<T: Copy> {
    /// It was contiguous.
    Itself(*const T),
    /// A copy.
    Copied(Scratch<T>),
}

impl<T: Element> Dense<T> {
    /// `view`, of this shape, as it lies or copied.
    pub fn new(isa: Isa, view: &Operand<T>, shape: &[usize]) -> Self {
        let mut expected = 1;
        let mut dense = true;
        for d in (0..shape.len()).rev() {
            if shape[d] != 1 {
                dense &= view.strides[d] == expected;
                expected *= shape[d] as isize;
            }
        }
        if dense {
            return Self::Itself(view.data);
        }
        let copy = Scratch::new(expected as usize);
        // SAFETY: the operand is readable at every index, the copy has room for all of them.
        unsafe { apply(isa, COPY, copy.as_ptr(), shape, &[*view]) };
        Self::Copied(copy)
    }

    /// Where it begins.
    pub fn as_ptr(&self) -> *const T {
        match self {
            Self::Itself(data) => *data,
            Self::Copied(copy) => copy.as_ptr(),
        }
    }
}

/// The shape about the reduced axes, innermost group of them first; each group leaves one element.
pub fn groups(order: &Order, shape: &[usize], mask: u64, flat: u64) -> ([Shape; MAX_DIMS], usize) {
    let mut runs = [(false, 1usize); MAX_DIMS];
    let mut count = 0;
    for &d in &order.dims[..order.nd] {
        if shape[d] == 1 || flat >> d & 1 == 1 {
            continue;
        }
        let reduced = mask >> d & 1 == 1;
        if count > 0 && runs[count - 1].0 == reduced {
            runs[count - 1].1 *= shape[d];
        } else {
            runs[count] = (reduced, shape[d]);
            count += 1;
        }
    }
    let mut shapes = [Shape { outer: 1, len: 1, inner: 1 }; MAX_DIMS];
    let mut found = 0;
    for i in (0..count).rev().filter(|&i| runs[i].0) {
        let outer = runs[..i].iter().map(|run| run.1).product();
        let inner = runs[i + 1..count].iter().filter(|run| !run.0).map(|run| run.1).product();
        shapes[found] = Shape { outer, len: runs[i].1, inner };
        found += 1;
    }
    if found == 0 {
        shapes[0].outer = runs[..count].iter().map(|run| run.1).product();
        found = 1;
    }
    (shapes, found)
}

/// An output: its object and data.
pub type Made<T> = Result<(*mut ffi::PyObject, *mut T), *mut ffi::PyObject>;

/// An array of the dimensions in `keep`, laid out in `order`; those in `ones` have size 1, the others
/// are left out.
///
/// # Safety
///
/// The interpreter's lock is held.
pub unsafe fn output<T: Element>(order: &Order, shape: &[usize], keep: u64, ones: u64) -> Made<T> {
    let mut dims = [1usize; MAX_DIMS];
    let mut place = [0usize; MAX_DIMS];
    let mut nd = 0;
    for d in 0..order.nd {
        place[d] = nd;
        if keep >> d & 1 == 1 {
            dims[nd] = shape[d];
            nd += 1;
        } else if ones >> d & 1 == 1 {
            nd += 1;
        }
    }
    let mut strides = [size_of::<T>() as isize; MAX_DIMS];
    let mut stride = size_of::<T>() as isize;
    let mut natural = true;
    let mut last = usize::MAX;
    for &d in order.dims[..order.nd].iter().rev() {
        if keep >> d & 1 == 1 {
            strides[place[d]] = stride;
            stride *= shape[d] as isize;
            natural &= shape[d] == 1 || d < last;
            last = if shape[d] == 1 { last } else { d };
        }
    }
    let size = stride as usize / size_of::<T>();
    let strides = if natural { std::ptr::null() } else { strides.as_ptr() };
    // SAFETY: shape and strides have `nd` entries.
    unsafe { new_array(nd, dims.as_ptr(), strides, size) }
}
