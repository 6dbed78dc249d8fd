"""Every differentiable public function, one family a file, and the names that have no gradient."""

from ..cases import Case
from . import (
    applying,
    assembling,
    choosing,
    cleaning,
    convolution,
    creation,
    cumulative,
    differences,
    editing,
    elementwise,
    fft,
    incomplete,
    indexing,
    integrate,
    interpolation,
    linalg,
    linear,
    nan_reductions,
    network,
    optimize,
    padding,
    picking,
    polynomials,
    quadrature,
    quantiles,
    reductions,
    sampled_integrals,
    scipy_linalg,
    shaping,
    signal,
    sorting,
    special,
    statistics,
    stats,
    writing,
)

FAMILIES = (
    elementwise,
    choosing,
    quadrature,
    reductions,
    sampled_integrals,
    shaping,
    indexing,
    linear,
    nan_reductions,
    creation,
    cumulative,
    sorting,
    statistics,
    differences,
    padding,
    polynomials,
    quantiles,
    cleaning,
    convolution,
    assembling,
    picking,
    writing,
    editing,
    applying,
    interpolation,
    special,
    fft,
    signal,
    integrate,
    optimize,
    linalg,
    scipy_linalg,
    incomplete,
    stats,
    *network.FAMILIES,
)
CASES: list[Case] = [case for family in FAMILIES for case in family.CASES]
#: What stands for the library in the modules that mirror none.
REFERENCES = {network.MODULE: network.REFERENCES}
#: Names of the other modules whose results are never tracked, by the module.
NO_GRADIENT: dict[str, frozenset[str]] = {}
for _family in FAMILIES:
    for _module, _names in getattr(_family, "NO_GRADIENT", {}).items():
        NO_GRADIENT[_module] = NO_GRADIENT.get(_module, frozenset()) | frozenset(_names.split())

#: Names of `backpass.numpy` whose results are never tracked, by the reason for it.
WITHOUT_GRADIENT: dict[str, frozenset[str]] = {
    "its derivative is 0, or its result is no number": frozenset(
        """
        all any argmax argmin argpartition argsort around bitwise_and bitwise_count bitwise_invert
        bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil count_nonzero
        digitize equal fix floor floor_divide gcd greater greater_equal invert iscomplex isfinite
        isin isinf isnan isneginf isposinf isreal lcm left_shift less less_equal lexsort logical_and
        logical_not logical_or logical_xor nanargmax nanargmin not_equal packbits right_shift rint
        round searchsorted sign signbit trunc unpackbits
        """.split()
    ),
    "a question about an array": frozenset(
        """
        __array_namespace_info__
        allclose argwhere array_equal array_equiv base_repr binary_repr broadcast_shapes can_cast
        common_type diag_indices_from flatnonzero isclose iscomplexobj isdtype isfortran isrealobj
        isscalar issubdtype ix_ may_share_memory min_scalar_type ndim nonzero promote_types
        ravel_multi_index result_type shape shares_memory size tril_indices_from triu_indices_from
        unravel_index
        """.split()
    ),
    "made of numbers that carry no gradient": frozenset(
        """
        arange diag_indices empty empty_like eye from_dlpack identity indices ones ones_like tri
        tril_indices triu_indices zeros zeros_like
        """.split()
    ),
    "a setting of NumPy's": frozenset(
        """
        get_printoptions geterr geterrcall printoptions set_printoptions seterr seterrcall
        """.split()
    ),
    "something to index, or an index": frozenset("index_exp mgrid ogrid s_".split()),
    "a type, a constant, a module": frozenset(
        """
        False_ ScalarType True_ bool bool_ byte cdouble clongdouble complex128 complex64
        complexfloating csingle double dtype e errstate euler_gamma exceptions fft finfo float16
        float32 float64 floating generic half iinfo inexact inf int16 int32 int64 int8 int_ intc
        integer intp linalg long longdouble longlong nan ndarray ndindex newaxis number pi random
        short signedinteger single ubyte uint uint16 uint32 uint64 uint8 uintc uintp ulong ulonglong
        unsignedinteger ushort
        """.split()
    ),
}
