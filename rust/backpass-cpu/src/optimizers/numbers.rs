//! The numbers of an update: its keywords.

use std::ptr::null_mut;

use pyo3::ffi;

use crate::api::api;
use crate::keywords::{each_keyword, truth};
use crate::operand::{Argument, Kind, Refused};

/// Names, in the order of [`NAMES`].
#[derive(Clone, Copy)]
pub enum Name {
    Alpha,
    Amsgrad,
    Beta1,
    Beta2,
    By,
    Centered,
    Dampening,
    Decay,
    Decoupled,
    Eps,
    LearningRate,
    Momentum,
    Nesterov,
    Order,
    Step,
    WeightDecay,
}

/// How many there are.
pub const COUNT: usize = 16;

/// As they stand in calls.
pub const NAMES: [&str; COUNT] = [
    "alpha",
    "amsgrad",
    "beta1",
    "beta2",
    "by",
    "centered",
    "dampening",
    "decay",
    "decoupled",
    "eps",
    "learning_rate",
    "momentum",
    "nesterov",
    "order",
    "step",
    "weight_decay",
];

/// The keywords of a call, each taken once.
pub struct Numbers {
    given: [*mut ffi::PyObject; COUNT],
}

impl Numbers {
    /// Reads the keywords; refused if one is of no update.
    ///
    /// # Safety
    ///
    /// As the interpreter hands over names and values.
    pub unsafe fn read(
        values: *const *mut ffi::PyObject,
        kwnames: *mut ffi::PyObject,
    ) -> Result<Self, Refused> {
        let mut given = [null_mut(); COUNT];
        // SAFETY: the caller's.
        unsafe {
            each_keyword(kwnames, values, api().updates, |place, value| {
                given[place] = value;
                Ok(())
            })?;
        }
        Ok(Self { given })
    }

    fn take(&mut self, name: Name) -> Option<*mut ffi::PyObject> {
        let value = std::mem::replace(&mut self.given[name as usize], null_mut());
        (!value.is_null()).then_some(value)
    }

    /// A number: a Python or `NumPy` one, or what an array of shape () holds now.
    pub fn number(&mut self, name: Name) -> Result<f64, Refused> {
        // SAFETY: the interpreter's lock is held and the value is alive, as an argument is.
        let x = unsafe { Argument::new(self.take(name).ok_or(Refused)?)? };
        if x.array.is_null() {
            return Ok(x.scalar);
        }
        if x.ndim() != 0 {
            return Err(Refused);
        }
        match x.kind {
            Kind::Single => x.value::<f32>().map(f64::from),
            _ => x.value::<f64>(),
        }
    }

    /// A number that may be left out.
    pub fn number_or(&mut self, name: Name, default: f64) -> Result<f64, Refused> {
        if self.given[name as usize].is_null() { Ok(default) } else { self.number(name) }
    }

    /// A Python float.
    pub fn float(&mut self, name: Name) -> Result<f64, Refused> {
        let value = self.take(name).ok_or(Refused)?;
        // SAFETY: the value is alive, and read after a test of its type.
        unsafe {
            if ffi::Py_TYPE(value) != &raw mut ffi::PyFloat_Type {
                return Err(Refused);
            }
            Ok(ffi::PyFloat_AS_DOUBLE(value))
        }
    }

    /// A truth value.
    pub fn flag(&mut self, name: Name) -> Result<bool, Refused> {
        // SAFETY: the interpreter's lock is held.
        unsafe { truth(self.take(name).ok_or(Refused)?) }
    }

    /// Refused if a keyword has not been taken.
    pub fn end(&self) -> Result<(), Refused> {
        if self.given.iter().all(|value| value.is_null()) { Ok(()) } else { Err(Refused) }
    }
}
