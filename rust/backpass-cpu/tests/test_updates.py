"""The optimizers' updates against their formulas, and what they must refuse untouched."""

import numpy as np
import pytest

from backpass.cpu import KERNELS

SHAPES = ((3, 5), (1000,), (1,), (0,), (40, 41), (784, 200))
#: The kernels, their keywords, and whether there are velocities.
MOMENTUM = (KERNELS["momentum_update"], dict(learning_rate=0.1, momentum=0.9), True)
PLAIN = (KERNELS["sgd_update"], dict(learning_rate=0.1), False)
both = pytest.mark.parametrize(
    ("update", "keywords", "moving"), [MOMENTUM, PLAIN], ids=["momentum", "plain"]
)


def leaves(dtype, shapes=SHAPES):
    """Weights, velocities and gradients."""
    rng = np.random.default_rng(0)
    return [[rng.normal(size=shape).astype(dtype) for shape in shapes] for _ in range(3)]


def operands(moving, w, v, g):
    """What the kernel takes of these."""
    return (*w, *v, *g) if moving else (*w, *g)


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values(dtype, update, keywords, moving):
    arrays = leaves(dtype)
    old = [[a.copy() for a in part] for part in arrays]
    assert update(*operands(moving, *arrays), **keywords) is None
    for w, v, g, w0, v0, g0 in zip(*arrays, *old, strict=True):
        # Python floats: the arithmetic is in `dtype`, and the kernel rounds where NumPy does.
        slope = 0.9 * v0 + (1 - 0.9) * g0 if moving else g0
        np.testing.assert_array_equal(v, slope if moving else v0, strict=True)
        np.testing.assert_array_equal(w, w0 - 0.1 * slope, strict=True)
        np.testing.assert_array_equal(g, g0)


@both
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_that_begin_anywhere(dtype, update, keywords, moving):
    """Unaligned parts of larger arrays give the same bits, and what lies around them stays."""
    aligned = leaves(dtype, ((9000,),))
    shifted = []
    for i, (a,) in enumerate(aligned):
        room = np.full(9100, 7, dtype)
        room[3 + i : 9003 + i] = a
        shifted.append([room[3 + i : 9003 + i]])
    update(*operands(moving, *aligned), **keywords)
    update(*operands(moving, *shifted), **keywords)
    for (a,), (b,) in zip(aligned, shifted, strict=True):
        np.testing.assert_array_equal(a, b)
        around = np.delete(b.base, np.s_[3 : 9003 + 2])
        assert (around == 7).all()


@both
def test_infinities_and_nan(update, keywords, moving):
    special = np.array([np.inf, -np.inf, np.nan, -0.0, 1e-42, 3e38], np.float32)
    w, v, g = (np.zeros(6, np.float32), np.zeros(6, np.float32), special.copy())
    with np.errstate(all="ignore"):
        expected = np.float32(0) - np.float32(0.1) * (np.float32(1 - 0.9) * g if moving else g)
    update(*operands(moving, [w], [v], [g]), **keywords)
    np.testing.assert_array_equal(w, expected)


@both
def test_a_gradient_may_serve_twice(update, keywords, moving):
    (w, u), (v, r), (g, _) = leaves(np.float32, ((7,), (7,)))
    assert update(*operands(moving, [w, u], [v, r], [g, g]), **keywords) is None


def read_only(a):
    a.flags.writeable = False
    return a


def test_momentum_refused_untouched():
    update, keywords, _ = MOMENTUM
    (w,), (v,), (g,) = leaves(np.float32, ((4, 6),))
    before = [a.copy() for a in (w, v, g)]
    calls = [
        (w, v, g.astype(np.float64)),
        (w.astype(np.float64), v, g),
        (w, v, g[:3]),
        (w, v, g.reshape(6, 4)),
        (w[:, ::2], v[:, ::2], g[:, ::2]),
        (np.asfortranarray(w), v, g),
        (read_only(w.copy()), v, g),
        (w, read_only(v.copy()), g),
        (w, w, g),
        (w, v, w),
        (w, v, v),
        (w[:2], w[1:3], g[:2]),
        (w, v, 1.0),
        (w, v),
        (w, w.copy(), v, v, g, g),
        (),
        (w.astype(int), v, g),
    ]
    for arrays in calls:
        assert update(*arrays, **keywords) is NotImplemented
    assert update(w, v, g, learning_rate=0.1) is NotImplemented
    assert update(w, v, g) is NotImplemented
    assert update(w, v, g, learning_rate=0.1, momentum=0.9, nesterov=True) is NotImplemented
    assert update(w, v, g, learning_rate="x", momentum=0.9) is NotImplemented
    assert update(w, v, g, learning_rate=g, momentum=0.9) is NotImplemented
    for a, b in zip((w, v, g), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_plain_refused_untouched():
    update, keywords, _ = PLAIN
    (w,), (g,), _ = leaves(np.float32, ((4, 6),))
    before = [a.copy() for a in (w, g)]
    calls = [
        (w, g.astype(np.float64)),
        (w, g[:3]),
        (w[:, ::2], g[:, ::2]),
        (np.asfortranarray(w), g),
        (read_only(w.copy()), g),
        (w, w),
        (w[:2], w[1:3]),
        (w, w.copy(), g),
        (w, w, g, g),
        (w, 1.0),
        (w,),
        (),
        (w.astype(int), g),
    ]
    for arrays in calls:
        assert update(*arrays, **keywords) is NotImplemented
    assert update(w, g) is NotImplemented
    assert update(w, g, learning_rate=0.1, momentum=0.9) is NotImplemented
    assert update(w, g, learning_rate="x") is NotImplemented
    assert update(w, g, learning_rate=g) is NotImplemented
    for a, b in zip((w, g), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_numpy_scalars_as_rates():
    (w,), (v,), (g,) = leaves(np.float32, ((4,),))
    momentum, plain = MOMENTUM[0], PLAIN[0]
    assert momentum(w, v, g, learning_rate=np.float64(0.1), momentum=np.float32(0.5)) is None
    assert plain(w, g, learning_rate=np.float32(0.1)) is None
