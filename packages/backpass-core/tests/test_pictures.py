"""Pictures of graphs: what is in the boxes, where they lie, what is folded, in each form."""

import builtins
import importlib.util
import io
import re
import sys
import time
import xml.etree.ElementTree as ElementTree

import numpy
import pytest

import backpass.numpy as np
from backpass.core import Tensor, draw, explain, grad
from backpass.core.explain.pictures import Picture, dot, mermaid, svg
from backpass.core.explain.pictures.diagram import Arrow, Box, Diagram
from backpass.core.explain.pictures.layout import place

needs_igraph = pytest.mark.skipif(
    importlib.util.find_spec("igraph") is None,
    reason="igraph is not installed: backpass-core[draw] brings it",
)
SVG = "{http://www.w3.org/2000/svg}"


def f(x, y):
    a = np.sin(x)
    return a * y + a * a


def picture(*args):
    return Picture(explain(f, (0, 1))(*args))


def rows(box):
    return [text.text for text in box.iter(f"{SVG}text")]


def svg_boxes(text):
    root = ElementTree.fromstring(text)
    return [g for g in root.iter(f"{SVG}g") if "bp-box" in g.get("class", "").split()]


# ----- what is drawn -----


def test_each_variable_is_one_box_with_its_value_and_gradient():
    drawn = picture(0.5, 2.0).diagram
    expected = explain(f, (0, 1))(0.5, 2.0)
    by_title = {box.title.partition(" = ")[0]: box for box in drawn.boxes}
    assert list(by_title) == ["x", "y", "v1", "v2", "v3", "v4"]
    for v in expected.variables:
        assert by_title[v.label].value == f"value {v.value}"
        assert by_title[v.label].gradient == f"grad {v.cotangent}"
    assert by_title["x"].gradient == f"grad {grad(f, 0)(0.5, 2.0):.6g}"
    assert [by_title[name].look for name in ("x", "y", "v1", "v4")] == [
        "input",
        "input",
        "operation",
        "output",
    ]


def test_what_is_used_twice_is_one_box_with_an_arrow_for_each_use():
    drawn = picture(0.5, 2.0).diagram
    at = {box.title: i for i, box in enumerate(drawn.boxes)}
    found = sorted((a.source, a.target) for a in drawn.arrows)
    sine, product, square = at["v1 = sin(x)"], at["v2 = v1 * y"], at["v3 = v1 * v1"]
    assert [pair for pair in found if pair[0] == sine] == sorted(
        [(sine, product), (sine, square), (sine, square)]
    )


def test_numbers_stand_in_titles_and_arrays_that_are_not_differentiated_are_dashed():
    data = numpy.array([1.0, 2.0])
    drawn = draw(lambda x: np.sum(x * data * 3.0), 2.0).diagram
    looks = {box.title: box.look for box in drawn.boxes}
    assert looks["c1"] == "constant"
    assert "3.0" not in looks
    assert any(title.endswith("* 3.0") for title in looks)


def test_arrows_without_a_gradient_are_dashed():
    # The comparison is a way without derivatives.
    drawn = draw(lambda x: np.where(x > 1, x, 2 * x), 2.0).diagram
    compared = next(i for i, box in enumerate(drawn.boxes) if "> 1" in box.title)
    assert {a.carries for a in drawn.arrows if a.target == compared} == {False}
    assert any(a.carries for a in drawn.arrows)


def test_the_output_may_be_an_input():
    assert [box.title for box in draw(lambda x: x, 2.0).diagram.boxes] == ["x"]


# ----- a Tensor's graph -----


def test_a_tensor_s_picture_has_its_gradients_and_leaves_its_graph_as_it_is():
    x = np.array([0.5, -1.0]).requires_grad_()
    y = np.sum(np.tanh(x * 3.0) * x)
    drawn = draw(y).diagram
    assert x.grad is None
    y.backward()
    leaf = drawn.boxes[0]
    assert leaf.look == "input"
    assert numpy.fromstring(re.search(r"gradient \[(.*)\]", leaf.about)[1], sep=",") == (
        pytest.approx(x.grad, rel=1e-5)
    )
    assert "value [0.5, -1.0]" in leaf.value
    assert drawn.boxes[-1].value == f"value {y.value:.6g}"
    assert any("leaf1 * 3.0" in box.title for box in drawn.boxes)


def test_drawing_a_tensor_calls_no_hook():
    x = np.array(2.0).requires_grad_()
    y = x * x
    called = []
    y.register_hook(called.append)
    assert len(draw(y * 2.0).diagram.boxes) == 3
    assert called == []


def test_a_tensor_of_several_outputs_is_drawn():
    x = np.array([[2.0, 1.0], [1.0, 3.0]]).requires_grad_()
    q, r = np.linalg.qr(x)
    drawn = draw(np.sum(q) + np.sum(r)).diagram
    assert sum("one of the outputs" in box.title for box in drawn.boxes) == 2


def test_a_tensor_whose_graph_is_gone_is_refused():
    x = np.array(2.0).requires_grad_()
    y = x * x
    y.backward()
    for tensor in (y, Tensor(numpy.float64(1.0))):
        with pytest.raises(ValueError, match=r"not tracked.*requires_grad_"):
            draw(tensor)


def test_draw_says_what_it_takes():
    with pytest.raises(TypeError, match="target is a int: it must be a function"):
        draw(3)
    with pytest.raises(TypeError, match="leave them out"):
        draw(explain(f)(0.5, 2.0), 1.0)
    with pytest.raises(TypeError, match="grad needs one number"):
        draw(lambda x: x * 2.0, numpy.zeros(3))
    with pytest.raises(ValueError, match="boxes=3"):
        draw(f, 0.5, 2.0).folded(3)


# ----- folding -----


def block(x):
    for _ in range(10):
        x = np.sin(x) + x
    return x


def deep(x):
    for _ in range(500):
        x = block(x)
    return x


def long(x):
    for _ in range(5000):
        x = np.sin(x) + x
    return x


def few(x):
    for _ in range(5):
        x = block(x)
    return x * 2.0


@pytest.mark.parametrize("fun", [deep, long])
def test_a_graph_of_ten_thousand_operations_is_folded(fun):
    found = explain(fun)(0.1)
    start = time.perf_counter()
    drawn = Picture(found)
    boxes = drawn.diagram.boxes
    assert 10 < len(boxes) <= 60
    assert len(found.variables) > 10_000
    # Every variable is in one box, and every arrow points forward.
    assert sorted(i for box in boxes for i in box.members) == list(range(len(found.variables)))
    assert all(a.source < a.target for a in drawn.diagram.arrows)
    assert "10000 operations" in drawn.diagram.description
    drawn.mermaid()
    # It takes some hundredths of a second.
    assert time.perf_counter() - start < 20


def test_calls_of_functions_are_folded_first():
    boxes = Picture(explain(few)(0.1), boxes=10).diagram.boxes
    titles = [box.title for box in boxes]
    assert titles[1:6] == [f"block{n}: 20 operations" for n in ("", " (2)", " (3)", " (4)", " (5)")]
    assert boxes[1].value == "sin \N{MULTIPLICATION SIGN}10, add \N{MULTIPLICATION SIGN}10"
    assert titles[6:] == ["v101 = v100 * 2.0"]


def test_a_fold_is_opened_where_there_is_room():
    boxes = Picture(explain(few)(0.1), boxes=30).diagram.boxes
    assert sum(box.look == "fold" for box in boxes) > 0
    assert len(boxes) <= 30
    assert len(Picture(explain(few)(0.1), boxes=103).diagram.boxes) == 102


def test_many_inputs_are_folded():
    boxes = Picture(explain(lambda xs: sum(xs) * 1.0)([np.array(1.0)] * 300)).diagram.boxes
    assert len(boxes) <= 60
    assert boxes[0].title.startswith("xs[0] … xs[")
    assert boxes[0].look == "input"


# ----- the layout -----


def overlap(a, b):
    return (
        a.x < b.x + b.width
        and b.x < a.x + a.width
        and a.y < b.y + b.height
        and b.y < a.y + a.height
    )


@needs_igraph
@pytest.mark.parametrize("seed", range(25))
def test_no_box_lies_on_another_and_arrows_go_down_inside_the_picture(seed):
    random = numpy.random.default_rng(seed)
    count = 40
    boxes = [Box(i, "operation", "x" * int(random.integers(1, 30)), "value") for i in range(count)]
    arrows = [
        Arrow(int(random.integers(max(0, i - 15), i)), i, operand=k)
        for i in range(3, count)
        for k in range(int(random.integers(1, 4)))
    ]
    placed = place(Diagram("", boxes, arrows))
    rectangles = placed.rectangles
    assert not any(overlap(rectangles[i], rectangles[j]) for i in range(count) for j in range(i))
    for rectangle in rectangles:
        assert rectangle.x >= 0
        assert rectangle.x + rectangle.width <= placed.width
        assert rectangle.y + rectangle.height <= placed.height
    for arrow, curve in zip(arrows, placed.curves, strict=True):
        source, target = rectangles[arrow.source], rectangles[arrow.target]
        assert curve[0][1] == pytest.approx(source.y + source.height)
        assert curve[-1][1] == pytest.approx(target.y)
        assert target.x < curve[-1][0] < target.x + target.width
        assert len(curve) % 3 == 1
        heights = [y for _, y in curve]
        assert heights == sorted(heights)
        assert all(0 <= x <= placed.width for x, _ in curve)


@needs_igraph
def test_arrows_of_a_box_that_is_used_everywhere_go_around():
    count = 6000
    boxes = [Box(0, "input", "w"), *(Box(i, "operation", "v") for i in range(1, count))]
    arrows = [Arrow(i - 1, i) for i in range(1, count)] + [Arrow(0, i) for i in range(2, count)]
    start = time.perf_counter()
    placed = place(Diagram("", boxes, arrows))
    assert time.perf_counter() - start < 60
    right = max(r.x + r.width for r in placed.rectangles)
    assert max(x for x, _ in placed.curves[-1]) > right


# ----- SVG and PNG -----

NASTY = "x['<&\"\x01>']"


@needs_igraph
def test_the_svg_is_sound_and_can_be_read_aloud():
    text = picture(0.5, 2.0).svg()
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    assert root[0].tag == f"{SVG}title"
    assert root[0].text == "Graph of f"
    assert root[1].tag == f"{SVG}desc"
    assert "4 operations" in root[1].text
    assert "x, value 0.5, grad 2.59664" in root[1].text
    assert f"{grad(f, 0)(0.5, 2.0):.6g}" == "2.59664"
    boxes = svg_boxes(text)
    assert rows(boxes[0]) == ["x", "value 0.5", "grad 2.59664"]
    assert len(boxes) == 6
    # What does not fit in a box stands in its title.
    assert "return a * y + a * a" in boxes[3].find(f"{SVG}title").text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


@needs_igraph
def test_text_in_boxes_means_nothing_to_xml():
    boxes = [Box(0, "input", NASTY, about=NASTY)]
    text = svg.write(place(Diagram(NASTY, boxes, [], NASTY)))
    shown = NASTY.replace("\x01", "\N{REPLACEMENT CHARACTER}")
    assert rows(svg_boxes(text)[0]) == [shown]
    assert ElementTree.fromstring(text)[0].text == shown


@needs_igraph
def test_a_notebook_shows_the_svg():
    drawn = draw(f, 0.5, 2.0)
    assert drawn._repr_svg_() == drawn.svg()
    assert "prefers-color-scheme:dark" in drawn.svg()


@needs_igraph
def test_the_png_has_the_size_and_the_colours_of_the_svg():
    image = pytest.importorskip("matplotlib.image", reason="matplotlib is not installed")
    drawn = picture(0.5, 2.0)
    for scale in (1.0, 2.0):
        file = drawn.png(scale)
        assert file.startswith(b"\x89PNG\r\n\x1a\n")
        pixels = image.imread(io.BytesIO(file))
        placed = drawn.placed()
        assert pixels.shape[0] == pytest.approx(placed.height * scale, abs=2)
        assert pixels.shape[1] == pytest.approx(placed.width * scale, abs=2)
    colors = {tuple(color) for color in (pixels[..., :3] * 255).round().reshape(-1, 3).astype(int)}
    # Paper, input, operation, output.
    assert {(255, 255, 255), (0xE3, 0xED, 0xFD), (0xF5, 0xF6, 0xF8), (0xE2, 0xF4, 0xE6)} <= colors
    x = placed.rectangles[0]
    row = pixels[int((x.y + x.height / 2) * 2), int(x.x * 2 + 8) : int((x.x + x.width) * 2 - 8)]
    assert len({tuple(color) for color in row.round(2).tolist()}) > 3, "no text in the box"
    with pytest.raises(ValueError, match="scale=0"):
        drawn.png(0)


# ----- DOT and Mermaid -----


def test_dot_names_every_box_and_arrow():
    lines = picture(0.5, 2.0).dot().splitlines()
    assert lines[0] == 'digraph "Graph of f" {'
    assert lines[-1] == "}"
    assert sum(bool(re.fullmatch(r"  n\d+ \[label=.*\];", line)) for line in lines) == 6
    assert sum(bool(re.fullmatch(r"  n\d+ -> n\d+;", line)) for line in lines) == 7


def test_text_means_nothing_to_dot_and_mermaid():
    drawn = Diagram('a"b\\', [Box(0, "input", 'say "hi" \\n [x] <b>')], [])
    assert '[label="say \\"hi\\" \\\\n [x] <b>",' in dot.write(drawn)
    assert dot.write(drawn).startswith('digraph "a\\"b\\\\" {')
    label = re.search(r'\(\["(.*)"\]\)', mermaid.write(drawn))[1]
    assert label == "say #34;hi#34; #92;n #91;x#93; #60;b#62;"


# ----- files and libraries -----


@needs_igraph
def test_a_picture_is_saved_in_the_form_of_its_name(tmp_path):
    drawn = picture(0.5, 2.0)
    for name, text in (("a.svg", drawn.svg()), ("a.dot", drawn.dot()), ("a.mmd", drawn.mermaid())):
        drawn.save(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8") == text
    explain(f, (0, 1))(0.5, 2.0).save(tmp_path / "b.svg")
    assert (tmp_path / "b.svg").read_text(encoding="utf-8") == drawn.svg()
    with pytest.raises(ValueError, match=r"a\.pdf: .*\.svg, \.png, \.dot or \.mmd"):
        drawn.save(tmp_path / "a.pdf")


@pytest.mark.parametrize("missing", ["igraph", "matplotlib"])
def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch, missing):
    found = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == missing:
            raise ImportError(name)
        return found(name, *args, **kwargs)

    for name in list(sys.modules):
        if name.partition(".")[0] == missing:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)
    drawn = picture(0.5, 2.0)
    with pytest.raises(ImportError, match=rf"{missing}: pip install 'backpass-core\[draw\]'"):
        drawn.svg() if missing == "igraph" else drawn.png()
    assert drawn.dot()
    assert drawn.mermaid()
