"""Functions as CUDA graphs: what they launch is written down once, and then launched as a whole.

A small network's step takes the GPU less time than the CPU needs to launch its kernels one by one.
A graph of them is one launch.  It holds addresses, not arrays: of copies of the arguments, of what
the function reaches by itself, and of memory of its own for everything in between.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import linecache
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy

from backpass.core import tree
from backpass.core.complaints import complain
from backpass.core.graph import recording
from backpass.core.observing import observer_here
from backpass.core.primitive import Primitive
from backpass.core.tensor import Tensor, add_gradient, is_permanent_leaf
from backpass.cupy import blas, precision
from backpass.cupy.devices import local
from backpass.cupy.exceptions import CaptureError
from backpass.cupy.library import library, ndarray
from backpass.cupy.reach import Held, Reached, hold, of_a_library
from backpass.cupy.streams import capturing
from backpass.cupy.transfer import from_host

Function = Callable[..., Any]

#: What is copied to where a graph reads it; Tensors mostly.
ARRAYS = (Tensor, ndarray, numpy.ndarray)
#: One captured function keeps so many graphs.
GRAPHS = 16


def capture(fun: Function, *, copy: bool = True) -> Captured:
    """Return `fun` as a function that launches all its work on the GPU at once: a CUDA graph.

    The first call with arguments of some structure, shapes and dtypes runs `fun` as it is.  The
    second writes down what `fun` launches, as a graph, and launches that.  Each later call copies
    its arguments to where the graph reads them, and launches the graph; `fun` does not run.  Every
    call has the effect of one call of `fun`: a training step moves the weights once.

    Parameters
    ----------
    fun : callable
        A function of trees of arrays and Tensors, such as a training step with its gradient and its
        optimizer's update.  What it computes must depend on shapes and dtypes only, never on
        numbers that have to be fetched from the GPU.
    copy : bool
        Return copies of the results.  Otherwise the graph's own arrays are returned, which the next
        call overwrites; that saves a launch for each.

    Returns
    -------
    Captured
        Called as `fun`.  `nodes` tells how many nodes the graph has that was launched last.

    Raises
    ------
    CaptureError
        By a call that captures: if something in `fun` must wait for the GPU (`float`, `print`, a
        mask as an index, `nonzero`, a copy from or to the CPU) or cannot be captured
        (`cupy.random.randn` and its like: use `cupy.random.default_rng`; most of `cupy.linalg`); if
        `fun` puts other Tensors or arrays in the place of those that it reaches; or if it leaves a
        gradient in the `.grad` of one.  The step has not been taken then, and everything can go on.
    TypeError
        If an argument is a tracked Tensor, since no gradient would flow back, or something that is
        no array and has no hash; if `fun` returns a tracked Tensor.

    Notes
    -----
    *Arguments.* Arrays and Tensors are copied, from the CPU, too: `fun` gets them on the GPU.  What
    it writes into them is not seen outside; a gradient that it adds to a Tensor's `.grad` is.
    Tensors that `fun` also reaches by itself, such as the weights of an optimizer in its closure,
    and Tensors with `requires_grad_()` are not copied: it gets the Tensors themselves.  All other
    arguments, numbers and text, are part of the graph: for each other value there is another graph.
    Pass as arrays of shape () what changes from call to call.

    *State.* What `fun` reaches through its closure, its global names, and the objects in them is
    read and written where it is.  If a name there is given to something else, or a Tensor gets
    another array, the graph is given up: the next call is a first one again.  Write into the
    Tensors of a graph (`w[...] = x`), and put no others into the lists and dicts that hold them.

    *Python.* What `fun` does in Python besides, such as counting or appending to lists, happens in
    the first two calls only.  A learning rate that is to change is an array of shape () on the GPU.

    *Streams.* Graphs are launched in the current stream.  Calls of several threads take turns.

    Source: the CUDA C++ Programming Guide, "CUDA Graphs".

    Examples
    --------
    >>> import backpass.cupy as cp
    >>> from backpass.core import grad
    >>> from backpass.nn.optimizers import sgd  # doctest: +SKIP
    >>> w = cp.ones(3)  # doctest: +SKIP
    >>> rate = cp.array(0.25)  # doctest: +SKIP
    >>> run = sgd([w], learning_rate=rate)  # doctest: +SKIP
    >>> def step(x):
    ...     grad(lambda w: cp.sum((w - x) ** 2))(w)
    ...     run()
    >>> step = cp.capture(step)  # doctest: +SKIP
    >>> for x in cp.random.randn(100, 3):  # doctest: +SKIP
    ...     step(x)
    >>> rate[...] = 0.1  # doctest: +SKIP
    """
    return Captured(fun, copy)


class Captured:
    """A function that is run as CUDA graphs, one for each kind of arguments: see `capture`."""

    def __init__(self, fun: Function, copy: bool = True) -> None:
        functools.update_wrapper(self, fun)
        self._fun = fun
        self._copy = copy
        self._name = getattr(fun, "__name__", None) or repr(fun)
        self._lock = threading.RLock()
        self._reached = Reached(())
        #: By kind of arguments, in the order of their first calls; `None` until the second.
        self._graphs: dict[Any, Graph | None] = {}
        self._last: Graph | None = None
        self._firsts = 0

    def __repr__(self) -> str:
        return f"<captured {self._name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Do what the function does."""
        if capturing():
            return self._fun(*args, **kwargs)  # as a part of that graph
        with self._lock:
            arguments = Arguments(self._name, (args, kwargs), self._reached)
            if observer_here() is not None:
                # Who looks for a nan, or for the time, would see nothing of a graph.
                args, kwargs = arguments.on_the_device()
                return self._fun(*args, **kwargs)
            graph = self._graphs.get(arguments.key)
            if graph is None or not graph.stays():
                # The function may reach other Tensors than it did.
                others = [x for x in arguments.leaves if not isinstance(x, ARRAYS)]
                self._reached = Reached([self._fun, *others])
                arguments = Arguments(self._name, (args, kwargs), self._reached)
                if self._is_first(arguments.key):
                    args, kwargs = arguments.on_the_device()
                    out = self._fun(*args, **kwargs)
                    self._note(arguments.key)
                    return out
                graph = self._graphs[arguments.key]
                if graph is None:
                    graph = Graph(self._name, self._fun, arguments)
                    self._graphs[arguments.key] = graph
            self._last = graph
            return graph.launch(arguments, self._copy)

    def _is_first(self, key: Any) -> bool:
        """Tell whether a call is the first of its kind, or the first since its graph was given up.

        It compiles kernels, and lets each weight have an array of its own.
        """
        if key not in self._graphs:
            return True
        graph = self._graphs[key]
        if graph is None or graph.stays():
            return False
        del self._graphs[key]
        return True

    def _note(self, key: Any) -> None:
        """Note a first call that has succeeded; forget the oldest graph if there are too many."""
        self._graphs[key] = None
        if len(self._graphs) > GRAPHS:
            del self._graphs[next(iter(self._graphs))]
        self._firsts += 1
        if self._firsts == GRAPHS + 1:
            warnings.warn(
                f"{self._name} has had to be captured anew more than {GRAPHS} times, which is "
                "slow: pass numbers that change as arrays of shape (), batches in few shapes, and "
                "write into the Tensors that it reaches instead of replacing them",
                RuntimeWarning,
                stacklevel=3,
            )

    @property
    def nodes(self) -> int:
        """How many nodes the graph has that was launched last: kernels, and copies.

        Raises
        ------
        CaptureError
            If none has been launched yet.
        """
        if self._last is None:
            raise CaptureError(
                f"{self._name} has not been captured yet: the second call with arguments of the "
                "same shapes and dtypes does that"
            )
        return self._last.nodes


class Arguments:
    """The arguments of a call.

    Attributes
    ----------
    key
        What a graph depends on: structure, shapes, dtypes, values of other kinds, and settings.
    leaves
        The leaves of the arguments.
    copied
        The positions of those that are copied to where the graph reads them.
    """

    def __init__(self, name: str, arguments: Any, reached: Reached) -> None:
        self.leaves, self._structure = tree.flatten(arguments)
        self.copied: list[int] = []
        parts = [self._part(name, i, x, reached) for i, x in enumerate(self.leaves)]
        self.key = (
            self._structure,
            tuple(parts),
            library.cuda.device.get_device_id(),
            precision.get_matmul_precision(),
            recording.paused > 0,
            recording.depth > 0,
        )

    def _part(self, name: str, i: int, x: Any, reached: Reached) -> Any:
        """Return what the key says of a leaf."""
        value = x
        if isinstance(x, Tensor):
            if id(x) in reached.tensors or is_permanent_leaf(x):
                return ("itself", id(x))
            if x.tracked:
                raise TypeError(
                    f"{name}: an argument is a tracked Tensor, but no gradient flows back through "
                    "a graph: differentiate inside the captured function, or pass stop_gradient(t)"
                )
            value = x.value
        elif not isinstance(x, ARRAYS):
            return _constant(name, x)
        self.copied.append(i)
        return (isinstance(x, Tensor), value.shape, value.dtype)

    def value(self, i: int) -> Any:
        """Return the array of a leaf that is copied, on the GPU."""
        x = self.leaves[i]
        value = x.value if isinstance(x, Tensor) else x
        return local(value) if isinstance(value, ndarray) else from_host(value)

    def replaced(self, made: Sequence[Any]) -> Any:
        """Return positional and keyword arguments with other leaves in the place of the copied."""
        leaves = list(self.leaves)
        for i, x in zip(self.copied, made, strict=True):
            leaves[i] = x
        return tree.unflatten(self._structure, leaves)

    def on_the_device(self) -> Any:
        """Return positional and keyword arguments, with the arrays on the GPU."""
        made = []
        for i in self.copied:
            x, there = self.leaves[i], self.value(i)
            if isinstance(x, Tensor):
                made.append(x if there is x.value else Tensor(there))
            else:
                made.append(there)
        return self.replaced(made)


def _constant(name: str, x: Any) -> Any:
    """Return what the key says of an argument that is no array."""
    try:
        hash(x)
    except TypeError:
        raise TypeError(
            f"{name}: an argument is a {type(x).__name__}, which is no array, no tree of arrays, "
            "and has no hash to tell one from another"
        ) from None
    return (type(x), x if x == x else repr(x))  # a nan is not equal to itself


class Graph:
    """A graph, and all that must live as long as it does."""

    def __init__(self, name: str, fun: Function, arguments: Arguments) -> None:
        self._name = name
        copied = set(arguments.copied)
        roots = [fun, *(x for i, x in enumerate(arguments.leaves) if i not in copied)]
        before = Reached(roots)
        stream = library.cuda.Stream(non_blocking=True)
        values = [arguments.value(i) for i in arguments.copied]
        with (
            library.cuda.using_allocator(_allocator()),
            blas.own_workspaces() as self._workspaces,
            stream,
        ):
            #: What the graph reads in the place of the arguments.
            self._inputs = [library.empty(x.shape, x.dtype) for x in values]
            given = [
                Tensor(there) if isinstance(arguments.leaves[i], Tensor) else there
                for i, there in zip(arguments.copied, self._inputs, strict=True)
            ]
            start = [hold(t, "an argument") for t in given if isinstance(t, Tensor)]
            try:
                args, kwargs = arguments.replaced(given)
                self._graph, out = _recorded(name, stream, lambda: fun(*args, **kwargs))
                self._leaves, self._structure = tree.flatten(out)
                self._reached = Reached(roots)
                self._check(before, start)
            except BaseException:
                # The step has not been taken: nothing may look as if it had.
                for held in before.tensors.values():
                    held.restore()
                raise
        #: What has been added to `.grad` of arguments.
        self._gradients = [t.grad if isinstance(t, Tensor) else None for t in given]
        self._own = frozenset(before.tensors)
        self._event = library.cuda.Event(disable_timing=True)
        self._launched_in: Any = None

    def _check(self, before: Reached, start: Sequence[Held]) -> None:
        """Raise if a launch of the graph would not do what the function has done in Python."""
        for held in (*before.tensors.values(), *start):
            if not held.value_stays():
                raise CaptureError(
                    f"{self._name} gives a Tensor of shape {held.tensor.shape}, reached through "
                    f"{held.name}, another array, and the graph would go on with the old one: "
                    "write into it (w[...] = x, or an optimizer of backpass.nn), and let nothing "
                    "else hold its array, no .value that is kept and no view"
                )
        for held in before.tensors.values():
            if not held.grad_stays():
                raise CaptureError(
                    f"{self._name} changes .grad of a Tensor of shape {held.tensor.shape}, reached "
                    f"through {held.name}, which a launch of the graph would not: let it begin and "
                    "end with .grad = None, by an optimizer's step in it, or use "
                    "grad(fun, argnums=...)"
                )
        old, new = before.names_of_arrays(), self._reached.names_of_arrays()
        for key in old.keys() ^ new.keys():
            raise CaptureError(
                f"{self._name} puts other arrays into what it reaches through "
                f"{new.get(key) or old[key]}, which a launch of the graph would not: return them, "
                "or write into those that are there"
            )
        for t in self._leaves:
            if isinstance(t, Tensor) and t.tracked and id(t) not in before.tensors:
                raise TypeError(
                    f"{self._name} returns a tracked Tensor, but no gradient flows back through a "
                    "graph: differentiate in it, or return stop_gradient(t)"
                )

    def stays(self) -> bool:
        """Tell whether what the function reaches lies where it did."""
        return self._reached.stays()

    def launch(self, arguments: Arguments, copy: bool) -> Any:
        """Copy the arguments, launch the graph, and return what the function does."""
        stream = library.cuda.get_current_stream()
        # A stream that is the default of each thread has one name for all of them.
        here = (stream.ptr, threading.get_ident())
        if self._launched_in not in (None, here):
            stream.wait_event(self._event)
        self._launched_in = here
        for i, there in zip(arguments.copied, self._inputs, strict=True):
            x = arguments.value(i)
            if x._c_contiguous:
                there.data.copy_from_device_async(x.data, x.nbytes)
            else:
                there[...] = x
        self._graph.launch(stream)
        made = [self._result(x, copy) for x in self._leaves]
        for i, g in zip(arguments.copied, self._gradients, strict=True):
            if g is not None:
                add_gradient(arguments.leaves[i], g)
        self._event.record(stream)
        return tree.unflatten(self._structure, made)

    def _result(self, x: Any, copy: bool) -> Any:
        """Return what a leaf of the result is now."""
        if isinstance(x, ndarray):
            return x.copy() if copy else x
        if not isinstance(x, Tensor) or id(x) in self._own:
            return x
        return Tensor(self._result(x.value, copy))

    @property
    def nodes(self) -> int:
        """How many nodes the graph has."""
        count = ctypes.c_size_t()
        status = _driver().cuGraphGetNodes(
            ctypes.c_void_p(self._graph.graph), None, ctypes.byref(count)
        )
        if status:
            raise RuntimeError(f"cuGraphGetNodes failed with status {status}")
        return count.value


def _allocator() -> Callable[[int], Any]:
    """Return an allocator of memory that nothing else is given while the graph is there."""
    pool = library.cuda.MemoryPool()

    def allocate(size: int) -> Any:
        block = pool.malloc(size)
        if not size:
            return block
        # Blocks do not keep their pool, and arrays from here may outlive the graph.
        owned = library.cuda.UnownedMemory(block.ptr, size, (block, pool), block.device_id)
        return library.cuda.MemoryPointer(owned, 0)

    return allocate


@functools.cache
def _driver() -> Any:
    """Return CUDA's driver, for what CuPy does not call."""
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


# ----- writing down ------------------------------------------------------------------------------


def _recorded(name: str, stream: Any, run: Callable[[], Any]) -> tuple[Any, Any]:
    """Return the graph of what `run` launches in a stream, and what it returns."""
    # What is collected may call CUDA, to free what it held, and not all of that is allowed now.
    collecting = gc.isenabled()
    gc.disable()
    stream.begin_capture()
    try:
        out = run()
    except BaseException as error:
        invalid = _give_up(stream)
        if not isinstance(error, Exception):
            raise
        _complain(name, error, invalid)
    finally:
        if collecting:
            gc.enable()
    try:
        return stream.end_capture(), out
    except Exception as error:
        _complain(name, error, True)


def _give_up(stream: Any) -> bool:
    """End the capture of a stream; tell whether something had made it invalid."""
    try:
        stream.end_capture()
    except RuntimeError:
        return True
    return False


def _complain(name: str, error: Exception, invalid: bool) -> NoReturn:
    """Raise what has ended a capture; where it was not allowed in one, in words that say so."""
    if isinstance(error, CaptureError) or not (invalid or "captur" in str(error).lower()):
        complain(error)
    raise CaptureError(
        f"{name} cannot be captured as a CUDA graph{_where(error)}: {error}. In a captured "
        "function nothing may wait for the GPU, or copy from or to the CPU: no float, bool or "
        "print of what lies there, no masks as indices, no nonzero, no NumPy arrays; nor may "
        "libraries run that refuse it, those behind cupy.random.randn and its like (use "
        "default_rng) and most of cupy.linalg"
    ) from error


def _where(error: Exception) -> str:
    """Return at which operation, and at which of the user's lines, an error was raised."""
    operation = line = ""
    traceback = error.__traceback__
    while traceback is not None:
        frame = traceback.tb_frame
        owner = frame.f_locals.get("self")
        if isinstance(owner, Primitive):
            operation = f" because of {owner.name}"
        if not of_a_library(frame.f_globals.get("__name__")):
            file, number = frame.f_code.co_filename, traceback.tb_lineno
            line = f" at {file}:{number} ({linecache.getline(file, number).strip()})"
        traceback = traceback.tb_next
    return operation + line
