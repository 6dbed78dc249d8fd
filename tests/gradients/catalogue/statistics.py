"""Averages, ranges, covariances and correlations."""

from typing import Any

from ..cases import Argument, Case, case

_WEIGHTS = Argument((4,), 0.3, 2, real=True)
_X = Argument((3, 4))


def _cov(**keywords: Any) -> Any:
    counts = keywords.pop("fweights", None)

    def call(np: Any, x: Any, *rest: Any) -> Any:
        options = dict(keywords)
        if counts is not None:
            options["fweights"] = np.array(counts)
        if rest:
            options["aweights"] = rest[0]
        return np.cov(x, **options)

    return call


CASES: list[Case] = [
    case("average", lambda np, x: np.average(x, axis=1), (2, 3), complex=True, without="autograd"),
    case(
        "average",
        lambda np, x, w: np.average(x, weights=w, returned=True),
        (2, 3),
        Argument((2, 3), 0.3, 2),
        label="weights",
        complex=True,
        without="autograd",
    ),
    case(
        "average",
        lambda np, x, w: np.average(x, 1, w, keepdims=True),
        _X,
        _WEIGHTS,
        label="one_axis",
        complex=True,
        without="autograd",
    ),
    case(
        "average",
        lambda np, x, w: np.average(x, (2, 0), w, returned=True)[0],
        (2, 2, 3),
        Argument((3, 2), 0.3, 2),
        label="axes",
        without="autograd jax cupy",
    ),
    case("ptp", lambda np, x: np.ptp(x), (2, 3), without="autograd"),
    case(
        "ptp",
        lambda np, x: np.ptp(x, axis=(0, 2), keepdims=True),
        (2, 2, 3),
        label="axes",
        without="autograd",
    ),
    case("cov", _cov(), _X, complex=True, without="autograd"),
    case("cov", _cov(), (4,), label="1d", without="autograd"),
    case("cov", _cov(rowvar=False, bias=True), _X, label="columns", without="autograd"),
    case("cov", _cov(ddof=0, dtype="complex128"), _X, label="dtype", without="autograd jax"),
    case(
        "cov",
        lambda np, x, y: np.cov(x, y),
        _X,
        (4,),
        label="y",
        complex=True,
        without="autograd",
    ),
    case(
        "cov",
        lambda np, x, y: np.cov(x, y, rowvar=False),
        _X,
        (3, 2),
        label="columns_y",
        without="autograd",
    ),
    case("cov", _cov(fweights=[1, 2, 0, 3]), _X, label="fweights", without="autograd"),
    case("cov", _cov(), _X, _WEIGHTS, label="aweights", complex=True, without="autograd"),
    case("cov", _cov(ddof=0), _X, _WEIGHTS, label="aweights_ddof", without="autograd"),
    case(
        "cov",
        _cov(fweights=[1, 2, 1, 3], ddof=2),
        _X,
        _WEIGHTS,
        label="both_weights",
        without="autograd",
    ),
    case("corrcoef", lambda np, x: np.corrcoef(x), _X, complex=True, without="autograd"),
    case("corrcoef", lambda np, x: np.corrcoef(x), (4,), label="1d", without="autograd"),
    case(
        "corrcoef",
        lambda np, x, y: np.corrcoef(x, y, rowvar=False, dtype=np.float64),
        (4, 2),
        (4,),
        label="y",
        without="autograd jax",
    ),
]
