"""The momentum update against its formula, and what it must refuse untouched."""

import numpy as np
import pytest

from backpass.cpu import KERNELS

KEYWORDS = dict(learning_rate=0.1, momentum=0.9)
update = KERNELS["momentum_update"]


def leaves(dtype, shapes=((3, 5), (1000,), (1,), (0,), (40, 41))):
    rng = np.random.default_rng(0)
    return [[rng.normal(size=shape).astype(dtype) for shape in shapes] for _ in range(3)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values(dtype):
    weights, velocities, gradients = leaves(dtype)
    old = [[a.astype(np.float64) for a in arrays] for arrays in (weights, velocities, gradients)]
    for arrays in (weights, velocities):
        for a in arrays:
            a.flags.writeable = True
    assert update(*weights, *velocities, *gradients, **KEYWORDS) is None
    for w, v, g, w0, v0, g0 in zip(weights, velocities, gradients, *old, strict=True):
        expected = 0.9 * v0 + (1 - 0.9) * g0
        eps = np.finfo(dtype).eps
        np.testing.assert_allclose(v, expected, rtol=4 * eps, atol=4 * eps)
        np.testing.assert_allclose(w, w0 - 0.1 * expected, rtol=4 * eps, atol=4 * eps)
        np.testing.assert_array_equal(g, g0)


def test_a_gradient_may_serve_twice():
    (w, u), (v, r), (g, _) = leaves(np.float32, ((7,), (7,)))
    assert update(w, u, v, r, g, g, **KEYWORDS) is None


def read_only(a):
    a.flags.writeable = False
    return a


def test_refused_untouched():
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
        assert update(*arrays, **KEYWORDS) is NotImplemented
    assert update(w, v, g, learning_rate=0.1) is NotImplemented
    assert update(w, v, g) is NotImplemented
    assert update(w, v, g, learning_rate=0.1, momentum=0.9, nesterov=True) is NotImplemented
    assert update(w, v, g, learning_rate="x", momentum=0.9) is NotImplemented
    assert update(w, v, g, learning_rate=g, momentum=0.9) is NotImplemented
    for a, b in zip((w, v, g), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_numpy_scalars_as_rates():
    (w,), (v,), (g,) = leaves(np.float32, ((4,),))
    assert update(w, v, g, learning_rate=np.float64(0.1), momentum=np.float32(0.5)) is None
