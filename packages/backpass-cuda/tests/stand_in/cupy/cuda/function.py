"""Kernels: CUDA C++, run by the emulator."""

import cuda_emulator

from cupy.cuda import device as _device
from cupy.cuda import memory as _memory
from cupy.cuda import stream as _stream
from cupy.cuda.compiler import CompileException


class Module:
    """A compiled source; its functions by their names."""

    def __init__(self, code, options=()):
        self._code, self._options = code, tuple(options)

    def get_function(self, name):
        return Function(self, name)


class Function:
    """A kernel of a module; it belongs to the device on which it was loaded."""

    def __init__(self, module, name):
        self.module = module
        self.device_id = _device.get_device_id()
        try:
            self._compiled = cuda_emulator.Function(module._code, name, module._options)
        except cuda_emulator.CompileError as error:
            raise CompileException(str(error), module._code, name, module._options) from None
        self.ptr = id(self)

    def __call__(self, grid, block, args, shared_mem=0, stream=None):
        current = _device.get_device_id()
        if self.device_id != current:
            raise RuntimeError(
                f"CUDA_ERROR_INVALID_HANDLE: {self._compiled.name} was loaded on device "
                f"{self.device_id}, the current device is {current}"
            )
        borders = []
        for i, x in enumerate(args):
            memory = getattr(getattr(x, "data", x), "mem", None)
            if memory is None:
                continue
            if memory.device_id != current:
                raise RuntimeError(
                    f"CUDA_ERROR_ILLEGAL_ADDRESS: {self._compiled.name}: argument {i} lies on "
                    f"device {memory.device_id}, the current device is {current}"
                )
            borders.append(memory.check)
        prepared = self._compiled.prepare(grid, block, args, shared_mem, _memory.extents)

        def launch():
            prepared()
            for check in borders:
                check()

        if stream is None:
            _stream.do(launch)
        else:
            with stream:
                _stream.do(launch)

    def linear_launch(self, size, args, shared_mem=0, block_max_size=128, stream=None):
        threads = max(1, min(block_max_size, size))
        self((-(-size // threads),), (threads,), args, shared_mem, stream)


class RawKernel:
    """A kernel, compiled for each device when it is first called there."""

    def __init__(
        self,
        code,
        name,
        options=(),
        backend="nvrtc",
        translate_cucomplex=False,
        *,
        enable_cooperative_groups=False,
        jitify=None,
    ):
        if not isinstance(options, tuple):
            raise TypeError(f"options must be a tuple of str, not {type(options).__name__}")
        self.code, self.name, self.options, self.backend = code, name, options, backend
        self._kernels = {}

    @property
    def kernel(self):
        number = _device.get_device_id()
        if number not in self._kernels:
            self._kernels[number] = Module(self.code, self.options).get_function(self.name)
        return self._kernels[number]

    def compile(self, log_stream=None):
        self.kernel  # noqa: B018

    def __call__(self, grid, block, args, *, shared_mem=0):
        self.kernel(grid, block, args, shared_mem)

    @property
    def shared_size_bytes(self):
        return self.kernel._compiled.shared_size_bytes

    @property
    def max_threads_per_block(self):
        return self.kernel._compiled.max_threads_per_block

    @property
    def max_dynamic_shared_size_bytes(self):
        return self.kernel._compiled.max_dynamic_shared_size_bytes

    @max_dynamic_shared_size_bytes.setter
    def max_dynamic_shared_size_bytes(self, size):
        self.kernel._compiled.max_dynamic_shared_size_bytes = size


class RawModule:
    """Several kernels of one source."""

    def __init__(self, *, code, path=None, options=(), backend="nvrtc", name_expressions=None):
        self.code, self.options, self.backend = code, options, backend

    def compile(self, log_stream=None):
        """Each function is compiled by itself."""

    def get_function(self, name):
        return RawKernel(self.code, name, self.options)
