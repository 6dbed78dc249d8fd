//! Matrix products.

use backpass_kernels::isa::Isa;
use backpass_kernels::matmul::{Matrix, matmul};
use pyo3::ffi;

use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, new_scalar, unlocked,
};

/// Which product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// x y
    Forward,
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
            if operands.iter().any(|x| !matches!(x.ndim(), 1 | 2)) {
                return Err(Refused);
            }
            if product != Product::Forward && operands.iter().any(|x| x.ndim() != 2) {
                return Err(Refused);
            }
            match common_kind(&operands)? {
                Kind::Single => typed::<f32>(product, isa, &operands),
                _ => typed::<f64>(product, isa, &operands),
            }
        })
    }
}

/// A 2-D operand, and its rows and columns.
fn matrix<T: Element>(x: &Argument) -> (Matrix<T>, usize, usize) {
    let shape = x.shape();
    (
        Matrix { data: x.data(), rows: x.stride::<T>(0), columns: x.stride::<T>(1) },
        shape[0],
        shape[1],
    )
}

unsafe fn typed<T: Element>(product: Product, isa: Isa, [a, b]: &[Argument; 2]) -> Outcome {
    // A vector on the left is a row, on the right a column.
    let (left, m, k) = if a.ndim() == 2 {
        matrix::<T>(a)
    } else {
        (Matrix { data: a.data(), rows: 0, columns: a.stride::<T>(0) }, 1, a.shape()[0])
    };
    let (right, inner, n) = if b.ndim() == 2 {
        matrix::<T>(b)
    } else {
        (Matrix { data: b.data(), rows: b.stride::<T>(0), columns: 0 }, b.shape()[0], 1)
    };
    let (x, y, [m, k, inner, n]) = match product {
        Product::Forward => (left, right, [m, k, inner, n]),
        Product::Vjp0 => (left, right.transposed(), [m, k, n, inner]),
        Product::Vjp1 => (right.transposed(), left, [n, inner, m, k]),
    };
    if k != inner || m * k * n == 0 {
        return Err(Refused);
    }
    let mut dims = [0; 2];
    let mut nd = 0;
    if a.ndim() == 2 {
        dims[nd] = m;
        nd += 1;
    }
    if b.ndim() == 2 {
        dims[nd] = n;
        nd += 1;
    }
    // SAFETY: the lock is held; the operands have the shapes just checked.
    unsafe {
        let cost = (m * n * k * 10).max((m * k + k * n) * 40);
        if nd == 0 {
            let mut out = T::ZERO;
            unlocked(cost, || matmul(isa, m, k, n, x, y, &raw mut out));
            return Ok(new_scalar(out));
        }
        let (array, out) = match new_array::<T>(nd, dims.as_ptr(), std::ptr::null(), m * n) {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        unlocked(cost, || matmul(isa, m, k, n, x, y, out));
        Ok(array)
    }
}
