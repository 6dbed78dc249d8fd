//! `attention` and `attention_back`.

use std::ptr::{null, null_mut};

use backpass_kernels::isa::Isa;
use backpass_kernels::layout::MAX_DIMS;
use backpass_kernels::matmul::{Matrix, STACK_DIMS};
use backpass_kernels::network::attention::{
    Answer, Attention, Cotangents, Dropout, Heads, Mask, attention, attention_back,
};
use numpy::npyffi::{NPY_TYPES, PyArrayObject};
use pyo3::ffi;

use crate::api::api;
use crate::keywords::{Names, each_keyword, item, truth};
use crate::network::Family;
use crate::network::outputs::tuple;
use crate::operand::{
    Argument, Element, Kind, Outcome, Refused, common_kind, finish, new_array, unlocked,
};
use crate::table::{Args, Object, functions, isa};

functions! {
    forward: |a, n, k| call::<4>(isa(), a, n, k);
    backward: |a, n, k| call::<8>(isa(), a, n, k);
}

/// Those of this family.
pub static KERNELS: Family = &[("attention", forward), ("attention_back", backward)];

static NAMES: Names<5> = Names::new([c"causal", c"scale", c"dropout", c"dropout_key", c"needs"]);

/// The keywords.
struct Options {
    causal: bool,
    scale: f64,
    needs: [bool; 4],
    rate: f64,
    key: [u64; 2],
}

impl Options {
    unsafe fn read(values: Args, kwnames: Object) -> Result<Self, Refused> {
        // SAFETY: as the interpreter hands over names and values.
        unsafe {
            let mut found =
                Self { causal: false, scale: 1.0, needs: [true; 4], rate: 0.0, key: [0; 2] };
            each_keyword(kwnames, values, NAMES.get()?, |place, value| {
                match place {
                    0 => found.causal = truth(value)?,
                    1 => found.scale = number(value)?,
                    2 => found.rate = number(value)?,
                    3 if value != ffi::Py_None() => found.key = read_key(value)?,
                    4 => {
                        for (i, need) in found.needs.iter_mut().enumerate() {
                            *need = truth(item::<4>(value, i)?)?;
                        }
                    }
                    _ => {}
                }
                Ok(())
            })?;
            Ok(found)
        }
    }
}

/// Seed and counter: a tuple of integers, of which the lowest 64 bits count.
unsafe fn read_key(key: Object) -> Result<[u64; 2], Refused> {
    let mut words = [0; 2];
    for (i, word) in words.iter_mut().enumerate() {
        // SAFETY: the lock is held; the test of the type comes first.
        unsafe {
            let part = item::<2>(key, i)?;
            if ffi::Py_TYPE(part) != &raw mut ffi::PyLong_Type {
                return Err(Refused);
            }
            *word = ffi::PyLong_AsUnsignedLongLongMask(part);
        }
    }
    Ok(words)
}

/// A Python number.
unsafe fn number(value: Object) -> Result<f64, Refused> {
    // SAFETY: a live object.
    let read = unsafe { Argument::new(value)? };
    if read.kind == Kind::Weak { Ok(read.scalar) } else { Err(Refused) }
}

/// Calls the forward pass with 4 operands, the backward pass with 8.
unsafe fn call<const N: usize>(isa: Isa, args: Args, nargs: isize, kwnames: Object) -> Object {
    // SAFETY: the interpreter's lock is held and the arguments are alive.
    unsafe {
        finish(|| {
            if nargs != N as isize {
                return Err(Refused);
            }
            let options = Options::read(args.add(N), kwnames)?;
            let operands: [Object; N] = std::array::from_fn(|i| *args.add(i));
            let heads = [0, 1, 2].map(|i| Argument::new(operands[i]));
            let [Ok(query), Ok(key), Ok(value)] = heads else { return Err(Refused) };
            match common_kind(&[query, key, value])? {
                Kind::Single => typed::<f32>(isa, &operands, [query, key, value], &options),
                _ => typed::<f64>(isa, &operands, [query, key, value], &options),
            }
        })
    }
}

/// The mask's argument, and whether it holds truth values.
unsafe fn read_mask(object: Object) -> Result<Option<(Argument, bool)>, Refused> {
    // SAFETY: the cast follows a test of the exact type.
    unsafe {
        if object == ffi::Py_None() {
            return Ok(None);
        }
        if ffi::Py_TYPE(object) != api().array {
            return Err(Refused);
        }
        let array = object.cast::<PyArrayObject>();
        if (*(*array).descr).type_num == NPY_TYPES::NPY_BOOL as i32 {
            let mask = Argument { kind: Kind::Weak, array, scalar: 0.0 };
            return if mask.ndim() > MAX_DIMS { Err(Refused) } else { Ok(Some((mask, true))) };
        }
        Ok(Some((Argument::new(object)?, false)))
    }
}

/// The shape of the scores: that of the stack of heads, and how many dimensions it has.
struct Stack {
    shape: [usize; STACK_DIMS],
    depth: usize,
}

impl Stack {
    /// The shape to which those of the operands broadcast, without their last two dimensions.
    fn of(operands: &[&Argument]) -> Result<Self, Refused> {
        let depth = operands.iter().map(|x| x.ndim().saturating_sub(2)).max().unwrap_or(0);
        if depth > STACK_DIMS {
            return Err(Refused);
        }
        let mut made = Self { shape: [1; STACK_DIMS], depth };
        for x in operands {
            let own = x.ndim().saturating_sub(2);
            for (d, &length) in x.shape()[..own].iter().enumerate() {
                let place = &mut made.shape[depth - own + d];
                if *place == 1 {
                    *place = length;
                } else if length != 1 && length != *place {
                    return Err(Refused);
                }
            }
        }
        Ok(made)
    }

    /// An operand whose last two dimensions are `size` or broadcast to it.
    fn heads<E>(&self, x: &Argument, size: [usize; 2]) -> Result<Heads<E>, Refused> {
        let shape = x.shape();
        let nd = shape.len();
        let mut strides = [0; STACK_DIMS + 2];
        let full = [&self.shape[..self.depth], &size].concat();
        let lead = full.len().checked_sub(nd).ok_or(Refused)?;
        for (d, &length) in shape.iter().enumerate() {
            if length == full[lead + d] {
                strides[lead + d] = if length == 1 { 0 } else { x.stride::<E>(d) };
            } else if length != 1 {
                return Err(Refused);
            }
        }
        let mut heads = Heads {
            matrix: Matrix {
                data: x.data(),
                rows: strides[self.depth],
                columns: strides[self.depth + 1],
            },
            stack: [0; STACK_DIMS],
        };
        heads.stack[..self.depth].copy_from_slice(&strides[..self.depth]);
        if size[1] == 1 || size[0] * size[1] == 0 {
            heads.matrix.columns = 1;
        }
        Ok(heads)
    }

    /// A new array of (..., rows, columns), whose rows lie in the order of those of `like`.
    unsafe fn output<T: Element>(
        &self,
        like: &Argument,
        size: [usize; 2],
    ) -> Result<(Object, Heads<T>), Object> {
        let nd = self.depth + 2;
        let mut dims = [1; STACK_DIMS + 2];
        dims[..self.depth].copy_from_slice(&self.shape[..self.depth]);
        (dims[nd - 2], dims[nd - 1]) = (size[0], size[1]);
        let mut order: [usize; STACK_DIMS + 1] = std::array::from_fn(|d| d);
        let alike = like.shape().len() == nd && like.shape()[..nd - 1] == dims[..nd - 1];
        if alike {
            order[..nd - 1].sort_by_key(|&d| {
                let step = like.stride::<T>(d).unsigned_abs();
                std::cmp::Reverse(if dims[d] == 1 || step == 0 { usize::MAX } else { step })
            });
        }
        let mut strides = [1; STACK_DIMS + 2];
        let mut step = size[1] as isize;
        for &d in order[..nd - 1].iter().rev() {
            strides[d] = step;
            step *= dims[d] as isize;
        }
        let bytes = strides.map(|step| step * size_of::<T>() as isize);
        let natural = order.is_sorted();
        let bytes = if natural { null() } else { bytes.as_ptr() };
        // SAFETY: the lock is held; shape and strides have `nd` entries.
        let (array, data) = unsafe { new_array::<T>(nd, dims.as_ptr(), bytes, step as usize)? };
        let mut stack = [0; STACK_DIMS];
        stack[..self.depth].copy_from_slice(&strides[..self.depth]);
        Ok((array, Heads { matrix: Matrix { data, rows: strides[nd - 2], columns: 1 }, stack }))
    }
}

/// Whether two stacks have one shape.
fn same(x: &Stack, y: &Stack) -> bool {
    x.shape[..x.depth] == y.shape[..y.depth]
}

unsafe fn typed<T: Element>(
    isa: Isa,
    operands: &[Object],
    [query, key, value]: [Argument; 3],
    options: &Options,
) -> Outcome {
    if [query, key, value].iter().any(|x| x.ndim() < 2) {
        return Err(Refused);
    }
    let last = |x: &Argument| {
        let shape = x.shape();
        [shape[shape.len() - 2], shape[shape.len() - 1]]
    };
    let ([n, d], [m, _], [_, e]) = (last(&query), last(&key), last(&value));
    // SAFETY: the lock is held and the operands are alive.
    unsafe {
        let mask = read_mask(operands[3])?;
        let stack = match &mask {
            Some((mask, _)) => Stack::of(&[&query, &key, mask])?,
            None => Stack::of(&[&query, &key])?,
        };
        if !same(&stack, &Stack::of(&[&query, &key, &value])?) || m == 0 {
            return Err(Refused);
        }
        if last(&key)[1] != d || last(&value)[0] != m {
            return Err(Refused);
        }
        let mask = match mask {
            None => Mask::None,
            Some((mask, true)) => Mask::Keep(stack.heads(&mask, [n, m])?),
            Some((mask, false)) => {
                if mask.kind != common_kind(&[query])? {
                    return Err(Refused);
                }
                Mask::Add(stack.heads(&mask, [n, m])?)
            }
        };
        let this = Attention {
            isa,
            stack: stack.shape,
            n,
            m,
            d,
            e,
            query: stack.heads::<T>(&query, [n, d])?,
            key: stack.heads(&key, [m, d])?,
            value: stack.heads(&value, [m, e])?,
            mask,
            causal: options.causal,
            scale: T::of(options.scale),
            dropout: (options.rate != 0.0)
                .then_some(Dropout { rate: options.rate, key: options.key }),
        };
        if operands.len() == 4 {
            return Ok(attend(&stack, &this, &query));
        }
        let needs = options.needs;
        let likes = [query, key, value, query];
        pull(&stack, &this, likes, &operands[4..], needs)
    }
}

/// The picoseconds that `products` products of two matrices for each head take.
fn cost<T>(this: &Attention<T>, products: usize) -> usize {
    let heads = this.stack.iter().product::<usize>();
    heads * this.n * this.m * (this.d + this.e) * products * 6
}

unsafe fn attend<T: Element>(stack: &Stack, this: &Attention<T>, query: &Argument) -> Object {
    // SAFETY: the lock is held; the operands have the shapes that were checked.
    unsafe {
        let (out, heads) = match stack.output::<T>(query, [this.n, this.e]) {
            Ok(made) => made,
            Err(null) => return null,
        };
        // The query gives no order for rows of one.
        let (logsumexp, sums) = match stack.output::<T>(&NOTHING, [this.n, 1]) {
            Ok(made) => made,
            Err(null) => {
                ffi::Py_DECREF(out);
                return null;
            }
        };
        let sums = sums.matrix.data.cast_mut();
        unlocked(cost(this, 1), || attention(this, heads, sums));
        tuple([out, logsumexp])
    }
}

/// An operand without dimensions.
const NOTHING: Argument = Argument { kind: Kind::Weak, array: null_mut(), scalar: 0.0 };

unsafe fn pull<T: Element>(
    stack: &Stack,
    this: &Attention<T>,
    likes: [Argument; 4],
    answers: &[Object],
    needs: [bool; 4],
) -> Outcome {
    let Attention { n, m, d, e, .. } = *this;
    // SAFETY: the lock is held; the operands have the shapes that were checked.
    unsafe {
        let kind = common_kind(&likes)?;
        let read = |object: Object, size| {
            let x = Argument::new(object)?;
            if x.kind == kind && !x.array.is_null() { stack.heads(&x, size) } else { Err(Refused) }
        };
        let answer = Answer {
            out: read(answers[0], [n, e])?,
            logsumexp: read(answers[1], [n, 1])?,
            g: read(answers[2], [n, e])?,
            to_logsumexp: if answers[3] == ffi::Py_None() {
                None
            } else {
                Some(read(answers[3], [n, 1])?)
            },
        };
        let sizes = [[n, d], [m, d], [m, e], [n, m]];
        let mut made = [null_mut(); 4];
        let mut to = [None; 4];
        for i in 0..4 {
            if !needs[i] {
                made[i] = ffi::Py_None();
                ffi::Py_INCREF(made[i]);
                continue;
            }
            let like = if i < 3 { &likes[i] } else { &NOTHING };
            match stack.output::<T>(like, sizes[i]) {
                Ok((array, heads)) => (made[i], to[i]) = (array, Some(heads)),
                Err(null) => {
                    made[..i].iter().for_each(|&array| ffi::Py_DECREF(array));
                    return Ok(null);
                }
            }
        }
        if let Some(mask) = &to[3]
            && this.causal
        {
            // The blocks that nobody attends to are passed over.
            let size = this.stack.iter().product::<usize>() * n * m;
            mask.matrix.data.cast_mut().write_bytes(0, size);
        }
        let [query, key, value, mask] = to;
        unlocked(cost(this, 3), || {
            attention_back(this, &answer, &Cotangents { query, key, value, mask });
        });
        Ok(tuple(made))
    }
}
