"""What the current stream is doing."""

from __future__ import annotations

import time

from backpass.cupy.exceptions import CaptureError
from backpass.cupy.library import library


def capturing() -> bool:
    """Tell whether the current stream writes down what it is given, for a CUDA graph."""
    stream = library.cuda.get_current_stream()
    # The default stream cannot, and must not be asked while another does.
    return stream.ptr not in (0, 1) and bool(stream.is_capturing())


def clock() -> int:
    """Return the time in nanoseconds, when the current stream has done what it was given to do.

    What is only written down, for a CUDA graph, is not waited for.
    """
    if not capturing():
        library.cuda.get_current_stream().synchronize()
    return time.perf_counter_ns()


def refuse_capture(name: str) -> None:
    """Raise a `CaptureError` if the current stream is capturing."""
    if capturing():
        raise CaptureError(
            f"{name} cannot be captured: call it before, and pass what it gives as an argument"
        )
