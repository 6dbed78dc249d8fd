"""What one small operation costs, forward and backward: Backpass beside its rivals.

    python tests/benchmarks/overhead.py [--rounds N]

A chain of operations on ten elements (multiply, add, tanh, in turns) is built and differentiated;
the arithmetic is next to nothing, so the time is the library's own.  Then a whole call of `grad`
over a tree of six leaves.  Rivals are those that are installed.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any

import numpy
from interleave import Here, interleaved, print_machine, print_table

import backpass.numpy as np
from backpass.core import grad, value_and_grad

#: Operations in the chain: a third each of multiply, add and tanh.
LENGTH = 300
SIZE = 10
LEAVES = [(4, 3), (3,), (3, 3), (3,), (3, 2), (2,)]

Step = Callable[[], Any]


def chain(tanh: Callable[[Any], Any], x: Any, y: Any) -> Any:
    """Apply the operations; the result has the shape of x."""
    for _ in range(LENGTH // 3):
        x = tanh(x * y + y)
    return x


def numbers() -> tuple[Any, Any]:
    """Return the ends of the chain."""
    random = numpy.random.default_rng(0)
    return random.uniform(0.5, 1.0, SIZE), random.uniform(0.5, 1.0, SIZE)


def six_leaves() -> list[Any]:
    """Return the tree of six leaves."""
    random = numpy.random.default_rng(0)
    return [random.standard_normal(shape) for shape in LEAVES]


def spread(total: Callable[[Any], Any], leaves: Any) -> Any:
    """Return a number that depends on every leaf, by one operation each."""
    result = total(leaves[0])
    for leaf in leaves[1:]:
        result = result + total(leaf)
    return result


def backpass() -> tuple[Step, Step]:
    """Backpass: `grad` of the sum, and of the tree."""
    x, y = numbers()
    along = grad(lambda x: np.sum(chain(np.tanh, x, y)))
    leaves = [np.array(leaf) for leaf in six_leaves()]
    over = value_and_grad(lambda leaves: spread(np.sum, leaves), argnums=0)
    return (lambda: along(x)), (lambda: over(leaves))


def hips() -> tuple[Step, Step]:
    """HIPS autograd: the same program."""
    autograd = importlib.import_module("autograd")
    anp = importlib.import_module("autograd.numpy")
    x, y = numbers()
    along = autograd.grad(lambda x: anp.sum(chain(anp.tanh, x, y)))
    leaves = six_leaves()
    over = autograd.value_and_grad(lambda leaves: spread(anp.sum, leaves))
    return (lambda: along(x)), (lambda: over(leaves))


def mygrad() -> tuple[Step, Step]:
    """MyGrad: Tensors and backward()."""
    mg = importlib.import_module("mygrad")
    x, y = numbers()
    leaves = six_leaves()

    def along() -> Any:
        t = mg.tensor(x)
        mg.sum(chain(mg.tanh, t, y)).backward()
        return t.grad

    def over() -> Any:
        tensors = [mg.tensor(leaf) for leaf in leaves]
        spread(mg.sum, tensors).backward()
        return [t.grad for t in tensors]

    return along, over


def pytorch() -> tuple[Step, Step]:
    """PyTorch, eager: autograd.grad."""
    torch = importlib.import_module("torch")
    x, y = (torch.from_numpy(a) for a in numbers())
    x.requires_grad_()
    leaves = [torch.from_numpy(leaf).requires_grad_() for leaf in six_leaves()]

    def along() -> Any:
        return torch.autograd.grad(torch.sum(chain(torch.tanh, x, y)), x)

    def over() -> Any:
        return torch.autograd.grad(spread(torch.sum, leaves), leaves)

    return along, over


def jax_eager() -> tuple[Step, Step]:
    """JAX without jit: `grad`."""
    return _jax(lambda f: f)


def jax_jit() -> tuple[Step, Step]:
    """JAX with jit: compiled before; the chain is then one program, not a chain."""
    return _jax(importlib.import_module("jax").jit)


def _jax(compiled: Callable[[Any], Any]) -> tuple[Step, Step]:
    jax = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    jnp = importlib.import_module("jax.numpy")
    x, y = (jnp.asarray(a) for a in numbers())
    leaves = [jnp.asarray(leaf) for leaf in six_leaves()]
    along = compiled(jax.grad(lambda x: jnp.sum(chain(jnp.tanh, x, y))))
    over = compiled(jax.value_and_grad(lambda leaves: spread(jnp.sum, leaves)))
    return (lambda: jax.block_until_ready(along(x))), (lambda: jax.block_until_ready(over(leaves)))


RIVALS: dict[str, Callable[[], tuple[Step, Step]]] = {
    "Backpass": backpass,
    "HIPS autograd": hips,
    "MyGrad": mygrad,
    "PyTorch": pytorch,
    "JAX, eager": jax_eager,
    "JAX, jit": jax_jit,
}


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    chains, trees = [], []
    for name, make in RIVALS.items():
        try:
            along, over = make()
        except ImportError as error:
            print(f"{name}: not measured, {error}")
            continue
        chains.append(Here(name, along))
        trees.append(Here(name, over))
    print_machine(("backpass.core", "numpy", "autograd", "mygrad", "torch", "jax"))
    print_table(
        f"One operation on {SIZE} elements, forward and backward, in a chain of {LENGTH}, us",
        interleaved(chains, rounds),
        calls=LENGTH,
        beside="Backpass",
    )
    print_table(
        f"A call of value_and_grad over {len(LEAVES)} leaves "
        f"({len(LEAVES)} sums, {len(LEAVES) - 1} additions), us",
        interleaved(trees, rounds),
        beside="Backpass",
    )


if __name__ == "__main__":
    main()
