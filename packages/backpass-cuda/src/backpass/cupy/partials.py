"""Where the blocks that work on one row leave their parts, and count who is the last.

A row that is long enough is given to several blocks.  Each writes what it has found, takes a
ticket, and the one with the last ticket adds the parts up, in the order of the blocks: one launch,
and the same bits each time.  The tickets are counters in device memory.  They must be 0 when a
kernel begins, and two kernels that run at the same time must not share them.

Nobody clears them before a launch: `atomicInc` brings a counter back to 0 with the last ticket.
And kernels of one stream run one after the other, so that a stream has one workspace for ever.  A
stream is known by its device and its handle, as CuPy's memory pool knows it; by its thread too,
because one handle stands for the default stream of each thread.

A captured launch cannot use the stream's workspace: its graph may be replayed beside whatever runs
in that stream then.  It gets counters that nobody else will ever get, from a reserve that was
cleared when the device was first used, and memory from the pool of the capture.  If there is no
reserve (the first reduction of all is a captured one, or tens of thousands of counters have been
given away), clearing counters becomes a node of the graph.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from backpass.cupy.library import library
from backpass.cupy.streams import capturing

#: Bytes for the parts, and how many counters, in a stream's workspace: launches stay below.
SPACE = 2**18
COUNTERS = 1024
#: How many counters a device has for captured launches.
RESERVE = 2**16


class Workspace(NamedTuple):
    """What a launch with several blocks for a row needs.

    Attributes
    ----------
    parts
        Bytes of device memory, whatever is in them.
    tickets
        Counters that are 0 when the kernel begins.
    """

    parts: Any
    tickets: Any


class _Reserve:
    """Counters of a device for captured launches: each is given away once."""

    def __init__(self) -> None:
        self._counters = library.zeros(RESERVE, "uint32")
        # Graphs may be replayed in any stream: they must not come before the clearing.
        library.cuda.get_current_stream().synchronize()
        self._given = 0
        self._lock = threading.Lock()

    def take(self, count: int) -> Any:
        """Return so many counters; `None` if there are not so many left."""
        with self._lock:
            first = self._given
            if first + count > RESERVE:
                return None
            self._given = first + count
        return self._counters[first : first + count]


_workspaces: dict[tuple[int, int, int], Workspace] = {}
_reserves: dict[int, _Reserve] = {}


def workspace(bytes_: int, counters: int) -> Workspace:
    """Return a workspace for a launch in the current stream, of at least this size.

    `bytes_` is at most `SPACE` and `counters` at most `COUNTERS`.
    """
    device = library.cuda.device.get_device_id()
    if capturing():
        reserve = _reserves.get(device)
        tickets = None if reserve is None else reserve.take(counters)
        if tickets is None:
            tickets = library.zeros(counters, "uint32")
        return Workspace(library.ndarray((bytes_,), "uint8"), tickets)
    key = (device, library.cuda.get_current_stream().ptr, threading.get_ident())
    found = _workspaces.get(key)
    if found is None:
        if device not in _reserves:
            _reserves.setdefault(device, _Reserve())
        made = Workspace(library.ndarray((SPACE,), "uint8"), library.zeros(COUNTERS, "uint32"))
        found = _workspaces[key] = made
    return found
