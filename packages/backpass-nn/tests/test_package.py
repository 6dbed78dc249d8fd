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
    late = ("pooch", "requests", "safetensors", "tqdm", "matplotlib")
    program = (
        "import sys, backpass.nn as nn; nn.datasets.load_digits(); nn.optimizers.sgd;"
        f"print([m for m in {late} if m in sys.modules])"
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


def test_what_trains_is_imported_when_it_is_first_used():
    program = """
import sys, backpass.nn as nn
late = [f"backpass.nn.{name}" for name in ("data", "datasets", "metrics", "training", "saving")]
print([name for name in (*late, "numpy.random") if name in sys.modules])
print(all(getattr(nn, name.rpartition(".")[2]) is sys.modules[name] for name in late))
print([name for name in nn.__all__ if not hasattr(nn, name)], set(nn.__all__) - {*dir(nn)})
print([name for name in late if name not in sys.modules], nn.Trainer is nn.training.Trainer)
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.splitlines() == ["[]", "True", "[] set()", "[] True"], run.stderr
