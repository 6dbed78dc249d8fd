//! The way of a call: operands to values, values to the kernel, its answer to a Tensor with a node.
//!
//! The same as `op` in the engine's `arity.py`, step for step, in the usual case: operands are plain
//! Tensors and values whose type has a kernel. All else goes to the function in Python that an `Op`
//! stands before, or to the primitive's methods `run`, `record` and `complain`.

use std::ptr::null_mut;

use pyo3::ffi::{self, PyObject};

use crate::engine::objects::engine;
use crate::engine::op::{MOST, Op, Reads};
use crate::engine::own::{Own, call, call_method, tuple};
use crate::engine::values::{dtype_of, has_shape, is_inexact, shape_of};

impl Op {
    /// The kernel for values of a type; null where none has been looked up yet. While it runs, another
    /// thread may put a new one in its place.
    #[inline(always)]
    unsafe fn kernel_of(&self, value: *mut PyObject) -> Own {
        // SAFETY: the caller's object is alive; the table is a dictionary.
        unsafe {
            let class = ffi::Py_TYPE(value).cast();
            let found = ffi::PyDict_GetItemWithError(self.kernels, class);
            if found.is_null() {
                ffi::PyErr_Clear();
            }
            Own::borrowed_or_null(found)
        }
    }

    /// What the kernel gave, put right: its exception explained, what it declined computed.
    #[inline(always)]
    unsafe fn settle(&self, ans: Own, values: &[*mut PyObject], keywords: Keywords) -> Own {
        // SAFETY: the caller's objects are alive.
        unsafe {
            if !ans.failed() && ans.get() != ffi::Py_NotImplemented() {
                return ans;
            }
            self.resettle(&ans, values, keywords)
        }
    }

    #[cold]
    unsafe fn resettle(&self, ans: &Own, values: &[*mut PyObject], keywords: Keywords) -> Own {
        // SAFETY: the caller's objects are alive.
        unsafe {
            let names = &engine().names;
            let items = Own::new(ffi::PyTuple_New(values.len() as isize));
            if items.failed() {
                return items;
            }
            for (i, &value) in values.iter().enumerate() {
                ffi::PyTuple_SET_ITEM(items.get(), i as isize, Own::borrowed(value).give());
            }
            if !ans.failed() {
                let kwargs = keywords.dictionary();
                if kwargs.failed() {
                    return kwargs;
                }
                return call_method(names.run, [self.primitive, items.get(), kwargs.get()]);
            }
            if ffi::PyErr_ExceptionMatches(ffi::PyExc_Exception) == 0 {
                return Own::new(null_mut());
            }
            let error = raised();
            // It always raises.
            call_method(names.complain, [self.primitive, error.get(), items.get()])
        }
    }

    /// The call as the function in Python does it.
    #[cold]
    unsafe fn long_way(
        &self,
        args: *const *mut PyObject,
        nargs: usize,
        kwnames: *mut PyObject,
    ) -> *mut PyObject {
        // SAFETY: the caller's arguments.
        unsafe { ffi::PyObject_Vectorcall(self.python, args, nargs, kwnames) }
    }
}

/// The exception that is set, taken. `PyO3` would put off what it drops in a call that it has not made.
#[allow(deprecated)] // the one way that there is in all versions
unsafe fn raised() -> Own {
    let (mut class, mut error, mut traceback) = (null_mut(), null_mut(), null_mut());
    // SAFETY: an exception is set; all three are new references, or null.
    unsafe {
        ffi::PyErr_Fetch(&raw mut class, &raw mut error, &raw mut traceback);
        ffi::PyErr_NormalizeException(&raw mut class, &raw mut error, &raw mut traceback);
        let (class, traceback) = (Own::new(class), Own::new(traceback));
        if !traceback.failed() {
            ffi::PyException_SetTraceback(error, traceback.get());
        }
        drop(class);
        Own::new(error)
    }
}

/// The keywords of a call: their names, and their values behind each other.
#[derive(Clone, Copy)]
struct Keywords {
    names: *mut PyObject,
    values: *const *mut PyObject,
    count: usize,
}

impl Keywords {
    const NONE: Self = Self { names: null_mut(), values: std::ptr::null(), count: 0 };

    /// As a dictionary; `None` where there are none.
    #[inline(always)]
    unsafe fn dictionary(self) -> Own {
        // SAFETY: the caller's keywords are alive.
        unsafe {
            if self.count == 0 {
                return Own::none();
            }
            let made = Own::new(ffi::PyDict_New());
            if !made.failed() {
                for i in 0..self.count {
                    let name = ffi::PyTuple_GET_ITEM(self.names, i as isize);
                    if ffi::PyDict_SetItem(made.get(), name, *self.values.add(i)) < 0 {
                        return Own::new(null_mut());
                    }
                }
            }
            made
        }
    }
}

/// What an operand is.
enum Operand {
    /// A Tensor, or a network's weight, which is one to arithmetic: its value, and its node or `None`.
    Tensor(Own, Own),
    /// Anything that the kernels may know.
    Value,
    /// A weak Tensor, or a list: the long way.
    Other,
}

#[inline(always)]
unsafe fn operand(x: *mut PyObject) -> Operand {
    // SAFETY: the caller's object is alive.
    unsafe {
        let engine = engine();
        let class = ffi::Py_TYPE(x);
        if class == engine.tensor || ((*class).tp_base == engine.tensor && class != engine.weak) {
            return Operand::Tensor(
                Own::borrowed(engine.value.read(x)),
                Own::borrowed(engine.node.read(x)),
            );
        }
        if ffi::PyType_FastSubclass(
            class,
            ffi::Py_TPFLAGS_LIST_SUBCLASS | ffi::Py_TPFLAGS_TUPLE_SUBCLASS,
        ) != 0
            || class == engine.weak
            || ffi::PyType_IsSubtype(class, engine.tensor) != 0
        {
            return Operand::Other;
        }
        Operand::Value
    }
}

/// The call of an `Op` of one operand.
pub unsafe extern "C" fn unary(
    callable: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter on an `Op`, which the caller keeps alive.
    unsafe {
        let op = &*callable.cast::<Op>();
        let keywords = if kwnames.is_null() {
            Keywords::NONE
        } else {
            Keywords {
                names: kwnames,
                values: args.add(1),
                count: ffi::PyTuple_GET_SIZE(kwnames) as usize,
            }
        };
        if ffi::PyVectorcall_NARGS(nargsf) != 1 || keywords.count > MOST {
            return op.long_way(args, nargsf, kwnames);
        }
        let x = *args;
        match operand(x) {
            Operand::Other => op.long_way(args, nargsf, kwnames),
            Operand::Value => {
                let kernel = op.kernel_of(x);
                if kernel.failed() {
                    return op.long_way(args, nargsf, kwnames);
                }
                let ans = Own::new(ffi::PyObject_Vectorcall(kernel.get(), args, 1, kwnames));
                op.settle(ans, &[x], keywords).give()
            }
            Operand::Tensor(value, node) => {
                let kernel = op.kernel_of(value.get());
                if kernel.failed() {
                    return op.long_way(args, nargsf, kwnames);
                }
                let mut given = [value.get(); MOST + 1];
                for i in 0..keywords.count {
                    given[i + 1] = *keywords.values.add(i);
                }
                let ans =
                    Own::new(ffi::PyObject_Vectorcall(kernel.get(), given.as_ptr(), 1, kwnames));
                let ans = op.settle(ans, &[value.get()], keywords);
                if ans.failed() {
                    return null_mut();
                }
                op.hang_unary(x, &value, node, ans, keywords).give()
            }
        }
    }
}

/// The call of an `Op` of two operands.
pub unsafe extern "C" fn binary(
    callable: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter on an `Op`, which the caller keeps alive.
    unsafe {
        let op = &*callable.cast::<Op>();
        if ffi::PyVectorcall_NARGS(nargsf) != 2 || !kwnames.is_null() {
            return op.long_way(args, nargsf, kwnames);
        }
        let (mut x, mut y) = (*args, *args.add(1));
        if op.swapped {
            std::mem::swap(&mut x, &mut y);
        }
        let (left, right) = (operand(x), operand(y));
        let given = [x, y];
        if matches!(left, Operand::Other) || matches!(right, Operand::Other) {
            return op.long_way(given.as_ptr(), 2, null_mut());
        }
        let wrapped = !matches!((&left, &right), (Operand::Value, Operand::Value));
        let unpack = |operand, x| match operand {
            Operand::Tensor(value, node) => (value, node),
            _ => (Own::borrowed(x), Own::none()),
        };
        let (xv, xn) = unpack(left, x);
        let (yv, yn) = unpack(right, y);
        let mut kernel = op.kernel_of(xv.get());
        if kernel.failed() && wrapped {
            kernel = op.kernel_of(yv.get());
        }
        if kernel.failed() {
            return op.long_way(given.as_ptr(), 2, null_mut());
        }
        let values = [xv.get(), yv.get()];
        let ans = call(kernel.get(), values);
        let ans = op.settle(ans, &values, Keywords::NONE);
        if ans.failed() || !wrapped {
            return ans.give();
        }
        op.hang_binary(given, values, xn, yn, ans).give()
    }
}

impl Op {
    /// The answer as a Tensor, recorded if its operand is tracked.
    #[inline(always)]
    unsafe fn hang_unary(
        &self,
        x: *mut PyObject,
        value: &Own,
        node: Own,
        ans: Own,
        keywords: Keywords,
    ) -> Own {
        // SAFETY: the caller's objects are alive.
        unsafe {
            let engine = engine();
            if node.get() == ffi::Py_None() {
                return engine.new_tensor(ans, node);
            }
            let kwargs = keywords.dictionary();
            if kwargs.failed() {
                return kwargs;
            }
            if self.recordable && engine.records(node.get()) {
                match is_inexact(ans.get()) {
                    None => return Own::new(null_mut()),
                    Some(false) => {}
                    Some(true) => {
                        // Linear rules read no values: the operand's node tells its shape and dtype.
                        let read = if self.linear { node.get() } else { value.get() };
                        let saved = self.reads[0].pack([ans.get(), read, null_mut()]);
                        let shape = if self.same_shape {
                            Own::borrowed(engine.shape.read(node.get()))
                        } else {
                            shape_of(ans.get())
                        };
                        if shape.failed() {
                            return shape;
                        }
                        let dtype = dtype_of(ans.get());
                        let parents = tuple([node]);
                        if saved.failed() || dtype.failed() || parents.failed() {
                            return Own::new(null_mut());
                        }
                        let made =
                            engine.new_node(self.primitive, parents, saved, kwargs, shape, dtype);
                        return if made.failed() { made } else { engine.new_tensor(ans, made) };
                    }
                }
            }
            let kwargs = if keywords.count == 0 { Own::new(ffi::PyDict_New()) } else { kwargs };
            if kwargs.failed() {
                return kwargs;
            }
            let args = [self.primitive, x, node.get(), value.get(), ans.get(), kwargs.get()];
            let made = call_method(engine.names.record, args);
            if made.failed() { made } else { engine.new_tensor(ans, made) }
        }
    }

    #[inline(always)]
    unsafe fn hang_binary(
        &self,
        operands: [*mut PyObject; 2],
        values: [*mut PyObject; 2],
        xn: Own,
        yn: Own,
        ans: Own,
    ) -> Own {
        // SAFETY: the caller's objects are alive.
        unsafe {
            let engine = engine();
            let none = ffi::Py_None();
            if xn.get() == none && yn.get() == none {
                return engine.new_tensor(ans, xn);
            }
            if self.recordable
                && (xn.get() == none || engine.records(xn.get()))
                && (yn.get() == none || engine.records(yn.get()))
            {
                let every = [ans.get(), values[0], values[1]];
                let keep = |node: &Own, reads: &Reads| {
                    if node.get() == none { Own::none() } else { reads.pack(every) }
                };
                let saved = tuple([keep(&xn, &self.reads[0]), keep(&yn, &self.reads[1])]);
                // One tuple for one shape: a long graph holds fewer of them.
                let theirs = if xn.get() == none { none } else { engine.shape.read(xn.get()) };
                let shape = if has_shape(ans.get(), theirs) {
                    Own::borrowed(theirs)
                } else {
                    shape_of(ans.get())
                };
                if shape.failed() {
                    return shape;
                }
                let dtype = dtype_of(ans.get());
                let parents = tuple([xn, yn]);
                if saved.failed() || dtype.failed() || parents.failed() {
                    return Own::new(null_mut());
                }
                let made =
                    engine.new_node(self.primitive, parents, saved, Own::none(), shape, dtype);
                return if made.failed() { made } else { engine.new_tensor(ans, made) };
            }
            let args = [
                self.primitive,
                operands[0],
                operands[1],
                xn.get(),
                yn.get(),
                values[0],
                values[1],
                ans.get(),
            ];
            let made = call_method(engine.names.record, args);
            if made.failed() { made } else { engine.new_tensor(ans, made) }
        }
    }
}

/// The call of a primitive: its `op`, whose answer is made a Tensor if it is none.
pub unsafe extern "C" fn entry(
    callable: *mut PyObject,
    args: *const *mut PyObject,
    nargsf: usize,
    kwnames: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter on an `Op`, which the caller keeps alive.
    unsafe {
        let (this, engine) = (&*callable.cast::<Op>(), engine());
        let nargs = ffi::PyVectorcall_NARGS(nargsf) as usize;
        if nargs < 2 || !kwnames.is_null() {
            return this.long_way(args, nargs, kwnames);
        }
        let op = Own::new(ffi::PyObject_GetAttr(*args, engine.names.op));
        if op.failed() {
            return null_mut();
        }
        let given = args.add(1);
        let ans = Own::new(ffi::PyObject_Vectorcall(op.get(), given, nargs - 1, null_mut()));
        if ans.failed() || engine.is_tensor(ans.get()) {
            return ans.give();
        }
        call(engine.as_tensors, [ans.get()]).give()
    }
}
