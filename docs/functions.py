"""A mkdocs hook: the tables of functions, written from the primitives themselves.

A line `{{ functions backpass.numpy }}` on a page becomes a table of the public functions of that
module, with the formula of each gradient where its rule is one.
"""

import importlib
import re
from collections.abc import Iterator
from typing import Any

from backpass.core.primitive import Primitive
from backpass.core.rules import expression

_LINE = re.compile(r"^\{\{ functions ([\w.]+) \}\}$", re.MULTILINE)
_KINDS = {
    "linear": "linear: the transposed function",
    "bilinear": "bilinear: the product rule",
    "zero": "none",
    "custom": "a rule of its own",
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the tables where a page asks for them."""
    return _LINE.sub(lambda match: table(match[1]), markdown)


def table(name: str) -> str:
    """Write the table of the functions that a module exports.

    Examples
    --------
    >>> print(table("backpass.scipy.special").splitlines()[0])
    | function | what it computes | gradient |
    """
    module = importlib.import_module(name)
    rows = [row(public, found) for name in module.__all__ for public, found in named(module, name)]
    head = ["| function | what it computes | gradient |", "|---|---|---|"]
    return "\n".join([*head, *filter(None, rows)])


def named(module: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield a public name with what it stands for; the methods of a distribution one by one."""
    found = getattr(module, name)
    package = type(found).__module__
    if callable(found) or not package.startswith("backpass.core.ops.stats"):
        yield name, found
        return
    for method in dir(found):
        if not method.startswith("_"):
            yield f"{name}.{method}", getattr(found, method)


def row(public: str, found: Any) -> str:
    """Write one function's row; nothing for constants, types and modules."""
    if not callable(found) or isinstance(found, type):
        return ""
    summary = (found.__doc__ or "").strip().partition("\n")[0].replace("|", "\\|")
    if isinstance(found, Primitive):
        operands = ", ".join(found.parameters)
        return f"| `{public}({operands})` | {summary} | {gradient(found)} |"
    return f"| `{public}` | {summary} | |"


def gradient(primitive: Primitive) -> str:
    """Write a primitive's local derivatives, or say of what kind its rule is."""
    if primitive.kind != "elementwise":
        return _KINDS[primitive.kind]
    formulas = zip(primitive.parameters, expression(primitive), strict=True)
    return "; ".join(f"{x}: `{formula}`" for x, formula in formulas if formula is not None)
