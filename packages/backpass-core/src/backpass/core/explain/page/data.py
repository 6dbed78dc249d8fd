"""A trace as JSON: what the page reads.

Numbers are numbers, other values text.  What many operations have in common, their names, rules and
places in the code, is written once and referred to by its place in a table.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core.explain.formulas import plainly
from backpass.core.explain.model import Contribution, Trace, Variable
from backpass.core.explain.pictures.diagram import Diagram
from backpass.core.explain.pictures.folding import FEW, brief
from backpass.core.explain.snapshots import Snapshot
from backpass.core.symbols import Expression

#: Linear functions of single numbers, whose rules hold for all.  What else has been written down by
#: watching a rule may have numbers of that one call in it.
_LINEAR = frozenset(("add", "subtract", "negative", "positive", "conj", "real", "where"))
#: Functions whose derivative is 0 where they do not choose, and there nothing comes back.
_SELECTING = frozenset(("maximum", "minimum", "fmax", "fmin"))
#: Of more variables only a few elements of each array are written.
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
    whole = len(trace.variables) <= _MANY
    operations, rules, places = Table(), Table(), Table()
    variables = [_variable(v, whole, operations, places) for v in trace.variables]
    steps = [
        _without_defaults(
            {
                "variable": step.variable,
                "note": step.note,
                "contributions": [
                    _contribution(c, trace.variables[step.variable], trace, whole, rules)
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


def _variable(v: Variable, whole: bool, operations: Table, places: Table) -> dict[str, Any]:
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
            "value": _value(v.value, whole),
            "cotangent": _value(v.cotangent, whole),
        }
    )


def _contribution(
    c: Contribution, v: Variable, trace: Trace, whole: bool, rules: Table
) -> dict[str, Any]:
    operation, tree, formula = v.operation, None, c.formula
    if c.rule is not None:
        known = {
            letter: number
            for letter, i in zip(v.parameters, v.operands)
            if type(number := _constant(trace.variables[i])) in (int, float)
        }
        formula = str(plainly(c.rule, known))
    if c.expression is not None:
        # With the strong zero that the engine has.
        product = "zero_product" if operation in _SELECTING else "zero_multiply"
        tree = tree_of(Expression(product, Expression("g"), c.expression))
    elif c.rule is not None and operation in _LINEAR:
        tree = tree_of(c.rule)
    made = {
        "operand": c.operand,
        "variable": c.variable,
        "rule": rules.at((formula, str(tree)), {"formula": formula, "tree": tree}),
        "value": _value(c.value, whole),
    }
    if not c.first:
        made["total"] = _value(c.total, whole)
    return made


def _constant(v: Variable) -> Any:
    """Return the number that stands for a variable in formulas, if one does."""
    number = isinstance(v.value, Snapshot) and v.kind == "constant" and v.label[0] != "c"
    return v.value.numbers if number and isinstance(v.value, Snapshot) else None


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


def _value(value: Value, whole: bool) -> Any:
    """Return a number as it is; other values as a line, and as text if that is longer."""
    if value is None:
        return None
    number = _number(value)
    if number is not None:
        return number
    line = brief(value)
    if whole or not isinstance(value, Snapshot) or value.size <= FEW or not value.whole:
        text = _text(value)
    else:
        first, second = numpy.ravel(value.numbers)[:2]
        text = f"{line}: {Snapshot(first)}, {Snapshot(second)}, …"
    return [line] if text == line else [line, text]


def _text(value: Value) -> str:
    if isinstance(value, tuple):
        return "\n".join(_text(part) for part in value)
    return "none" if value is None else value.text()
