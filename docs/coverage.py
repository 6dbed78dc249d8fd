"""Write coverage.md: one row for each function and argument that can be differentiated.

Nothing in it is written by hand.  The functions are those that the public modules export; which of
their arguments are differentiated, and in which types, is seen by running the catalogue of gradient
tests (tests/gradients) while the calls are watched, and each case there is compared with finite
differences.  Run `hatch run docs:coverage` after a change; a test fails while the page is stale.
"""

import functools
import importlib
import inspect
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.gradients.cases import Case, flat  # noqa: E402
from tests.gradients.catalogue import CASES, NO_GRADIENT, WITHOUT_GRADIENT  # noqa: E402

from backpass.core import Tensor, tree, vjp  # noqa: E402
from backpass.core.graph import Node  # noqa: E402
from backpass.core.primitive import Primitive  # noqa: E402
from backpass.core.rules import expression  # noqa: E402

PAGE = ROOT / "docs" / "coverage.md"
MODULES = sorted({case.module for case in CASES})
#: The names under which functions are in the catalogue.
NAMED = {(case.module, case.name) for case in CASES}
#: What is no function: how it is written, and the names of what can be differentiated in it.
SYNTAX = {"getitem": ("x[index]", ("x",)), "setitem": ("x[index] = values", ("x", "values"))}
KINDS = {
    "linear": "the transposed map",
    "bilinear": "the product rule",
    "custom": "a rule of its own",
}
HEAD = """\
# Coverage

Written by `hatch run docs:coverage` from the rules and from the tests; not to be edited.

A row is an argument that can be differentiated: {arguments} of {functions} functions. Each is
compared with finite differences, in reverse and in forward mode, to the order given; rules are made
of differentiable operations, so higher orders follow wherever no row says otherwise. Types are
those that are tested, and devices those on which the function runs. The derivative of an
elementwise function is shown as it is computed (`ans` is the function's value); "by its parts"
means that the function is a short program of the operations named.
"""


@dataclass
class Row:
    """What is known of one argument of one function.

    Attributes
    ----------
    complex
        Whether complex numbers are differentiated, too.
    devices
        Where it runs.
    order
        To which order it is checked.
    parts
        The names of the primitives that take part.
    refusal
        Why there is no derivative.
    """

    complex: bool = False
    devices: set[str] = field(default_factory=set)
    order: int = 0
    parts: set[str] = field(default_factory=set)
    refusal: str = ""


#: By module, function and argument.
Rows = dict[tuple[str, str, str], Row]


class Watched:
    """A namespace that notes which arguments of one of its functions are tracked."""

    def __init__(
        self, namespace: Any, name: str, seen: set[str], graph: dict[str, Primitive]
    ) -> None:
        self._namespace, self._name, self._seen, self._graph = namespace, name, seen, graph

    def __getattr__(self, name: str) -> Any:
        """Return what the namespace has; the function in question with eyes on it."""
        found = getattr(self._namespace, name)
        first, _, rest = self._name.partition(".")
        if name != first:
            return found
        if rest:
            return Watched(found, rest, self._seen, self._graph)

        if not callable(found):
            return Indexed(found, self)

        def call(*args: Any, **kwargs: Any) -> Any:
            given = dict(named(found, args, kwargs))
            return self.watch(given, lambda: found(*args, **kwargs))

        return call

    def watch(self, given: dict[str, Any], run: Callable[[], Any]) -> Any:
        """Run a call; note which of the arguments given are tracked, and what it records."""
        inputs = set()
        for parameter, value in given.items():
            nodes = nodes_of(value)
            inputs |= nodes
            if nodes:
                self._seen.add(parameter)
        out = run()
        self._graph.update(primitives_of(nodes_of(out), inputs))
        return out


class Indexed:
    """What joins the arrays of its index, such as `np.r_`, watched."""

    def __init__(self, found: Any, watched: Watched) -> None:
        self._found, self._watched = found, watched

    def __getitem__(self, key: Any) -> Any:
        """Join the arrays."""
        return self._watched.watch({"index": key}, lambda: self._found[key])


def named(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """Yield the arguments of a call with the names of their parameters."""
    if isinstance(function, Primitive):
        rest = [function.parameters[-1]] * len(args) if function.variadic else []
        yield from zip([*function.parameters, *rest], args)
        yield from kwargs.items()
        return
    signature = inspect.signature(function)
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            yield from value.items()
        else:
            yield name, value


def public(module: str, name: str) -> Any:
    """Return what a public name stands for; `None` for what is no function."""
    if name in SYNTAX:
        return None
    return functools.reduce(getattr, name.split("."), importlib.import_module(f"backpass.{module}"))


def nodes_of(value: Any) -> set[Node]:
    """Return the nodes of the Tensors in a tree."""
    found = (x.node for x in tree.leaves(value) if isinstance(x, Tensor))
    return {node for node in found if node is not None}


def primitives_of(outputs: set[Node], inputs: set[Node]) -> dict[str, Primitive]:
    """Return the primitives in the graph between some nodes, by their names."""
    found = {}
    seen = set(inputs)
    waiting = list(outputs)
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            if isinstance(node.primitive, Primitive):
                found[node.primitive.name] = node.primitive
            waiting.extend(parent for parent in node.parents if parent is not None)
    return found


def look(case: Case, rows: Rows) -> None:
    """Run a case, and note what it differentiates, and what its primitives refuse to."""
    namespace = importlib.import_module(f"backpass.{case.module}")
    for dtype in ("float64", "complex128") if case.complex else ("float64",):
        seen: set[str] = set()
        graph: dict[str, Primitive] = {}
        watched = Watched(namespace, case.name, seen, graph)
        vjp(lambda *xs, watched=watched: flat(case.call(watched, *xs)), *case.arguments(dtype))
        if case.name in SYNTAX:
            seen.update(SYNTAX[case.name][1])
        for argument in seen:
            row = rows.setdefault((case.module, case.name, argument), Row())
            row.complex |= dtype == "complex128"
            row.devices |= {"cpu"} if "cupy" in case.without else {"cpu", "cuda"}
            row.order = max(row.order, case.order)
            row.parts |= set(graph)
        for primitive in graph.values():
            note_refusals(case, primitive, rows)


def note_refusals(case: Case, primitive: Primitive, rows: Rows) -> None:
    """Add a row for each argument whose derivative a primitive refuses under the same name."""
    function = public(case.module, case.name)
    if not callable(function):
        return
    known = set(getattr(function, "parameters", None) or inspect.signature(function).parameters)
    for parameter, rule in zip(primitive.parameters, primitive.vjps):
        if rule is not None and rule.refusal and parameter in known:
            key = (case.module, case.name, parameter)
            rows.setdefault(key, Row()).refusal = rule.refusal


def collect() -> Rows:
    """Run the whole catalogue."""
    rows: Rows = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in CASES:
            look(case, rows)
    return rows


def derivative(module: str, name: str, argument: str, row: Row) -> str:
    """Say how the derivative is computed."""
    if row.refusal and not row.order:
        return f"refused: {row.refusal}"
    found = public(module, name)
    if isinstance(found, Primitive):
        if found.kind == "elementwise":
            formula = expression(found)[found.parameters.index(argument)]
            return f"`{formula}`" if formula is not None else "none"
        return KINDS[found.kind]
    if len(row.parts) < 2:
        return "a rule of its own"
    return f"by its parts: {', '.join(sorted(row.parts))}"


def write() -> str:
    """Return the page."""
    rows = collect()
    differentiated = {key: row for key, row in rows.items() if row.order}
    functions = {key[:2] for key in differentiated}
    page = [HEAD.format(arguments=len(differentiated), functions=len(functions))]
    for module in MODULES:
        page += [f"\n## {module}\n"]
        page += ["| function | argument | derivative | modes | order | types | devices |"]
        page += ["|---|---|---|---|---|---|---|"]
        for key in sorted(key for key in rows if key[0] == module):
            page.append(line(*key, rows[key]))
        without = nothing(module)
        if without:
            page += ["", f"Without a gradient: {', '.join(f'`{name}`' for name in without)}."]
    return "\n".join(page) + "\n"


def line(module: str, name: str, argument: str, row: Row) -> str:
    """Return one row of a table."""
    shown = SYNTAX[name][0] if name in SYNTAX else ", ".join([name, *aliases(module, name)])
    how = derivative(module, name, argument, row).replace("|", "\\|")
    if not row.order:
        return f"| `{shown}` | `{argument}` | {how} | | | | |"
    types = "float32, float64" + (", complex128" if row.complex else "")
    devices = ", ".join(sorted(row.devices))
    return (
        f"| `{shown}` | `{argument}` | {how} | reverse, forward | {row.order} | {types} "
        f"| {devices} |"
    )


def aliases(module: str, name: str) -> list[str]:
    """Return the other public names of a function."""
    found = public(module, name)
    space = importlib.import_module(f"backpass.{module}")
    return [
        other
        for other in space.__all__
        if other != name and getattr(space, other) is found and (module, other) not in NAMED
    ]


def nothing(module: str) -> list[str]:
    """Return the functions of a module whose results are never tracked."""
    if module != "numpy":
        return sorted(NO_GRADIENT.get(module, ()))
    reasons = [names for reason, names in WITHOUT_GRADIENT.items() if "a type" not in reason]
    return sorted(frozenset().union(*reasons))


if __name__ == "__main__":
    PAGE.write_text(write(), encoding="utf-8")
