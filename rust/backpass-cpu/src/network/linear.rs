//! The dense layer: a product, a bias and an activation, and the rule for all three.

use backpass_kernels::isa::Isa;
use backpass_kernels::layout::MAX_DIMS;
use backpass_kernels::matmul::{Activation, Epilogue, Matrix, matmul, matmul_with};
use backpass_kernels::network::linear::{Layer, through};
use backpass_kernels::pool::Scratch;
use backpass_kernels::reduce::{Reduction, Shape, reduce};
use pyo3::ffi;

use crate::keywords::{Names, each_keyword, item, truth};
use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, unlocked,
};
use crate::order::Dense;
use crate::table::{Args, Object, functions, isa};

functions! {
    linear: |a, n, k| forward(isa(), a, n, k);
    linear_vjp: |a, n, k| backward(isa(), a, n, k);
}

/// Kernels by their names.
pub static KERNELS: super::Family = &[("linear", linear), ("linear.vjp", linear_vjp)];

static NAMES: Names<2> = Names::new([c"activation", c"needs"]);

/// The keywords: the activation, and which operands' cotangents are needed.
unsafe fn options(values: Args, kwnames: Object) -> Result<(Activation, [bool; 3]), Refused> {
    let mut found = (Activation::Identity, [true; 3]);
    // SAFETY: the interpreter's lock is held and the values are alive.
    unsafe {
        each_keyword(kwnames, values, NAMES.get()?, |place, value| {
            if place == 0 {
                found.0 = activation(value)?;
            } else {
                for (i, need) in found.1.iter_mut().enumerate() {
                    *need = truth(item::<3>(value, i)?)?;
                }
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// The activation of that name, or none.
unsafe fn activation(value: Object) -> Result<Activation, Refused> {
    // SAFETY: the comparison follows a test of the type.
    unsafe {
        if value == ffi::Py_None() {
            return Ok(Activation::Identity);
        }
        if ffi::Py_TYPE(value) != &raw mut ffi::PyUnicode_Type {
            return Err(Refused);
        }
        let known = [
            (c"relu", Activation::Relu),
            (c"tanh", Activation::Tanh),
            (c"sigmoid", Activation::Sigmoid),
        ];
        let is = |name: &std::ffi::CStr| {
            ffi::PyUnicode_CompareWithASCIIString(value, name.as_ptr()) == 0
        };
        known.into_iter().find(|(name, _)| is(name)).map(|(_, found)| found).ok_or(Refused)
    }
}

/// All rows of an array below each other.
struct Rows<T: Copy> {
    matrix: Matrix<T>,
    count: usize,
    /// What the matrix is read from, if that is a copy.
    _copy: Option<Dense<T>>,
}

impl<T: Element> Rows<T> {
    fn of(isa: Isa, x: &Argument) -> Result<Self, Refused> {
        let shape = x.shape();
        let Some((&length, leading)) = shape.split_last() else { return Err(Refused) };
        let nd = leading.len();
        let count = leading.iter().product();
        let columns = x.stride::<T>(nd);
        // The stride from row to row, if the rows follow each other.
        let mut step = None;
        let mut passed = 1;
        for d in (0..nd).rev().filter(|&d| shape[d] != 1) {
            let stride = x.stride::<T>(d);
            if *step.get_or_insert(stride) * passed != stride {
                let (copy, rows) = (dense(isa, x)?, length as isize);
                let matrix = Matrix { data: copy.as_ptr(), rows, columns: 1 };
                return Ok(Self { matrix, count, _copy: Some(copy) });
            }
            passed *= shape[d] as isize;
        }
        let rows = step.unwrap_or(length as isize);
        Ok(Self { matrix: Matrix { data: x.data(), rows, columns }, count, _copy: None })
    }
}

/// An array in C order: itself, or a copy.
fn dense<T: Element>(isa: Isa, x: &Argument) -> Result<Dense<T>, Refused> {
    let mut slot = T::ZERO;
    if x.array.is_null() {
        return Err(Refused);
    }
    Ok(Dense::new(isa, &x.broadcast(x.shape(), &mut slot)?, x.shape()))
}

/// The weight, of shape (outputs, features).
fn weight_of<T: Element>(
    weight: &Argument,
    features: usize,
) -> Result<(Matrix<T>, usize), Refused> {
    match *weight.shape() {
        [outputs, k] if k == features => {
            let (rows, columns) = (weight.stride::<T>(0), weight.stride::<T>(1));
            Ok((Matrix { data: weight.data(), rows, columns }, outputs))
        }
        _ => Err(Refused),
    }
}

unsafe fn forward(isa: Isa, args: Args, nargs: isize, kwnames: Object) -> Object {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            if nargs != 3 {
                return Err(Refused);
            }
            let (activation, _) = options(args.add(3), kwnames)?;
            let operands = [Argument::new(*args)?, Argument::new(*args.add(1))?];
            let given = *args.add(2);
            let bias = if given == ffi::Py_None() { None } else { Some(Argument::new(given)?) };
            let kind = common_kind(&operands)?;
            if bias.is_some_and(|bias| bias.kind != kind) {
                return Err(Refused);
            }
            match kind {
                Kind::Single => product::<f32>(isa, activation, &operands, bias.as_ref()),
                _ => product::<f64>(isa, activation, &operands, bias.as_ref()),
            }
        })
    }
}

unsafe fn product<T: Element>(
    isa: Isa,
    activation: Activation,
    [x, weight]: &[Argument; 2],
    bias: Option<&Argument>,
) -> Outcome {
    let nd = x.ndim();
    let features = *x.shape().last().ok_or(Refused)?;
    let (y, outputs) = weight_of::<T>(weight, features)?;
    let rows = Rows::<T>::of(isa, x)?;
    let bias = match bias {
        Some(bias) if bias.shape() == [outputs] => Some(dense::<T>(isa, bias)?),
        Some(_) => return Err(Refused),
        None => None,
    };
    let mut dims = [0; MAX_DIMS];
    dims[..nd].copy_from_slice(x.shape());
    dims[nd - 1] = outputs;
    let m = rows.count;
    let epilogue =
        Epilogue { bias: bias.as_ref().map_or(std::ptr::null(), Dense::as_ptr), activation };
    // SAFETY: the lock is held; the operands have the shapes just checked.
    unsafe {
        let (array, out) = match new_array::<T>(nd, dims.as_ptr(), std::ptr::null(), m * outputs) {
            Ok(made) => made,
            Err(null) => return Ok(null),
        };
        unlocked(cost(m, features, outputs), || {
            matmul_with(isa, m, features, outputs, rows.matrix, y.transposed(), epilogue, out);
        });
        Ok(array)
    }
}

/// About how many picoseconds a product takes.
fn cost(m: usize, k: usize, n: usize) -> usize {
    (m * k * n * 10).max((m * k + k * n + m * n) * 40)
}

unsafe fn backward(isa: Isa, args: Args, nargs: isize, kwnames: Object) -> Object {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            if nargs != 4 {
                return Err(Refused);
            }
            let (activation, needs) = options(args.add(4), kwnames)?;
            let mut operands = [Argument::new(*args)?; 4];
            for (i, operand) in operands.iter_mut().enumerate().skip(1) {
                *operand = Argument::new(*args.add(i))?;
            }
            match common_kind(&operands)? {
                Kind::Single => pulled::<f32>(isa, activation, &operands, needs),
                _ => pulled::<f64>(isa, activation, &operands, needs),
            }
        })
    }
}

unsafe fn pulled<T: Element>(
    isa: Isa,
    activation: Activation,
    [g, ans, x, weight]: &[Argument; 4],
    needs: [bool; 3],
) -> Outcome {
    let features = *x.shape().last().ok_or(Refused)?;
    let (w, outputs) = weight_of::<T>(weight, features)?;
    let (leading, last) = g.shape().split_at(g.ndim().checked_sub(1).ok_or(Refused)?);
    if leading != &x.shape()[..x.ndim() - 1] || last != [outputs] || ans.shape() != g.shape() {
        return Err(Refused);
    }
    let rows = Rows::<T>::of(isa, x)?;
    let m = rows.count;
    if m * outputs * features == 0 {
        return Err(Refused);
    }
    let plain = activation == Activation::Identity;
    let g = dense::<T>(isa, g)?;
    let ans = if plain { None } else { Some(dense::<T>(isa, ans)?) };
    let mut made = [std::ptr::null_mut::<ffi::PyObject>(); 3];
    let mut to = [std::ptr::null_mut::<T>(); 3];
    let shapes: [&[usize]; 3] = [x.shape(), weight.shape(), &[outputs]];
    // SAFETY: the lock is held; the operands have the shapes just checked.
    unsafe {
        for i in (0..3).filter(|&i| needs[i]) {
            let size = shapes[i].iter().product();
            match new_array::<T>(shapes[i].len(), shapes[i].as_ptr(), std::ptr::null(), size) {
                Ok((array, data)) => (made[i], to[i]) = (array, data),
                Err(null) => {
                    for array in made {
                        ffi::Py_XDECREF(array);
                    }
                    return Ok(null);
                }
            }
        }
        let products = usize::from(needs[0]) + usize::from(needs[1]);
        unlocked(products.max(1) * cost(m, features, outputs), || {
            let carried = ans.as_ref().map(|ans| {
                let carried = Scratch::<T>::new(m * outputs);
                let (ans, out, sums) = (ans.as_ptr(), carried.as_ptr(), to[2]);
                let g = g.as_ptr();
                through(isa, activation, Layer { rows: m, columns: outputs, g, ans, out, sums });
                carried
            });
            let g = carried.as_ref().map_or(g.as_ptr(), |carried| carried.as_ptr().cast_const());
            if needs[2] && plain {
                let shape = Shape { outer: 1, len: m, inner: outputs };
                reduce(isa, Reduction::Sum, shape, g, to[2], T::ONE);
            }
            let g = Matrix { data: g, rows: outputs as isize, columns: 1 };
            if needs[0] {
                matmul(isa, m, outputs, features, g, w, to[0]);
            }
            if needs[1] {
                matmul(isa, outputs, m, features, g.transposed(), rows.matrix, to[1]);
            }
        });
        Ok(triple(made))
    }
}

/// A tuple of three results, `None` for null: it takes their references.
unsafe fn triple(made: [Object; 3]) -> Object {
    // SAFETY: the interpreter's lock is held; the references are the caller's.
    unsafe {
        let result = ffi::PyTuple_New(3);
        for (i, mut part) in made.into_iter().enumerate() {
            if result.is_null() {
                ffi::Py_XDECREF(part);
                continue;
            }
            if part.is_null() {
                part = ffi::Py_None();
                ffi::Py_INCREF(part);
            }
            ffi::PyTuple_SET_ITEM(result, i as isize, part);
        }
        result
    }
}
