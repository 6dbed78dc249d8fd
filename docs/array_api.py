"""Write array-api.md: what the array API standard names, and what there is of it here.

The standard's names are those of array-api-strict, its reference implementation.  Run
`hatch run docs:array-api` after a change; a test fails while the page is stale.
"""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import array_api_strict

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.gradients.catalogue import CASES  # noqa: E402

import backpass.numpy  # noqa: E402
from backpass.core import Tensor  # noqa: E402

PAGE = ROOT / "docs" / "array-api.md"
MODULES = ("", "linalg", "fft")
#: What array-api-strict exports of its own.
_OF_ITS_OWN = ("flags", "Flags", "Device", "__version__")
_OF_PYTHON = (
    "__annotations__ __array__ __buffer__ __dict__ __module__ __slots__ __weakref__".split()
)
#: What differs from the standard, by name.
NOTES = {
    "__array_namespace_info__": "one device a namespace",
    "argsort": "stable only if it is asked to be, as in NumPy",
    "sort": "stable only if it is asked to be, as in NumPy",
    "asarray": "Tensors keep their gradient; `copy=False` is refused where a copy is needed",
    "from_dlpack": "on this namespace's device, or an error that names the other one",
    "to_device": "`stream` is refused",
    "__dlpack__": "`BufferError` for a tracked Tensor",
    "__float__": "`TypeError` for a tracked Tensor: the gradient would be lost",
    "__complex__": "`TypeError` for a tracked Tensor: the gradient would be lost",
}
HEAD = """\
# The array API standard

Written by `hatch run docs:array-api` from the standard's list of names and from the tests; not to
be edited.

`t.__array_namespace__()` of a Tensor is `backpass.numpy`, on a GPU `backpass.cupy`, so that a
program over the [array API standard](https://data-apis.org/array-api/2024.12/) runs on Tensors and
is differentiated as it stands. Of the standard's {names} names {there} are there, and {gradients}
functions carry gradients, each checked as [the coverage page](coverage.md) says. Calls with all the
standard's keywords are compared with array-api-strict, its reference implementation. dtypes mix as
in NumPy: an integer array beside a float array works, which the standard leaves open.
"""


def names(module: str) -> list[str]:
    """Return the standard's names in a module."""
    home = getattr(array_api_strict, module) if module else array_api_strict
    return [name for name in home.__all__ if not name.endswith(_OF_ITS_OWN) and name not in MODULES]


def attributes() -> list[str]:
    """Return the standard's attributes and methods of an array."""
    array = type(array_api_strict.asarray(0.0))
    plain = [name for name in vars(array) if not name.startswith("_")]
    special = [name for name in vars(array) if name.startswith("__") and name.endswith("__")]
    of_python = {*dir(object), *_OF_PYTHON}
    return sorted(plain) + sorted(set(special) - of_python)


def rows() -> Iterator[tuple[str, str, bool, bool]]:
    """Yield section, name, whether it is there, and whether it is differentiated."""
    known = {(case.module, case.name) for case in CASES}
    for module in MODULES:
        home = f"numpy.{module}" if module else "numpy"
        space = importlib.import_module(f"backpass.{home}")
        functions = {id(getattr(space, n)) for m, n in known if m == home and hasattr(space, n)}
        for name in names(module):
            found: Any = getattr(space, name, None)
            yield home, name, hasattr(space, name), found is not None and id(found) in functions
    t = Tensor(backpass.numpy.zeros((1, 1)).value)
    for name in attributes():
        yield "array", name, hasattr(t, name) or hasattr(t, in_two_steps(name)), False


def in_two_steps(name: str) -> str:
    """Return what Python falls back on for an operator in place: `__and__` for `__iand__`."""
    return name.replace("__i", "__", 1) if name.startswith("__i") else name


def write() -> str:
    """Return the page."""
    found = list(rows())
    page = [
        HEAD.format(
            names=len(found),
            there=sum(there for _, _, there, _ in found),
            gradients=sum(tracked for *_, tracked in found),
        )
    ]
    for section in dict.fromkeys(row[0] for row in found):
        title = "The array: attributes and methods" if section == "array" else section
        tracked = section != "array"
        page += [f"\n## {title}\n"]
        columns = ["name", "there", *(["gradient"] if tracked else []), "what differs"]
        page += [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
        for _, name, there, gradient in (row for row in found if row[0] == section):
            cells = [f"`{name}`", "yes" if there else "no"]
            cells += [("yes" if gradient else "")] if tracked else []
            page.append(f"| {' | '.join([*cells, NOTES.get(name, '')])} |".replace("|  |", "| |"))
    return "\n".join(page) + "\n"


if __name__ == "__main__":
    PAGE.write_text(write(), encoding="utf-8")
