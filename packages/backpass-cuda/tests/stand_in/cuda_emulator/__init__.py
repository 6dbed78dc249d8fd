"""CUDA C++ on the CPU: a kernel is compiled as C++17, and runs one thread at a time.

It shows whether a kernel is right, not whether it is fast: `__syncthreads` and the functions of
warps do what they do on a GPU, but a barrier that only some threads reach is an error.
"""

from cuda_emulator.compiling import CompileError, compiler
from cuda_emulator.kernels import Function, LaunchError, Struct

__all__ = ["CompileError", "Function", "LaunchError", "Struct", "compiler"]
