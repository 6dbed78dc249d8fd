"""What holds for any shape, dtype and layout: Hypothesis looks for an example against it."""

import warnings

import numpy
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backpass.core import Tensor, grad, jvp, vjp

from .cases import flat
from .programs import library
from .strategies import (
    INEXACT,
    LAYOUTS,
    REAL,
    SEEDS,
    SHAPES,
    arrays,
    calls,
    indices,
    laid_out,
    numbers,
    subscripts,
)

# Of means of nothing, and of deviations of one element.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def is_single(*arrays):
    """Tell whether one of the arrays is of single precision."""
    return any(x.dtype.itemsize <= (8 if x.dtype.kind == "c" else 4) for x in arrays)


def close(found, right, scale=1.0, *, single=False):
    """Compare but for the rounding of the dtypes, beside numbers as large as `scale`."""
    found, right = numpy.asarray(found), numpy.asarray(right)
    limit = 2e-4 if single or is_single(found, right) else 1e-10
    numpy.testing.assert_allclose(found, right, rtol=limit, atol=limit * scale)


def inner(xs, ys):
    """Return the sum of the products' real parts, and the sum of their sizes."""
    products = [numpy.asarray(x) * y for x, y in zip(xs, ys, strict=True)]
    return sum(p.sum().real for p in products), 1 + sum(abs(p).sum() for p in products)


def outputs_of(f):
    """Return `f` with its outputs in a list, without those that are not differentiable."""
    return lambda *xs: [t for t in flat(f(*xs)) if t.dtype.kind in "fc"]


def transposed(f, args, backend, seed=0):
    """Compare <w, J t> with <J^T w, t>; check the gradients' and tangents' shapes and dtypes."""
    f = outputs_of(f)
    there = [backend.put(x) for x in args]
    moved = [numbers(x.shape, x.dtype, seed + i + 1) for i, x in enumerate(args)]
    outputs, pull = vjp(f, *there)
    if not all(numpy.isfinite(backend.fetch(t)).all() for t in outputs):
        return
    weights = [numbers(t.shape, t.dtype, seed + 7 + i) for i, t in enumerate(outputs)]
    gradients = [backend.fetch(g) for g in pull([backend.put(w) for w in weights])]
    _, tangents = jvp(f, there, [backend.put(t) for t in moved])
    for x, g in zip(args, gradients, strict=True):
        assert g.shape == x.shape
        assert g.dtype == x.dtype
    tangents = [backend.fetch(t) for t in tangents]
    for out, t in zip(outputs, tangents, strict=True):
        assert t.shape == out.shape
        assert t.dtype == out.dtype
    (left, size), (right, _) = inner(weights, tangents), inner(gradients, moved)
    assert abs(left - right) <= (1e-4 if is_single(*args) else 1e-10) * size


# ----- values -------------------------------------------------------------------------------------


@given(drawn=calls())
def test_the_value_is_numpys(backend, drawn):
    call, x = drawn
    wanted = flat(call.run(library, x))
    found = flat(call.run(backend.namespace, Tensor(backend.put(x))))
    assert len(found) == len(wanted)
    for ours, right in zip(found, wanted, strict=True):
        value = backend.fetch(ours)
        assert isinstance(ours, Tensor)
        assert value.shape == right.shape
        assert value.dtype == right.dtype
        close(value, right)


DTYPES = ("float64", "float32", "complex64", "int64", "int32", "uint8", "bool")
ARITHMETIC = ("add", "multiply", "subtract", "true_divide", "maximum", "hypot", "arctan2", "equal")


@given(
    name=st.sampled_from(ARITHMETIC),
    dtypes=st.tuples(st.sampled_from(DTYPES), st.sampled_from(DTYPES)),
    shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0),
    layout=LAYOUTS,
)
def test_operands_of_any_dtypes_give_what_numpy_gives(backend, name, dtypes, shapes, layout):
    args = [
        laid_out(numpy.asarray(numbers(shape, dtype, i)).astype(dtype), layout)
        for i, (shape, dtype) in enumerate(zip(shapes.input_shapes, dtypes, strict=True))
    ]
    there = [Tensor(backend.put(x)) for x in args]
    try:
        with numpy.errstate(all="ignore"):
            wanted = getattr(numpy, name)(*args)
    except TypeError:
        assume(backend.backend.device == "cpu")  # another library may have it
        with pytest.raises(TypeError):
            getattr(backend.numpy, name)(*there)
        return
    found = backend.fetch(getattr(backend.numpy, name)(*there))
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    if backend.backend.device != "cpu" and wanted.dtype.kind == "c":
        # Which infinity or nan a complex number divided by 0 is, is the library's choice.
        finite = numpy.isfinite(wanted)
        found, wanted = numpy.where(finite, found, 0), numpy.where(finite, wanted, 0)
    close(found, wanted)


@given(x=arrays(dtypes=("float64", "float32", "int64")), scalar=st.sampled_from([2, 0.5, True, 1j]))
def test_pythons_numbers_take_the_dtype_of_the_array(backend, x, scalar):
    for f in (
        lambda x: x * scalar,
        lambda x: scalar + x,
        lambda x: scalar - x,
        lambda x: x / (scalar + 2),
    ):
        wanted = f(x)
        found = backend.fetch(f(Tensor(backend.put(x))))
        assert found.dtype == wanted.dtype
        close(found, wanted)


# ----- derivatives --------------------------------------------------------------------------------


@given(drawn=calls(), seed=SEEDS)
def test_reverse_mode_is_the_transpose_of_forward_mode(backend, drawn, seed):
    call, x = drawn
    transposed(lambda x: call.run(backend.namespace, x), [x], backend, seed)


@given(drawn=calls(), seed=SEEDS)
def test_the_hessian_is_symmetric_and_the_same_in_every_mixture(backend, drawn, seed):
    call, x = drawn
    assume(x.dtype.name in ("float64", "complex128"))
    np = backend.numpy
    u, v = (backend.put(numbers(x.shape, x.dtype, seed % 1000 + i)) for i in (1, 2))

    def total(x):
        parts = [
            np.sum(np.sin(np.real(t)) + np.imag(t) ** 2)
            for t in flat(call.run(backend.namespace, x))
        ]
        return sum(parts[1:], start=parts[0]) if parts else np.sum(np.real(x))

    def directed(x, t):
        return np.sum(np.real(grad(total, 0)(x) * t))

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the output of .* does not depend", UserWarning)
        there = backend.put(x)
        gradient = backend.fetch(grad(total, 0)(there))
        assume(numpy.isfinite(gradient).all())
        reverse = [backend.fetch(grad(lambda x, t=t: directed(x, t), 0)(there)) for t in (u, v)]
        forward = backend.fetch(jvp(grad(total, 0), (there,), (u,))[1])
    size = 1 + abs(forward).max(initial=0)
    close(reverse[0], forward, size)
    (left, scale), (right, _) = (
        inner([reverse[0]], [backend.fetch(v)]),
        inner([reverse[1]], [backend.fetch(u)]),
    )
    assert abs(left - right) <= 1e-9 * scale


@given(drawn=calls(linear=True), numbers_=st.tuples(st.floats(-2, 2), st.floats(-2, 2)), seed=SEEDS)
def test_linear_functions_are_their_own_derivative(backend, drawn, numbers_, seed):
    call, x = drawn
    assume(call.linear)
    a, b = numbers_
    y = numbers(x.shape, x.dtype, seed)

    def f(x):
        return flat(call.run(backend.namespace, x))

    def at(x):
        return [backend.fetch(t) for t in f(Tensor(backend.put(x)))]

    combined = at((a * x + b * y).astype(x.dtype))
    for whole, fx, fy in zip(combined, at(x), at(y), strict=True):
        scale = 1 + abs(whole).max(initial=0)
        close(whole, a * fx + b * fy, scale, single=is_single(x))
    _, tangents = jvp(f, (backend.put(x),), (backend.put(y),))
    for t, fy in zip(tangents, at(y), strict=True):
        close(backend.fetch(t), fy)


SMOOTH = {
    "add": lambda np, x, y: np.add(x, y),
    "subtract": lambda np, x, y: x - y,
    "multiply": lambda np, x, y: x * y,
    "divide": lambda np, x, y: x / (3 + y * y),
    "power": lambda np, x, y: (3 + x) ** y,
    "maximum": lambda np, x, y: np.maximum(x, y),
    "hypot": lambda np, x, y: np.hypot(x, y),
    "arctan2": lambda np, x, y: np.arctan2(x, y),
    "logaddexp": lambda np, x, y: np.logaddexp(x, y),
    "where": lambda np, x, y: np.where(np.array([True]), x * y, x),
    "fmin": lambda np, x, y: np.fmin(x, y),
    "remainder": lambda np, x, y: np.remainder(x, 5 + y),
    "clip": lambda np, x, y: np.clip(x, y, y + 1),
}


@given(
    name=st.sampled_from(sorted(SMOOTH)),
    shapes=hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3, min_side=0),
    dtypes=st.tuples(st.sampled_from(REAL), st.sampled_from(REAL)),
    layout=LAYOUTS,
)
def test_the_gradient_of_a_broadcast_operand_is_the_explicit_sum(
    backend, name, shapes, dtypes, layout
):
    np = backend.numpy
    args = [
        laid_out(numbers(shape, dtype, i), layout)
        for i, (shape, dtype) in enumerate(zip(shapes.input_shapes, dtypes, strict=True))
    ]

    def gradients(args):
        out, pull = vjp(lambda x, y: SMOOTH[name](np, x, y), *map(backend.put, args))
        w = numbers(out.shape, out.dtype, 5)
        return [backend.fetch(g) for g in pull(backend.put(w))]

    whole = gradients([numpy.broadcast_to(x, shapes.result_shape).copy() for x in args])
    for x, found, wide in zip(args, gradients(args), whole, strict=True):
        extra = wide.ndim - x.ndim
        ones = tuple(i + extra for i, n in enumerate(x.shape) if n == 1)
        right = wide.sum(axis=(*range(extra), *ones), keepdims=True).reshape(x.shape)
        assert found.shape == x.shape
        assert found.dtype == x.dtype
        close(found, right, 1 + abs(wide).sum())
    transposed(lambda x, y: SMOOTH[name](np, x, y), args, backend)


# ----- reading and writing elements ---------------------------------------------------------------


def added_at(shape, index, g):
    """Return zeros with `g` added at an index."""
    made = numpy.zeros(shape, g.dtype)
    numpy.add.at(made, index, g)
    return made


@st.composite
def places(draw):
    """Draw an array, and an index into it."""
    x = draw(arrays(dtypes=("float64", "float32", "complex128")))
    return x, draw(indices(x.shape))


@given(drawn=places())
def test_the_gradient_of_indexing_is_added_at_the_index(backend, drawn):
    x, index = drawn
    wanted = x[index]
    found, pull = vjp(lambda x: x[index], backend.put(x))
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    numpy.testing.assert_array_equal(backend.fetch(found), wanted)
    w = numbers(wanted.shape, x.dtype, 3)
    (g,) = pull(backend.put(w))
    assert g.shape == x.shape
    assert g.dtype == x.dtype
    close(backend.fetch(g), added_at(x.shape, index, w), 1)
    transposed(lambda x: x[index] * x[index], [x], backend)


@st.composite
def broadcasting_to(draw, shape):
    """Draw a shape that broadcasts to `shape`, as the value of an assignment does."""
    kept = [n if draw(st.integers(0, 3)) else 1 for n in shape]
    if draw(st.booleans()):
        return (*draw(st.lists(st.just(1), max_size=2)), *kept)
    return tuple(kept[draw(st.integers(0, len(kept))) :])


@given(drawn=places(), data=st.data())
def test_assignment_is_a_function_of_the_array_and_of_what_is_written(backend, drawn, data):
    x, index = drawn
    taken = numpy.zeros(x.shape)[index].shape
    y = numbers(data.draw(broadcasting_to(taken)), x.dtype, 4)
    if backend.backend.device != "cpu":
        # Of repeated writes any may win there.
        assume((added_at(x.shape, index, numpy.ones(taken)) <= 1).all())

    def write(x, y):
        made = backend.numpy.array(x)
        made[index] = y
        return made

    wanted = numpy.array(x)
    try:
        wanted[index] = y
    except (TypeError, ValueError) as error:
        if backend.backend.device != "cpu":
            return  # CuPy takes more there than NumPy
        with pytest.raises(type(error)):
            write(backend.put(x), Tensor(backend.put(y)))
        return
    # Which element of y stands where, by writing their numbers.
    number = numpy.full(x.shape, -1)
    number[index] = numpy.arange(y.size).reshape(y.shape)
    out, pull = vjp(write, backend.put(x), backend.put(y))
    numpy.testing.assert_array_equal(backend.fetch(out), wanted)
    w = numbers(x.shape, x.dtype, 6)
    gx, gy = map(backend.fetch, pull(backend.put(w)))
    close(gx, numpy.where(number < 0, w, 0))
    right = numpy.zeros(y.size, w.dtype)
    numpy.add.at(right, number[number >= 0], w[number >= 0])
    assert gy.shape == y.shape
    assert gy.dtype == y.dtype
    close(gy, right.reshape(y.shape), 4)
    transposed(write, [x, y], backend)


@given(drawn=places())
def test_augmented_assignment_reads_and_writes(backend, drawn):
    x, index = drawn
    taken = numpy.zeros(x.shape)[index].shape
    assume((added_at(x.shape, index, numpy.ones(taken)) <= 1).all())
    y = numbers(taken, x.dtype, 4)

    def write(x, y):
        made = backend.numpy.array(x)
        made[index] *= y
        made[index] += y
        made *= 2.0
        return made

    right = numpy.array(x)
    right[index] = right[index] * y + y
    found = write(Tensor(backend.put(x)), Tensor(backend.put(y)))
    close(backend.fetch(found), right * 2, 1)
    transposed(write, [x, y], backend)


# ----- there and back -----------------------------------------------------------------------------


@given(x=arrays(), data=st.data())
def test_taking_apart_and_putting_together_changes_nothing(backend, x, data):
    np = backend.numpy
    axes = data.draw(st.permutations(range(x.ndim)))
    back = [int(i) for i in numpy.argsort(axes)]
    trips = {
        "reshape": lambda t: np.reshape(np.ravel(t), x.shape),
        "transpose": lambda t: np.transpose(np.transpose(t, axes), back),
        "flip": lambda t: np.flip(np.flip(t)),
        "expand_dims": lambda t: np.squeeze(np.expand_dims(t, 0), 0),
        "stack": lambda t: np.stack([t, t])[0],
        "copy": lambda t: np.array(t),
        "parts": lambda t: np.real(t) + 1j * np.imag(t) if x.dtype.kind == "c" else t + 0,
    }
    if x.ndim:
        axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
        cut = data.draw(st.integers(0, x.shape[axis]))
        trips |= {
            "split": lambda t: np.concatenate(np.split(t, [cut], axis=axis), axis=axis),
            "moveaxis": lambda t: np.moveaxis(np.moveaxis(t, axis, 0), 0, axis),
            "roll": lambda t: np.roll(np.roll(t, cut, axis), -cut, axis),
            "pad": lambda t: np.pad(t, 1)[(slice(1, -1),) * x.ndim],
            "rows": lambda t: np.array(list(t)) if len(x) else t[:],
        }
    name = data.draw(st.sampled_from(sorted(trips)))
    out, pull = vjp(trips[name], backend.put(x))
    assert out.dtype == x.dtype
    numpy.testing.assert_array_equal(backend.fetch(out), x)
    w = numbers(x.shape, x.dtype, 3)
    (g,) = pull(backend.put(w))
    assert g.dtype == x.dtype
    close(backend.fetch(g), w)


@given(
    shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
    dtype=st.sampled_from(REAL),
    layout=LAYOUTS,
    data=st.data(),
)
def test_the_gradient_of_sorting_goes_where_the_elements_came_from(
    backend, shape, dtype, layout, data
):
    np = backend.numpy
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = laid_out(
        numbers(shape, dtype, data.draw(SEEDS)), "plain" if layout == "repeated" else layout
    )
    order = numpy.argsort(x, axis=axis)
    out, pull = vjp(lambda x: np.sort(x, axis=axis), backend.put(x))
    numpy.testing.assert_array_equal(backend.fetch(out), numpy.sort(x, axis=axis))
    w = numbers(shape, dtype, 3)
    (g,) = pull(backend.put(w))
    right = numpy.zeros(shape, dtype)
    numpy.put_along_axis(right, order, w, axis)
    numpy.testing.assert_array_equal(backend.fetch(g), right)


@given(x=arrays(shapes=hnp.array_shapes(max_dims=2, max_side=5), dtypes=REAL), data=st.data())
def test_a_partition_has_the_elements_and_their_gradients(backend, x, data):
    np = backend.numpy
    kth = data.draw(st.integers(0, x.shape[-1] - 1))
    out, pull = vjp(lambda x: np.partition(x, kth), backend.put(x))
    value = backend.fetch(out)
    numpy.testing.assert_array_equal(numpy.sort(value), numpy.sort(x))
    numpy.testing.assert_array_equal(value[..., kth], numpy.sort(x)[..., kth])
    # With the values themselves as cotangents each element gets itself.
    (g,) = pull(out.value)
    numpy.testing.assert_array_equal(backend.fetch(g), x)


# ----- products -----------------------------------------------------------------------------------

PRODUCTS = "matmul dot inner outer kron tensordot".split()


@given(
    name=st.sampled_from(PRODUCTS),
    shapes=hnp.mutually_broadcastable_shapes(
        signature="(m?,n),(n,p?)->(m?,p?)", max_dims=2, max_side=3, min_side=0
    ),
    dtypes=st.tuples(st.sampled_from(INEXACT), st.sampled_from(INEXACT)),
    layout=LAYOUTS,
    flip=st.booleans(),
)
def test_products_of_any_shapes(backend, name, shapes, dtypes, layout, flip):
    np = backend.numpy
    args = [
        laid_out(numbers(shape, dtype, i), layout)
        for i, (shape, dtype) in enumerate(zip(shapes.input_shapes, dtypes, strict=True))
    ]
    options = {"axes": 1} if name == "tensordot" else {}
    if flip:
        args.reverse()
    try:
        wanted = getattr(numpy, name)(*args, **options)
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            getattr(np, name)(*(Tensor(backend.put(x)) for x in args), **options)
        return
    found = getattr(np, name)(*(Tensor(backend.put(x)) for x in args), **options)
    value = backend.fetch(found)
    assert value.shape == wanted.shape
    assert value.dtype == wanted.dtype
    close(value, wanted, 10)
    transposed(lambda x, y: getattr(np, name)(x, y, **options), args, backend)


def einsum_by_loops(text, operands, lengths, g):
    """Return the value of an einsum, and the gradient of each operand, element by element."""
    terms, out = text.split("->")
    terms = terms.split(",")
    labels = sorted(lengths)
    value = numpy.zeros([lengths[label] for label in out])
    gradients = [numpy.zeros(x.shape) for x in operands]
    for numbers_ in numpy.ndindex(*(lengths[label] for label in labels)):
        at = dict(zip(labels, numbers_, strict=True))
        here = [tuple(at[label] for label in term) for term in terms]
        factors = [x[i] for x, i in zip(operands, here, strict=True)]
        there = tuple(at[label] for label in out)
        value[there] += numpy.prod(factors)
        for k, gradient in enumerate(gradients):
            others = numpy.prod([f for j, f in enumerate(factors) if j != k])
            gradient[here[k]] += g[there] * others
    return value, gradients


@given(drawn=subscripts(), optimize=st.sampled_from([False, True, "greedy"]))
def test_einsum_is_its_loops(backend, drawn, optimize):
    text, shapes = drawn
    operands = [numbers(shape, "float64", i) for i, shape in enumerate(shapes)]
    terms, out = text.split("->")
    lengths = {
        label: n
        for term, shape in zip(terms.split(","), shapes, strict=True)
        for label, n in zip(term, shape, strict=True)
    }
    g = numbers(tuple(lengths[label] for label in out), "float64", 9)
    value, gradients = einsum_by_loops(text, operands, lengths, g)

    def f(*xs):
        return backend.numpy.einsum(text, *xs, optimize=optimize)

    found, pull = vjp(f, *map(backend.put, operands))
    close(backend.fetch(found), value, 10)
    for mine, right in zip(pull(backend.put(g)), gradients, strict=True):
        close(backend.fetch(mine), right, 10)
    transposed(f, operands, backend)


# ----- joints -------------------------------------------------------------------------------------


@given(
    shape=hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3),
    counts=st.lists(st.integers(0, 3), min_size=1, max_size=4),
    dtypes=st.lists(st.sampled_from(INEXACT), min_size=4, max_size=4),
    layout=LAYOUTS,
    data=st.data(),
)
def test_a_concatenation_cuts_the_cotangent(backend, shape, counts, dtypes, layout, data):
    np = backend.numpy
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    args = []
    for i, (n, dtype) in enumerate(zip(counts, dtypes, strict=False)):
        dims = list(shape)
        dims[axis or 0] = n
        args.append(laid_out(numbers(tuple(dims), dtype, i), layout))
    out, pull = vjp(lambda *xs: np.concatenate(xs, axis=axis), *map(backend.put, args))
    wanted = numpy.concatenate(args, axis=axis)
    assert out.dtype == wanted.dtype
    numpy.testing.assert_array_equal(backend.fetch(out), wanted)
    w = numbers(out.shape, out.dtype, 9)
    cuts = numpy.cumsum([x.size if axis is None else x.shape[axis] for x in args])[:-1]
    parts = numpy.split(w, cuts, axis=0 if axis is None else axis)
    for x, g, part in zip(args, pull(backend.put(w)), parts, strict=True):
        part = part if x.dtype.kind == "c" else part.real
        assert g.dtype == x.dtype
        close(backend.fetch(g), part.reshape(x.shape).astype(x.dtype))


@given(shape=SHAPES, count=st.integers(1, 3), data=st.data())
def test_a_stack_gives_each_its_own(backend, shape, count, data):
    np = backend.numpy
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    args = [numbers(shape, "float64", i) for i in range(count)]
    out, pull = vjp(lambda *xs: np.stack(xs, axis=axis), *map(backend.put, args))
    numpy.testing.assert_array_equal(backend.fetch(out), numpy.stack(args, axis=axis))
    w = numbers(out.shape, "float64", 9)
    for i, g in enumerate(pull(backend.put(w))):
        numpy.testing.assert_array_equal(backend.fetch(g), numpy.take(w, i, axis))
