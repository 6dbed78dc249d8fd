//! Products of vectors, matrices and stacks of them.

use backpass_kernels::isa::Isa;
use backpass_kernels::matmul::{Matrix, STACK_DIMS, Stack, matmul_stack};
use pyo3::ffi;

use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, new_scalar, unlocked,
};

/// Which product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// x y, over stacks
    Matmul,
    /// x y, of vectors and matrices
    Dot,
    /// g yᵀ, from g and y
    Vjp0,
    /// xᵀ g, from g and x
    Vjp1,
}

/// Calls a product from Python.
///
/// # Safety
///
/// As the interpreter calls a `METH_FASTCALL | METH_KEYWORDS` function.
pub unsafe fn call(
    product: Product,
    isa: Isa,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            if nargs != 2 || !kwnames.is_null() {
                return Err(Refused);
            }
            let operands = [Argument::new(*args)?, Argument::new(*args.add(1))?];
            match common_kind(&operands)? {
                Kind::Single => typed::<f32>(product, isa, &operands),
                _ => typed::<f64>(product, isa, &operands),
            }
        })
    }
}

unsafe fn typed<T: Element>(product: Product, isa: Isa, [a, b]: &[Argument; 2]) -> Outcome {
    let (a_nd, b_nd) = (a.ndim(), b.ndim());
    let forward = matches!(product, Product::Matmul | Product::Dot);
    if b_nd == 0 || (a_nd == 0 && (forward || b_nd > 1 || a.kind == Kind::Weak)) {
        return Err(Refused);
    }
    if product == Product::Dot && a_nd.max(b_nd) > 2 {
        return Err(Refused);
    }
    // Only a cotangent may be a scalar.
    let scalar = if a_nd == 0 { a.value()? } else { T::ZERO };
    let (a, b) = (Factor::<T>::of(a, &scalar)?, Factor::<T>::of(b, &scalar)?);
    let task = match product {
        Product::Matmul | Product::Dot => {
            let x = if a_nd == 1 { a.swap() } else { a };
            Task { x, y: b, rows: a_nd > 1, columns: b_nd > 1 }
        }
        Product::Vjp0 => vjp0((a, a_nd), (b, b_nd))?,
        Product::Vjp1 => vjp1((a, a_nd), (b, b_nd))?,
    };
    // SAFETY: the lock is held.
    unsafe { task.run(isa) }
}

/// An operand as a stack of matrices.
#[derive(Clone, Copy)]
struct Factor<T> {
    matrix: Matrix<T>,
    rows: usize,
    columns: usize,
    /// Lengths and strides of the stack's dimensions.
    stack: [(usize, isize); STACK_DIMS],
    depth: usize,
}

impl<T: Element> Factor<T> {
    /// The last two dimensions are a matrix's; a vector's elements are a column.
    #[inline(always)]
    fn of(x: &Argument, scalar: &T) -> Result<Self, Refused> {
        let shape = x.shape();
        let nd = shape.len();
        let mut made = Self {
            matrix: Matrix { data: scalar, rows: 0, columns: 0 },
            rows: 1,
            columns: 1,
            stack: [(1, 0); STACK_DIMS],
            depth: 0,
        };
        if nd == 0 {
            return Ok(made);
        }
        made.matrix.data = x.data();
        if nd == 1 {
            (made.rows, made.matrix.rows) = (shape[0], x.stride::<T>(0));
            return Ok(made);
        }
        (made.rows, made.matrix.rows) = (shape[nd - 2], x.stride::<T>(nd - 2));
        (made.columns, made.matrix.columns) = (shape[nd - 1], x.stride::<T>(nd - 1));
        made.depth = nd - 2;
        if made.depth > STACK_DIMS {
            return Err(Refused);
        }
        for (d, &length) in shape[..made.depth].iter().enumerate() {
            made.stack[d] = (length, x.stride::<T>(d));
        }
        Ok(made)
    }

    /// The transposes.
    #[inline(always)]
    fn swap(self) -> Self {
        Self { matrix: self.matrix.transposed(), rows: self.columns, columns: self.rows, ..self }
    }

    /// The rows become the innermost dimension of the stack, of one-row matrices.
    fn row_by_row(mut self) -> Result<Self, Refused> {
        if self.depth == STACK_DIMS {
            return Err(Refused);
        }
        self.stack[self.depth] = (self.rows, self.matrix.rows);
        self.depth += 1;
        (self.rows, self.matrix.rows) = (1, 0);
        Ok(self)
    }

    /// The stack's matrices below each other, if the rows follow each other so.
    fn below_each_other(mut self) -> Option<Self> {
        for &(length, stride) in self.stack[..self.depth].iter().rev() {
            if length != 1 && self.rows != 1 && stride != self.matrix.rows * self.rows as isize {
                return None;
            }
            if self.rows == 1 {
                self.matrix.rows = stride;
            }
            self.rows *= length;
        }
        self.depth = 0;
        Some(self)
    }
}

/// A product of two stacks, and which of a product's dimensions the output has.
struct Task<T> {
    x: Factor<T>,
    y: Factor<T>,
    rows: bool,
    columns: bool,
}

/// The rule for the left operand; `g` and `y` with their dimensions.
fn vjp0<T: Element>(
    (g, nd): (Factor<T>, usize),
    (y, y_nd): (Factor<T>, usize),
) -> Result<Task<T>, Refused> {
    Ok(match (nd, y_nd) {
        // y was a vector: g times it, in every place.
        (0, 1) => Task { x: g, y: y.swap(), rows: false, columns: true },
        (1, 1) => Task { x: g, y: y.swap(), rows: true, columns: true },
        (_, 1) => Task { x: g.row_by_row()?.swap(), y: y.swap(), rows: true, columns: true },
        (0, _) => return Err(Refused),
        // x was a vector.
        (1, _) => Task { x: g.swap(), y: y.swap(), rows: false, columns: true },
        _ if nd + 1 == y_nd => Task { x: g.row_by_row()?, y: y.swap(), rows: true, columns: true },
        _ => Task { x: g, y: y.swap(), rows: true, columns: true },
    })
}

/// The rule for the right operand; `g` and `x` with their dimensions.
fn vjp1<T: Element>(
    (g, nd): (Factor<T>, usize),
    (x, x_nd): (Factor<T>, usize),
) -> Result<Task<T>, Refused> {
    Ok(match (nd, x_nd) {
        // x was a vector: it times g, in every place.
        (0, 1) => Task { x, y: g, rows: true, columns: false },
        (1, 1) => Task { x, y: g.swap(), rows: true, columns: true },
        (_, 1) => Task { x, y: g.row_by_row()?, rows: true, columns: true },
        (0, _) => return Err(Refused),
        // y was a vector: the sum over the whole stack, if the rows follow each other.
        (1, 2) => Task { x: x.swap(), y: g, rows: true, columns: false },
        _ if nd < x_nd => {
            let g = if nd == 1 { g } else { g.row_by_row()?.swap() };
            match (x.below_each_other(), g.below_each_other()) {
                (Some(x), Some(g)) if x.rows == g.rows => {
                    Task { x: x.swap(), y: g, rows: true, columns: false }
                }
                _ => Task { x: x.swap(), y: g, rows: true, columns: false },
            }
        }
        _ => Task { x: x.swap(), y: g, rows: true, columns: true },
    })
}

impl<T: Element> Task<T> {
    unsafe fn run(self, isa: Isa) -> Outcome {
        let Self { x, y, .. } = self;
        let (m, k, n) = (x.rows, x.columns, y.columns);
        if k != y.rows {
            return Err(Refused);
        }
        let depth = x.depth.max(y.depth);
        let mut dims = [0; STACK_DIMS + 2];
        let mut stack = Stack::NONE;
        let mut count = 1;
        for (d, dim) in dims[..depth].iter_mut().enumerate() {
            let [(a, x_step), (b, y_step)] = [&x, &y]
                .map(|f| (d + f.depth).checked_sub(depth).map_or((1, 0), |own| f.stack[own]));
            if a != b && a != 1 && b != 1 {
                return Err(Refused);
            }
            *dim = if a == 1 { b } else { a };
            count *= *dim;
            let step = |length, step| if length == 1 { 0 } else { step };
            stack.push(*dim, step(a, x_step), step(b, y_step));
        }
        let mut nd = depth;
        for (wanted, length) in [(self.rows, m), (self.columns, n)] {
            if wanted {
                dims[nd] = length;
                nd += 1;
            }
        }
        let size = count * m * n;
        let cost = (size * k * 10).max((m * k + k * n) * 40);
        // SAFETY: the lock is held; the operands have the shapes just checked.
        unsafe {
            if nd == 0 {
                let mut out = T::ZERO;
                let to = &raw mut out;
                unlocked(cost, || matmul_stack(isa, stack, m, k, n, x.matrix, y.matrix, to));
                return Ok(new_scalar(out));
            }
            let (array, out) = match new_array::<T>(nd, dims.as_ptr(), std::ptr::null(), size) {
                Ok(made) => made,
                Err(null) => return Ok(null),
            };
            unlocked(cost, || matmul_stack(isa, stack, m, k, n, x.matrix, y.matrix, out));
            Ok(array)
        }
    }
}
