"""Checkpoints in random programs and in networks: derivatives are the same, whatever is kept."""

import importlib
import zlib

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass import nn
from backpass.core import (
    Tensor,
    checkpoint,
    checkpoint_policies,
    grad,
    hvp,
    jvp,
    tree,
    value_and_grad,
)

from .gradients.programs import Program


def namespace(module):
    return importlib.import_module(f"backpass.{module}")


def by_chance(seed):
    """Return a policy that keeps about half of what it sees, the same every time."""

    def policy(primitive, *operands, **keywords):
        shapes = [numpy.shape(x) for x in operands]
        return zlib.crc32(f"{seed} {primitive.name} {shapes}".encode()) % 2 == 0

    return policy


def in_pieces(program, wrap, length):
    """Return a random program whose steps run in checkpoints of some length, one in the other."""

    def run(*args):
        values = list(args)

        def piece(values, steps):
            if len(steps) > length:
                half = len(steps) // 2
                first = wrap(lambda values: piece(values, steps[:half]))(values)
                return piece(first, steps[half:])
            values = list(values)
            for operation, operands in steps:
                chosen = (values[i] for i in operands)
                values.append(operation.call(namespace(operation.module), *chosen))
            return values

        values = wrap(lambda values: piece(values, program.steps))(values)
        used = {i for step in program.steps for i in step.operands}
        return sum(np.sum(np.sin(v) + 0.3 * v) for i, v in enumerate(values) if i not in used)

    return run


@pytest.mark.parametrize("seed", range(30))
def test_a_random_program_under_a_checkpoint(seed):
    program = Program(seed + 1000)
    args = program.args
    every = tuple(range(len(args)))
    directions = tuple(numpy.asarray(numpy.cos(x + seed))[()] for x in args)

    def plain(*xs):
        return program(namespace, *xs)

    expected = grad(plain, every)(*args)
    forward = jvp(plain, tuple(args), directions)
    second = hvp(plain, tuple(args), directions)
    keep = (None, checkpoint_policies.everything_saveable, by_chance(seed))
    for policy in keep:
        whole = checkpoint(plain, policy=policy)
        for a, b in zip(grad(whole, every)(*args), expected, strict=True):
            assert_array_equal(a, b, err_msg=str(program))
        for a, b in zip(jvp(whole, tuple(args), directions), forward, strict=True):
            assert_array_equal(a, b, err_msg=str(program))
    # Cotangents of what several pieces share are added in another order.
    close = {"rtol": 1e-9, "atol": 1e-11, "err_msg": str(program)}
    cut = in_pieces(program, checkpoint(policy=keep[1 + seed % 2]), 2)
    for a, b in zip(grad(cut, every)(*args), expected, strict=True):
        assert_allclose(a, b, **close)
    found = hvp(cut, tuple(args), directions)
    for a, b in zip(_flat(found), _flat(second), strict=True):
        assert_allclose(a, b, **close)


def _flat(found):
    for x in found:
        yield from x if isinstance(x, tuple) else (x,)


@pytest.mark.parametrize("policy", ["dots_saveable", "everything_saveable", None])
def test_a_network_draws_and_counts_the_same(policy):
    policy = policy and getattr(checkpoint_policies, policy)
    x = numpy.random.default_rng(0).standard_normal((8, 6)).astype("float32")
    found = []
    for wrap in (lambda block: block, checkpoint(policy=policy)):
        nn.seed(3)
        model = nn.Sequential(
            nn.Linear(6, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 2)
        )

        def loss(model, x, wrap=wrap):
            return np.mean(wrap(model)(x) ** 2)

        loss(model, x).backward()
        backward = [p.grad for p in model.parameters()]
        value, gradient = value_and_grad(loss)(model, x)
        of_input = grad(lambda x, m=model, loss=loss: loss(m, x))(x)
        pure = tree.leaves(gradient)
        state = [buffer.value for buffer in model.buffers()]
        found.append([value, *backward, *pure, of_input, *state, nn.random.next_key()])
    for a, b in zip(*found, strict=True):
        assert_array_equal(_plain(a), _plain(b))


def _plain(x):
    return x.value if isinstance(x, Tensor) else x


def test_products_of_a_block_do_not_run_again():
    nn.seed(0)
    block = nn.TransformerBlock(8, 2, dropout=0.1)
    runs = []

    def policy(primitive, *operands, **keywords):
        keep = checkpoint_policies.dots_saveable(primitive, *operands, **keywords)
        runs.append((primitive.name, keep))
        return keep

    x = Tensor(numpy.ones((2, 5, 8), "float32")).requires_grad_()
    checkpoint(block, policy=policy)(x).sum().backward()
    kept = {name for name, keep in runs if keep}
    assert {"linear", "attention"} <= kept
    assert {"layer_norm", "dropout"} <= {name for name, keep in runs if not keep}
