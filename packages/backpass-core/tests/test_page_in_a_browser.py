"""The page of an explanation in a real browser: stepping, looking, trying other numbers.

It needs Chromium, as Debian's package `chromium` brings it, and Playwright from PyPI, which drives
it. The browser is offline, and a request, an error or a warning of the page fails the test.
"""

import importlib.util
import shutil

import numpy
import pytest

import backpass.numpy as np
import backpass.scipy.special as special
from backpass.core import Tensor, explain, grad, no_grad, value_and_grad

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)

if CHROMIUM is None:
    pytest.skip("no chromium is installed (apt-get install chromium)", allow_module_level=True)
for _name, _source in (("playwright", "pip install playwright"), ("igraph", "backpass-core[draw]")):
    if importlib.util.find_spec(_name) is None:
        pytest.skip(f"{_name} is not installed ({_source})", allow_module_level=True)

from playwright.sync_api import sync_playwright  # noqa: E402


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        # The sandbox does not work for root, nor in most containers, whose /dev/shm is small.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Return a function that writes an explanation and opens it; complain about what went wrong."""
    contexts, wrong = [], []

    def open_page(explanation, width=1280, height=800, **options):
        path = explanation.save(tmp_path / f"page{len(contexts)}.html")
        context = browser.new_context(
            viewport={"width": width, "height": height}, offline=True, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.on(
            "request",
            lambda r: None if r.url == path.as_uri() else wrong.append(f"request: {r.url}"),
        )
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def f(x, y):
    a = np.sin(x * y)
    b = np.exp(-x) + a
    return a * b + x**2


def explained(x=1.5, y=0.5):
    return explain(f, (0, 1))(x, y)


def position(page):
    return page.locator("#position").inner_text()


def step_text(page):
    return page.locator("#step").inner_text()


def rows(page):
    """Return the lines of each box, by what it is called."""
    found = page.locator(".bp-box").evaluate_all(
        "boxes => boxes.map(b => [...b.querySelectorAll('text')].map(t => t.textContent))"
    )
    return {lines[0].partition(" = ")[0]: lines[1:] for lines in found}


def numbers(page):
    """Return the result, and the gradient of each input, in full precision."""
    result = page.locator("#result").get_attribute("data-value")
    found = page.locator("#fields .field").evaluate_all(
        "fields => fields.map(l => [l.querySelector('input').dataset.label, "
        "l.querySelector('output').dataset.value])"
    )
    # JavaScript's Infinity and NaN are Python's, too.
    return float(result), {label: float(value) for label, value in found}


def enter(page, label, value):
    page.locator(f'input[data-label="{label}"]').fill(repr(value))


# ----- stepping -----


def test_the_steps_are_those_of_the_trace(open_page):
    found = explained()
    page = open_page(found)
    last = 2 + 8 + len(found.steps)
    assert position(page) == f"Step 0 of {last}"
    assert "x = 1.5" in step_text(page)
    for i in range(1, last + 1):
        page.get_by_role("button", name="One step on").click()
        assert position(page) == f"Step {i} of {last}"
        text = step_text(page)
        if i <= 8:
            v = [v for v in found.variables if v.operation][i - 1]
            assert f"Forward: compute {v.label}" in text
            assert f"{v.label} = {v.call}" in text
            assert f"= {v.value}" in text
            assert v.place.text in text
        elif 9 < i < last:
            step = found.steps[i - 10]
            assert f"through {found.variables[step.variable].label}" in text
            for c in step.contributions:
                sign = "=" if c.first else "+="
                assert f"d{found.variables[c.variable].label} {sign} {c.named}" in text
                assert f"{sign} {c.value}" in text
                assert c.first or f"is now {c.total}" in text
    assert f"dx = {grad(f, 0)(1.5, 0.5):.6g}" in step_text(page)
    assert page.get_by_role("button", name="One step on").is_disabled()
    page.get_by_role("button", name="One step back").click()
    assert position(page) == f"Step {last - 1} of {last}"
    page.get_by_role("button", name="First step").click()
    assert position(page) == f"Step 0 of {last}"
    assert page.get_by_role("button", name="One step back").is_disabled()


def test_keys_and_the_slider_step_too(open_page):
    page = open_page(explained())
    for key, step in (
        ("ArrowRight", 1),
        ("ArrowRight", 2),
        ("ArrowLeft", 1),
        ("ArrowLeft", 0),
        ("ArrowLeft", 0),
        ("End", 18),
        ("ArrowRight", 18),
        ("Home", 0),
    ):
        page.keyboard.press(key)
        assert position(page) == f"Step {step} of 18"
    page.get_by_role("slider", name="Step").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert position(page) == "Step 2 of 18"
    page.locator("#slider").fill("10")
    assert position(page) == "Step 10 of 18"


def test_arrow_keys_in_a_field_move_in_its_text(open_page):
    page = open_page(explained())
    page.locator('input[data-label="x"]').focus()
    page.keyboard.press("ArrowRight")
    assert position(page) == "Step 0 of 18"


def test_each_step_is_said_to_a_screen_reader(open_page):
    page = open_page(explained())
    live = page.locator("[aria-live=polite]")
    assert live.text_content() == ""
    said = set()
    for i in range(1, 19):
        page.keyboard.press("ArrowRight")
        text = live.text_content()
        assert text.startswith(f"Step {i} of 18.")
        assert page.locator("#step-title").text_content() in text
        said.add(text)
    assert len(said) == 18
    assert page.locator("#slider").get_attribute("aria-valuetext").startswith("Step 18 of 18")


def test_values_and_gradients_appear_in_the_boxes_when_they_are_computed(open_page):
    found = explained()
    page = open_page(found)
    assert rows(page)["x"] == ["value 1.5", ""]
    assert rows(page)["v1"] == ["", ""]
    page.keyboard.press("ArrowRight")
    assert rows(page)["v1"] == ["value 0.75", ""]
    assert rows(page)["v2"] == ["", ""]
    # dx is made of three parts, that come one after another.
    seen = []
    for _ in range(17):
        page.keyboard.press("ArrowRight")
        gradient = rows(page)["x"][1]
        if gradient not in ("", *seen):
            seen.append(gradient)
    totals = [
        c.total
        for s in found.steps
        for c in s.contributions
        if found.variables[c.variable].index == 0
    ]
    assert seen == [f"grad {total}" for total in totals]
    assert len(seen) == 3
    for v in found.variables:
        if v.kind != "constant":
            assert rows(page)[v.label] == [f"value {v.value}", f"grad {v.cotangent}"]


def test_the_gradient_flows_along_the_edges(open_page):
    found = explained()
    page = open_page(found)
    page.keyboard.press("ArrowRight")
    # v1 = x * y: two arrows come from x and y.
    assert page.locator(".bp-arrow.is-forward").count() == 2
    assert page.locator(".bp-arrow.is-back").count() == 0
    for step, i in zip(found.steps, range(10, 18), strict=True):
        page.locator("#slider").fill(str(i))
        count = len(step.contributions)
        assert page.locator(".bp-arrow.is-back").count() == count
        assert page.locator(".bp-arrow.is-forward").count() == 0
        written = page.locator(".contribution").all_text_contents()
        assert sorted(written) == sorted(str(c.value) for c in step.contributions)
        assert page.locator(".bp-box.is-current").count() == 1
    style = "e => getComputedStyle(e).animationName"
    assert page.locator(".bp-arrow.is-back").first.evaluate(style) == "flow-back"


def test_nothing_moves_for_whom_it_should_not(open_page):
    page = open_page(explained(), reduced_motion="reduce")
    page.locator("#slider").fill("12")
    style = "e => getComputedStyle(e).animationName"
    assert page.locator(".bp-arrow.is-back").first.evaluate(style) == "none"


# ----- looking at a variable -----


def test_a_click_on_a_box_shows_its_formula_and_numbers(open_page):
    page = open_page(explained())
    assert not page.locator("#variable").is_visible()
    page.locator(".bp-box", has_text="v2 = sin(v1)").click()
    text = page.locator("#variable").inner_text()
    for part in (
        "v2 = sin(v1)",
        "0.681639",
        "1.58641",
        "0.904769 through v6",
        "0.681639 through v5",
        "to dv1: dv2 * cos(v1)",
        "= 1.58641 * cos(0.75)",
        "= 1.16076",
        "a = np.sin(x * y)",
    ):
        assert part in text
    page.get_by_role("button", name="Close the details").click()
    assert not page.locator("#variable").is_visible()


# ----- the keyboard alone -----


def test_everything_is_done_with_the_keyboard_alone(open_page):
    page = open_page(explained())
    active = "() => document.activeElement.id || document.activeElement.getAttribute('class')"
    met = []
    while True:
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement === document.body"):
            break
        met.append(page.evaluate(active))
        outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        stroke = page.evaluate(
            "() => { const r = document.activeElement.querySelector('rect');"
            "return r && getComputedStyle(r).strokeWidth; }"
        )
        assert outline != "none" or stroke == "4px", f"no focus is to be seen on {met[-1]}"
    assert met[0] == "skip"
    assert [name for name in met if name and name.startswith("bp-box")] == ["bp-box bp-input"]
    assert {"input-0", "input-1", "reset", "next", "last", "slider"} <= set(met)
    # Enter on a button steps, and the focus stays.
    page.locator("#next").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Space")
    assert position(page) == "Step 2 of 18"
    assert page.evaluate(active) == "next"
    page.keyboard.press("End")
    assert page.evaluate(active) == "back"
    # From box to box, in, and out again.
    page.locator('.bp-box[tabindex="0"]').focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.locator("#variable-title").inner_text() == "y"
    assert "Details: y" in page.locator("#live").text_content()
    page.keyboard.press("Escape")
    assert not page.locator("#variable").is_visible()
    assert "bp-box" in page.evaluate(active)
    # A field, by its label.
    page.get_by_label("x", exact=True).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("2.0")
    assert numbers(page)[0] == pytest.approx(f(2.0, 0.5).value, rel=1e-12)


# ----- other numbers -----

FUNCTIONS = {
    "the example": (f, (1.5, 0.5), (-0.7, 2.25)),
    "arithmetic": (lambda x, y: (x - y) / (x * y) - (+x) ** y, (2.0, 3.0), (1.25, 0.5)),
    "powers": (lambda x, y: x**3 + 2.0**y + x**-1 + x**0.5, (2.0, 3.0), (1.25, -0.5)),
    "exponentials": (
        lambda x, y: np.exp2(x) * np.expm1(y) + np.log1p(x) * np.log2(y) - np.log10(x),
        (0.5, 1.5),
        (0.75, 2.5),
    ),
    "roots": (
        lambda x, y: np.sqrt(x) * np.cbrt(y) + np.square(x) / np.reciprocal(y),
        (2.0, 3.0),
        (0.3, 1.7),
    ),
    "circles": (
        lambda x, y: np.tan(x) * np.arcsin(y) + np.arccos(x) * np.arctan(y) + np.arctan2(x, y),
        (0.5, 0.25),
        (-0.3, 0.6),
    ),
    "hyperbolas": (
        lambda x, y: np.sinh(x) * np.cosh(y) + np.arcsinh(x) * np.arctanh(y) + np.arccosh(x + 2),
        (0.5, 0.25),
        (-0.3, 0.6),
    ),
    "the larger": (
        lambda x, y: np.maximum(x, y) * np.minimum(x, 2.0) + np.fmax(x, y) + abs(x),
        (1.0, 3.0),
        (-1.5, -2.5),
    ),
    "ties": (lambda x, y: np.maximum(x, y) * np.minimum(x, y), (1.0, 3.0), (2.0, 2.0)),
    "logistic": (
        lambda x, y: special.expit(x) * np.logaddexp(x, y) + np.hypot(x, y),
        (1.0, 3.0),
        (-1.5, 0.5),
    ),
    "errors": (lambda x, y: special.erf(x) * special.erfc(y), (1.0, 0.2), (-2.7, 3.1)),
    "angles": (lambda x, y: np.deg2rad(x) + np.rad2deg(y), (90.0, 1.0), (45.0, 2.0)),
    "a choice": (lambda x, y: np.where(x > y, x * y, np.exp(x)), (1.0, 3.0), (4.0, 2.0)),
    "the trap": (lambda x, y: np.where(x > 0, np.sqrt(x), 0.0) * y, (1.0, 3.0), (-1.0, 2.0)),
    "remainders": (lambda x, y: np.remainder(x, y) + np.fmod(x, y), (7.5, 2.0), (-7.25, 3.0)),
    "single precision": (
        lambda x, y: np.tanh(x * y) / x,
        (numpy.float32(0.3), numpy.float32(2.0)),
        (0.7, -1.1),
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_all_is_computed_anew_from_other_inputs(open_page, name):
    fun, at, other = FUNCTIONS[name]
    page = open_page(explain(fun, (0, 1))(*at))
    kind = type(at[0])
    tolerance = 1e-12 if kind is float else 1e-5

    def expect(x, y):
        with numpy.errstate(invalid="ignore"):
            value, gradients = value_and_grad(fun, (0, 1))(kind(x), kind(y))
        found, shown = numbers(page)
        assert found == pytest.approx(float(value), rel=tolerance)
        assert [shown["x"], shown["y"]] == pytest.approx(list(map(float, gradients)), rel=tolerance)

    expect(*at)
    enter(page, "x", other[0])
    enter(page, "y", other[1])
    expect(*other)
    page.get_by_role("button", name="Back to the original numbers").click()
    expect(*at)


@pytest.mark.parametrize("name", ["the example", "logistic", "circles", "a choice"])
def test_the_gradient_on_the_page_is_the_slope_of_the_page(open_page, name):
    fun, at, other = FUNCTIONS[name]
    page = open_page(explain(fun, (0, 1))(*at))
    h = 1e-5
    for label, i in (("x", 0), ("y", 1)):
        ends = []
        for moved in (other[i] - h, other[i] + h):
            enter(page, "x", other[0])
            enter(page, "y", other[1])
            enter(page, label, moved)
            ends.append(numbers(page)[0])
        enter(page, label, other[i])
        slope = (ends[1] - ends[0]) / (2 * h)
        assert numbers(page)[1][label] == pytest.approx(slope, rel=1e-7, abs=1e-9)


def test_boxes_steps_and_words_follow_other_inputs(open_page):
    page = open_page(explained())
    page.locator("#slider").fill("17")
    page.locator(".bp-box", has_text="v2 = sin(v1)").click()
    page.locator("summary").click()
    enter(page, "x", 0.25)
    other = explained(0.25, 0.5)
    assert position(page) == "Step 17 of 18"
    for v in other.variables:
        if v.kind != "constant":
            assert rows(page)[v.label] == [f"value {v.value}", f"grad {v.cotangent}"]
    assert f"dx is now {other.variables[0].cotangent}" in step_text(page)
    assert str(other.variables[3].value) in page.locator("#variable").inner_text()
    assert f"v8 = v6 + v7 = {other.variables[other.output].value}" in (
        page.locator("#list").inner_text()
    )
    said = page.locator("#live").text_content()
    assert f"v8 = {other.variables[other.output].value}" in said
    assert f"dx = {other.variables[0].cotangent}" in said


@pytest.mark.parametrize("text", ["", "abc", "1,5", "1e", "0x10", "--1", "Infinity", "1 2"])
def test_what_is_no_number_is_said_to_be_none(open_page, text):
    page = open_page(explained())
    before = numbers(page)
    field = page.locator('input[data-label="x"]')
    field.fill(text)
    assert field.get_attribute("aria-invalid") == "true"
    assert "x must be a number" in page.locator("#inputs-note").inner_text()
    assert numbers(page) == before
    field.fill(" -2.5e-1 ")
    assert field.get_attribute("aria-invalid") == "false"
    assert numbers(page)[0] == pytest.approx(float(f(-0.25, 0.5).value), rel=1e-12)


def in_numbers(x):
    return special.gamma(x) * 2.0


def with_a_rule_of_its_own(x):
    from backpass.core import checkpoint

    return checkpoint(np.sin)(x)


@pytest.mark.parametrize(
    ("fun", "x", "reason"),
    [
        (lambda x: np.sum(x * x), numpy.array([1.0, 2.0]), "x is not a single number"),
        (lambda x: x * np.sum(np.ones(3) * x), 2.0, "is not a single number"),
        (in_numbers, 2.5, "this page does not know gamma"),
        (with_a_rule_of_its_own, 2.5, "does not know checkpoint"),
        (lambda x: np.round(x, decimals=1) * x, 2.5, "has keywords"),
        (lambda x: x * 2.0, numpy.float16(2.5), "of type float16"),
    ],
)
def test_where_nothing_can_be_computed_anew_the_field_says_why(open_page, fun, x, reason):
    page = open_page(explain(fun)(x))
    assert page.locator("#fields input").is_disabled()
    note = page.locator("#inputs-note").inner_text()
    assert note.startswith("Numbers cannot be changed here: ")
    assert reason in note
    page.keyboard.press("End")
    assert position(page).startswith("Step ")


def test_a_parameter_that_the_function_reaches_is_an_input_too(open_page):
    w = np.array(3.0).requires_grad_()
    page = open_page(explain(lambda x: x * w)(Tensor(numpy.float64(2.0))))
    enter(page, "w", 5.0)
    assert numbers(page) == (10.0, {"x": 5.0, "w": 2.0})


def test_an_output_that_depends_on_nothing(open_page):
    def constant(x):
        with no_grad():
            return x * 2.0

    with pytest.warns(UserWarning, match="gradient is 0"):
        grad(constant)(1.0)
    page = open_page(explain(constant)(1.0))
    page.keyboard.press("End")
    assert "dx = 0" in step_text(page)


# ----- arrays, outputs that are tuples, folds -----


def test_arrays_are_shown_in_full(open_page):
    W = numpy.array([[0.5, -0.25], [1.0, 2.0]])
    found = explain(lambda W: np.sum(np.tanh(W @ W)))(W)
    page = open_page(found)
    page.keyboard.press("End")
    page.locator(".bp-box").first.click()
    text = page.locator("#variable").inner_text()
    assert str(found.variables[0].value) in text
    assert str(found.variables[0].cotangent) in text
    page.locator("#slider").fill("2")
    assert "= tanh(v1)" in step_text(page)
    assert str(found.variables[2].value).splitlines()[0] in step_text(page)


def test_an_operation_with_several_outputs(open_page):
    A = numpy.array([[2.0, 1.0], [1.0, 3.0]])

    def factors(A):
        q, r = np.linalg.qr(A)
        return np.sum(q * 2.0) + np.sum(r)

    found = explain(factors)(A)
    page = open_page(found)
    count = int(position(page).rpartition(" ")[2])
    for _ in range(count):
        page.keyboard.press("ArrowRight")
    gradient = [v.cotangent for v in found.variables if v.kind == "argument"]
    assert str(gradient[0]).splitlines()[0] in step_text(page)


def test_a_thousand_operations_are_stepped_through(open_page):
    def long(x):
        for _ in range(250):
            x = np.sin(x * 0.5) + x * 1.0
        return x

    page = open_page(explain(long)(0.3))
    assert page.locator(".bp-box").count() > 1000
    took = page.evaluate(
        "() => { const t = performance.now(); for (let i = 900; i < 910; i++) go(i);"
        "return (performance.now() - t) / 10; }"
    )
    # It takes some milliseconds.
    assert took < 1000
    box = page.locator(".bp-box.is-current").bounding_box()
    page.wait_for_timeout(800)
    box = page.locator(".bp-box.is-current").bounding_box()
    assert 0 <= box["y"] < 800, "the current box has not been scrolled into sight"
    enter(page, "x", 0.1)
    assert numbers(page)[0] == pytest.approx(float(long(0.1).value), rel=1e-10)


def test_folded_boxes_are_told_apart(open_page, monkeypatch):
    from backpass.core.explain import page as pages

    def block(x):
        return np.sin(x) * np.cos(x) + x

    def blocks(x):
        return block(block(block(x)))

    monkeypatch.setattr(pages, "BOXES", 5)
    page = open_page(explain(blocks)(0.3))
    assert page.locator(".bp-fold").count() == 3
    page.locator("#slider").fill("2")
    assert page.locator(".bp-box.is-current text").first.text_content() == "block: 4 operations"
    page.locator("#slider").fill("16")
    assert page.locator(".bp-arrow.is-back").count() == 1
    page.locator(".bp-fold").first.click()
    assert "sin" in page.locator("#variable").inner_text()


# ----- how it looks -----


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_s_width_is_enough(open_page, scheme):
    page = open_page(
        explained(), width=360, height=740, color_scheme=scheme, has_touch=True, is_mobile=True
    )
    for i in (0, 5, 9, 12, 18):
        page.locator("#slider").fill(str(i))
        page.locator(".bp-box").nth(i % 5).click()
        width = page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= 360
        outside = page.evaluate(
            "() => [...document.querySelectorAll('body *')].filter(e => !e.closest('.scroller') "
            "&& !e.closest('.unseen, .skip') && e.getBoundingClientRect().right > 360.5)"
            ".map(e => e.tagName + '#' + e.id)"
        )
        assert outside == []
    for name in ("first", "back", "next", "last"):
        box = page.locator(f"#{name}").bounding_box()
        assert box["height"] >= 40
        assert box["width"] >= 40
        assert box["y"] + box["height"] <= 740, "the buttons are always in sight"
    page.get_by_role("button", name="First step").tap()
    page.get_by_role("button", name="One step on").tap()
    assert position(page) == "Step 1 of 18"


#: Contrast of each text with what it stands on: https://www.w3.org/TR/WCAG22/#contrast-minimum.
CONTRASTS = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => {
    const [x, y] = [light(rgb(a)), light(rgb(b))].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const color = rgb(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] > 0) return getComputedStyle(e).backgroundColor;
    }
  };
  const found = [];
  for (const e of document.querySelectorAll('body *:not(script, style, svg *)')) {
    const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!text || e.disabled || !e.getClientRects().length) continue;
    found.push([e.textContent.slice(0, 30), contrast(getComputedStyle(e).color, ground(e))]);
  }
  for (const t of document.querySelectorAll('.bp-box:not(.is-future) text')) {
    const rect = t.parentElement.querySelector('rect');
    found.push([t.textContent, contrast(getComputedStyle(t).fill, getComputedStyle(rect).fill)]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(open_page, scheme):
    page = open_page(explained(), color_scheme=scheme)
    paper = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 31)"}[scheme]
    page.locator("summary").click()
    page.locator(".bp-box").nth(3).click()
    for i in (2, 12, 18):
        page.locator("#slider").fill(str(i))
        page.wait_for_timeout(300)
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 60
        assert [(text, ratio) for text, ratio in contrasts if ratio < 4.5] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_in_svg_follows_the_reader_s_choice(browser, tmp_path, scheme):
    path = explained().save(tmp_path / "f.svg")
    context = browser.new_context(color_scheme=scheme, offline=True)
    page = context.new_page()
    page.goto(path.as_uri())
    fills = page.evaluate(
        "() => ['.bp-paper', '.bp-title'].map("
        "s => getComputedStyle(document.querySelector(s)).fill)"
    )
    context.close()
    dark = ["rgb(20, 24, 31)", "rgb(232, 236, 243)"]
    assert fills == (dark if scheme == "dark" else ["rgb(255, 255, 255)", "rgb(27, 35, 48)"])


def test_without_a_script_the_page_shows_its_graph(open_page):
    page = open_page(explained(), java_script_enabled=False)
    assert page.locator(".bp-box").count() == 10
    assert "need JavaScript" in page.locator("#step").inner_text()
