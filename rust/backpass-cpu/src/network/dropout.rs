//! Dropout.

use backpass_kernels::isa::Isa;
use backpass_kernels::network::dropout::{self, Mask};
use pyo3::ffi;

use super::Family;
use super::given::{Integers, dense};
use crate::keywords::{Names, each_keyword, integer, item, number};
use crate::operand::{Argument, Element, Kind, Outcome, Refused, finish, new_array, unlocked};
use crate::table::{Args, Object, functions, isa};

/// The kernels.
pub static KERNELS: Family = &[("dropout", dropout), ("dropout.vjp", dropout)];

functions! {
    dropout: |a, n, k| finish(|| call(isa(), a, n, k));
}

unsafe fn call(isa: Isa, args: Args, nargs: isize, kwnames: Object) -> Outcome {
    static NAMES: Names<3> = Names::new([c"rate", c"key", c"axes"]);
    // SAFETY: the lock is held and the arguments are alive.
    unsafe {
        if nargs != 1 {
            return Err(Refused);
        }
        let (mut rate, mut key, mut axes) = (None, None, None);
        each_keyword(kwnames, args.add(1), NAMES.get()?, |place, value| {
            match place {
                0 => rate = Some(number(value)?),
                1 => key = Some(read_key(value)?),
                _ => axes = Some(integer(value)? as usize),
            }
            Ok(())
        })?;
        let (Some(rate), Some(key), Some(axes)) = (rate, key, axes) else { return Err(Refused) };
        let x = Argument::new(*args)?;
        if axes > x.ndim() || !(0.0..=1.0).contains(&rate) {
            return Err(Refused);
        }
        let (counted, rest) = x.shape().split_at(axes);
        let mask = Mask { n: counted.iter().product(), inner: rest.iter().product(), rate, key };
        match x.kind {
            Kind::Single => typed::<f32>(isa, mask, &x),
            Kind::Double => typed::<f64>(isa, mask, &x),
            Kind::Weak => Err(Refused),
        }
    }
}

unsafe fn typed<T: Element>(isa: Isa, mask: Mask, x: &Argument) -> Outcome {
    let (shape, size) = (x.shape(), mask.n * mask.inner);
    // SAFETY: the lock is held; both arrays have the shape.
    unsafe {
        if size == 0 || shape.is_empty() {
            return Err(Refused);
        }
        let x = dense::<T>(isa, x, shape)?;
        Ok(match new_array::<T>(shape.len(), shape.as_ptr(), std::ptr::null(), size) {
            Ok((array, out)) => {
                unlocked(mask.n * 500 + size * 200, || {
                    dropout::dropout(isa, mask, x.as_ptr(), out);
                });
                array
            }
            Err(null) => null,
        })
    }
}

/// Seed and counter, as a tuple or an array of integers.
unsafe fn read_key(key: Object) -> Result<[u64; 2], Refused> {
    // SAFETY: the lock is held and the object is alive.
    unsafe {
        if ffi::Py_TYPE(key) != &raw mut ffi::PyTuple_Type {
            let words = Integers::read(key)?;
            let &[seed, count] = words.as_slice() else { return Err(Refused) };
            return Ok([seed as u64, count as u64]);
        }
        let mut words = [0; 2];
        for (i, word) in words.iter_mut().enumerate() {
            let part = item::<2>(key, i)?;
            if ffi::Py_TYPE(part) != &raw mut ffi::PyLong_Type {
                return Err(Refused);
            }
            // The lowest 64 bits of whatever integer.
            *word = ffi::PyLong_AsUnsignedLongLongMask(part);
        }
        Ok(words)
    }
}
