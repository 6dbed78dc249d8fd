"""A trace as a diagram: each variable a box, or, of a long trace, many of them in one.

Operations were recorded one after another, and a call of a function or of a named region is a run
of consecutive ones.  So only runs are folded: no way leads out of a box and back into it, and the
picture of what is folded has no circles either.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from backpass.core.explain.model import Trace, Variable
from backpass.core.explain.pictures.diagram import Arrow, Box, Diagram, Look
from backpass.core.explain.snapshots import Snapshot

#: Letters in a box's line.
WIDEST = 30
#: More elements do not fit into it.
FEW = 8


@dataclass(slots=True)
class Run:
    """Consecutive operations that can be drawn as one box.

    Attributes
    ----------
    name
        What they have in common: the region's name; empty where they are only neighbours.
    region
        The region, with those around it.
    parts
        The runs and single variables in it.
    count
        The number of variables in it.
    """

    name: str
    region: tuple[str, ...]
    parts: Sequence[Run | Variable]
    count: int

    def variables(self) -> Iterator[Variable]:
        """Yield what is in the run."""
        for part in self.parts:
            if isinstance(part, Run):
                yield from part.variables()
            else:
                yield part


def diagram_of(trace: Trace, limit: int, *, details: bool = True) -> Diagram:
    """Return a trace as a diagram of about `limit` boxes at most.

    Without `details` a box of one variable does not say what does not fit in it.
    """
    shown = _shown(trace)
    inputs = [v for v in shown if not v.operands]
    computed = [v for v in shown if v.operands]
    parts: list[Run | Variable]
    if len(shown) <= limit:
        parts = [*inputs, *computed]
    else:
        few = _chunks(inputs, max(1, limit // 4))
        parts = [*few, *_unfolded(_runs(computed, ()), limit - len(few))]
    return _connected(trace, parts, details)


def _shown(trace: Trace) -> list[Variable]:
    """Return the variables that are worth a box: a number in a formula is none."""
    used = {i for v in trace.variables for i in v.operands}
    return [
        v
        for v in trace.variables
        if v.kind in ("argument", "operation", "part")
        or v.index == trace.output
        or (v.index in used and (v.kind == "parameter" or size_of(v) > 1))
    ]


def _runs(variables: Sequence[Variable], region: tuple[str, ...]) -> list[Run | Variable]:
    """Return variables of one region with those of each region in it as a run."""
    depth = len(region)
    found: list[Run | Variable] = []
    for name, group in itertools.groupby(
        variables, key=lambda v: v.region[depth] if len(v.region) > depth else None
    ):
        members = list(group)
        if name is None or len(members) == 1:
            found += members
        else:
            inner = (*region, name)
            found.append(Run(name, inner, _runs(members, inner), len(members)))
    return found


def _chunks(parts: Sequence[Run | Variable], most: int) -> list[Run | Variable]:
    """Return neighbours in runs of one length, `most` of them, if there are more parts."""
    if len(parts) <= most:
        return list(parts)
    length = -(-len(parts) // most)
    made: list[Run | Variable] = []
    for i in range(0, len(parts), length):
        some = parts[i : i + length]
        count = sum(part.count if isinstance(part, Run) else 1 for part in some)
        made.append(Run("", _common(some), some, count) if len(some) > 1 else some[0])
    return made


def _common(parts: Sequence[Run | Variable]) -> tuple[str, ...]:
    """Return the regions around all of these."""
    regions = [part.region[:-1] if isinstance(part, Run) else part.region for part in parts]
    shared = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*regions))
    return tuple(names[0] for names in shared)


def _unfolded(parts: list[Run | Variable], limit: int) -> list[Run | Variable]:
    """Return the parts with as many runs opened as there is room for, outer ones first."""
    while len(parts) <= limit:
        # Outer ones first, and among them what hides most.
        runs = sorted(
            (p for p in parts if isinstance(p, Run) and p.name),
            key=lambda run: (len(run.region), -run.count),
        )
        room = limit - len(parts) + 1
        # A run of too many parts is opened in pieces only where little else is to be seen.
        little = len(parts) <= limit // 4
        for run in runs:
            inside = _chunks(run.parts, room) if little else run.parts
            if len(inside) <= room:
                at = next(i for i, p in enumerate(parts) if p is run)
                parts[at : at + 1] = inside
                break
        else:
            return parts
    return _chunks(parts, limit)


# ----- boxes and arrows ---------------------------------------------------------------------------


def _connected(trace: Trace, parts: Sequence[Run | Variable], details: bool) -> Diagram:
    """Return the parts as boxes, with arrows wherever a way leads from one into another."""
    place = {}
    for at, part in enumerate(parts):
        for v in part.variables() if isinstance(part, Run) else (part,):
            place[v.index] = at
    carried = {(s.variable, c.operand) for s in trace.steps for c in s.contributions}
    arrows: dict[tuple[int, int, int], bool] = {}
    for v in trace.variables:
        if v.index not in place:
            continue
        target = place[v.index]
        folded = isinstance(parts[target], Run)
        for operand, i in enumerate(v.operands):
            source = place.get(i)
            if source is None or source == target:
                continue
            key = (source, target, 0 if folded or isinstance(parts[source], Run) else operand)
            arrows[key] = arrows.get(key, False) or (v.index, operand) in carried
    made = [Arrow(s, t, carries, operand) for (s, t, operand), carries in arrows.items()]
    boxes = [
        _fold(part) if isinstance(part, Run) else box_of(part, trace.output, details)
        for part in parts
    ]
    return Diagram(f"Graph of {trace.name}", boxes, made, _described(trace, boxes))


def box_of(v: Variable, output: int, details: bool) -> Box:
    """Return one variable's box."""
    look: Look = "operation" if v.operands else "constant"
    if v.kind in ("argument", "parameter"):
        look = "input"
    elif v.index == output:
        look = "output"
    title = f"{v.label} = {v.call}" if v.call else v.label
    value, gradient = brief(v.value), brief(v.cotangent)
    about: list[str] = []
    if details:
        about += [title, *([v.place.text] if v.place is not None and v.place.text else [])]
        about += [f"value {text(v.value)}"] if value else []
        about += [f"gradient {text(v.cotangent)}"] if gradient else []
    return Box(
        v.index,
        look,
        short(title),
        f"value {value}" if value else "",
        f"grad {gradient}" if gradient else "",
        "\n".join(about),
        v.region,
        (v.index,),
    )


def _fold(run: Run) -> Box:
    members = list(run.variables())
    first, last = members[0], members[-1]
    if not first.operands:
        title = f"{first.label} … {last.label}"
        what = "arguments" if first.kind == "argument" else "inputs"
        return Box(first.index, "input", short(title), f"{run.count} {what}", "", title, run.region)
    names = Counter(v.operation or "part" for v in members)
    usual = ", ".join(f"{name} \N{MULTIPLICATION SIGN}{n}" for name, n in names.most_common())
    title = f"{run.name}: {run.count} operations" if run.name else f"{run.count} operations"
    where = " in " + " / ".join(run.region) if run.region else ""
    return Box(
        first.index,
        "fold",
        short(title),
        short(usual),
        "",
        f"{first.label} to {last.label}{where}\n{usual}",
        run.region,
        tuple(v.index for v in members),
    )


def _described(trace: Trace, boxes: Sequence[Box]) -> str:
    """Say in words what the picture shows."""
    count = sum(v.kind == "operation" for v in trace.variables)
    said = [f"{count} operation{'' if count == 1 else 's'}, from the inputs down to the output."]
    if any(box.look == "fold" for box in boxes):
        said.append(f"Drawn in {len(boxes)} boxes.")
    for box in boxes:
        if box.look in ("input", "output"):
            said.append(", ".join(line for _, line in box.rows) + ".")
    return " ".join(said[:12])


def size_of(v: Variable) -> int:
    """Return the number of elements of a variable; 0 if nothing is known of it."""
    return v.value.size if isinstance(v.value, Snapshot) else 0


def short(line: str) -> str:
    """Return a line that fits into a box."""
    line = " ".join(line.split())
    return line if len(line) <= WIDEST else f"{line[: WIDEST - 1]}…"


def brief(value: Snapshot | tuple[Snapshot | None, ...] | None) -> str:
    """Return a value in a few letters: small ones whole, of others shape and dtype."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ", ".join(brief(part) or "none" for part in value)
    if value.size <= FEW or not value.whole:
        line = value.text()
        if len(line) <= WIDEST - 6 and "\n" not in line:
            return line
    lengths = " \N{MULTIPLICATION SIGN} ".join(map(str, value.shape))
    return f"{lengths} {value.dtype}"


def text(value: Snapshot | tuple[Snapshot | None, ...] | None) -> str:
    """Return a value as text of any length."""
    if isinstance(value, tuple):
        return ", ".join(text(part) for part in value)
    return "none" if value is None else value.text()
