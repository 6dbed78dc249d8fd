"""The coverage page is what the rules and the catalogue of tests say today."""

import importlib.util

from .repository import ROOT


def _generator():
    spec = importlib.util.spec_from_file_location("coverage_page", ROOT / "docs" / "coverage.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date():
    generator = _generator()
    assert generator.PAGE.read_text(encoding="utf-8") == generator.write(), (
        "docs/coverage.md is stale: run `hatch run docs:coverage`"
    )
