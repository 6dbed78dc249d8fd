"""Values of polynomials, and fits."""

from ..cases import Argument, Case, case

_SPREAD = Argument((5,), -2, 2)

CASES: list[Case] = [
    case("polyval", lambda np, p, x: np.polyval(p, x), (4,), (2, 3), complex=True),
    case("polyval", lambda np, p, x: np.polyval(p, x), (3,), (), label="number", complex=True),
    case("polyval", lambda np, p, x: np.polyval(p, x), (1,), (3,), label="constant"),
    case(
        "polyval",
        lambda np, x: np.polyval(np.array([2, 0, 1]), x),
        (3,),
        label="whole",
    ),
    case("polyval", lambda np, p: np.polyval(p, np.array([1, 2])), (3,), label="whole_points"),
    case("polyval", lambda np, p, x: np.polyval(p, x), (3, 2), (2,), label="rows", without="cupy"),
    case("polyfit", lambda np, x, y: np.polyfit(x, y, 2), _SPREAD, (5,)),
    case("polyfit", lambda np, x, y: np.polyfit(x, y, 1), _SPREAD, (5, 2), label="columns"),
    case(
        "polyfit",
        lambda np, x, y, w: np.polyfit(x, y, 1, w=w),
        _SPREAD,
        (5,),
        Argument((5,), 0.5, 1.5),
        label="weights",
    ),
    case(
        "polyfit",
        lambda np, x, y: np.polyfit(x, y, 1, full=True)[1],
        _SPREAD,
        (5,),
        label="residuals",
    ),
    case(
        "polyfit",
        lambda np, x, y: np.polyfit(x, y, 1, cov=True)[1],
        _SPREAD,
        (5,),
        label="covariance",
    ),
    case(
        "polyfit",
        lambda np, x, y: np.polyfit(x, y, 1, cov="unscaled"),
        _SPREAD,
        (5, 2),
        label="unscaled",
    ),
]
