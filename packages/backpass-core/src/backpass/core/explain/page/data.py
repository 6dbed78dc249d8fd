"""A trace as JSON: what the page reads.

Numbers are numbers, other values text.  What many operations have in common, their names, rules and
places in the code, is written once and referred to by its place in a table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from backpass.core.explain.model import Contribution, Trace, Variable
from backpass.core.explain.pictures.diagram import Diagram
from backpass.core.explain.pictures.folding import brief
from backpass.core.explain.snapshots import Snapshot
from backpass.core.symbols import Expression

#: Functions whose derivative is 0 where they do not choose, and there nothing comes back.
_SELECTING = frozenset(("maximum", "minimum", "fmax", "fmin"))
#: Letters of a value's text, if there are few variables, and if there are many.
_LONG, _SHORT = 4000, 120
_MANY = 200

Value = Snapshot | tuple[Snapshot | None, ...] | None


class Table(list[Any]):
    """Values without repetition; `at` gives a value's place."""

    def __init__(self) -> None:
        super().__init__()
        self._places: dict[Any, int] = {}

    def at(self, key: Any, value: Any) -> int:
        """Return the place of `value`, which is known by `key`."""
        if key not in self._places:
            self._places[key] = len(self)
            self.append(value)
        return self._places[key]


def data_of(trace: Trace, diagram: Diagram) -> dict[str, Any]:
    """Return what the page needs of a trace.

    What is usual is left out: see the first lines of `page.js`.
    """
    letters = _LONG if len(trace.variables) <= _MANY else _SHORT
    operations, rules, places = Table(), Table(), Table()
    variables = [_variable(v, letters, operations, places) for v in trace.variables]
    steps = [
        _without_defaults(
            {
                "variable": step.variable,
                "note": step.note,
                "contributions": [
                    _contribution(c, trace.variables[step.variable].operation, letters, rules)
                    for c in step.contributions
                ],
            }
        )
        for step in trace.steps
    ]
    boxes = [
        {"members": box.members, "title": box.title, "about": box.about}
        if len(box.members) > 1
        else {"members": box.members}
        for box in diagram.boxes
    ]
    return {
        "output": trace.output,
        "variables": variables,
        "steps": steps,
        "operations": operations,
        "rules": rules,
        "places": places,
        "boxes": boxes,
        "arrows": [(a.source, a.target, a.operand) for a in diagram.arrows],
    }


def _variable(v: Variable, letters: int, operations: Table, places: Table) -> dict[str, Any]:
    operation = place = None
    if v.operation:
        plain = v.kind == "operation" and not v.keywords
        pattern = str(Expression(v.operation, *map(Expression, v.parameters))) if plain else ""
        facts = {
            "kind": v.kind,
            "name": v.operation,
            "parameters": v.parameters,
            "keywords": bool(v.keywords),
            "pattern": pattern,
        }
        operation = operations.at(str(facts), facts)
    if v.place is not None:
        found = {"file": _name(v.place.file), "line": v.place.line, "text": v.place.text}
        place = places.at((v.place.file, v.place.line), found)
    return _without_defaults(
        {
            "label": v.label,
            "kind": None if v.operation else v.kind,
            "operation": operation,
            "operands": list(v.operands),
            "call": v.call,
            "place": place,
            "constant": not v.depends,
            "dtype": v.value.dtype if isinstance(v.value, Snapshot) else "",
            "value": _value(v.value, letters),
            "cotangent": _value(v.cotangent, letters),
        }
    )


def _contribution(c: Contribution, operation: str, letters: int, rules: Table) -> dict[str, Any]:
    tree = None
    if c.expression is not None:
        # With the strong zero that the engine has.
        product = "zero_product" if operation in _SELECTING else "zero_multiply"
        tree = tree_of(Expression(product, Expression("g"), c.expression))
    elif c.rule is not None:
        tree = tree_of(c.rule)
    made = {
        "operand": c.operand,
        "variable": c.variable,
        "rule": rules.at((c.formula, str(tree)), {"formula": c.formula, "tree": tree}),
        "value": _value(c.value, letters),
    }
    if not c.first:
        made["total"] = _value(c.total, letters)
    return made


def _without_defaults(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts without those that are `None`, false, or empty."""
    return {
        key: value
        for key, value in facts.items()
        if value is not None and value is not False and value not in ("", [], "float64")
    }


def _name(file: str) -> str:
    """Return a file's name without its folders, which are nobody's business on a page."""
    return file.replace("\\", "/").rpartition("/")[2]


def tree_of(formula: Any) -> Any:
    """Return an expression as lists: `["multiply", "ans", 2]`; `None` if it has keywords."""
    if not isinstance(formula, Expression):
        return _finite(formula.item() if hasattr(formula, "item") else formula)
    if not formula.operands:
        try:
            return _finite(float(formula.name))
        except ValueError:
            return formula.name
    operands = [tree_of(x) for x in formula.operands]
    if formula.keywords or None in operands:
        return None
    return [formula.name, *operands]


def _finite(x: Any) -> Any:
    """Return a number as JSON can hold it; `None` for what is no real number."""
    if isinstance(x, bool | int):
        return int(x)
    if not isinstance(x, float):
        return None
    return x if math.isfinite(x) else str(x)


def _number(value: Value) -> Any:
    """Return a single real number; `None` for anything else."""
    if not isinstance(value, Snapshot) or value.shape != ():
        return None
    x = value.numbers
    return _finite(x.item() if hasattr(x, "item") else x)


def _value(value: Value, letters: int) -> Any:
    """Return a number as it is, other values as text."""
    if value is None:
        return None
    number = _number(value)
    if number is not None:
        return number
    text = _text(value)
    if len(text) > letters:
        text = f"{brief(value)}: {text[:letters]}…"
    return {"text": text, "brief": brief(value)}


def _text(value: Value) -> str:
    if isinstance(value, tuple):
        return "\n".join(_text(part) for part in value)
    return "none" if value is None else value.text()


__all__: Sequence[str] = ["data_of", "tree_of"]
