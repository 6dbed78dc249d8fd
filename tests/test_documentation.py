"""The documentation below docs/: its programs, its excerpts, what is made for it."""

import contextlib
import functools
import importlib.util
import io
import json
import linecache
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import backpass.numpy
from backpass.core import grad, graph, tree
from backpass.core.primitive import Primitive
from backpass.core.tensor import Tensor

from .guides import GUIDES, equivalents, evaluate
from .markdown import blocks, programs, tables
from .repository import README, ROOT

DOCS = ROOT / "docs"
COURSE = DOCS / "course"
pytestmark = pytest.mark.usefixtures("as_a_reader")
NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
PAGES = [path for path in sorted(DOCS.glob("*/**/*.md")) if programs(path)]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ----- programs -----


def run(program: str, names: dict[str, Any], file: str) -> str:
    """Run a program as that of a file, whose lines Python knows, and give what it printed."""
    linecache.cache[file] = len(program), None, program.splitlines(keepends=True), file
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(program, file, "exec"), names)
    return printed.getvalue()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_program_prints_what_its_page_shows(page):
    names: dict[str, Any] = {"__name__": "__main__"}
    for program, output in programs(page):
        printed = run(program, names, file="mine.py")
        if output is not None or page.parent == COURSE:
            assert printed == (output or "")


def test_the_network_of_the_readme_learns():
    """On the made-up images, which are easy."""
    program = next(program for program, _ in programs(README) if "load_mnist" in program)
    lines = run(program, {"__name__": "__main__"}, file="mine.py").splitlines()
    assert len(lines) == 5
    assert lines[-1] == "epoch 5: 100.0% of the test images read right"


def test_the_readme_leads_to_a_page_to_step_through():
    program = next(program for program, _ in programs(README) if "explain" in program)
    run(program, {"__name__": "__main__"}, file="mine.py")
    page = Path("backprop.html").read_text(encoding="utf-8")
    assert "return x * np.sin(x * x)" in page
    assert "g * cos(x)" in page
    trace = json.loads(re.search(r'<script type="application/json" id="trace">(.*?)<', page)[1])
    x = trace["variables"][0]
    assert (x["label"], x["value"]) == ("x", 1.5)
    assert x["cotangent"] == pytest.approx(np.sin(2.25) + 4.5 * np.cos(2.25), rel=1e-12)


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
        "docs/course/minipass.py is stale: run `hatch run docs:minipass`"
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


# ----- pictures, links, names -----


def pictures() -> Any:
    spec = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(svg: Path) -> tuple[list[str], list[float]]:
    """List a picture's words and its numbers; where they are may depend on igraph's version."""
    text = sorted(re.findall(r">([^<>]*\S[^<>]*)<", svg.read_text(encoding="utf-8")))
    numbers = [[float(x) for x in NUMBER.findall(line)] for line in text]
    words = [re.sub(r"\s", "", NUMBER.sub("0", line)) for line in text]
    return words, [x for line in numbers for x in line]


def test_the_pictures_say_what_would_be_drawn_today(tmp_path):
    pytest.importorskip("igraph", reason="igraph is not installed: backpass-core[draw] brings it")
    module = pictures()
    module.draw(tmp_path)
    for name in module.PICTURES:
        words, numbers = said(tmp_path / name)
        stale = f"docs/pictures/{name} is stale: run `hatch run docs:pictures`"
        assert said(DOCS / "pictures" / name) == (words, pytest.approx(numbers, rel=1e-4)), stale


def test_every_picture_is_drawn_by_the_library_and_shown():
    committed = {path.name for path in (DOCS / "pictures").iterdir()}
    assert committed == {*pictures().PICTURES, "logo.svg"}
    shown = "".join(path.read_text("utf-8") for path in [README, *DOCS.rglob("*.md")])
    assert all(f"pictures/{name}" in shown for name in committed)


@pytest.mark.parametrize("page", [README, ROOT / "CONTRIBUTING.md"], ids=name)
def test_links_of_pages_outside_the_site_lead_somewhere(page):
    """Those inside are checked when the site is built."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    local = [link for link in found if not re.match(r"https?://", link)]
    assert local
    for link in local:
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}


#: Where docs/results.md has the figures of the README's table: by the row's beginning, the section,
#: the column of its first table, and the rows of that, by library.
FIGURES = {
    "one operation": (
        "The cost of an operation",
        "median",
        {
            "Backpass": ["**Backpass**"],
            "HIPS autograd": ["HIPS autograd"],
            "JAX": ["JAX, eager", "JAX, jit"],
            "PyTorch": ["PyTorch"],
            "MyGrad": ["MyGrad"],
        },
    ),
    "a training step": (
        "A training step",
        "32",
        {
            "Backpass": ["**Backpass**, value_and_grad + one fused update"],
            "HIPS autograd": ["HIPS autograd"],
            "JAX": ["JAX, jit, donated buffers"],
            "PyTorch": ["PyTorch, eager"],
            "MyGrad": ["MyGrad"],
        },
    ),
    "import": (
        "Importing",
        "median",
        {
            "Backpass": ["**backpass.numpy**"],
            "HIPS autograd": ["autograd.numpy"],
            "JAX": ["jax.numpy"],
            "PyTorch": ["torch"],
        },
    ),
}


@pytest.mark.parametrize("beginning", FIGURES)
def test_the_figures_of_the_readme_are_those_of_the_results(beginning):
    compared = tables(README.read_text(encoding="utf-8"))
    row = next(row for table in compared for name, row in table.items() if beginning in name)
    section, column, rows = FIGURES[beginning]
    results = (DOCS / "results.md").read_text(encoding="utf-8").partition(f"\n## {section}\n")[2]
    measured = tables(results)[0]
    for library, names in rows.items():
        medians = [measured[name][column].split("/")[-1].strip(" *") for name in names]
        assert re.findall(r"[\d.,]*\d", row[library]) == medians, library
