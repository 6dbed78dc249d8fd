"""The shape of the repository: what no single package can check about itself."""

import ast
import re
import subprocess
import sys
import tomllib
import unicodedata
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest

from .markdown import commands
from .repository import PROJECTS, README, ROOT

# The distributions that each may import.
MAY_IMPORT: dict[str, set[str]] = {
    "backpass-core": {"backpass-cpu"},
    "backpass-cpu": set(),
    "backpass-cuda": {"backpass-core"},
    "backpass-nn": {"backpass-core"},
}
# Where a module's name is not that of the project which brings it.
PROJECT_OF = {
    "cuda": "cuda-pathfinder",
    "cudnn": "nvidia-cudnn-frontend",
    "cupy": "cupy-cuda13x",
    "cupyx": "cupy-cuda13x",
    "ml_dtypes": "ml-dtypes",
    "nvidia": "nvidia-cudnn-cu13",
}


def toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def metadata(name: str) -> dict[str, Any]:
    return toml(PROJECTS[name] / "pyproject.toml")["project"]


def requirements(name: str) -> list[str]:
    declared = metadata(name)
    extras = declared.get("optional-dependencies", {}).values()
    return [*declared.get("dependencies", []), *(line for extra in extras for line in extra)]


def source(name: str) -> Path:
    """Give the folder that goes on ``sys.path``."""
    return PROJECTS[name] / ("python" if PROJECTS[name].parent.name == "rust" else "src")


def subpackages(name: str) -> dict[str, Path]:
    """Map the names of a distribution's packages, below ``backpass``, to their folders."""
    folders = (path for path in (source(name) / "backpass").iterdir() if path.is_dir())
    return {path.name: path for path in folders if path.name != "__pycache__"}


def modules(name: str) -> dict[str, Path]:
    """Map the dotted names of a distribution's modules to their files."""
    base = source(name)
    found = {}
    for path in sorted(base.rglob("*.py")):
        parts = path.relative_to(base).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> Iterator[tuple[str, str | None]]:
    """Yield what a file imports, wherever it does: a module, and the name taken from it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Import():
                yield from ((alias.name, None) for alias in node.names)
            case ast.ImportFrom(module=str(module), level=0):
                yield from ((module, alias.name) for alias in node.names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module, None


@pytest.fixture(scope="module")
def version() -> str:
    return toml(ROOT / "Cargo.toml")["workspace"]["package"]["version"]


def test_the_distributions_are_those_that_the_tests_know():
    assert set(PROJECTS) == set(MAY_IMPORT)


def test_backpass_is_an_implicit_namespace():
    """One stray ``backpass/__init__.py`` would hide every sibling distribution (PEP 420)."""
    assert not [name for name in PROJECTS if (source(name) / "backpass/__init__.py").exists()]


@pytest.mark.parametrize("name", PROJECTS)
def test_each_package_is_typed(name):
    found = subpackages(name)
    assert found
    for folder in found.values():
        assert (folder / "__init__.py").exists(), folder
        assert (folder / "py.typed").exists(), folder


def test_the_readme_lists_what_can_be_imported():
    rows = re.findall(r"^\| `(backpass-\w+)` \| (.+?) \|", README.read_text("utf-8"), re.MULTILINE)
    listed = {name: set(re.findall(r"`backpass\.(\w+)`", names)) for name, names in rows}
    assert listed == {name: set(subpackages(name)) for name in PROJECTS}


def test_the_architecture_lists_the_modules_of_core():
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    section = page.partition("## Inside `backpass.core`")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    core = subpackages("backpass-core")["core"]
    names = {path.stem for path in core.iterdir() if not path.name.startswith(("__", "py.typed"))}
    assert set(listed) == names


@pytest.mark.parametrize("name", PROJECTS)
def test_versions_move_in_lockstep(name, version):
    declared = metadata(name)
    # maturin reads the workspace's version in Cargo.toml.
    assert declared.get("version", version) == version
    assert ("version" in declared) != ("version" in declared.get("dynamic", []))
    ours = [line for line in requirements(name) if line.startswith("backpass-")]
    assert all(line.endswith(f"=={version}") for line in ours)
    written = [
        match[1]
        for path in source(name).rglob("*.py")
        for match in re.finditer(r'^__version__.* = "(.+)"$', path.read_text("utf-8"), re.MULTILINE)
    ]
    assert set(written) <= {version}


def test_the_extras_bring_the_gpu(version):
    """Each with CuPy for its CUDA and the toolkit's libraries, or with what the system has."""
    ours = {
        "cuda": f"backpass-cuda[cuda13]=={version}",
        "cuda12": f"backpass-cuda[cuda12]=={version}",
        "cuda13": f"backpass-cuda[cuda13]=={version}",
        "cuda-system": f"backpass-cuda=={version}",
    }
    extras = metadata("backpass-core")["optional-dependencies"]
    others = {"bfloat16", "draw"}
    assert {k: v for k, v in extras.items() if k not in others} == {k: [v] for k, v in ours.items()}
    brought = metadata("backpass-cuda")["optional-dependencies"]
    assert set(brought) == {"cuda12", "cuda13", "cudnn12", "cudnn13"}
    for extra in ("cuda12", "cuda13"):
        (cupy,) = brought[extra]
        assert cupy.startswith(f"cupy-{extra}x[ctk]>=")
        assert "<" not in cupy  # a cap locks users out of newer CUDA
    assert not any(line.startswith("cupy") for line in metadata("backpass-cuda")["dependencies"])


@pytest.mark.parametrize("name", PROJECTS)
def test_each_distribution_carries_the_licence(name):
    """A link would not survive in an sdist, so each has a copy."""
    assert (PROJECTS[name] / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "LICENSE" in metadata(name)["license-files"]


@pytest.mark.parametrize("name", PROJECTS)
def test_the_arrows_between_distributions_point_one_way(name):
    allowed = {package for other in {name} | MAY_IMPORT[name] for package in subpackages(other)}
    wrong = {
        (module, target)
        for module, path in modules(name).items()
        for target, taken in imports(path)
        if target.split(".")[0] == "backpass"
        and [*target.split("."), taken or ""][1] not in allowed
    }
    assert not wrong


@pytest.mark.parametrize("name", PROJECTS)
def test_what_is_imported_is_declared(name):
    declared = {re.split(r"[\[<>=!~ ]", line)[0] for line in requirements(name)}
    used = {target.split(".")[0] for path in modules(name).values() for target, _ in imports(path)}
    third_party = used - sys.stdlib_module_names - {"backpass"}
    assert {PROJECT_OF.get(module, module) for module in third_party} <= declared


def test_no_module_imports_itself_by_a_detour():
    """``TopologicalSorter.prepare`` raises ``CycleError``, which names the modules of a cycle."""
    known = {module: path for name in PROJECTS for module, path in modules(name).items()}
    graph: dict[str, set[str]] = {}
    for module, path in known.items():
        targets = {
            submodule if (submodule := f"{target}.{taken}") in known else target
            for target, taken in imports(path)
        }
        graph[module] = targets & set(known)
    TopologicalSorter(graph).prepare()


def test_continuous_integration_ends_with_the_readme_command():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    steps = re.findall(r"^step '(.+)'$", script, re.MULTILINE)
    mnist, test = commands(README)[:2]
    assert mnist == "pip install -q hatch && hatch run mnist"
    assert steps[-1] == test == "pip install -q hatch && hatch run test"


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "docs/gpu.md", ".ci/run", "hatch.toml"]
)
def test_the_commands_that_are_shown_exist(page):
    environments = toml(ROOT / "hatch.toml")["envs"]
    shown = set(
        re.findall(r"hatch run (?:(\w+):)?(\w+)", (ROOT / page).read_text(encoding="utf-8"))
    )
    assert shown
    for environment, script in shown:
        known = {"python", *environments["default"]["scripts"]}
        if environment:
            known |= set(environments[environment].get("scripts", {}))
        assert script in known, (environment, script)


def test_each_environment_has_a_folder_of_its_own_in_the_clone():
    """An inherited ``path`` would put two environments into one folder."""
    environments = toml(ROOT / "hatch.toml")["envs"]
    del environments["hatch-test"]  # a matrix: hatch gives each Python its folder
    assert {name: env["path"] for name, env in environments.items()} == {
        name: f".hatch/{name}" for name in environments
    }


def test_file_names_are_legal_everywhere():
    """Windows forbids the most; it and macOS do not tell upper from lower case."""
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"]
    listing = subprocess.run(
        [*git, "--exclude-standard"], cwd=ROOT, capture_output=True, check=True, encoding="utf-8"
    )
    paths = listing.stdout.removesuffix("\0").split("\0")
    assert "README.md" in paths
    reserved = {"con", "prn", "aux", "nul"}
    reserved |= {f"{port}{digit}" for port in ("com", "lpt") for digit in range(1, 10)}
    for path in paths:
        assert len(path) <= 160, path
        for part in path.split("/"):
            assert not re.search(r'[<>:"\\|?*\x00-\x1f]', part), path
            assert not part.endswith((".", " ")), path
            assert part.split(".")[0].lower() not in reserved, path
    folded = [unicodedata.normalize("NFC", path).casefold() for path in paths]
    assert len(set(folded)) == len(folded)
