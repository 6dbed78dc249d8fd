"""From CUDA C++ to a shared library, kept on disk."""

import contextlib
import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
INCLUDE = HERE / "include"
#: As nvcc does it: a product and a sum become one operation that rounds once (unless it is told
#: `--fmad=false`), and memory may be read as another type than it was written.
FLAGS = (
    "-std=c++17 -O1 -fPIC -shared -w -fno-strict-aliasing -fno-math-errno "
    "-fno-stack-protector -fno-threadsafe-statics"
).split()
#: Kernels find no headers but ours, as with NVRTC; checks.cpp sees their accesses to memory.
ALONE = (
    "-nostdinc -nostdinc++ -nostdlib -fno-exceptions -fno-rtti -fsanitize=thread,alignment "
    "-fno-sanitize-recover=alignment"
).split()
#: How long a compiled kernel is kept that nobody uses, in seconds.
KEPT = 30 * 24 * 3600
RUNTIME = ("runtime.cpp", "checks.cpp", "mathematics.cpp")


class CompileError(Exception):
    """A kernel does not compile."""


@functools.cache
def compiler() -> tuple[str, ...] | None:
    """Return the C++ compiler's command; `None` where there is none."""
    for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++"):
        command = name.split()
        if command and shutil.which(command[0]):
            return tuple(command)
    return None


@functools.cache
def _fused() -> tuple[str, ...]:
    """Return the options for fused multiply-adds, which nvcc makes of products and sums."""
    options = ["-ffp-contract=fast"]
    if "clang" not in _version():
        options.append("-fexpensive-optimizations")  # GCC fuses where it optimizes more
    if platform.machine() in ("x86_64", "AMD64"):
        try:
            known = Path("/proc/cpuinfo").read_text()
        except OSError:
            known = ""
        if re.search(r"^flags.*\bfma\b", known, re.MULTILINE):
            options.append("-mfma")
    return tuple(options)


@functools.cache
def _version() -> str:
    command = compiler()
    if command is None:
        raise CompileError("there is no C++ compiler: install g++ or clang++, or set CXX")
    return subprocess.run([*command, "--version"], capture_output=True, text=True).stdout


@functools.cache
def folder() -> Path:
    """Return the folder of compiled kernels; those of long ago are dropped."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    for parent in (Path(home), Path(tempfile.gettempdir())):
        made = parent / f"backpass-cuda-emulator-{os.getuid()}"
        try:
            made.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(made, os.W_OK):
            for path in made.glob("*.so"):
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    if path.stat().st_mtime < time.time() - KEPT:
                        path.unlink()
            return made
    raise OSError("there is no folder to keep compiled kernels in: set XDG_CACHE_HOME")


@functools.cache
def _fingerprint() -> bytes:
    """Return what a compiled kernel depends on besides its own text."""
    made = hashlib.sha256(repr((_version(), FLAGS)).encode())
    for path in (*sorted(INCLUDE.iterdir()), HERE / "runtime.h"):
        made.update(path.read_bytes())
    return made.digest()


def build(text: str, options: tuple[str, ...]) -> Path:
    """Compile C++ into a shared library; return its path."""
    key = hashlib.sha256(_fingerprint() + repr((text, options)).encode()).hexdigest()[:32]
    made = folder() / f"{key}.so"
    if made.exists():
        os.utime(made)
        return made
    with tempfile.TemporaryDirectory(dir=folder()) as work:
        source, library = Path(work, "kernel.cpp"), Path(work, "kernel.so")
        source.write_text(text)
        command = [*(compiler() or ()), *FLAGS, "-I", str(INCLUDE), "-I", str(HERE), *options]
        run = subprocess.run(
            [*command, str(source), "-o", str(library)],
            capture_output=True,
            text=True,
        )
        if run.returncode:
            raise CompileError(run.stderr)
        os.replace(library, made)  # another process may have been faster: the same in any case
    return made


@functools.cache
def runtime() -> ctypes.PyDLL:
    """Load the runtime; kernels find it by its symbols."""
    parts = [f'#line 1 "{name}"\n{(HERE / name).read_text()}' for name in RUNTIME]
    path = build("\n".join(parts), ("-O2",))
    return ctypes.PyDLL(str(path), mode=ctypes.RTLD_GLOBAL)


_INCLUDES = re.compile(r'^[ \t]*#[ \t]*include[ \t]*[<"].*$', re.MULTILINE)
_DYNAMIC = re.compile(r"\bextern\s+__shared__\s+([^;]*?)\s*\b(\w+)\s*\[\s*\]\s*;")


def translated(source: str, name: str) -> str:
    """Return a kernel's source as C++ that the runtime can call."""
    includes = _INCLUDES.findall(source)
    body = _INCLUDES.sub("", source)  # lines keep their numbers
    body = _DYNAMIC.sub(r"\1 *const \2 = (\1 *)emulator_dynamic_shared;", body)
    head = '#include "cuda_emulator.h"\n' + "".join(f"{line.strip()}\n" for line in includes)
    # Names of a kernel's own must not meet those of the C library.
    return (
        f'{head}namespace {{\n#line 1 "{name}.cu"\n{body}\n}}  // namespace\n'
        f'#define EMULATOR_KERNEL {name}\n#include "emulator_launch.h"\n'
    )


def load(source: str, name: str, options: tuple[str, ...]) -> ctypes.PyDLL:
    """Compile a kernel, and load it."""
    runtime()
    defines = tuple(option for option in options if option.startswith(("-D", "-U")))
    linked = ("-Wl,-Bsymbolic",) if platform.system() == "Linux" else ()
    separate = {"--fmad=false", "-fmad=false"} & set(options)
    rounding = ("-ffp-contract=off",) if separate else _fused()
    path = build(translated(source, name), (*ALONE, *linked, *rounding, *defines))
    return ctypes.PyDLL(str(path))
