//! The search for a graph's nodes, and the walk back over them: `graph.py` without the interpreter.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::ptr::null_mut;

use pyo3::ffi::{self, PyObject};

use crate::engine::accumulate::{accumulate, is_alone, is_dense};
use crate::engine::objects::{engine, installed};
use crate::engine::op::Op;
use crate::engine::own::{Own, call, call_method, list, refused, tuple};
use crate::engine::values::{asked_to_fit, fits, is_plain};
use crate::operand::finish;
use crate::table::isa;
use crate::unbroadcast::unbroadcast;

/// Pointers differ in their middle bits.
#[derive(Default)]
struct PointerHasher(u64);

impl Hasher for PointerHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only pointers are hashed");
    }

    fn write_usize(&mut self, pointer: usize) {
        self.0 = (pointer as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

type Seen = HashSet<usize, BuildHasherDefault<PointerHasher>>;

/// How many parents a node has: they are a tuple, or the list that a `Knot` is; none of a dead node.
#[inline(always)]
unsafe fn count_of(parents: *mut PyObject) -> isize {
    // SAFETY: the caller's parents are `None`, a tuple or a list.
    unsafe {
        if parents == ffi::Py_None() {
            0
        } else if ffi::PyTuple_CheckExact(parents) != 0 {
            ffi::PyTuple_GET_SIZE(parents)
        } else {
            ffi::PyList_GET_SIZE(parents)
        }
    }
}

/// One of a node's parents, borrowed.
#[inline(always)]
pub(super) unsafe fn parent(parents: *mut PyObject, i: isize) -> *mut PyObject {
    // SAFETY: the caller's container is a tuple or a list with such an item.
    unsafe {
        if ffi::PyTuple_CheckExact(parents) != 0 {
            ffi::PyTuple_GET_ITEM(parents, i)
        } else {
            ffi::PyList_GET_ITEM(parents, i)
        }
    }
}

/// `search(root, start)`: the nodes younger than `start` below `root`, newest first, and the border.
pub unsafe extern "C" fn search(
    _: *mut PyObject,
    args: *const *mut PyObject,
    nargs: isize,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter; nodes are alive with the root, and no Python code runs.
    unsafe {
        if nargs != 2 || !installed() || ffi::Py_TYPE(*args) != engine().node_class {
            return refused(ffi::PyExc_TypeError, c"search(root, start) takes a Node and an int");
        }
        let (engine, root) = (engine(), *args);
        let start = ffi::PyLong_AsLongLong(*args.add(1));
        if start == -1 && !ffi::PyErr_Occurred().is_null() {
            return null_mut();
        }
        let mut seen = Seen::default();
        let mut stack = vec![root];
        let (mut order, mut border) = (Vec::new(), Vec::new());
        let (mut last, mut sorted) = (i64::MAX, true);
        while let Some(node) = stack.pop() {
            let serial = engine.serial_of(node);
            let parents = engine.parents.read(node);
            let count = count_of(parents);
            if serial <= start || count == 0 {
                border.push(node);
                continue;
            }
            order.push((serial, node));
            sorted &= serial < last;
            last = serial;
            for i in 0..count {
                let parent = parent(parents, i);
                if parent == ffi::Py_None() {
                    continue;
                }
                if ffi::Py_TYPE(parent) != engine.node_class {
                    let words = c"a parent of a Node must be a Node or None";
                    return refused(ffi::PyExc_TypeError, words);
                }
                if seen.insert(parent as usize) {
                    stack.push(parent);
                }
            }
        }
        if !sorted {
            order.sort_unstable_by_key(|&(serial, _)| std::cmp::Reverse(serial));
        }
        // A collection could run somebody's `__del__`, and that free the nodes that are only borrowed.
        let collecting = ffi::PyGC_Disable();
        let order = list(order.len() as isize, |i| Own::borrowed(order[i as usize].1));
        let border = list(border.len() as isize, |i| Own::borrowed(border[i as usize]));
        if collecting != 0 {
            ffi::PyGC_Enable();
        }
        if order.failed() || border.failed() {
            return null_mut();
        }
        tuple([order, border]).give()
    }
}

/// What became of a node.
enum Step {
    /// No cotangent has reached it.
    Passed,
    /// Its parents have theirs.
    Done,
    /// An exception is set.
    Failed,
}

/// `backward(order, cotangents, wanted, free, mark)`: as `graph.backward`.
pub unsafe extern "C" fn backward(
    _: *mut PyObject,
    args: *const *mut PyObject,
    nargs: isize,
    _: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: called by the interpreter.
    unsafe {
        if nargs != 5
            || !installed()
            || ffi::PyList_CheckExact(*args) == 0
            || ffi::PyDict_CheckExact(*args.add(1)) == 0
        {
            let words = c"backward(order, cotangents, wanted, free, mark) takes a list and a dict";
            return refused(ffi::PyExc_TypeError, words);
        }
        let [order, cotangents, wanted, free, mark] = std::array::from_fn(|i| *args.add(i));
        let engine = engine();
        let mut i = 0;
        while i < ffi::PyList_GET_SIZE(order) {
            let node = Own::borrowed(ffi::PyList_GET_ITEM(order, i));
            i += 1;
            match step(node.get(), cotangents, wanted) {
                Step::Failed => return null_mut(),
                Step::Done if free == ffi::Py_True() => {
                    engine.parents.write(node.get(), Own::none());
                    engine.kwargs.write(node.get(), Own::none());
                    engine.saved.write(node.get(), Own::borrowed(mark));
                }
                _ => {}
            }
        }
        Own::borrowed(cotangents).give()
    }
}

/// One node's part of the walk.
#[inline(always)]
unsafe fn step(node: *mut PyObject, cotangents: *mut PyObject, wanted: *mut PyObject) -> Step {
    // SAFETY: the caller's objects are alive: a node, a dictionary, and a container or `None`.
    unsafe {
        let engine = engine();
        let none = ffi::Py_None();
        let g = Own::borrowed_or_null(ffi::PyDict_GetItemWithError(cotangents, node));
        if g.failed() {
            return if ffi::PyErr_Occurred().is_null() { Step::Passed } else { Step::Failed };
        }
        if ffi::PyDict_DelItem(cotangents, node) < 0 {
            return Step::Failed;
        }
        if g.get() == none {
            return Step::Passed;
        }
        let primitive = Own::borrowed(engine.primitive.read(node));
        let class = ffi::Py_TYPE(primitive.get());
        let parents = Own::borrowed(engine.parents.read(node));
        if parents.get() == none {
            // As in `graph.py`.
            let words = c"a graph was freed while it was being walked: a hook, a rule or another \
thread has called backward() on a part of it; pass retain_graph=True there";
            ffi::PyErr_SetString(ffi::PyExc_RuntimeError, words.as_ptr());
            return Step::Failed;
        }
        let count = count_of(parents.get());
        if engine.arities.contains(&class) && !engine.is_tensor(g.get()) {
            let op = Own::new(ffi::PyObject_GetAttr(primitive.get(), engine.names.op));
            if op.failed() {
                return Step::Failed;
            }
            if ffi::Py_TYPE(op.get()) == engine.op {
                let mut gxs = [Own::null(), Own::null()];
                let op = &*op.get().cast::<Op>();
                if !op.pull(g.get(), node, parents.get(), wanted, &mut gxs) {
                    return Step::Failed;
                }
                for (i, gx) in gxs.into_iter().enumerate() {
                    if !gx.failed() && !arrive(gx, parent(parents.get(), i as isize), cotangents) {
                        return Step::Failed;
                    }
                }
                return Step::Done;
            }
        }
        let [getitem, add_at] = engine.reads.get();
        if primitive.get() == getitem && count > 0 {
            match add_in_place(add_at, &g, node, parent(parents.get(), 0), cotangents) {
                Step::Passed => {}
                other => return other,
            }
        }
        let gxs = call_method(engine.names.pullback, [primitive.get(), g.get(), node, wanted]);
        if gxs.failed() {
            return Step::Failed;
        }
        let gxs = Own::new(ffi::PySequence_Tuple(gxs.get()));
        if gxs.failed() {
            return Step::Failed;
        }
        for i in 0..count.min(ffi::PyTuple_GET_SIZE(gxs.get())) {
            let gx = ffi::PyTuple_GET_ITEM(gxs.get(), i);
            if gx != none && !arrive(Own::borrowed(gx), parent(parents.get(), i), cotangents) {
                return Step::Failed;
            }
        }
        Step::Done
    }
}

/// Adds the cotangent of elements that were read to that of the whole, where the walk alone holds
/// that: rows that are read one by one then cost no array of all rows each. What has not been read
/// keeps the sign of a zero, which adding zeros to it would make positive.
#[inline(never)]
unsafe fn add_in_place(
    add_at: *mut PyObject,
    g: &Own,
    node: *mut PyObject,
    parent: *mut PyObject,
    cotangents: *mut PyObject,
) -> Step {
    // SAFETY: the caller's objects are alive.
    unsafe {
        let engine = engine();
        let total = Own::borrowed_or_null(ffi::PyDict_GetItemWithError(cotangents, parent));
        if total.failed() {
            return if ffi::PyErr_Occurred().is_null() { Step::Passed } else { Step::Failed };
        }
        let kwargs = engine.kwargs.read(node);
        // The total is held here and by the dictionary. In another layout than that of the zeros that
        // would be added, what sums it later would round otherwise.
        if !is_plain(g.get())
            || !is_dense(total.get())
            || !is_alone(total.get(), 2)
            || ffi::PyDict_CheckExact(kwargs) == 0
        {
            return Step::Passed;
        }
        let index = ffi::PyDict_GetItemWithError(kwargs, engine.names.index);
        if index.is_null() {
            return if ffi::PyErr_Occurred().is_null() { Step::Passed } else { Step::Failed };
        }
        let done = call(add_at, [total.get(), g.get(), index]);
        if done.failed() {
            Step::Failed
        } else if done.get() == ffi::Py_True() {
            Step::Done
        } else {
            Step::Passed
        }
    }
}

/// Adds a cotangent to what has reached `parent`; `false` with an exception set.
#[inline(always)]
unsafe fn arrive(gx: Own, parent: *mut PyObject, cotangents: *mut PyObject) -> bool {
    // SAFETY: the caller's objects are alive.
    unsafe {
        let engine = engine();
        if ffi::Py_TYPE(parent) != engine.node_class {
            let words = c"a rule returned a cotangent for an operand that is not tracked";
            ffi::PyErr_SetString(ffi::PyExc_TypeError, words.as_ptr());
            return false;
        }
        let mut gx = gx;
        let (shape, dtype) = (engine.shape.read(parent), engine.dtype.read(parent));
        if !fits(gx.get(), shape, dtype) {
            let fitting =
                if is_plain(gx.get()) { Some(false) } else { asked_to_fit(gx.get(), shape, dtype) };
            match fitting {
                None => return false,
                Some(true) => {}
                Some(false) => gx = fit(&gx, parent, shape, dtype),
            }
            if gx.failed() {
                return false;
            }
        }
        let old = Own::borrowed_or_null(ffi::PyDict_GetItemWithError(cotangents, parent));
        if old.failed() {
            if !ffi::PyErr_Occurred().is_null() {
                return false;
            }
        } else if old.get() != ffi::Py_None() {
            // It is held here and by the dictionary.
            gx = accumulate(&old, 2, &gx);
            if gx.failed() {
                return false;
            }
        }
        ffi::PyDict_SetItem(cotangents, parent, gx.get()) == 0
    }
}

/// A cotangent in the shape and dtype of the node it flows to.
#[inline(never)]
unsafe fn fit(gx: &Own, parent: *mut PyObject, shape: *mut PyObject, dtype: *mut PyObject) -> Own {
    // SAFETY: the caller's objects are alive.
    unsafe {
        let fitted = Own::new(finish(|| unbroadcast(isa(), gx.get(), shape, dtype)));
        if fitted.failed() || fitted.get() != ffi::Py_NotImplemented() {
            return fitted;
        }
        call(engine().fit, [gx.get(), parent])
    }
}
