from collections.abc import Callable
from typing import Any, Final, final

__all__ = [
    "KERNELS",
    "Block",
    "__version__",
    "empty_cache",
    "get_num_threads",
    "memory_stats",
    "set_num_threads",
]

__version__: Final[str]

KERNELS: Final[dict[str, Callable[..., Any]]]

@final
class Block: ...

def memory_stats() -> dict[str, int]: ...
def empty_cache() -> None: ...
def get_num_threads() -> int: ...
def set_num_threads(n: int) -> None: ...
