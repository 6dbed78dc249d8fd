"""Where things are in the repository."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
#: The page whose programs need a GPU.
GPU_PAGE = ROOT / "docs/gpu.md"
#: The folders of the distributions, by name.
PROJECTS = {
    path.parent.name: path.parent
    for pattern in ("packages/*/pyproject.toml", "rust/*/pyproject.toml")
    for path in sorted(ROOT.glob(pattern))
}
