"""What holds for the package as a whole."""

import subprocess
import sys
import tomllib
from pathlib import Path

import backpass.nn

ROOT = Path(__file__).resolve().parents[1]


def test_the_version_is_that_of_the_distribution():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert backpass.nn.__version__ == project["version"]


def test_the_import_is_light():
    program = (
        "import sys, backpass.nn as nn; nn.datasets.load_digits(); nn.optimizers.sgd;"
        "print([m for m in ('pooch', 'requests', 'tqdm', 'matplotlib') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_the_attribution_of_the_digits_lies_beside_them():
    folder = Path(backpass.nn.datasets.__file__).parent / "uci_digits"
    text = (folder / "README.md").read_text(encoding="utf-8")
    for words in ("Alpaydin", "Kaynak", "Optical Recognition of Handwritten Digits", "CC BY 4.0"):
        assert words in text
    assert "https://doi.org/10.24432/C50P49" in text
    assert "https://creativecommons.org/licenses/by/4.0/" in text
