"""CUDA's runtime: as much as says where things are, and what moves bytes."""

import ctypes
import os

from cupy.cuda import device as _device

memcpyHostToHost, memcpyHostToDevice, memcpyDeviceToHost, memcpyDeviceToDevice = range(4)
memcpyDefault = 4
streamCaptureModeGlobal, streamCaptureModeThreadLocal, streamCaptureModeRelaxed = range(3)
#: Bytes of a device's memory.
MEMORY = int(os.environ.get("STAND_IN_MEMORY", 8 << 30))
is_hip = False


class CUDARuntimeError(RuntimeError):
    def __init__(self, status):
        name, message = _ERRORS[status]
        super().__init__(f"{name}: {message}")
        self.status = status


_ERRORS = {
    1: ("cudaErrorInvalidValue", "invalid argument"),
    2: ("cudaErrorMemoryAllocation", "out of memory"),
    101: ("cudaErrorInvalidDevice", "invalid device ordinal"),
    900: (
        "cudaErrorStreamCaptureUnsupported",
        "operation not permitted when stream is capturing",
    ),
    901: (
        "cudaErrorStreamCaptureInvalidated",
        "operation failed due to a previous error during capture",
    ),
}


def getDeviceCount():
    return _device.COUNT


def getDevice():
    return _device.get_device_id()


def setDevice(number):
    if not 0 <= number < _device.COUNT:
        raise CUDARuntimeError(101)
    _device.state.number = number


def deviceSynchronize():
    from cupy.cuda import stream

    stream.refuse_while_capturing()


def streamSynchronize(pointer):
    deviceSynchronize()


def driverGetVersion():
    return 13000


def runtimeGetVersion():
    return 13000


def memGetInfo():
    """Return the bytes that are free, and all."""
    from cupy.cuda import memory

    return MEMORY - memory.allocated[getDevice()], MEMORY


def getDeviceProperties(number):
    return {
        "name": b"a CPU",
        "major": 9,
        "minor": 0,
        "multiProcessorCount": 4,
        "totalGlobalMem": MEMORY,
        "maxThreadsPerBlock": 1024,
        "sharedMemPerBlock": 48 * 1024,
        "sharedMemPerBlockOptin": 227 * 1024,
        "warpSize": 32,
    }


def deviceCanAccessPeer(one, other):
    return 0


def memcpy(target, source, size, kind):
    from cupy.cuda import stream

    if kind != memcpyDeviceToDevice:
        stream.refuse_while_capturing()
    stream.do(lambda: ctypes.memmove(target, source, size))


def memcpyAsync(target, source, size, kind, stream):
    memcpy(target, source, size, kind)


def memset(target, value, size):
    from cupy.cuda import stream

    stream.do(lambda: ctypes.memset(target, value, size))


def memsetAsync(target, value, size, stream):
    memset(target, value, size)
