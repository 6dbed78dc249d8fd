"""The programs that the pages show run as they stand, and print what the pages say."""

from typing import Any

import numpy as np
import pytest

from .given import seed_program
from .markdown import programs, run
from .repository import GPU_PAGE, README, ROOT

PAGES = [
    path
    for pattern in ("README.md", "packages/*/README.md", "rust/*/README.md", "docs/*.md")
    for path in sorted(ROOT.glob(pattern))
    if programs(path) and path != GPU_PAGE
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_program_prints_what_its_page_shows(page):
    names: dict[str, Any] = {"__name__": "__main__"}
    for program, output in programs(page):
        printed = run(program, names)
        if output is not None:
            assert printed == output


def test_the_readme_shows_what_its_first_program_prints():
    _, output = programs(README)[0]
    assert output


def test_the_first_program_of_the_original_readme_runs_unchanged():
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = run(seed_program(0), names)
    assert "The value of the function: 729.0\n" in printed
    by_x, by_b = names["dy"]
    np.testing.assert_array_equal(by_x, np.float32([6, 30, 48, 90, 120]), strict=True)
    np.testing.assert_array_equal(by_b, np.float32([1, 9, 16, 25, 36]), strict=True)
    assert f"The gradient of the function: {[by_x, by_b]}\n" in printed


pytestmark = pytest.mark.usefixtures("as_a_reader")
