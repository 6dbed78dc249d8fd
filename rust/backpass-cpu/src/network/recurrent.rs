//! The steps of recurrent networks: `lstm_cell`, `gru_cell`, and their rules.

use std::ptr::null;

use backpass_kernels::isa::Isa;
use backpass_kernels::network::recurrent::{Cell, Gru, GruBack, Lstm, LstmBack, Rows, step};
use pyo3::ffi;

use crate::network::Family;
use crate::network::outputs::made;
use crate::operand::{Argument, Element, Kind, Outcome, Refused, common_kind, finish, unlocked};
use crate::order::Dense;
use crate::table::{Args, Object, functions, isa};

functions! {
    lstm_cell: |a, n, k| call(Which::Lstm, isa(), a, n, k);
    lstm_cell_back: |a, n, k| call(Which::LstmBack, isa(), a, n, k);
    gru_cell: |a, n, k| call(Which::Gru, isa(), a, n, k);
    gru_cell_back: |a, n, k| call(Which::GruBack, isa(), a, n, k);
}

/// Those of this family.
pub static KERNELS: Family = &[
    ("lstm_cell", lstm_cell),
    ("lstm_cell_back", lstm_cell_back),
    ("gru_cell", gru_cell),
    ("gru_cell_back", gru_cell_back),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Lstm,
    LstmBack,
    Gru,
    GruBack,
}

impl Which {
    /// How many times as long as the state each operand is.
    fn parts(self) -> &'static [usize] {
        match self {
            Self::Lstm => &[4, 1],
            Self::LstmBack => &[4, 1, 1, 1, 1],
            Self::Gru => &[3, 3, 1],
            Self::GruBack => &[1, 3, 3, 1],
        }
    }

    /// The operand that has the state's shape.
    fn state(self) -> usize {
        self.parts().iter().rposition(|&parts| parts == 1).map_or(0, |last| match self {
            // Either cotangent may be missing.
            Self::LstmBack => 1,
            _ => last,
        })
    }
}

/// Calls a step from Python.
unsafe fn call(which: Which, isa: Isa, args: Args, nargs: isize, kwnames: Object) -> Object {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            let parts = which.parts();
            if nargs != parts.len() as isize || !kwnames.is_null() {
                return Err(Refused);
            }
            let mut operands = [None; 5];
            let mut kind = Kind::Weak;
            for (i, slot) in operands[..parts.len()].iter_mut().enumerate() {
                let object = *args.add(i);
                if which == Which::LstmBack && i > 2 && object == ffi::Py_None() {
                    continue;
                }
                let x = Argument::new(object)?;
                if x.array.is_null() || (kind != Kind::Weak && kind != x.kind) {
                    return Err(Refused);
                }
                kind = common_kind(&[x])?;
                *slot = Some(x);
            }
            match kind {
                Kind::Single => typed::<f32>(which, isa, &operands[..parts.len()]),
                _ => typed::<f64>(which, isa, &operands[..parts.len()]),
            }
        })
    }
}

/// An operand as rows, copied where its dimensions do not follow each other.
struct Held<T: Element> {
    rows: Rows<T>,
    _copy: Option<Dense<T>>,
}

impl<T: Element> Held<T> {
    fn new(isa: Isa, x: Option<&Argument>, state: &[usize], parts: usize) -> Result<Self, Refused> {
        let Some(x) = x else {
            return Ok(Self { rows: Rows { data: null(), step: 0 }, _copy: None });
        };
        let shape = x.shape();
        let last = state.len() - 1;
        if shape.len() != state.len()
            || shape[..last] != state[..last]
            || shape[last] != parts * state[last]
        {
            return Err(Refused);
        }
        if let Some(step) = row_step::<T>(x) {
            return Ok(Self { rows: Rows { data: x.data(), step }, _copy: None });
        }
        let mut slot = T::ZERO;
        let copy = Dense::new(isa, &x.broadcast(shape, &mut slot)?, shape);
        let rows = Rows { data: copy.as_ptr(), step: shape[last] as isize };
        Ok(Self { rows, _copy: Some(copy) })
    }
}

/// The step from one row to the next, if rows are contiguous and at equal distances.
fn row_step<T>(x: &Argument) -> Option<isize> {
    let shape = x.shape();
    let last = shape.len() - 1;
    if shape[last] > 1 && x.stride::<T>(last) != 1 {
        return None;
    }
    let mut rows = (1, shape[last] as isize);
    for d in (0..last).rev().filter(|&d| shape[d] != 1) {
        let stride = x.stride::<T>(d);
        if rows.0 == 1 {
            rows = (shape[d], stride);
        } else if stride == rows.1 * rows.0 as isize {
            rows.0 *= shape[d];
        } else {
            return None;
        }
    }
    Some(rows.1)
}

unsafe fn typed<T: Element>(which: Which, isa: Isa, operands: &[Option<Argument>]) -> Outcome {
    let Some(state) = operands[which.state()] else { return Err(Refused) };
    let shape = state.shape();
    let Some((&hidden, lead)) = shape.split_last() else { return Err(Refused) };
    let parts = which.parts();
    let mut held = Vec::with_capacity(parts.len());
    for (x, &parts) in operands.iter().zip(parts) {
        held.push(Held::<T>::new(isa, x.as_ref(), shape, parts)?);
    }
    let at = |i: usize| held[i].rows;
    let rows = lead.iter().product();
    let like = |parts: usize| [lead, &[parts * hidden]].concat();
    // SAFETY: the lock is held; operands and outputs have the shapes that were checked.
    unsafe {
        Ok(match which {
            Which::Lstm => made::<T, 2>([&like(1), &like(1)], |[to_hidden, to_cell]| {
                run(isa, rows, hidden, Lstm { gates: at(0), cell: at(1), to_hidden, to_cell });
            }),
            Which::LstmBack => made::<T, 2>([&like(4), &like(1)], |[to_gates, to_cell]| {
                let (gates, cell, new, hidden_g, pulled) = (at(0), at(1), at(2), at(3), at(4));
                let cell =
                    LstmBack { gates, cell, new, hidden: hidden_g, pulled, to_gates, to_cell };
                run(isa, rows, hidden, cell);
            }),
            Which::Gru => made::<T, 1>([&like(1)], |[to_hidden]| {
                let (gates, products, before) = (at(0), at(1), at(2));
                run(isa, rows, hidden, Gru { gates, products, hidden: before, to_hidden });
            }),
            Which::GruBack => made::<T, 3>(
                [&like(3), &like(3), &like(1)],
                |[to_gates, to_products, to_hidden]| {
                    let (g, gates, products, before) = (at(0), at(1), at(2), at(3));
                    let cell = GruBack {
                        g,
                        gates,
                        products,
                        hidden: before,
                        to_gates,
                        to_products,
                        to_hidden,
                    };
                    run(isa, rows, hidden, cell);
                },
            ),
        })
    }
}

/// Computes the step, without the interpreter's lock if it takes long.
unsafe fn run<T: Element, C: Cell<T>>(isa: Isa, rows: usize, hidden: usize, cell: C) {
    // SAFETY: the caller's.
    unsafe {
        unlocked(rows * hidden * C::COST, || step(isa, rows, hidden, cell));
    }
}
