"""What lies beside the repository: the original README, and MNIST's test images."""

import os
from pathlib import Path

import pytest

from .markdown import programs
from .repository import ROOT

SEED = Path(os.environ.get("BACKPASS_SEED", ROOT.parent / "shared/seed/backpass-readme.md"))
DATA = Path(os.environ.get("BACKPASS_DATA", ROOT.parent / "shared/data/mnist"))


def seed_program(number: int) -> str:
    """Return a program of the original README as it stands; skip the test where that is absent."""
    if not SEED.is_file():
        pytest.skip(f"{SEED} is absent: BACKPASS_SEED names another place")
    program, _ = programs(SEED)[number]
    return program


def mnist_folder() -> Path:
    """Return the folder with MNIST's files; skip the test where there is none."""
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent: BACKPASS_DATA names another folder with MNIST's files")
    return DATA
