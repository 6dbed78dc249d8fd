"""The devices, and which of them is current in a thread."""

import os
import threading

COUNT = int(os.environ.get("STAND_IN_DEVICES", 1))


class _State(threading.local):
    number = 0


state = _State()


def get_device_id():
    return state.number


def get_compute_capability():
    return "90"


class Device:
    """A device; the current one if no number is given."""

    def __init__(self, device=None):
        from cupy.cuda import runtime

        number = state.number if device is None else int(device)
        if not 0 <= number < COUNT:
            raise runtime.CUDARuntimeError(101)
        self.id = number
        self._before = []

    def __int__(self):
        return self.id

    def __index__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and self.id == other.id

    def __hash__(self):
        return hash(self.id)

    def __repr__(self):
        return f"<CUDA Device {self.id}>"

    def __enter__(self):
        self._before.append(state.number)
        state.number = self.id
        return self

    def __exit__(self, *exc):
        state.number = self._before.pop()

    def use(self):
        state.number = self.id
        return self

    def synchronize(self):
        from cupy.cuda import stream

        stream.refuse_while_capturing()

    @property
    def compute_capability(self):
        return get_compute_capability()

    @property
    def pci_bus_id(self):
        return f"0000:{self.id:02x}:00.0"

    @property
    def mem_info(self):
        from cupy.cuda import runtime

        with self:
            return runtime.memGetInfo()

    @property
    def attributes(self):
        return {"MultiProcessorCount": 4, "MaxSharedMemoryPerBlockOptin": 227 * 1024}
