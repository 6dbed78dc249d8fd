"""What `backpass.cupy` raises."""


class DeviceUnavailable(RuntimeError):
    """There is no GPU to compute on: the message says which part is missing, and what to do."""


class OutOfMemory(MemoryError):
    """The GPU has no memory left: the message says how much was asked for, and what to do.

    The error that CuPy raised is its cause.  What the failed computation held is given back when
    the exception is dropped, and the program can go on.
    """


class CaptureError(RuntimeError):
    """A function cannot be captured as a CUDA graph: the message says where, and why."""
