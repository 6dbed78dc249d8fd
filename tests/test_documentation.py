"""The documentation below docs/: its programs, its excerpts, what is made for it."""

import functools
import linecache
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backpass.numpy
from backpass.core import grad, graph, tree
from backpass.core.primitive import Primitive
from backpass.core.tensor import Tensor
from backpass.nn.datasets import mnist

from .guides import GUIDES, equivalents, evaluate
from .markdown import blocks, programs, run
from .repository import ROOT

DOCS = ROOT / "docs"
COURSE = DOCS / "course"
PAGES = [path for path in sorted(DOCS.glob("*/**/*.md")) if programs(path)]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(autouse=True)
def as_a_reader(tmp_path, monkeypatch) -> Iterator[None]:
    """Run a page in an empty folder, beside minipass, and without a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(COURSE)
    monkeypatch.setattr(mnist, "MIRRORS", ())
    monkeypatch.setenv("BACKPASS_DATA", str(tmp_path))
    yield
    sys.modules.pop("minipass", None)


# ----- programs -----


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_program_prints_what_its_page_shows(page):
    names: dict[str, Any] = {"__name__": "__main__"}
    for program, output in programs(page):
        # As `explain` shows the lines of a function, Python must know them.
        lines = program.splitlines(keepends=True)
        linecache.cache["<program>"] = len(program), None, lines, "<program>"
        printed = run(program, names)
        if output is not None or page.parent == COURSE:
            assert printed == (output or "")


def test_the_course_has_all_its_chapters_in_order():
    listed = re.findall(r"^\d+\. \[.+?\]\((.+?)\)", (COURSE / "index.md").read_text("utf-8"), re.M)
    chapters = sorted(path.name for path in COURSE.glob("[0-9]*.md"))
    assert listed == chapters
    for number, chapter in enumerate(chapters, start=1):
        text = (COURSE / chapter).read_text(encoding="utf-8")
        assert text.startswith(f"# {number}. ")
        following = chapters[number : number + 1]
        assert all("\nNext: [" in text and f"]({link})" in text for link in following)


def test_excerpts_are_what_the_source_says():
    """A block that begins with a file's path as a comment is a part of that file."""
    found = 0
    for page in sorted(DOCS.rglob("*.md")):
        for block in blocks(page):
            first, _, rest = block.text.partition("\n")
            path = ROOT / first.lstrip("#/ ")
            if not first.startswith(("# packages/", "# rust/", "// rust/")):
                continue
            found += 1
            assert rest in path.read_text(encoding="utf-8"), (page, first)
    assert found >= 4


# ----- the hundred lines -----


@pytest.fixture
def minipass() -> Any:
    import minipass  # type: ignore[import-not-found]  # beside the chapter

    return minipass


def test_the_hundred_lines_are_those_of_the_chapter():
    chapter = [p for p, output in programs(COURSE / "03-hundred-lines.md") if output is None]
    library = (COURSE / "minipass.py").read_text(encoding="utf-8")
    assert library.partition("\n\n")[2] == "\n\n".join(chapter), (
        "docs/course/minipass.py is stale: run `python docs/course/assemble.py`"
    )
    assert sum(1 for line in library.splitlines() if line.strip()) <= 100


def test_the_hundred_lines_have_the_names_of_the_engine(minipass):
    node = minipass.Node(None, (), None)
    assert vars(node).keys() <= set(graph.Node.__slots__)
    assert vars(minipass.Tensor(1.0)).keys() <= set(Tensor.__slots__)
    assert vars(minipass.Subgraph(node, node.serial)).keys() <= set(graph.Subgraph.__slots__)
    assert vars(minipass.add).keys() <= vars(backpass.numpy.tanh).keys()
    assert callable(minipass.Primitive.pullback)
    assert isinstance(backpass.numpy.tanh, Primitive)
    assert callable(backpass.numpy.tanh.pullback)
    assert callable(graph.backward)


def program(np: Any, steps: Any, x: Any, y: Any) -> Any:
    """Compute sums, products and functions of what came before, as `steps` say."""
    values = [x, y]
    for kind, i, j in steps:
        a, b = values[i % len(values)], values[j % len(values)]
        values.append([a + b, a * b, np.sin(a), np.cos(b), -a * 0.5][kind % 5])
    return values[-1] * np.sin(values[-2] + x * y)


@pytest.mark.parametrize("seed", range(20))
def test_the_hundred_lines_agree_with_the_library_to_the_third_order(minipass, seed):
    steps = np.random.default_rng(seed).integers(0, 100, (8, 3))
    ours = functools.partial(program, minipass, steps)
    theirs = functools.partial(program, backpass.numpy, steps)
    for _ in range(3):
        found, expected = minipass.grad(ours)(0.7, -0.4), grad(theirs, (0, 1))(0.7, -0.4)
        np.testing.assert_allclose([g.value for g in found], expected, rtol=1e-9, atol=1e-9)
        ours, theirs = summed(minipass.grad(ours)), summed(grad(theirs, (0, 1)))


def summed(gradient: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function whose value is the sum of a gradient's two parts."""

    def both(x: Any, y: Any) -> Any:
        by_x, by_y = gradient(x, y)
        return by_x + by_y

    return both


# ----- the guides -----


@pytest.mark.parametrize(
    ("library", "expression"),
    sorted({(library, ours) for library in GUIDES for _, ours in equivalents(library)}),
)
def test_each_equivalent_of_a_guide_computes(library, expression):
    """Whether both columns agree is seen where the libraries are: tests/oracle/test_guides.py."""
    for leaf in tree.leaves(evaluate(library, "python", expression)):
        value = leaf.value if isinstance(leaf, Tensor) else leaf
        assert value is None or np.isfinite(value).all()


def test_each_guide_has_a_table():
    assert all(len(equivalents(library)) >= 15 for library in GUIDES)
