"""What an explanation is made of: variables, and what happens to them forward and backward.

The words are those of the field.  Whatever a function computes, its arguments included, is a
*variable* (the `v` of a Wengert list: A. Griewank, A. Walther, "Evaluating Derivatives", 2008,
section 2.2).  Going back, the *cotangent* of a variable arrives, and *contributions* go to the
operands it was computed from.

Nothing here refers to the recorded graph, which is freed: all of it is numbers and text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from backpass.core.explain.snapshots import Snapshot
from backpass.core.symbols import Expression

#: `argument`: an input that is differentiated; `parameter`: a Tensor with `requires_grad_()` that
#: the function reaches; `constant`: an operand that is not differentiated; `operation`: what a
#: primitive computed; `part`: one output of an operation that has several.
Kind = Literal["argument", "parameter", "constant", "operation", "part"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the user's code asked for an operation.

    Attributes
    ----------
    file
        As Python names it: a path, or `<stdin>`.
    line
        The number of the first line.
    text
        That line without its indentation; empty where the source is not to be had.
    expression
        The part of the source that made this operation: `np.sin(y)`.  Empty where unknown.
    function
        The name of the function that the line stands in.
    """

    file: str
    line: int
    text: str
    expression: str
    function: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one operand gets of a cotangent.

    Attributes
    ----------
    operand
        The operand's position among the operation's.
    variable
        The index of the variable that gets it.
    formula
        How it is computed, in the letters of the rule: `g * (1 - ans * ans)`, with `g` the
        cotangent that arrives, `ans` the output, and the operands by their names.  It is the rule
        itself, run on symbols; empty where the rule cannot be written so.
    named
        The same with the variables' labels in the place of letters: `dv3 * (1 - v3 * v3)`.
    expression
        The local derivative of an elementwise operation, in the letters of the rule, for who wants
        to compute it anew; `None` elsewhere.
    derivative
        The local derivative in numbers; `None` if the operation is not elementwise.
    spread
        The shape that the rule gave, where it is not the operand's and was summed over the axes
        along which the operand had been broadcast; `None` elsewhere.
    value
        What is added to the operand's cotangent.
    total
        The operand's cotangent after it has been added.
    first
        Whether nothing had reached the operand before.
    local
        The local derivative with the variables' labels: `1 - v3 * v3`; empty where there is none.
    rule
        `formula`, taken apart, for who wants to compute it anew; `None` where there is none.
    """

    operand: int
    variable: int
    formula: str
    named: str
    expression: Expression | None
    derivative: Snapshot | None
    spread: tuple[int, ...] | None
    value: Snapshot
    total: Snapshot
    first: bool
    local: str = ""
    rule: Expression | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step back: the cotangent of one variable is handed on to its operands.

    Attributes
    ----------
    variable
        The index of the variable.
    cotangent
        Its cotangent, complete.  For an operation with several outputs one for each, `None` for an
        output that nobody used.
    contributions
        What the operands get, in the order of the operands; empty where nothing flows further.
    note
        What a reader should know beyond that, in a sentence; often empty.
    """

    variable: int
    cotangent: Snapshot | tuple[Snapshot | None, ...]
    contributions: tuple[Contribution, ...]
    note: str = ""


@dataclass(slots=True)
class Variable:
    """Something that a function computes with.

    Attributes
    ----------
    index
        Its place in `Explanation.variables`; operands have smaller ones.
    kind
        See `Kind`.
    label
        Its name in formulas: `v3` for what was computed; `x`, `w[0]['b']` for an argument, a leaf
        of one; the number itself, or `c1`, for a constant.
    operation
        The primitive's name: `"tanh"`; empty for what was not computed.
    operands
        The indices of what it was computed from, in the order of the call.
    parameters
        The operands' names in the primitive, which are the letters of its rules.
    keywords
        The keywords of the call, as text.
    call
        The operation as text, with the operands' labels: `v1 * x`, `sum(v2, axis=0)`.
    value
        What it is; a tuple for an operation with several outputs, `None` where it was not kept.
    place
        Where the user's code asked for it; `None` for what was not computed, or where no line of
        the user's is to be found.
    region
        The calls that led there, outermost first: the names of functions and modules.  Those that
        share a beginning can be drawn as one box.
    depends
        Whether it depends on what is differentiated, by a way that has derivatives.
    cotangent
        Its complete cotangent; `None` where none reached it.
    """

    index: int
    kind: Kind
    label: str
    value: Snapshot | tuple[Snapshot, ...] | None
    operation: str = ""
    operands: tuple[int, ...] = ()
    parameters: tuple[str, ...] = ()
    keywords: Mapping[str, str] = field(default_factory=dict)
    call: str = ""
    place: Place | None = None
    region: tuple[str, ...] = ()
    depends: bool = False
    cotangent: Snapshot | tuple[Snapshot | None, ...] | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """All that a function computed, and the way back.

    Attributes
    ----------
    name
        The function's name.
    variables
        Arguments first, then everything in the order in which it came to be.
    output
        The index of the variable that the function returned.
    steps
        The way back, from the output to the arguments.
    gradients
        What `grad` returns for the same call.
    """

    name: str
    variables: tuple[Variable, ...]
    output: int
    steps: tuple[Step, ...]
    gradients: Any
