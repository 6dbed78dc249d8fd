"""Streams, events, and the capture of a stream's work into a graph."""

import itertools
import threading
import time

from cupy.cuda import device as _device

_numbers = itertools.count(0x1000, 0x10)


class _State(threading.local):
    def __init__(self):
        self.current = {}


_state = _State()


def get_current_stream(device_id=-1):
    number = device_id if device_id >= 0 else _device.get_device_id()
    return _state.current.get(number, Stream.null)


def do(work):
    """Do a piece of the device's work, or record it, while the current stream is capturing."""
    recorded = get_current_stream()._recorded
    if recorded is None:
        work()
    else:
        recorded.append(work)


def refuse_while_capturing(message=None):
    """Refuse what cannot be part of a graph, as CUDA and CuPy do."""
    from cupy.cuda import runtime

    if get_current_stream().is_capturing():
        raise NotImplementedError(message) if message else runtime.CUDARuntimeError(900)


class Stream:
    """A stream; its work is done at once."""

    def __init__(self, null=False, non_blocking=False, ptds=False, priority=None):
        self.ptr = 0 if null else next(_numbers)
        self.device_id = -1 if null else _device.get_device_id()
        self.is_non_blocking, self.ptds, self.priority = non_blocking, ptds, priority
        self._recorded, self._recording = None, False
        self._before = []

    def __eq__(self, other):
        return isinstance(other, Stream) and self.ptr == other.ptr

    def __hash__(self):
        return hash(self.ptr)

    def __repr__(self):
        return f"<Stream {self.ptr} (device {self.device_id})>"

    def _number(self):
        number = _device.get_device_id()
        if self.device_id not in (-1, number):
            raise RuntimeError(
                f"This stream was not created on the current device (device {number}): "
                f"it was created on device {self.device_id}"
            )
        return number

    def __enter__(self):
        number = self._number()
        self._before.append((number, _state.current.get(number)))
        _state.current[number] = self
        return self

    def __exit__(self, *exc):
        number, before = self._before.pop()
        _state.current[number] = before or Stream.null

    def use(self):
        _state.current[self._number()] = self
        return self

    @property
    def done(self):
        return True

    def synchronize(self):
        if self._recorded is not None:
            from cupy.cuda import runtime

            raise runtime.CUDARuntimeError(900)

    def record(self, event=None):
        event = Event() if event is None else event
        event.time = time.perf_counter()
        return event

    def wait_event(self, event):
        """All that came before is done."""

    def launch_host_func(self, callback, arg):
        with self:
            do(lambda: callback(arg))

    def begin_capture(self, mode=None):
        if not self.ptr:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        if self._recorded is not None:
            raise RuntimeError("the stream is already capturing")
        self._recorded = []

    def is_capturing(self):
        # What is recorded is computed once, for the shapes of its results.
        return self._recorded is not None or self._recording

    def end_capture(self):
        from cupy.cuda.graph import Graph

        if self._recorded is None:
            raise RuntimeError("cannot end the capture on a stream that is not capturing")
        made, self._recorded = Graph(self._recorded), None
        return made


Stream.null = Stream(null=True)


class ExternalStream(Stream):
    """A stream that another library made."""

    def __init__(self, ptr, device_id=-1):
        super().__init__()
        self.ptr, self.device_id = ptr, device_id


class Event:
    """A point in time."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.time = None
        self.disable_timing = disable_timing
        self.ptr = next(_numbers)

    @property
    def done(self):
        return True

    def record(self, stream=None):
        (stream or get_current_stream()).record(self)

    def synchronize(self):
        refuse_while_capturing()


def get_elapsed_time(start_event, end_event):
    return 1000 * (end_event.time - start_event.time)
