"""An explanation as text, for a terminal."""

from __future__ import annotations

import os
import textwrap

from backpass.core.explain.model import Contribution, Place, Step, Trace, Variable
from backpass.core.explain.snapshots import Snapshot

#: Lines are not made longer than that, if it can be helped.
WIDTH = 96
#: Where the lines of the user's code begin, beside the operations.
COLUMN = 44


def write(trace: Trace) -> str:
    """Return the whole explanation."""
    forward = [text for v in trace.variables if (text := forward_step(v))]
    head = textwrap.fill(heading(trace), WIDTH)
    lines = [head, "", "Forward", *forward, "", "Backward"]
    if not trace.steps:
        output = trace.variables[trace.output]
        lines.append(
            f"  Nothing to do: the output is {output.label}, and d{output.label} = 1."
            if output.kind in ("argument", "parameter")
            else "  Nothing to do: the output does not depend on what is differentiated."
        )
    lines += [backward_step(trace, step) for step in trace.steps]
    lines += ["", "Gradient"]
    for variable in trace.variables:
        if variable.kind in ("argument", "parameter"):
            name = cotangent_name(variable)
            lines.append(_equation(f"  {name}", [gradient_text(variable)]))
    return "\n".join(lines)


def heading(trace: Trace) -> str:
    """Return what was explained, in a sentence."""
    count = sum(v.kind == "operation" for v in trace.variables)
    plural = "" if count == 1 else "s"
    output = trace.variables[trace.output]
    value = output.value.text() if isinstance(output.value, Snapshot) else ""
    name = output.label if output.label == value else f"{output.label} = {value}"
    found = [v.label for v in trace.variables if v.kind in ("argument", "parameter")]
    x = found[0] if found else "x"
    return (
        f"{trace.name}: {count} operation{plural}, output {name}. "
        f"Going backward, d{x} is the derivative of the output with respect to {x}."
    )


def forward_step(variable: Variable) -> str:
    """Return a variable and how it came to be; nothing for a constant that is shown in its use."""
    value = value_text(variable.value)
    if variable.kind == "constant":
        if variable.label == value or not variable.label.startswith("c"):
            return ""
        return _equation(f"  {variable.label}", [value], "constant")
    if variable.kind in ("argument", "parameter"):
        return _equation(f"  {variable.label}", [value])
    where = "" if variable.place is None else place_text(variable.place)
    if variable.kind == "part":
        return _equation(f"  {variable.label}", [value])
    parts = [variable.call]
    if isinstance(variable.value, Snapshot):
        parts.append(value)
    notes = [where] if where else []
    if not variable.depends:
        notes.append("no derivative")
    return _equation(f"  {variable.label}", parts, ", ".join(notes))


def backward_step(trace: Trace, step: Step) -> str:
    """Return what a variable hands on of its cotangent."""
    variable = trace.variables[step.variable]
    name = f"d{variable.label}"
    lines = [f"  {variable.label} = {variable.call}"]
    if isinstance(step.cotangent, Snapshot):
        text = step.cotangent.text()
        if "\n" in text or len(lines[0]) + len(name) + len(text) > WIDTH:
            lines.append(_equation(f"    {name}", [text]))
        else:
            lines[0] += f", {name} = {text}"
    else:
        for i, part in enumerate(step.cotangent):
            text = "0, not used" if part is None else part.text()
            lines.append(_equation(f"    {name}[{i}]", [text]))
    for contribution in step.contributions:
        lines.append(contribution_text(trace, step, contribution))
    if not step.contributions:
        lines.append("    Nothing flows further.")
    if step.note:
        lines.append(textwrap.indent(textwrap.fill(step.note, WIDTH - 4), "    "))
    return "\n".join(lines)


def contribution_text(trace: Trace, step: Step, contribution: Contribution) -> str:
    """Return what one operand gets."""
    target = trace.variables[contribution.variable]
    name = cotangent_name(target)
    sign = "=" if contribution.first else "+="
    value, total = contribution.value.text(), contribution.total.text()
    derivative = "" if contribution.derivative is None else contribution.derivative.text()
    formula = contribution.named or f"by the rule of {trace.variables[step.variable].operation}"
    short = f"    {name} {sign} {formula}"
    plain = formula == f"d{trace.variables[step.variable].label}"
    if derivative and not plain and isinstance(step.cotangent, Snapshot):
        g = step.cotangent.text()
        g = f"({g})" if g.endswith("j") else g
        short += f" = {g} * {_in_brackets(derivative)}"
    short += f" = {value}"
    if not contribution.first:
        short += f", in all {total}"
    if "\n" not in short and len(short) <= WIDTH and contribution.spread is None:
        return short
    lines = [f"    {name} {sign} {formula}"]
    if derivative and not plain and contribution.local != derivative:
        parts = [contribution.local, derivative] if contribution.local else [derivative]
        lines.append(_equation("      local derivative", parts))
    if contribution.spread is not None:
        lines.append("      " + spread_text(contribution, target))
    lines.append(_equation("      " if contribution.first else "      adds", [value]))
    if not contribution.first:
        lines.append(_equation("      in all", [total]))
    return "\n".join(lines)


def spread_text(contribution: Contribution, target: Variable) -> str:
    """Return why a cotangent has been summed."""
    shape = target.value.shape if isinstance(target.value, Snapshot) else ()
    return (
        f"summed from shape {contribution.spread} to {shape}, because {target.label} "
        "had been broadcast"
    )


def cotangent_name(variable: Variable) -> str:
    """Return what the cotangent of a variable is called."""
    return f"d{variable.label}"


def gradient_text(variable: Variable) -> str:
    """Return the gradient of an argument."""
    if variable.cotangent is None:
        return "0: the output does not depend on it"
    return value_text(variable.cotangent)


def value_text(value: Snapshot | tuple[Snapshot | None, ...] | None) -> str:
    """Return a value as text."""
    if value is None:
        return "not kept"
    if isinstance(value, tuple):
        return "\n".join("not used" if part is None else part.text() for part in value)
    return value.text()


def place_text(place: Place) -> str:
    """Return where an operation was asked for, and by which part of the line."""
    where = f"line {place.line}"
    if not place.file.startswith("<"):
        where = f"{short_path(place.file)}:{place.line}"
    code = place.expression or place.text
    return f"{where}: {code}" if code else where


def short_path(file: str) -> str:
    """Return a file's path below the working directory, or its name."""
    inside = os.path.relpath(file) if os.path.isabs(file) else file
    return os.path.basename(file) if inside.startswith("..") else inside


def _in_brackets(number: str) -> str:
    return f"({number})" if number.startswith("-") or number.endswith("j") else number


def _equation(name: str, parts: list[str], note: str = "") -> str:
    """Return `name = a = b`, in one line if it is short, with a note beside it."""
    if not name.strip():
        return _hanging(f"{name}= ", parts[-1])
    line = " = ".join([name, *parts])
    if "\n" not in line and len(line) <= WIDTH:
        return _noted(line, note)
    if len(parts) == 1:
        head, _, rest = _hanging(f"{name} = ", parts[0]).partition("\n")
        return "\n".join(filter(None, [_noted(head, note), rest]))
    margin = " " * (len(name) - len(name.lstrip()) + 2)
    head = " = ".join([name, *parts[:-1]])
    return f"{_noted(head, note)}\n{_hanging(f'{margin}= ', parts[-1])}"


def _noted(line: str, note: str) -> str:
    """Return a line with a note beside it, or below where there is no room."""
    if not note:
        return line
    beside = f"{line:<{COLUMN}}  # {note}"
    if len(beside) <= WIDTH:
        return beside
    margin = " " * (len(line) - len(line.lstrip()) + 2)
    return f"{line}\n{margin}# {note}"


def _hanging(head: str, text: str) -> str:
    """Return text of several lines behind a head, its lines below each other."""
    return head + text.replace("\n", "\n" + " " * len(head))
