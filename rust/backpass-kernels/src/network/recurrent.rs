//! A step of a recurrent network once the matrix products are done, in one pass each way.

use crate::isa::{Isa, Kernel, dispatch};
use crate::matmul::cut;
use crate::real::Real;
use crate::simd::Simd;
use crate::threads;

/// Rows of contiguous elements, `step` elements apart.
#[derive(Clone, Copy, Debug)]
pub struct Rows<T> {
    /// The first element; null for operands that are not there.
    pub data: *const T,
    /// From a row to the next.
    pub step: isize,
}

impl<T> Rows<T> {
    /// An element.
    #[inline(always)]
    fn at(self, row: usize, column: usize) -> *const T {
        self.data.wrapping_offset(row as isize * self.step + column as isize)
    }
}

/// A step's operands and outputs, of which each row is computed for itself.
pub trait Cell<T: Real>: Copy {
    /// About how long an element of the state takes, in picoseconds.
    const COST: usize;

    /// Computes `lanes` elements of a row, from a column on.
    ///
    /// # Safety
    ///
    /// The elements lie within all operands and outputs.
    unsafe fn compute<S: Simd<T>>(self, s: S, hidden: usize, row: usize, j: usize, lanes: usize);
}

/// Computes a step for `rows` rows of a state of `hidden` elements.
///
/// # Safety
///
/// Operands and outputs have so many rows, of as many elements as the cell has parts of `hidden`
/// elements; the outputs overlap nothing. The processor has `isa`.
pub unsafe fn step<T: Real, C: Cell<T>>(isa: Isa, rows: usize, hidden: usize, cell: C) {
    // SAFETY: the chunks write rows of their own.
    let shared = unsafe { threads::Shared::new(cell) };
    let nanoseconds = rows * hidden * C::COST * size_of::<T>() / 4000;
    let chunks = rows.min(nanoseconds.div_ceil(10_000)).clamp(1, 64);
    threads::run(chunks, nanoseconds, &|chunk| {
        let (first, end) = (cut(rows, chunks, chunk), cut(rows, chunks, chunk + 1));
        // SAFETY: the caller vouches for all rows, and the processor.
        unsafe { dispatch(isa, Each { cell: shared.get(), hidden, first, end }) };
    });
}

struct Each<C> {
    cell: C,
    hidden: usize,
    first: usize,
    end: usize,
}

impl<T: Real, C: Cell<T>> Kernel<T> for Each<C> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd<T>>(self, s: S) {
        for row in self.first..self.end {
            for j in (0..self.hidden).step_by(S::LANES) {
                let lanes = S::LANES.min(self.hidden - j);
                // SAFETY: within the state; whoever made it vouches for the rest.
                unsafe { self.cell.compute(s, self.hidden, row, j, lanes) };
            }
        }
    }
}

/// The derivative of the logistic function that gave `y`.
#[inline(always)]
fn expit_slope<T: Real, S: Simd<T>>(s: S, y: S::V) -> S::V {
    s.mul(y, s.sub(s.splat(T::ONE), y))
}

/// The derivative of the hyperbolic tangent that gave `y`.
#[inline(always)]
fn tanh_slope<T: Real, S: Simd<T>>(s: S, y: S::V) -> S::V {
    s.fnma(y, y, s.splat(T::ONE))
}

/// Input gate, forget gate, candidate and output gate.
#[inline(always)]
unsafe fn lstm_gates<T: Real, S: Simd<T>>(
    s: S,
    gates: Rows<T>,
    hidden: usize,
    (row, j, lanes): (usize, usize, usize),
) -> [S::V; 4] {
    // SAFETY: the caller vouches for the gates.
    let [i, f, g, o] =
        [0, 1, 2, 3].map(|part| unsafe { s.load_partial(gates.at(row, part * hidden + j), lanes) });
    [T::expit(s, i), T::expit(s, f), T::tanh(s, g), T::expit(s, o)]
}

/// A step of an LSTM: the state `hidden` and the new `cell`, from the gates before their functions.
#[derive(Clone, Copy, Debug)]
pub struct Lstm<T> {
    /// Input gate, forget gate, candidate, output gate.
    pub gates: Rows<T>,
    /// The cell before.
    pub cell: Rows<T>,
    /// The new state.
    pub to_hidden: *mut T,
    /// The new cell.
    pub to_cell: *mut T,
}

impl<T: Real> Cell<T> for Lstm<T> {
    const COST: usize = 1500;

    #[inline(always)]
    unsafe fn compute<S: Simd<T>>(self, s: S, hidden: usize, row: usize, j: usize, lanes: usize) {
        // SAFETY: the caller vouches for the elements.
        unsafe {
            let [i, f, g, o] = lstm_gates(s, self.gates, hidden, (row, j, lanes));
            let cell = s.load_partial(self.cell.at(row, j), lanes);
            let new = s.fma(f, cell, s.mul(i, g));
            let at = row * hidden + j;
            s.store_partial(self.to_cell.add(at), lanes, new);
            s.store_partial(self.to_hidden.add(at), lanes, s.mul(o, T::tanh(s, new)));
        }
    }
}

/// The cotangents of [`Lstm`]'s operands.
#[derive(Clone, Copy, Debug)]
pub struct LstmBack<T> {
    /// Input gate, forget gate, candidate, output gate.
    pub gates: Rows<T>,
    /// The cell before.
    pub cell: Rows<T>,
    /// The new cell.
    pub new: Rows<T>,
    /// The cotangent of the new state; null for none.
    pub hidden: Rows<T>,
    /// The cotangent of the new cell; null for none.
    pub pulled: Rows<T>,
    /// The cotangents of the gates.
    pub to_gates: *mut T,
    /// The cotangent of the cell before.
    pub to_cell: *mut T,
}

impl<T: Real> Cell<T> for LstmBack<T> {
    const COST: usize = 1800;

    #[inline(always)]
    unsafe fn compute<S: Simd<T>>(self, s: S, hidden: usize, row: usize, j: usize, lanes: usize) {
        let zero = s.splat(T::ZERO);
        // SAFETY: the caller vouches for the elements.
        unsafe {
            let [i, f, g, o] = lstm_gates(s, self.gates, hidden, (row, j, lanes));
            let load = |x: Rows<T>| {
                if x.data.is_null() { zero } else { s.load_partial(x.at(row, j), lanes) }
            };
            let (cell, height) = (load(self.cell), T::tanh(s, load(self.new)));
            let (to_hidden, to_new) = (load(self.hidden), load(self.pulled));
            let to_o = s.mul(s.mul(to_hidden, height), expit_slope(s, o));
            let whole = if self.hidden.data.is_null() {
                to_new
            } else {
                s.fma(s.mul(to_hidden, o), tanh_slope(s, height), to_new)
            };
            let to_i = s.mul(s.mul(whole, g), expit_slope(s, i));
            let to_f = s.mul(s.mul(whole, cell), expit_slope(s, f));
            let to_g = s.mul(s.mul(whole, i), tanh_slope(s, g));
            let to = self.to_gates.add(4 * row * hidden + j);
            for (part, x) in [to_i, to_f, to_g, to_o].into_iter().enumerate() {
                s.store_partial(to.add(part * hidden), lanes, x);
            }
            s.store_partial(self.to_cell.add(row * hidden + j), lanes, s.mul(whole, f));
        }
    }
}

/// Reset gate, update gate, candidate, and the product that the reset gate scales.
#[inline(always)]
unsafe fn gru_gates<T: Real, S: Simd<T>>(
    s: S,
    gates: Rows<T>,
    products: Rows<T>,
    hidden: usize,
    (row, j, lanes): (usize, usize, usize),
) -> [S::V; 4] {
    // SAFETY: the caller vouches for gates and products.
    let part = |x: Rows<T>, part| unsafe { s.load_partial(x.at(row, part * hidden + j), lanes) };
    let r = T::expit(s, s.add(part(gates, 0), part(products, 0)));
    let z = T::expit(s, s.add(part(gates, 1), part(products, 1)));
    let product = part(products, 2);
    [r, z, T::tanh(s, s.fma(r, product, part(gates, 2))), product]
}

/// A step of a GRU: the new state, from what the input and the state before give the gates.
#[derive(Clone, Copy, Debug)]
pub struct Gru<T> {
    /// What the input gives: reset gate, update gate, candidate.
    pub gates: Rows<T>,
    /// What the state gives.
    pub products: Rows<T>,
    /// The state before.
    pub hidden: Rows<T>,
    /// The new state.
    pub to_hidden: *mut T,
}

impl<T: Real> Cell<T> for Gru<T> {
    const COST: usize = 1100;

    #[inline(always)]
    unsafe fn compute<S: Simd<T>>(self, s: S, hidden: usize, row: usize, j: usize, lanes: usize) {
        // SAFETY: the caller vouches for the elements.
        unsafe {
            let place = (row, j, lanes);
            let [_, z, n, _] = gru_gates(s, self.gates, self.products, hidden, place);
            let before = s.load_partial(self.hidden.at(row, j), lanes);
            let new = s.fma(z, s.sub(before, n), n);
            s.store_partial(self.to_hidden.add(row * hidden + j), lanes, new);
        }
    }
}

/// The cotangents of [`Gru`]'s operands.
#[derive(Clone, Copy, Debug)]
pub struct GruBack<T> {
    /// The cotangent of the new state.
    pub g: Rows<T>,
    /// What the input gives: reset gate, update gate, candidate.
    pub gates: Rows<T>,
    /// What the state gives.
    pub products: Rows<T>,
    /// The state before.
    pub hidden: Rows<T>,
    /// The cotangents of `gates`.
    pub to_gates: *mut T,
    /// The cotangents of `products`.
    pub to_products: *mut T,
    /// The cotangent of the state before.
    pub to_hidden: *mut T,
}

impl<T: Real> Cell<T> for GruBack<T> {
    const COST: usize = 1500;

    #[inline(always)]
    unsafe fn compute<S: Simd<T>>(self, s: S, hidden: usize, row: usize, j: usize, lanes: usize) {
        // SAFETY: the caller vouches for the elements.
        unsafe {
            let place = (row, j, lanes);
            let [r, z, n, product] = gru_gates(s, self.gates, self.products, hidden, place);
            let g = s.load_partial(self.g.at(row, j), lanes);
            let before = s.load_partial(self.hidden.at(row, j), lanes);
            let to_z = s.mul(s.mul(g, s.sub(before, n)), expit_slope(s, z));
            let to_n = s.mul(s.mul(g, s.sub(s.splat(T::ONE), z)), tanh_slope(s, n));
            let to_r = s.mul(s.mul(to_n, product), expit_slope(s, r));
            let at = 3 * row * hidden + j;
            for (part, x) in [to_r, to_z, to_n].into_iter().enumerate() {
                s.store_partial(self.to_gates.add(at + part * hidden), lanes, x);
            }
            for (part, x) in [to_r, to_z, s.mul(to_n, r)].into_iter().enumerate() {
                s.store_partial(self.to_products.add(at + part * hidden), lanes, x);
            }
            s.store_partial(self.to_hidden.add(row * hidden + j), lanes, s.mul(g, z));
        }
    }
}
