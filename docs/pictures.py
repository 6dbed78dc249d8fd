"""Draw the pictures of the documentation: graphs of functions, and the packages.

    hatch run docs:pictures

All are drawn by `backpass.core.explain`, from programs or from what the packages import; a test
fails while one says something else than would be drawn today. The logo is drawn by hand.
"""

import re
import sys
from collections.abc import Callable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import numpy

import backpass.numpy as np
from backpass.core import explain
from backpass.core.explain.pictures import layout, svg
from backpass.core.explain.pictures.diagram import Arrow, Box, Diagram

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from tests.markdown import programs  # noqa: E402
from tests.test_workspace import PROJECTS, imports, modules, subpackages  # noqa: E402

FOLDER = ROOT / "docs" / "pictures"

# ----- graphs of functions -----


def chain_rule(path: Path) -> None:
    """Draw the function of the course's first chapters."""

    def f(x: Any) -> Any:
        return x * np.sin(x * x)

    explain(f)(1.5).save(path)


def first_program(path: Path) -> None:
    """Draw the function of the first program in README.md."""
    program, _ = programs(ROOT / "README.md")[0]
    names: dict[str, Any] = {}
    exec(program.partition("print(")[0], names)
    explain(names["energy"])(names["stretch"], names["stiffness"]).save(path)


def broadcasting(path: Path) -> None:
    """Draw a bias that is added to a batch."""

    def f(bias: Any) -> Any:
        return np.sum(np.ones((4, 3)) + bias)

    explain(f)(numpy.zeros(3)).save(path)


def seeing(path: Path) -> None:
    """Draw the function of the guide to `explain`."""

    def f(x: Any, y: Any) -> Any:
        return x * np.tanh(x + y)

    explain(f, (0, 1))(0.5, 1.0).save(path)


def network(path: Path) -> None:
    """Draw the loss of a network of two layers, for one image of three pixels."""

    def loss(V: Any, W: Any) -> Any:
        scores = np.dot(np.tanh(np.dot(numpy.array([1.0, 0.0, 0.5]), V)), W)
        return np.mean((scores - numpy.array([0.0, 1.0])) ** 2)

    V = numpy.array([[0.5, -0.5], [0.25, 0.0], [1.0, -1.0]])
    W = numpy.array([[0.5, 1.0], [-1.0, 0.5]])
    explain(loss, (0, 1))(V, W).save(path)


# ----- the packages -----


def imported() -> dict[str, set[str]]:
    """Return, for each module of ours, those that it imports, wherever in its file it does."""
    known = {module: file for name in PROJECTS for module, file in modules(name).items()}
    return {
        module: {
            target
            for found, taken in imports(file)
            for target in [f"{found}.{taken}" if f"{found}.{taken}" in known else found]
            if target in known
        }
        for module, file in known.items()
    }


def diagram(title: str, boxes: Mapping[str, str], arrows: Mapping[str, set[str]]) -> str:
    """Draw boxes, each with a line about it; what follows from other arrows is left out."""
    reached: dict[str, set[str]] = {}
    order = list(TopologicalSorter(arrows).static_order())
    for box in order:
        reached[box] = set().union(*({target} | reached[target] for target in arrows[box]))
    order.reverse()
    needed = [
        (box, target)
        for box in order
        for target in sorted(arrows[box])
        if not any(target in reached[other] for other in arrows[box])
    ]
    drawn = Diagram(
        title,
        [Box(i, "operation", box, boxes[box]) for i, box in enumerate(order)],
        [Arrow(order.index(a), order.index(b)) for a, b in needed],
        "; ".join(f"{a} imports {b}" for a, b in needed),
    )
    return svg.write(layout.place(drawn))


def packages(path: Path) -> None:
    """Draw which packages import which."""
    of = {package: name for name in PROJECTS for package in subpackages(name)}
    arrows: dict[str, set[str]] = {package: set() for package in of}
    for module, targets in imported().items():
        package = module.split(".")[1]
        arrows[package] |= {target.split(".")[1] for target in targets} - {package}
    # `core.ops` imports `scipy` when the first of its functions is called, for its table.
    arrows["core"].discard("scipy")
    path.write_text(
        diagram(
            "The packages, and which imports which",
            {f"backpass.{package}": name for package, name in of.items()},
            {f"backpass.{a}": {f"backpass.{b}" for b in bs} for a, bs in arrows.items()},
        ),
        encoding="utf-8",
    )


def engine(path: Path) -> None:
    """Draw which modules of `backpass.core` import which; its packages are left out."""
    found = {
        module.split(".")[2]: targets
        for module, targets in imported().items()
        if re.fullmatch(r"backpass\.core\.\w+", module)
        and not (subpackages("backpass-core")["core"] / module.split(".")[2]).is_dir()
    }
    arrows = {
        module: {name for name in found if f"backpass.core.{name}" in targets}
        for module, targets in found.items()
    }
    path.write_text(
        diagram("The modules of backpass.core", dict.fromkeys(found, ""), arrows), encoding="utf-8"
    )


PICTURES: dict[str, Callable[[Path], None]] = {
    "chain-rule.svg": chain_rule,
    "first-program.svg": first_program,
    "broadcasting.svg": broadcasting,
    "network.svg": network,
    "seeing.svg": seeing,
    "packages.svg": packages,
    "engine.svg": engine,
}


def draw(folder: Path = FOLDER) -> None:
    """Draw all pictures into a folder."""
    for name, picture in PICTURES.items():
        picture(folder / name)


if __name__ == "__main__":
    draw()
