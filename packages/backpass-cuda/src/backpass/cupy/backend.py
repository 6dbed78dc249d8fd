"""CuPy's backend: the arrays, the library that works on them, and the kernels before it."""

from __future__ import annotations

from backpass.core.backends import Backend, register
from backpass.cupy.availability import array_types
from backpass.cupy.devices import local, place
from backpass.cupy.kernels import KERNELS
from backpass.cupy.library import library
from backpass.cupy.memory import empty_cache, explain, memory_stats
from backpass.cupy.streams import capturing, clock
from backpass.cupy.transfer import begin_to_host, from_host, to_host

#: What the entry point names.
CupyBackend = Backend(
    name="CuPy",
    array_types=array_types(),
    library=library,
    scipy="cupyx.scipy",
    namespace="backpass.cupy",
    kernels=KERNELS,
    device="cuda",
    from_host=from_host,
    to_host=to_host,
    begin_to_host=begin_to_host,
    memory_stats=memory_stats,
    empty_cache=empty_cache,
    explain=explain,
    place=place,
    local=local,
    capturing=capturing,
    clock=clock,
    reports=True,
)
register(CupyBackend)
