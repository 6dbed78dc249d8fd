"""How threads are laid over rows.

- Where the elements of a row lie side by side, the threads that share a row do, too: up to a warp
  of them, which talk by shuffles, or a block, which talks by shared memory.  If all is aligned a
  thread loads 16 bytes at a time.
- Where elements of different rows lie side by side (a sum over the first axis), so do the threads
  of different rows, and those that share a row talk by shared memory.
- With a result for each element, the threads of a row hold it in registers if it fits: 16,000
  elements in single precision.  Longer rows are read twice.
- With one result for a row, several blocks share it if it is long and there are few: `partials`.

Nothing here depends on the GPU, so that results do not either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy

from backpass.cupy.layouts import AXES, Axis, Layout
from backpass.cupy.partials import COUNTERS, SPACE
from backpass.cupy.row_programs import Program

#: A thread loads and stores so many bytes at once, where it can.
WIDTH = 16
#: So many elements a thread holds at once at most, by the type in which is computed.
HELD = {"f": 32, "d": 16}
#: So many loads of a thread are on their way at once at most.
LOADS = 8
#: Threads in a block; the larger one where more of them have to share a row.
BLOCK, LARGE_BLOCK = 256, 512
WARP = 32
#: Blocks that keep a large GPU busy.
BUSY = 1024
#: Rows with a result for each element are left to CuPy if they are longer and fewer: one block for
#: a row takes longer then than several launches, each of which keeps the whole GPU busy.
LONG, FEW = 2**18, 16
#: Memory is read in units of so many bytes.
SECTOR = 32


class Shape(NamedTuple):
    """How threads are laid over rows, as far as it is compiled.

    Attributes
    ----------
    side_by_side
        Whether the elements of a row lie side by side, and not those of different rows.
    width
        How many elements are loaded at once: a pack.
    packs
        How many packs a thread holds at once.
    fits
        Whether the threads of a row hold all of it at once.
    block
        How many threads a block has at most.
    straight
        Whether a row has one axis only.
    shared
        Whether several blocks share a row.
    warp
        Whether a warp has a row, so that the compiler knows how many threads there are.
    dense
        Whether the packs of a row lie one behind the other, so that it knows where they are.
    """

    side_by_side: bool
    width: int
    packs: int
    fits: bool
    block: int
    straight: bool
    shared: bool = False
    warp: bool = False
    dense: bool = False


class Grid(NamedTuple):
    """How many threads there are.

    Attributes
    ----------
    threads
        So many of a block share a row; a power of two.
    lanes
        So many rows a block has; a power of two.
    inner
        So many rows lie along the axis that is divided into lanes.
    tiles
        So many blocks it takes to cover it.
    splits
        So many blocks share a row.
    """

    threads: int
    lanes: int
    inner: int
    tiles: int
    splits: int = 1


class Placed(NamedTuple):
    """Threads laid over rows.

    Attributes
    ----------
    layout
        Of the rows, in packs.
    shape, grid
        Of the threads.
    remembered
        How many bytes a thread remembers.
    """

    layout: Layout
    shape: Shape
    grid: Grid
    remembered: int

    @property
    def groups(self) -> int:
        """Return how many blocks there would be if none shared its rows."""
        return self.grid.tiles * (self.layout.rows // self.grid.inner)

    @property
    def blocks(self) -> int:
        """Return how many blocks there are."""
        return self.groups * self.grid.splits

    @property
    def parts(self) -> int:
        """Return how many bytes the blocks leave to the last of them."""
        return self.blocks * self.grid.lanes * self.remembered if self.shape.shared else 0

    @property
    def tickets(self) -> int:
        """Return how many counters they need."""
        return self.groups if self.shape.shared else 0

    def split(self) -> Placed:
        """Let several blocks share a row, if it is long and there are few."""
        grid = self.grid
        splits = min(
            -(-self.layout.length // (grid.threads * self.shape.packs)),
            BUSY // self.groups,
            SPACE // (self.groups * grid.lanes * self.remembered),
        )
        # Two blocks take as long as one that goes round twice.
        if splits < 3 or self.groups > COUNTERS:
            return self
        return self._replace(
            shape=self.shape._replace(shared=True), grid=grid._replace(splits=splits)
        )

    def struct(self, numbers: Sequence[float]) -> Any:
        """Return the struct `Rows` of the kernel."""
        grid, found = self.grid, self.layout
        divided = grid.threads if self.shape.side_by_side else grid.lanes
        integers = [
            found.length,
            -(-found.length // grid.splits),
            grid.splits,
            grid.inner,
            grid.tiles,
            grid.threads,
            grid.lanes,
            divided.bit_length() - 1,
            len(found.kept),
            len(found.reduced),
        ]
        for axes in found:
            steps = len(axes[0].steps)
            filled = [*reversed(axes), *[Axis(1, (0,) * steps)] * (AXES - len(axes))]
            integers += [axis.length for axis in filled]
            integers += [axis.steps[i] for i in range(steps) for axis in filled]
        data = numpy.array(integers, dtype=numpy.int64).tobytes()
        data += numpy.array([*numbers, 0.0, 0.0][:2], dtype=numpy.float64).tobytes()
        fields = [("integers", "i8", len(integers)), ("numbers", "f8", 2)]
        return numpy.frombuffer(data, dtype=fields)[0]


def place(program: Program, found: Layout, dtype: Any, aligned: bool) -> Placed | None:
    """Lay threads over the rows of a layout; `None` to leave it to CuPy.

    `aligned` tells whether the operands are.
    """
    if program.spread and found.length > LONG and found.rows < FEW:
        return None
    whole = [i for i, name in enumerate(program.operands) if name in program.whole]
    if program.spread:
        whole.append(len(program.operands))
    computed = "d" if dtype.char == "d" else "f"
    remembered = sum(4 if kind == "T" and computed == "f" else 8 for kind, *_ in program.fields)
    # Where few rows lie side by side among many, there would be few threads in a block.
    wide = len(found.kept) == 1 or found.kept[-1].length >= WARP // 2
    if wide and found.neighbours_are_rows(whole):
        across = _held_across if program.spread else _summed_across
        placed = Placed(found, *across(found, dtype.itemsize), remembered)
    else:
        width = WIDTH // dtype.itemsize
        packed = found.packed(whole, width) if aligned else None
        if packed is None:
            packed, width = found, 1
        along = _held_along if program.spread else _summed_along
        packs = min(LOADS, HELD[computed] // width)
        placed = Placed(packed, *along(packed, width, packs), remembered)
    warp = placed.shape.side_by_side and placed.grid.threads == WARP
    shape = placed.shape
    steps = [placed.layout.reduced[0].steps[i] for i in whole] if shape.straight else []
    dense = shape.straight and all(step == shape.width for step in steps)
    placed = placed._replace(shape=shape._replace(warp=warp, dense=dense))
    return placed if program.spread else placed.split()


def _power(n: int) -> int:
    """Return the least power of two that is no less."""
    return 1 << max(n - 1, 0).bit_length()


# ----- threads along rows -------------------------------------------------------------------------


def _blocks_of_rows(found: Layout, threads: int) -> Grid:
    """Return a grid whose blocks have several rows, as long as there are blocks for all."""
    rows = found.rows
    lanes = max(1, WARP // threads, min(BLOCK // threads, _power(rows * 4 // BUSY)))
    return Grid(threads, lanes, rows, -(-rows // lanes))


def _held_along(found: Layout, width: int, packs: int) -> tuple[Shape, Grid]:
    """Let a warp hold a row; a block, if it is long."""
    length = found.length
    if length <= WARP * packs:
        threads, packs = min(WARP, _power(length)), _power(-(-length // WARP))
    else:
        threads = min(LARGE_BLOCK, _power(-(-length // packs)))
    fits, block = length <= threads * packs, max(BLOCK, threads)
    shape = Shape(True, width, packs, fits, block, len(found.reduced) == 1)
    return shape, _blocks_of_rows(found, threads)


def _summed_along(found: Layout, width: int, packs: int) -> tuple[Shape, Grid]:
    """Let a warp go along a row; a block, if it is very long or there are few."""
    length = found.length
    threads = 1 if length <= 4 else min(WARP, _power(length))
    if length > WARP * packs and (found.rows < 4 * BUSY or length > 8 * WARP * packs):
        threads = min(BLOCK, _power(-(-length // packs)))
    shape = Shape(True, width, packs, False, BLOCK, len(found.reduced) == 1)
    return shape, _blocks_of_rows(found, threads)


# ----- threads across rows ------------------------------------------------------------------------


def _blocks_of_lanes(found: Layout, threads: int, block: int) -> Grid:
    """Return a grid whose blocks have several rows that lie side by side."""
    inner = found.kept[-1].length
    lanes = min(block // threads, _power(inner))
    return Grid(threads, lanes, inner, -(-inner // lanes))


def _held_across(found: Layout, itemsize: int) -> tuple[Shape, Grid]:
    """Let blocks hold as many rows as they can, at least so many as are read together."""
    length, side = found.length, _power(found.kept[-1].length)
    straight = len(found.reduced) == 1
    for block, lanes in ((BLOCK, 32), (LARGE_BLOCK, 32), (LARGE_BLOCK, 16), (LARGE_BLOCK, 8)):
        threads = block // min(lanes, side)
        if length <= threads * 2 * LOADS and min(lanes, side) * itemsize >= min(
            SECTOR, side * itemsize
        ):
            threads = min(threads, _power(length))
            shape = Shape(False, 1, _power(-(-length // threads)), True, block, straight)
            return shape, _blocks_of_lanes(found, threads, block)
    shape = Shape(False, 1, LOADS, False, LARGE_BLOCK, straight)
    return shape, _blocks_of_lanes(found, LARGE_BLOCK // min(WARP, side), LARGE_BLOCK)


def _summed_across(found: Layout, itemsize: int) -> tuple[Shape, Grid]:
    """Let a warp stand across rows, and as many of them share these as there is work for."""
    threads = LARGE_BLOCK // min(WARP, _power(found.kept[-1].length))
    threads = min(threads, _power(-(-found.length // LOADS)))
    shape = Shape(False, 1, LOADS, False, LARGE_BLOCK, len(found.reduced) == 1)
    return shape, _blocks_of_lanes(
        found, threads, BLOCK if threads * WARP <= BLOCK else LARGE_BLOCK
    )
