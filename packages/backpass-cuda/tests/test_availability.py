"""Without a GPU the import succeeds, and the first use says what is missing and what to do."""

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import backpass.cupy as cp
from backpass.core.backends import backends
from backpass.cupy import availability

PROGRAM = """
import sys
{preparation}
import backpass.cupy as cp
import backpass.numpy as np
from backpass.core import grad, to_device
print(grad(lambda x: np.sum(x * x))(np.ones(2)))
for use in (
    lambda: cp.zeros(2),
    lambda: cp.array([1.0]),
    lambda: cp.random.randn(2),
    lambda: cp.random.default_rng(0),
    lambda: cp.ndarray((2,)),
    lambda: to_device(np.ones(2), "cuda"),
):
    try:
        use()
    except cp.DeviceUnavailable as error:
        assert isinstance(error, RuntimeError)
        print(error)
    else:
        raise SystemExit("DeviceUnavailable was not raised")
"""


def said(preparation, tmp_path):
    """Run the program with a CuPy that is prepared so; return the messages."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM.format(preparation=preparation)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.returncode == 0, run.stderr
    gradient, *messages = run.stdout.splitlines()
    assert gradient == "[2. 2.]"
    assert len(messages) == 6
    assert len(set(messages)) == 1
    return messages[0]


def test_without_cupy(tmp_path):
    message = said("sys.modules['cupy'] = None", tmp_path)
    assert message.startswith("CuPy is not installed")
    assert "pip install 'backpass-core[cuda]'" in message


def test_with_a_broken_cupy(tmp_path):
    (tmp_path / "cupy.py").write_text("raise ImportError('libnvrtc.so.13: cannot open')\n")
    message = said("sys.path.insert(0, '.')", tmp_path)
    assert message.startswith("CuPy cannot be imported (ImportError: libnvrtc.so.13")
    assert "pip install 'backpass-core[cuda]'" in message


class Runtime:
    """CUDA's runtime: a driver of some version, or none (0), and some devices."""

    def __init__(self, driver, devices=0, problem=None):
        self.driver, self.devices, self.problem = driver, devices, problem

    def getDeviceCount(self):
        if self.problem is not None:
            raise RuntimeError(self.problem)
        return self.devices

    def driverGetVersion(self):
        return self.driver

    def runtimeGetVersion(self):
        return 13020


def lacking(monkeypatch, runtime, **libraries):
    """Return what is said where CuPy is installed upon that runtime."""
    cuda = SimpleNamespace(runtime=runtime, **libraries)
    monkeypatch.setattr(availability, "_cause", None)
    monkeypatch.setattr(availability, "_cupy", SimpleNamespace(cuda=cuda))
    with pytest.raises(cp.DeviceUnavailable) as caught:
        availability.require.__wrapped__()
    return str(caught.value)


def test_without_a_driver(monkeypatch):
    message = lacking(monkeypatch, Runtime(0, problem="cudaErrorInsufficientDriver"))
    assert "driver is not installed" in message
    assert "https://www.nvidia.com/drivers" in message


def test_with_an_old_driver(monkeypatch):
    message = lacking(monkeypatch, Runtime(12040, problem="cudaErrorInsufficientDriver"))
    assert "supports CUDA 12.4" in message
    assert "built for 13.2" in message
    assert "cuda12" in message


@pytest.mark.parametrize("problem", [None, "cudaErrorNoDevice"])
def test_without_a_device(monkeypatch, problem):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    message = lacking(monkeypatch, Runtime(13020, problem=problem))
    assert "no device" in message
    assert "CUDA_VISIBLE_DEVICES is '7'" in message
    assert problem is None or problem in message


def test_without_a_library_of_the_toolkit(monkeypatch):
    class Cuda:
        runtime = Runtime(13020, devices=1)
        nvrtc = curand = object()

        @property
        def cublas(self):
            raise ImportError("libcublas.so.13: cannot open shared object file")

    monkeypatch.setattr(availability, "_cause", None)
    monkeypatch.setattr(availability, "_cupy", SimpleNamespace(cuda=Cuda()))
    with pytest.raises(cp.DeviceUnavailable, match=r"library cublas cannot be loaded \(libcublas"):
        availability.require.__wrapped__()


def test_the_entry_point_names_the_backend():
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    group = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["entry-points"]
    ((name, value),) = group["backpass.backends"].items()
    entry = importlib.metadata.EntryPoint(name, value, "backpass.backends")
    assert entry.load() is cp.CupyBackend


def test_the_import_registers_the_backend():
    assert [b for b in backends() if b.device == "cuda"] == [cp.CupyBackend]
