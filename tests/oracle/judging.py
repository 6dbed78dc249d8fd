"""Random programs run by JAX, in processes of their own.

JAX compiles each program, which takes nearly all the time, and cannot compile two at once in one
process.  Now and then its compiler aborts, and takes the process with it.
"""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy

from ..gradients.programs import Program
from .libraries import jax_namespaces

#: Halves the compiler's time.  Beside optimization level 0 it has given wrong numbers.
HASTY = {"xla_cpu_use_fusion_emitters": False}
#: Value and tangent of a program, then its gradients and Hessian products.
Derivatives = list[numpy.ndarray]


def directions(program: Program) -> tuple[numpy.ndarray, ...]:
    """Return a direction for each argument, the same in every process."""
    random = numpy.random.default_rng(program.seed)
    return tuple(numpy.asarray(random.uniform(-1, 1, x.shape))[()] for x in program.args)


def judge(seed: int, options: dict[str, bool] | None = None) -> Derivatives:
    """Run a program by JAX, with options of the compiler."""
    namespaces = jax_namespaces()
    import jax

    program = Program(seed)
    every = tuple(range(len(program.args)))

    def run(*xs):
        return program(namespaces.__getitem__, *xs)

    def everything(there, moved):
        return jax.jvp(jax.value_and_grad(run, every), there, moved)

    args = [tuple(map(jax.numpy.asarray, xs)) for xs in (program.args, directions(program))]
    lowered = jax.jit(everything).lower(*args)
    try:
        compiled = lowered.compile(compiler_options=options)
    except RuntimeError:  # another version has other options
        compiled = lowered.compile()
    (value, gradients), (tangent, products) = compiled(*args)
    return [numpy.asarray(x) for x in (value, tangent, *gradients, *products)]


class Judges:
    """The processes, one for each core."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(os.cpu_count(), mp_context=spawn)

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown()

    def judge(self, seeds: Sequence[int]) -> Iterator[tuple[int, Derivatives | None]]:
        """Run programs; `None` stands for one over which JAX's compiler aborts."""
        waiting: dict[int, Future[Derivatives]] = {}
        for i, seed in enumerate(seeds):
            if not waiting:
                waiting = {later: self._pool.submit(judge, later, HASTY) for later in seeds[i:]}
            try:
                yield seed, waiting.pop(seed).result()
                continue
            except BrokenProcessPool:
                # One of those that ran has done it: this one, if it does so alone.
                waiting = {}
                self._start()
            yield seed, self.appeal(seed)

    def appeal(self, seed: int) -> Derivatives | None:
        """Run a program alone, and with the compiler at its most careful."""
        try:
            return self._pool.submit(judge, seed).result()
        except BrokenProcessPool:
            self._start()
            return None
