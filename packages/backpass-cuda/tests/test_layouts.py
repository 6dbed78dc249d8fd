"""The axes of rows: as few as possible, and packs only where they are aligned."""

import itertools

import numpy
import pytest

from backpass.cupy.layouts import AXES, Axis, Layout, dense_steps, layout, steps_of


def of(x, axes):
    """Return the layout of one operand."""
    return layout(x.shape, axes, [steps_of(x)])


def visited(x, axes):
    """Return what the rows of a layout visit: the elements of each, in any order."""
    found = of(x, axes)
    lengths = [[range(axis.length) for axis in part] for part in found]
    at = lambda part, places: sum(a.steps[0] * i for a, i in zip(part, places, strict=True))  # noqa: E731
    first = (x.__array_interface__["data"][0] - base(x).ctypes.data) // x.itemsize
    flat = base(x).ravel()
    return sorted(
        sorted(
            float(flat[first + at(found.kept, k) + at(found.reduced, r)])
            for r in itertools.product(*lengths[1])
        )
        for k in itertools.product(*lengths[0])
    )


def base(x):
    return x if x.base is None else base(x.base)


VIEWS = {
    "whole": lambda x: x,
    "every second": lambda x: x[:, ::2],
    "backwards": lambda x: x[::-1, :, ::-1],
    "turned": lambda x: x.transpose(2, 0, 1),
    "spread": lambda x: numpy.broadcast_to(x[:, :1], x.shape),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2), ()])
def test_the_rows_have_the_elements_that_are_reduced_together(view, axes):
    whole = numpy.empty((3, 4, 5))
    whole[...] = numpy.arange(60).reshape(whole.shape)
    x = VIEWS[view](whole)
    kept = [i for i in range(3) if i not in axes]
    rows = x.transpose(*kept, *axes).reshape(int(numpy.prod([x.shape[i] for i in kept])), -1)
    assert visited(x, axes) == sorted(sorted(map(float, row)) for row in rows)


def test_axes_that_are_passed_in_one_stride_are_one():
    x = numpy.empty((2, 3, 4, 5))
    assert of(x, (2, 3)) == ((Axis(6, (20,)),), (Axis(20, (1,)),))
    assert of(x, (0, 1)) == ((Axis(20, (1,)),), (Axis(6, (20,)),))
    assert of(x, (0, 1, 2, 3)) == ((Axis(1, (0,)),), (Axis(120, (1,)),))
    assert of(x.transpose(3, 2, 1, 0), (0, 1)) == of(x, (2, 3))


def test_axes_that_one_operand_passes_otherwise_stay():
    x, y = numpy.empty((3, 4)), numpy.empty((4, 3)).T
    found = layout((3, 4), (), [steps_of(x), steps_of(y)])
    assert found.kept == (Axis(3, (4, 1)), Axis(4, (1, 3)))


def test_too_many_axes():
    shape = (2,) * (4 * AXES)
    x = numpy.empty(shape)
    assert of(x, tuple(range(0, 2 * AXES, 2))) is not None
    assert of(x, tuple(range(0, 4 * AXES, 2))) is None


def test_what_lies_side_by_side():
    x = numpy.empty((3, 4))
    assert of(x, (0,)).neighbours_are_rows([0])
    assert not of(x, (1,)).neighbours_are_rows([0])
    assert not of(x, (0, 1)).neighbours_are_rows([0])
    assert not of(numpy.broadcast_to(0.0, (3, 4)), (0,)).neighbours_are_rows([0])


def test_packs():
    x = numpy.empty((6, 16))
    assert of(x, (1,)).packed([0], 4) == ((Axis(6, (16,)),), (Axis(4, (4,)),))
    wide = numpy.empty((6, 18))
    for odd in (wide, wide[:, :16], x[:, :14], x[:, ::2], x[:, ::-1], x.T):
        assert of(odd, (1,)).packed([0], 4) is None
    assert of(wide[::2, :16], (1,)).packed([0], 4).length == 4
    both = layout((6, 16), (1,), [steps_of(x), steps_of(wide[:, :16])])
    assert both.packed([0], 4) is not None
    assert both.packed([0, 1], 4) is None


def test_repetition():
    x = numpy.broadcast_to(numpy.empty((3, 1, 5)), (3, 4, 5))
    found, times = of(x, (1, 2)).without_repetition()
    assert (found, times) == (Layout((Axis(3, (5,)),), (Axis(5, (1,)),)), 4)
    found, times = of(x, (1,)).without_repetition()
    assert (found.length, times) == (1, 4)
    found, times = of(numpy.empty((3, 4)), (1,)).without_repetition()
    assert (found.length, times) == (4, 1)


def test_steps():
    x = numpy.empty((3, 4))
    assert steps_of(x) == dense_steps((3, 4)) == (4, 1)
    assert steps_of(numpy.asfortranarray(x)) == dense_steps((3, 4), "F") == (1, 3)
    fields = numpy.zeros(3, dtype=[("a", "f4"), ("b", "f8")])
    assert steps_of(fields["b"]) is None
