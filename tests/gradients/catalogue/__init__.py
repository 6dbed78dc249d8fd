"""Every differentiable public function, one family a file, and the names that have no gradient."""

from ..cases import Case
from . import (
    choosing,
    creation,
    elementwise,
    indexing,
    linear,
    reductions,
    shaping,
    special,
)

FAMILIES = (elementwise, choosing, reductions, shaping, indexing, linear, creation, special)
CASES: list[Case] = [case for family in FAMILIES for case in family.CASES]
#: Names of the other modules whose results are never tracked, by the module.
NO_GRADIENT: dict[str, frozenset[str]] = {}
for _family in FAMILIES:
    for _module, _names in getattr(_family, "NO_GRADIENT", {}).items():
        NO_GRADIENT[_module] = NO_GRADIENT.get(_module, frozenset()) | frozenset(_names.split())

#: Names of `backpass.numpy` whose results are never tracked, by the reason for it.
WITHOUT_GRADIENT: dict[str, frozenset[str]] = {
    "its derivative is 0, or its result is no number": frozenset(
        """
        all any argmax argmin argsort around bitwise_and bitwise_invert bitwise_left_shift
        bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil count_nonzero equal floor
        floor_divide greater greater_equal invert isfinite isinf isnan left_shift less less_equal
        logical_and logical_not logical_or logical_xor not_equal right_shift rint round sign
        signbit trunc
        """.split()
    ),
    "a question about an array": frozenset(
        """
        allclose argwhere array_equal array_equiv flatnonzero isclose iscomplexobj isrealobj
        isscalar issubdtype ndim nonzero promote_types result_type shape size
        """.split()
    ),
    "made of numbers that carry no gradient": frozenset(
        "arange empty empty_like eye identity ones ones_like tri zeros zeros_like".split()
    ),
    "a type, a constant, a module": frozenset(
        """
        bool bool_ complex128 complex64 complexfloating dtype e errstate euler_gamma finfo float16
        float32 float64 floating iinfo inexact inf int16 int32 int64 int8 integer intp nan ndarray
        newaxis number pi random uint16 uint32 uint64 uint8 unsignedinteger
        """.split()
    ),
}
