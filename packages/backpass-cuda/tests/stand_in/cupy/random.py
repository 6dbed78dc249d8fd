"""NumPy's random numbers, as arrays of the device."""

import numpy

import cupy


def _drawing(function):
    def draw(*args, **kwargs):
        bare = [cupy._bare(x) for x in args]
        return cupy._wrap(numpy.asarray(function(*bare, **kwargs)))

    return draw


def _by_curand(function):
    """Let a function refuse to be captured, as cuRAND does."""
    return cupy._refusing(
        _drawing(function), "calling cuRAND API during stream capture is currently unsupported"
    )


for _name in (
    "choice normal permutation rand randint randn random standard_normal uniform"
).split():
    globals()[_name] = _by_curand(getattr(numpy.random, _name))
seed = numpy.random.seed


def shuffle(a):
    numpy.random.shuffle(a._value)  # noqa: NPY002


class Generator:
    def __init__(self, seed):
        self._generator = numpy.random.default_rng(seed)

    def __getattr__(self, name):
        return _drawing(getattr(self._generator, name))


def default_rng(seed=None):
    return Generator(seed)
