"""An explanation as tables: Markdown for a file, HTML for a notebook."""

from __future__ import annotations

import html as escaping
from collections.abc import Callable, Iterator

from backpass.core.explain import text
from backpass.core.explain.model import Contribution, Trace, Variable
from backpass.core.explain.snapshots import Snapshot

Row = tuple[str, ...]

FORWARD = ("variable", "operation", "value", "code")
BACKWARD = ("cotangent that arrives", "goes to", "formula", "local derivative", "added", "in all")
GRADIENT = ("argument", "gradient")


def forward_rows(trace: Trace) -> Iterator[Row]:
    """Yield one row a variable; constants that are shown where they are used have none."""
    for v in trace.variables:
        if v.kind == "constant" and not v.label.startswith("c"):
            continue
        where = "" if v.place is None else text.place_text(v.place)
        several = isinstance(v.value, tuple)
        call = v.call or v.kind
        if v.kind == "operation" and not v.depends:
            call += " (no derivative)"
        yield v.label, call, "" if several else text.value_text(v.value), where


def backward_rows(trace: Trace) -> Iterator[Row]:
    """Yield one row for each operand of each step."""
    for step in trace.steps:
        variable = trace.variables[step.variable]
        arrives = f"d{variable.label} = {_cotangent(step.cotangent)}"
        if not step.contributions:
            yield arrives, "nothing", "", "", "", ""
        for contribution in step.contributions:
            yield arrives, *_contribution(trace, variable, contribution)
            arrives = ""


def _contribution(trace: Trace, variable: Variable, contribution: Contribution) -> Row:
    target = trace.variables[contribution.variable]
    formula = contribution.named or f"by the rule of {variable.operation}"
    if contribution.spread is not None:
        formula += f"\n{text.spread_text(contribution, target)}"
    local = ""
    if contribution.derivative is not None:
        number = contribution.derivative.text()
        local = number if contribution.local in ("", number) else f"{contribution.local} = {number}"
    name = text.cotangent_name(target)
    return (
        target.label,
        formula,
        local,
        contribution.value.text(),
        f"{name} = {contribution.total.text()}",
    )


def gradient_rows(trace: Trace) -> Iterator[Row]:
    """Yield one row for each argument."""
    for v in trace.variables:
        if v.kind in ("argument", "parameter"):
            yield v.label, text.gradient_text(v)


def _cotangent(value: Snapshot | tuple[Snapshot | None, ...]) -> str:
    return text.value_text(value)


_PARTS: tuple[tuple[str, Row, Callable[[Trace], Iterator[Row]]], ...] = (
    ("Forward", FORWARD, forward_rows),
    ("Backward", BACKWARD, backward_rows),
    ("Gradient", GRADIENT, gradient_rows),
)


# ----- Markdown ---------------------------------------------------------------------------------


def markdown(trace: Trace) -> str:
    """Return the explanation as a Markdown document."""
    lines = [f"# {_prose(trace.name)}", "", _prose(text.heading(trace))]
    for title, head, rows in _PARTS:
        lines += ["", f"## {title}", "", _line(head), _line(("---",) * len(head))]
        lines += [_line([_code(cell) for cell in row]) for row in rows(trace)]
    return "\n".join(lines) + "\n"


def _line(cells: Row | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _prose(words: str) -> str:
    return "".join(f"\\{c}" if c in "\\`*_[]<>" else c for c in words)


def _code(cell: str) -> str:
    """Return a cell in code style; the lines of an array below each other."""
    shown = [_fenced(line) for line in cell.split("\n") if line]
    return "<br>".join(shown)


def _fenced(line: str) -> str:
    # A pipe would end the cell, even in code.
    line = line.replace("|", "\\|")
    return f"`` {line} ``" if "`" in line else f"`{line}`"


# ----- HTML -------------------------------------------------------------------------------------


def html(trace: Trace) -> str:
    """Return the explanation as a fragment of HTML, without scripts."""
    parts = [f"<p>{escaping.escape(text.heading(trace))}</p>"]
    for title, head, rows in _PARTS:
        cells = "".join(f'<th scope="col">{name}</th>' for name in head)
        body = "".join(
            "<tr>" + "".join(f"<td>{_preformatted(cell)}</td>" for cell in row) + "</tr>"
            for row in rows(trace)
        )
        parts.append(
            f"<table><caption>{title}</caption><thead><tr>{cells}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )
    return f'<div class="backpass-explanation">{"".join(parts)}</div>'


def _preformatted(cell: str) -> str:
    if not cell:
        return ""
    style = "white-space: pre; text-align: left; background: none"
    return f'<code style="{style}">{escaping.escape(cell)}</code>'
