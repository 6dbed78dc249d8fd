"""What users get: wheels and sdists, installed far from the repository.

Everything is built once. Third-party packages come from the index, ours from the build alone.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.metadata import Metadata
from uv import find_uv_bin

from .markdown import programs
from .repository import PROJECTS, README, ROOT

EXTENSION = "backpass/cpu/_kernels"


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that knows nothing of this environment; show what it said if it fails."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"PYTHONPATH", "VIRTUAL_ENV", "PYTHONWARNINGS"}
    }
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done


def uv(*arguments: str | Path, cwd: Path) -> None:
    # Cargo's folder is shared: only our own crates are compiled for each build.
    run(find_uv_bin(), *arguments, cwd=cwd, CARGO_TARGET_DIR=str(ROOT / "target"))


class Built(NamedTuple):
    """The artifacts of one distribution."""

    sdist: Path
    wheel: Path
    wheel_from_sdist: Path


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Built]:
    """Build each distribution's sdist, its wheel, and the wheel that its sdist makes."""
    folder = tmp_path_factory.mktemp("built")
    found = {}
    for name, project in PROJECTS.items():
        tree, packed = folder / "wheels", folder / "from-sdist" / name
        stem = name.replace("-", "_")
        uv("build", project, "--wheel", "--python", sys.executable, "--out-dir", tree, cwd=folder)
        # Without --wheel, uv builds the sdist, and the wheel from it.
        uv("build", project, "--python", sys.executable, "--out-dir", packed, cwd=folder)
        found[name] = Built(
            sdist=only(packed, f"{stem}-*.tar.gz"),
            wheel=only(tree, f"{stem}-*.whl"),
            wheel_from_sdist=only(packed, f"{stem}-*.whl"),
        )
    return found


def third_party(built: dict[str, Built]) -> list[str]:
    """List what the wheels need besides each other, without extras."""
    required = [
        requirement
        for name in built
        for requirement in metadata(built[name].wheel).requires_dist or []
    ]
    return [
        str(requirement)
        for requirement in required
        if requirement.name not in PROJECTS
        and (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
    ]


@pytest.fixture
def environment(built, tmp_path) -> Path:
    """Make an environment that has our wheels; give its interpreter."""
    folder = tmp_path / "environment"
    uv("venv", folder, "--python", sys.executable, cwd=tmp_path)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    uv("pip", "install", "--python", python, *third_party(built), cwd=tmp_path)
    wheels = built["backpass-core"].wheel.parent
    ours = ["--no-index", "--find-links", wheels, *PROJECTS]
    uv("pip", "install", "--python", python, *ours, cwd=tmp_path)
    uv("pip", "check", "--python", python, cwd=tmp_path)
    return python


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def metadata(wheel: Path) -> Metadata:
    """Read and validate a wheel's metadata: field by field, as the index does."""
    (path,) = (name for name in names(wheel) if name.endswith(".dist-info/METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        return Metadata.from_email(archive.read(path), validate=True)


@pytest.mark.parametrize("name", PROJECTS)
def test_a_wheel_has_the_package_and_its_papers(built, name):
    contents = names(built[name].wheel)
    assert "backpass/__init__.py" not in contents
    packages = {path.rsplit("/", 1)[0] for path in contents if path.count("/") == 2}
    packages = {path for path in packages if path.startswith("backpass/")}
    assert packages
    assert all(f"{package}/py.typed" in contents for package in packages)
    assert any(path.endswith(".dist-info/licenses/LICENSE") for path in contents)
    elsewhere = {path.split("/")[0] for path in contents} - {"backpass"}
    assert all(folder.endswith(".dist-info") for folder in elsewhere)
    assert not [path for path in contents if "tests/" in path or "__pycache__" in path]


@pytest.mark.parametrize("name", PROJECTS)
def test_the_index_would_take_the_metadata(built, name):
    described = metadata(built[name].wheel)
    assert described.name == name
    assert described.summary
    assert described.description
    assert (described.description_content_type or "").startswith("text/markdown")
    assert "(../" not in described.description, "the index does not resolve relative links"


@pytest.mark.parametrize("name", PROJECTS)
def test_the_sdist_makes_the_same_wheel(built, name):
    artifacts = built[name]
    assert sorted(names(artifacts.wheel_from_sdist)) == sorted(names(artifacts.wheel))
    with (
        zipfile.ZipFile(artifacts.wheel) as tree,
        zipfile.ZipFile(artifacts.wheel_from_sdist) as packed,
    ):
        for path in tree.namelist():
            # Compiled code holds the paths it was compiled in, the bill of materials a number
            # of its own, and RECORD the hashes of both.
            if not re.search(rf"^{EXTENSION}\.(?!pyi)|\.dist-info/(RECORD$|sboms/)", path):
                assert packed.read(path) == tree.read(path), path


@pytest.mark.parametrize("name", PROJECTS)
def test_the_sdist_has_no_leftovers(built, name):
    with tarfile.open(built[name].sdist) as archive:
        contents = archive.getnames()
    assert any(path.endswith("/LICENSE") for path in contents)
    assert any(path.endswith("/README.md") for path in contents)
    leftovers = (".so", ".pyd", ".dylib", ".pyc", ".rlib")
    assert not [path for path in contents if path.endswith(leftovers) or "/target/" in path]


def test_no_two_wheels_own_the_same_file(built):
    owners = Counter(path for artifacts in built.values() for path in names(artifacts.wheel))
    assert not [path for path, count in owners.items() if count > 1]


def test_the_pure_wheels_fit_every_machine(built):
    pure = [name for name in built if built[name].wheel.name.endswith("-py3-none-any.whl")]
    assert sorted(pure) == ["backpass-core", "backpass-cuda", "backpass-nn"]
    assert any(path.startswith(EXTENSION) for path in names(built["backpass-cpu"].wheel))


def test_the_first_program_runs_on_the_installed_wheels(environment, tmp_path):
    program, output = programs(README)[0]
    assert run(environment, "-I", "-W", "error", "-c", program, cwd=tmp_path).stdout == output
    where = run(
        environment,
        "-I",
        "-c",
        "import backpass.core, backpass.cpu, backpass.nn, sys;"
        "print(*(m.__file__ for m in (backpass.core, backpass.cpu, backpass.nn)), sep='\\n');"
        "print(len(backpass.cpu.KERNELS))",
        cwd=tmp_path,
    ).stdout.splitlines()
    *files, kernels = where
    site = environment.parents[1].resolve()
    assert all(Path(file).resolve().is_relative_to(site) for file in files)
    assert int(kernels) > 0


@pytest.mark.parametrize("damage", ["absent", "not a library"])
def test_numpy_alone_computes_where_the_extension_cannot_be_loaded(environment, tmp_path, damage):
    extension = only(environment.parents[1], f"**/site-packages/{EXTENSION}.*[!i]")
    extension.unlink()  # never written to in place: it may be a link into uv's cache
    if damage == "not a library":
        extension.write_bytes(b"no machine's code")
    program, output = programs(README)[0]
    done = run(environment, "-I", "-c", program, cwd=tmp_path)
    assert done.stdout == output
    assert done.stderr.count("backpass-cpu cannot be loaded") == 1
    assert done.stderr.count("Warning") == 1
    assert "pip install backpass-cpu" in done.stderr


def test_a_missing_cargo_is_named_and_where_to_get_it(tmp_path):
    environments = tomllib.loads((ROOT / "hatch.toml").read_text(encoding="utf-8"))["envs"]
    folders = os.environ["PATH"].split(os.pathsep)
    without_cargo = [folder for folder in folders if not shutil.which("cargo", path=folder)]
    install = [find_uv_bin(), "pip", "install", "--python", sys.executable, "--target", tmp_path]
    done = subprocess.run(
        [*install, "--no-deps", "--refresh", "--editable", PROJECTS["backpass-cpu"]],
        env=os.environ
        | environments["default"]["env-vars"]
        | {"PATH": os.pathsep.join(without_cargo)},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode != 0
    assert "requires Rust and Cargo" in done.stderr
    assert "https://rustup.rs" in done.stderr
