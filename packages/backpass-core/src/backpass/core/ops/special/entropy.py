"""Products with a logarithm in which 0 * log(0) is 0: entropies and divergences."""

from __future__ import annotations

from backpass.core.arity import binary, unary
from backpass.core.ops.elementwise import log, log1p, zero_multiply
from backpass.core.rules import elementwise

_SPECIAL = "scipy.special"

xlogy = binary(
    "xlogy",
    "x * log(y), 0 where x is 0; derivatives log(y) and x / y, 0 where x is 0.",
    module=_SPECIAL,
)
xlog1py = binary(
    "xlog1py",
    "x * log(1 + y), 0 where x is 0; derivatives log1p(y) and x / (1 + y), 0 where x is 0.",
    module=_SPECIAL,
)
entr = unary(
    "entr", "-x * log(x), 0 at 0; its derivative is -log(x) - 1, infinite at 0.", module=_SPECIAL
)
rel_entr = binary(
    "rel_entr",
    "x * log(x / y), 0 where x is 0; derivatives log(x / y) + 1 and -x / y, 0 where x is 0.",
    module=_SPECIAL,
)
kl_div = binary(
    "kl_div",
    "x * log(x / y) - x + y; derivatives log(x / y) and 1 - x / y, 1 where x is 0.",
    module=_SPECIAL,
)

elementwise(xlogy, lambda y: log.op(y), lambda x, y: zero_multiply.op(x, 1 / y))
elementwise(xlog1py, lambda y: log1p.op(y), lambda x, y: zero_multiply.op(x, 1 / (1 + y)))
elementwise(entr, lambda x: -log.op(x) - 1)
elementwise(
    rel_entr,
    lambda x, y: log.op(x) - log.op(y) + 1,
    lambda x, y: -zero_multiply.op(x, 1 / y),
)
elementwise(
    kl_div,
    lambda x, y: log.op(x) - log.op(y),
    lambda x, y: 1 - zero_multiply.op(x, 1 / y),
)
