"""The page that `explain(...).save("backprop.html")` writes: what is in the file.

`test_page_in_a_browser.py` tests what it does.
"""

import json
import re

import numpy
import pytest

import backpass.numpy as np
from backpass.core import explain
from backpass.core.explain.page import text_of
from backpass.core.explain.page.data import tree_of
from backpass.core.ops.elementwise import maximum, power, tanh
from backpass.core.rules import expression

pytest.importorskip("igraph", reason="igraph is not installed: backpass-core[draw] brings it")


def data(text):
    return json.loads(re.search(r'<script type="application/json" id="trace">(.*?)<', text)[1])


def test_the_page_is_one_file_that_asks_for_nothing():
    text = text_of(explain(lambda x: x * np.sin(x))(1.5))
    # No element of it loads anything, and its own policy forbids all that would.
    assert "default-src 'none'" in text
    assert not re.search(r"<(link|img|iframe|object|embed|audio|video|base)\b", text)
    assert not re.search(r"<script[^>]+src=|@import|url\((?!#)", text)
    assert not re.search(
        r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon|import)\(", text
    )
    assert not re.search(r"\beval\(|new Function|innerHTML|document\.write", text)
    assert set(re.findall(r"https?://[^\s\"'<]*", text)) == {"http://www.w3.org/2000/svg"}


def test_nothing_in_a_function_ends_the_script_it_stands_in():
    def f(tree):
        return tree["</script><script>alert(1)//"] * 2.0

    f.__name__ = "<img src=x onerror=alert(2)>"
    text = text_of(explain(f)({"</script><script>alert(1)//": np.array(2.0)}))
    assert text.count("</script>") == 3
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "</script><script>alert(1)//" in data(text)["variables"][0]["label"]


def test_numbers_that_json_has_not_are_words():
    with numpy.errstate(all="ignore"):
        found = data(text_of(explain(lambda x: np.sqrt(x) * numpy.inf)(0.0)))
    values = [v.get("value") for v in found["variables"]]
    assert "inf" in values
    assert "nan" in values


def long(x):
    for _ in range(250):
        x = np.sin(x * 0.5) + x * 1.0
    return x


def wide(x):
    y = x
    for _ in range(250):
        y = np.tanh(y * 0.5) + x * 1.0
    return np.sum(y)


def matrices(x):
    y = x
    for _ in range(333):
        y = np.tanh(y @ x) + x
    return np.sum(y)


@pytest.mark.parametrize(
    ("fun", "x"), [(long, 0.3), (wide, numpy.linspace(0, 1, 50)), (matrices, numpy.eye(8) / 3)]
)
def test_a_thousand_operations_take_less_than_a_megabyte(fun, x):
    found = explain(fun)(x)
    assert sum(v.kind == "operation" for v in found.variables) in (1000, 1001)
    text = text_of(found)
    assert len(text.encode()) < 1_000_000
    assert len(data(text)["boxes"]) > 1000


def test_rules_are_written_as_they_are():
    assert tree_of(expression(tanh)[0]) == ["subtract", 1.0, ["multiply", "ans", "ans"]]
    assert tree_of(expression(power)[0])[0] == "zero_multiply"
    assert tree_of(expression(maximum)[0])[0] == "add"
    assert tree_of(np.array) is None
    f = explain(lambda x: np.maximum(-x, 2.0))(1.0)
    rules = [rule["tree"] for rule in data(text_of(f))["rules"]]
    assert ["negative", "g"] in rules
    assert [tree[0] for tree in rules] == ["zero_product", "negative"]


def test_what_is_long_is_cut():
    x = numpy.linspace(0.0, 1.0, 64)
    found = data(text_of(explain(wide)(numpy.linspace(0.0, 1.0, 64))))
    arrays = [v["value"] for v in found["variables"] if isinstance(v.get("value"), list)]
    assert len(arrays) > 1000
    assert all(len(text) < 80 for value in arrays for text in value)
    assert {line for line, _ in arrays} == {"64 \N{MULTIPLICATION SIGN} float64"} or arrays
    short = data(text_of(explain(lambda x: np.sum(x * x))(x)))
    assert short["variables"][0]["value"][1].count(",") == 63


def test_the_page_of_ten_thousand_operations_is_folded():
    def f(x):
        for _ in range(10):
            x = long(x)
        return x

    found = data(text_of(explain(f)(0.1)))
    assert len(found["boxes"]) <= 1500
    assert len(found["variables"]) > 10_000
