"""Kernels of functions of single elements and of their rules: one launch each.

A function is written in CUDA C++ in `formulas.FUNCTIONS`; a rule is the formula that its own
declaration gives (`rules.expression`), times the cotangent, with the strong zero.  What is loaded
is known when a kernel is compiled: the types, and whether an operand is an array, one element for
all, or a number; and where all arrays lie alike, no index is computed but the plain one.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy

from backpass.core.primitive import Primitive
from backpass.core.rules import expression
from backpass.core.signatures import parameters
from backpass.cupy.formulas import (
    COMPUTED,
    QUESTIONS,
    SIZES,
    STORED,
    call,
    kept,
    loaded,
    prelude,
    statements,
)
from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import ndarray
from backpass.cupy.plans import Plans
from backpass.cupy.strides import NARROW, Strides, walk

#: So many axes of different steps at most: more are left to CuPy.
AXES = 6
#: A thread loads and stores so many bytes at once.
WIDTH = 16
#: The types of NumPy's numbers, which count as those of arrays; Python's take the array's.
_NUMBERS = {int: "", float: "", numpy.float16: "e", numpy.float32: "f", numpy.float64: "d"}


class Program(NamedTuple):
    """What is computed of each element.

    Attributes
    ----------
    operands
        The names of the operands.
    lines
        `lines(computed)` gives the statements that compute `d`, in single (`"f"`) or in double
        precision (`"d"`).
    result
        The character of the result's type, if it is not that of the operands.
    conditions
        How many of the operands, from the first on, are arrays of truth values.
    halves
        Whether the result of halves is one: SciPy's functions give double precision.
    """

    operands: tuple[str, ...]
    lines: Callable[[str], Sequence[str]]
    result: str = ""
    conditions: int = 0
    halves: bool = True


class Plan(NamedTuple):
    """How to compute with operands of certain types and layouts.

    Attributes
    ----------
    kernel
        What to launch; `None` if there is nothing to compute.
    blocks
        How many blocks of threads.
    shape, dtype, order
        Of the result.
    tail
        The last arguments: the number of elements, and the strides.
    numbers
        Whether there are numbers among the operands.
    """

    kernel: Kernel | None
    blocks: int
    shape: tuple[int, ...]
    dtype: Any
    order: str
    tail: tuple[Any, ...]
    numbers: bool


class Elementwise:
    """A kernel of the table: called with arrays and numbers, it gives an array.

    Parameters
    ----------
    name
        The name of the primitive, or of its rule.
    program
        Tells what it computes; asked when it is first called.
    """

    __slots__ = ("_kernels", "_plans", "_program", "name")

    def __init__(self, name: str, program: Callable[[], Program]) -> None:
        self.name = name
        self._program = functools.cache(program)
        self._kernels: dict[Any, Kernel] = {}
        self._plans = Plans()

    def __repr__(self) -> str:
        return f"<elementwise CUDA kernel {self.name}>"

    def __call__(self, *xs: Any) -> Any:
        """Compute; `NotImplemented` for what is left to CuPy, or to the rule."""
        key: list[Any] = []
        for x in xs:
            if type(x) is ndarray:
                key += (x.dtype, x.shape, x._c_contiguous or x.strides)
            else:
                key.append(type(x))
        found = tuple(key)
        try:
            plan = self._plans[found]
        except KeyError:
            plan = self._plans.keep(found, self._plan(xs))
        if plan is None:
            return NotImplemented
        kernel, blocks, shape, dtype, order, tail, numbers = plan
        if numbers:
            try:
                xs = tuple([x if type(x) is ndarray else float(x) for x in xs])
            except OverflowError:
                return NotImplemented
        ans = ndarray(shape, dtype, None, None, order)
        if kernel is not None:
            kernel.launch(blocks, THREADS, (*xs, ans, *tail))
        return ans

    def _plan(self, xs: Sequence[Any]) -> Plan | None:
        """Return the plan for operands like these; `None` for what is left to others."""
        program = self._program()
        types = [x.dtype.char if type(x) is ndarray else _NUMBERS.get(type(x)) for x in xs]
        arrays = [x for x in xs if type(x) is ndarray]
        first = program.conditions
        strong = [t for t in types[first:] if t != ""]
        if (
            len(xs) != len(program.operands)
            or not arrays
            or not strong
            or types[:first] != ["?"] * first
            or not set(strong) <= COMPUTED.keys()
            or (not program.halves and ("e" in strong or "E" in strong))
        ):
            return None
        try:
            shape = numpy.broadcast_shapes(*[x.shape for x in arrays])
        except ValueError:
            return None
        try:
            dtype = numpy.result_type(
                *[
                    x.dtype if type(x) is ndarray else type(x)
                    for x in xs[first:]
                    if type(x) not in (int, float)
                ]
            )
        except TypeError:  # bfloat16 beside float16
            return None
        result = numpy.dtype(program.result or dtype)
        size, numbers = math.prod(shape), len(arrays) < len(xs)
        if not size:
            return Plan(None, 0, shape, result, "C", (), numbers)
        kinds = [_kind(x, shape) for x in xs]
        whole = [x for x, kind in zip(xs, kinds) if kind == "whole"]
        order, strides = "C", None
        if "strided" in kinds or not all(x._c_contiguous for x in whole):
            if "strided" not in kinds and all(x._f_contiguous for x in whole):
                order = "F"
            else:
                kinds = ["strided" if kind == "whole" else kind for kind in kinds]
                strides = walk(shape, [x for x, k in zip(xs, kinds) if k == "strided"])
                if len(strides.lengths) > AXES:
                    return None
        source = Source(
            program.operands,
            tuple([t or "d" for t in types]),
            tuple(kinds),
            "d" if dtype.char == "d" else "f",
            result.char,
            0 if strides is None else len(strides.lengths),
            size >= NARROW,
        )
        kernel = self._kernels.get(source)
        if kernel is None:
            name = "backpass_" + self.name.replace(".", "_")
            text = source.text(name, program.lines(source.computed), strides)
            kernel = self._kernels[source] = Kernel(name, text)
        blocks = -(-size // (THREADS * source.pack))
        tail = (size,) if strides is None else (size, strides.packed())
        return Plan(kernel, blocks, shape, result, order, tail, numbers)


def _kind(x: Any, shape: tuple[int, ...]) -> str:
    """Return how an operand is read: a number, one element for all, every element, by strides."""
    if type(x) is not ndarray:
        return "number"
    if all(n == 1 or not step for n, step in zip(x.shape, x.strides)):
        return "single"
    return "whole" if x.shape == shape and (x._c_contiguous or x._f_contiguous) else "strided"


class Source(NamedTuple):
    """What a kernel's text depends on, besides what it computes.

    Attributes
    ----------
    operands, types, kinds
        Their names, the characters of their types, and how they are read: `_kind`.
    computed, stored
        The characters of the type in which is computed, and of the result's.
    axes
        How many axes there are to walk; 0 where all lie alike.
    wide
        Whether elements are counted in 64 bits.
    """

    operands: tuple[str, ...]
    types: tuple[str, ...]
    kinds: tuple[str, ...]
    computed: str
    stored: str
    axes: int
    wide: bool

    @property
    def pack(self) -> int:
        """Return how many elements a thread computes: together they are loaded at once."""
        if self.axes:
            return 1
        read = [t for t, kind in zip(self.types, self.kinds) if kind == "whole"]
        return WIDTH // max(SIZES[t] for t in (*read, self.stored))

    def text(self, name: str, lines: Sequence[str], strides: Strides | None) -> str:
        """Return the kernel's text; `lines` compute `d` of the operands."""
        signature = ", ".join(f"T {x}" for x in self.operands)
        compute = "\n    ".join(
            [
                f"__device__ __forceinline__ {STORED[self.stored]} compute({signature}) {{",
                *lines,
                f"return {kept('d', self.stored)};",
            ]
        )
        given = [
            f"double {x}_" if kind == "number" else f"const {STORED[t]}* __restrict__ {x}_"
            for x, t, kind in zip(self.operands, self.types, self.kinds)
        ]
        given.append(f"{STORED[self.stored]}* __restrict__ out_")
        given.append("long long n")
        body = self._together() if strides is None else self._by_strides(strides)
        if strides is not None:
            given.append("Strides by")
        return f"""{prelude(self.computed, "".join((*self.types, self.stored)), compute)}
{compute}
}}

{strides.struct if strides is not None else self._packs()}

extern "C" __global__ void {name}({", ".join(given)}) {{
{body}
}}
"""

    def _element(self, x: str, index: str) -> str:
        """Return the expression of an operand's element."""
        kind, stored = self.kinds[self.operands.index(x)], self.types[self.operands.index(x)]
        if kind == "number":
            return f"T({x}_)"
        return loaded(f"{x}_[{'0' if kind == 'single' else index}]", stored)

    def _call(self, element: Callable[[str], str]) -> str:
        return f"compute({', '.join(map(element, self.operands))})"

    def _packs(self) -> str:
        read = [t for t, kind in zip(self.types, self.kinds) if kind == "whole"]
        return "\n".join(
            f"struct alignas({SIZES[t] * self.pack}) {_pack(t)} {{ {STORED[t]} v[{self.pack}]; }};"
            for t in sorted({*read, self.stored})
        )

    def _together(self) -> str:
        """Return the body where all arrays lie alike: a pack of elements for a thread."""
        read = [
            (x, t) for x, t, kind in zip(self.operands, self.types, self.kinds) if kind == "whole"
        ]
        pointers = [*read, ("out", self.stored)]
        aligned = " && ".join(f"(size_t){x}_ % sizeof({_pack(t)}) == 0" for x, t in pointers)
        loads = "\n".join(
            f"        const {_pack(t)} {x}_pack = *(const {_pack(t)}*)({x}_ + first);"
            for x, t in read
        )
        types = dict(read)
        packed = self._call(
            lambda x: loaded(f"{x}_pack.v[k]", types[x]) if x in types else self._element(x, "0")
        )
        return f"""    const long long thread = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const long long first = thread * {self.pack};
    if (first + {self.pack} <= n && {aligned}) {{
{loads}
        {_pack(self.stored)} pack;
        #pragma unroll
        for (int k = 0; k < {self.pack}; ++k) pack.v[k] = {packed};
        *({_pack(self.stored)}*)(out_ + first) = pack;
    }} else {{
        for (long long i = first; i < n && i < first + {self.pack}; ++i) {{
            out_[i] = {self._call(lambda x: self._element(x, "i"))};
        }}
    }}"""

    def _by_strides(self, strides: Strides) -> str:
        """Return the body where arrays lie differently: an element for a thread."""
        index = "unsigned long long" if self.wide else "unsigned int"
        read = [x for x, kind in zip(self.operands, self.kinds) if kind == "strided"]
        last = len(strides.lengths) - 1
        starts = "\n".join(f"    long long {x}_at = 0;" for x in read)
        steps = "\n".join(
            f"        {x}_at += (long long)place * by.steps[{k}][axis];" for k, x in enumerate(read)
        )
        ends = "\n".join(
            f"    {x}_at += (long long)rest * by.steps[{k}][0];" for k, x in enumerate(read)
        )
        return f"""    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    {index} rest = ({index})i;
{starts}
    #pragma unroll
    for (int axis = {last}; axis > 0; --axis) {{
        const {index} length = ({index})by.lengths[axis];
        const {index} next = rest / length;
        const {index} place = rest - next * length;
        rest = next;
{steps}
    }}
{ends}
    out_[i] = {self._call(lambda x: self._element(x, f"{x}_at"))};"""


def _pack(stored: str) -> str:
    """Return the name of the struct of as many numbers as are loaded at once."""
    return f"Pack_of_{STORED[stored].strip('_')}"


# ----- the table ---------------------------------------------------------------------------------

_ELEMENTWISE = "backpass.core.ops.elementwise"
_SPECIAL = "backpass.core.ops.special"
_STATS = "backpass.core.ops.stats"
#: Functions that CUDA computes as well as CuPy does.
_UNARY = (
    "negative reciprocal square sqrt cbrt absolute fabs sign floor ceil trunc rint exp exp2 expm1 "
    "log log2 log10 log1p expit sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh "
    "arctanh deg2rad rad2deg isnan isinf isfinite"
)
_BINARY = (
    "add subtract multiply divide power fmod hypot zero_multiply zero_product logaddexp logaddexp2 "
    "arctan2 maximum minimum fmax fmin equal not_equal less less_equal greater greater_equal"
)
_OF_SCIPY = frozenset({"expit"})
#: Rules, by the module that declares them.
_RULES = {
    _ELEMENTWISE: (
        "reciprocal.vjp square.vjp sqrt.vjp cbrt.vjp absolute.vjp fabs.vjp exp.vjp exp2.vjp "
        "expm1.vjp log.vjp log2.vjp log10.vjp log1p.vjp expit.vjp sin.vjp cos.vjp tan.vjp "
        "arcsin.vjp arccos.vjp arctan.vjp sinh.vjp cosh.vjp tanh.vjp arcsinh.vjp arccosh.vjp "
        "arctanh.vjp deg2rad.vjp rad2deg.vjp multiply.vjp0 multiply.vjp1 divide.vjp0 divide.vjp1 "
        "power.vjp0 power.vjp1 float_power.vjp0 float_power.vjp1 fmod.vjp0 fmod.vjp1 hypot.vjp0 "
        "hypot.vjp1 logaddexp.vjp0 logaddexp.vjp1 logaddexp2.vjp0 logaddexp2.vjp1 arctan2.vjp0 "
        "arctan2.vjp1 maximum.vjp0 maximum.vjp1 minimum.vjp0 minimum.vjp1 fmax.vjp0 fmax.vjp1 "
        "fmin.vjp0 fmin.vjp1"
    ),
    f"{_SPECIAL}.bessel": "j0.vjp i0.vjp y0.vjp",
    f"{_SPECIAL}.convenience": "exp10.vjp cosm1.vjp",
    f"{_SPECIAL}.entropy": (
        "xlogy.vjp0 xlogy.vjp1 xlog1py.vjp0 xlog1py.vjp1 entr.vjp rel_entr.vjp0 rel_entr.vjp1 "
        "kl_div.vjp0 kl_div.vjp1"
    ),
    f"{_SPECIAL}.error": "erf.vjp erfc.vjp erfinv.vjp erfcinv.vjp",
    f"{_SPECIAL}.gamma": "gamma.vjp gammaln.vjp",
    f"{_SPECIAL}.logistic": "logit.vjp log_expit.vjp",
    f"{_SPECIAL}.losses": "huber.vjp0 huber.vjp1 pseudo_huber.vjp0 pseudo_huber.vjp1",
    f"{_SPECIAL}.normal": "ndtr.vjp ndtri.vjp",
    f"{_STATS}.beta": "beta_logpdf.vjp0 beta_logpdf.vjp1 beta_logpdf.vjp2 beta_logpdf.vjp3 "
    "beta_logpdf.vjp4",
    f"{_STATS}.gamma": "gamma_logpdf.vjp0 gamma_logpdf.vjp1 gamma_logpdf.vjp2 gamma_logpdf.vjp3",
    f"{_STATS}.norm": "norm_pdf.vjp0 norm_pdf.vjp1 norm_pdf.vjp2 norm_logpdf.vjp0 "
    "norm_logpdf.vjp1 norm_logpdf.vjp2",
    f"{_STATS}.student": "t_logpdf.vjp0 t_logpdf.vjp2 t_logpdf.vjp3 t_pdf.vjp0 t_pdf.vjp2 "
    "t_pdf.vjp3",
}


def _function(name: str, operands: Sequence[str], conditions: int = 0) -> Elementwise:
    """Return the kernel of a function in `formulas.FUNCTIONS`."""
    in_question = name in QUESTIONS
    kind = "bool" if in_question else "T"

    def program() -> Program:
        return Program(
            tuple(operands),
            lambda computed: [f"const {kind} d = {call(name, computed, *operands)};"],
            "?" if in_question else "",
            conditions,
            name not in _OF_SCIPY,
        )

    return Elementwise(name, program)


def _rule(name: str, module: str) -> Elementwise:
    """Return the kernel of a rule that `rules.elementwise` declared in a module."""
    base, _, suffix = name.partition(".")
    which = int(suffix.removeprefix("vjp") or 0)

    def program() -> Program:
        found = vars(importlib.import_module(module)).values()
        primitive = next(p for p in found if isinstance(p, Primitive) and p.name == base)
        formula, derivative = expression(primitive)[which], primitive.derivatives[which]
        assert formula is not None
        assert derivative is not None

        def lines(computed: str) -> list[str]:
            # The strong zero: that of the cotangent, or of a derivative that chooses.
            zero, factor = ("slope", "g") if primitive.selects else ("g", "slope")
            product = call("zero_multiply", computed, zero, factor)
            return [*statements(formula, computed, "slope"), f"const T d = {product};"]

        return Program(("g", *parameters(derivative).positional), lines)

    return Elementwise(name, program)


KERNELS: dict[str, Callable[..., Any]] = {
    **{name: _function(name, ("x",)) for name in _UNARY.split()},
    **{name: _function(name, ("x", "y")) for name in _BINARY.split()},
    "where": _function("where", ("c", "x", "y"), conditions=1),
    **{name: _rule(name, module) for module, names in _RULES.items() for name in names.split()},
}
