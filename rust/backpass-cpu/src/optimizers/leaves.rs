//! The arrays of an update.

use std::ptr::null_mut;

use backpass_kernels::descent::{self, Leaf, Step};
use backpass_kernels::isa::Isa;
use numpy::npyffi::NPY_ARRAY_WRITEABLE;
use pyo3::ffi;

use crate::operand::{Argument, Element, Kind, Refused, unlocked};

/// Contiguous arrays of one type, at least one. A `NumPy` scalar is one that cannot be written to.
pub struct Leaves {
    /// The arrays.
    pub arrays: Vec<Array>,
    /// What they hold.
    pub kind: Kind,
}

/// One of them.
pub struct Array {
    argument: Argument,
    data: *mut u8,
}

impl Array {
    /// The shape.
    pub fn shape(&self) -> &[usize] {
        self.argument.shape()
    }

    /// How many elements there are.
    pub fn size(&self) -> usize {
        self.shape().iter().product()
    }

    /// The first element.
    pub fn data<T>(&self) -> *mut T {
        self.data.cast()
    }

    fn writeable(&self) -> bool {
        let array = self.argument.array;
        // SAFETY: the array is alive.
        !array.is_null() && unsafe { (*array).flags & NPY_ARRAY_WRITEABLE != 0 }
    }
}

impl Leaves {
    /// Reads the arrays of a call.
    ///
    /// # Safety
    ///
    /// There are so many arguments, and they are alive.
    pub unsafe fn read(args: *const *mut ffi::PyObject, count: usize) -> Result<Self, Refused> {
        let mut arrays = Vec::with_capacity(count);
        for i in 0..count {
            // SAFETY: below the number of arguments; a scalar's value follows the object's head.
            let (argument, data) = unsafe {
                let object = *args.add(i);
                let x = Argument::new(object)?;
                let scalar = x.array.is_null();
                if !scalar && !x.contiguous() {
                    return Err(Refused);
                }
                (x, if scalar { object.add(1).cast() } else { x.data::<u8>().cast_mut() })
            };
            arrays.push(Array { argument, data });
        }
        let kind = arrays.first().ok_or(Refused)?.argument.kind;
        if arrays.iter().any(|x| x.argument.kind != kind) {
            return Err(Refused);
        }
        Ok(Self { arrays, kind })
    }

    /// Takes a step: the arrays are, for each of `W + 1` roles, one of each leaf, the gradients last.
    ///
    /// # Safety
    ///
    /// The interpreter's lock is held, `T` is what the arrays hold, and they are alive.
    pub unsafe fn update<T: Element, P: Step<T, W>, const W: usize>(
        &self,
        isa: Isa,
        step: P,
    ) -> Result<(), Refused> {
        let arrays = &self.arrays;
        if !arrays.len().is_multiple_of(W + 1) {
            return Err(Refused);
        }
        let count = arrays.len() / (W + 1);
        let written = W * count;
        for (i, x) in arrays.iter().enumerate() {
            if (i < written && !x.writeable())
                || (i >= count && x.shape() != arrays[i % count].shape())
            {
                return Err(Refused);
            }
        }
        if overlap::<T>(arrays, written) {
            return Err(Refused);
        }
        let mut size = 0;
        let mut leaves = Vec::with_capacity(count);
        for i in 0..count {
            let mut leaf =
                Leaf { arrays: [null_mut(); W], gradient: arrays[written + i].data(), n: 0 };
            for (k, data) in leaf.arrays.iter_mut().enumerate() {
                *data = arrays[k * count + i].data();
            }
            leaf.n = arrays[i].size();
            size += leaf.n;
            leaves.push(leaf);
        }
        // SAFETY: the lock is held; the arrays are contiguous, of one shape a leaf, and apart.
        unsafe { unlocked(size * (W + 1) * 5, || descent::update(isa, &leaves, step)) };
        Ok(())
    }
}

/// Whether one of the first `written` arrays shares memory with another array.
fn overlap<T: Element>(arrays: &[Array], written: usize) -> bool {
    let mut spans: Vec<(usize, usize, bool)> = arrays
        .iter()
        .enumerate()
        .map(|(i, x)| {
            let start = x.data::<T>() as usize;
            (start, start + x.size() * size_of::<T>(), i < written)
        })
        .filter(|(start, end, _)| start < end)
        .collect();
    spans.sort_unstable();
    let (mut end, mut written_end) = (0, 0);
    spans.into_iter().any(|(start, stop, writes)| {
        let clash = start < written_end || (writes && start < end);
        end = end.max(stop);
        if writes {
            written_end = written_end.max(stop);
        }
        clash
    })
}
