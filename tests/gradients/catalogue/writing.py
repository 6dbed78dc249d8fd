"""NumPy's functions that write into their argument."""

from typing import Any

from ..cases import Case, case


def _written(name: str, *before: Any, **keywords: Any) -> Any:
    """Return a call that writes y into a copy of x; `before` stands before y, lists as arrays."""

    def call(np: Any, x: Any, y: Any) -> Any:
        made = np.array(x)
        given = [np.array(a) if isinstance(a, list) else a for a in before]
        getattr(np, name)(made, *given, y, **keywords)
        return made

    return call


def _axis(axis: Any, indices: Any) -> Any:
    def call(np: Any, x: Any, y: Any) -> Any:
        made = np.array(x)
        np.put_along_axis(made, np.array(indices), y, axis)
        return made

    return call


def _where(np: Any, x: Any, y: Any) -> Any:
    made = np.array(x)
    np.copyto(made, y, where=np.array([[True], [False]]))
    return made


_MASK = [[True, False, True], [False, True, True]]
# In JAX they return a copy, HIPS autograd has none of them.
CASES: list[Case] = [
    case(name, call, *shapes, label=label, complex=not label, without=f"jax autograd {without}")
    for name, call, shapes, label, without in (
        ("put_along_axis", _axis(1, [[2, 0], [1, 0]]), ((2, 3), (2, 2)), "", ""),
        ("put_along_axis", _axis(0, [[1, -1, 0]]), ((2, 3), ()), "number", ""),
        ("put_along_axis", _axis(None, [1, 3]), ((2, 2), (2,)), "flattened", ""),
        ("put_along_axis", _axis(-1, [[1, 1]]), ((1, 2), (1, 2)), "last_write_stands", "cupy"),
        ("put", _written("put", [0, 4]), ((2, 3), (2,)), "", ""),
        ("put", _written("put", [3, -7, 1], mode="wrap"), ((3,), (3,)), "wrap", "cupy"),
        ("put", _written("put", [5, 1, 0], mode="clip"), ((4,), (2,)), "clip_and_repeat", ""),
        ("place", _written("place", _MASK), ((2, 3), (3,)), "", ""),
        ("putmask", _written("putmask", _MASK), ((2, 3), (2, 3)), "", ""),
        ("putmask", _written("putmask", _MASK), ((2, 3), (2,)), "repeat", ""),
        ("copyto", _written("copyto"), ((2, 3), (3,)), "", ""),
        ("copyto", _where, ((2, 3), (3,)), "where", ""),
        ("fill_diagonal", _written("fill_diagonal"), ((2, 3), ()), "", ""),
        ("fill_diagonal", _written("fill_diagonal", wrap=True), ((5, 2), (3,)), "wrap", ""),
        ("fill_diagonal", _written("fill_diagonal"), ((2, 2, 2), (2,)), "3d", ""),
    )
]
