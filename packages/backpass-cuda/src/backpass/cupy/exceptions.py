"""What `backpass.cupy` raises."""


class DeviceUnavailable(RuntimeError):
    """There is no GPU to compute on: the message says which part is missing, and what to do."""
