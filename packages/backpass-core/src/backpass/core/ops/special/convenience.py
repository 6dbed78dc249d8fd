"""Elementary functions that SciPy has besides those of NumPy."""

from __future__ import annotations

import math

from backpass.core.arity import unary
from backpass.core.ops.elementwise import sin
from backpass.core.rules import elementwise

_SPECIAL = "scipy.special"

exp10 = unary("exp10", "10**x; its derivative is log(10) * 10**x.", module=_SPECIAL)
cosm1 = unary("cosm1", "cos(x) - 1; its derivative is -sin(x).", module=_SPECIAL)

elementwise(exp10, lambda ans: ans * math.log(10))
elementwise(cosm1, lambda x: -sin.op(x))
