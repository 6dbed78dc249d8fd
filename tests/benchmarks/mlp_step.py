"""A training step of a small network: Backpass beside its rivals.

    python tests/benchmarks/mlp_step.py [--rounds N] [--network 784-200-100-10/32 ...] [--only ...]

The first network has layers of 784, 200, 100 and 10 (and batches of 1, 32 and 256), another one odd
lengths; tanh, and log-softmax by logsumexp; the loss is the sum of the cross-entropy, the optimizer
is descent with momentum (v = 0.9 v + 0.1 g, w -= 0.001 v), in float32.  A step is loss, gradients
and update, on other data each time.  All start from the same weights and see the same data;
`--check` prints their losses at the 20th step.

Rivals over NumPy run a second time in a process with OPENBLAS_CORETYPE=SkylakeX: NumPy's OpenBLAS
takes some processors with AVX-512 for older ones.  PyTorch runs with its plain optimizer, with the
fused one, and with the fused one and the network compiled (which takes a C++ compiler, and half a
minute the first time).
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

import numpy
from interleave import compare, fresh, parser, print_machine, print_table, processes, serve

import backpass.numpy as np
from backpass.core import grad, to_device, value_and_grad
from backpass.nn.optimizers import momentum_update, sgd_momentum
from backpass.scipy.special import logsumexp

NETWORKS = ("784-200-100-10/1", "784-200-100-10/32", "784-200-100-10/256", "777-193-67-10/48")
RATE = 0.001
MOMENTUM = 0.9
#: So many batches take turns: none is in the cache because it was used last.
BATCHES = 16

#: Takes a step; returns the loss.
Step = Callable[[], Any]
#: Takes a step with these images and targets; returns the loss.
Advance = Callable[[Any, Any], Any]


class Case(NamedTuple):
    """A network and its batches: `784-200-100-10/32`."""

    layers: tuple[int, ...]
    batch: int

    @classmethod
    def of(cls, text: str) -> Case:
        """Read one."""
        layers, _, batch = text.partition("/")
        return cls(tuple(map(int, layers.split("-"))), int(batch))


def first_weights(case: Case) -> list[tuple[Any, Any]]:
    """Return the weights and biases that all start from."""
    random = numpy.random.default_rng(0)
    return [
        (
            (0.1 * random.standard_normal((m, n))).astype(numpy.float32),
            (0.1 * random.standard_normal(n)).astype(numpy.float32),
        )
        for m, n in pairwise(case.layers)
    ]


@functools.cache
def batches(case: Case) -> list[tuple[Any, Any]]:
    """Return images, a fifth of whose pixels are inked, and targets, one of ten."""
    random = numpy.random.default_rng(1)
    shape, classes = (case.batch, case.layers[0]), case.layers[-1]
    made = []
    for _ in range(BATCHES):
        inked = random.random(shape) < 0.2
        images = (random.random(shape) * inked).astype(numpy.float32)
        targets = numpy.eye(classes, dtype=numpy.float32)[random.integers(0, classes, case.batch)]
        made.append((images, targets))
    return made


def network(xp: Any, logsumexp: Any) -> Callable[..., Any]:
    """Return the loss, written with the functions of one library."""

    def loss(x: Any, weights: Any, y: Any) -> Any:
        *hidden, (W, b) = weights
        for V, c in hidden:
            x = xp.tanh(xp.dot(x, V) + c)
        scores = xp.dot(x, W) + b
        return -xp.sum((scores - logsumexp(scores, axis=1, keepdims=True)) * y)

    return loss


# ----- Backpass ----------------------------------------------------------------------------------


def backpass_objects(case: Case, device: str = "cpu") -> Step:
    """As the README has it: grad of the objective, then the optimizer's step."""
    weights = to_device([(np.array(W), np.array(b)) for W, b in first_weights(case)], device)
    objective = network(np, logsumexp)
    losses = []

    def kept(x: Any, weights: Any, y: Any) -> Any:
        losses[:] = [objective(x, weights, y)]
        return losses[0]

    gradient = grad(kept)
    run_optimizer = sgd_momentum(weights, learning_rate=RATE, beta=MOMENTUM)
    data = fresh(to_device(batches(case), device))

    def step() -> Any:
        x, y = data()
        gradient(x, weights, y)
        run_optimizer()
        return losses[0]

    return step


def backpass_step(case: Case, device: str = "cpu") -> Advance:
    """Value and gradient with respect to plain arrays, and one fused update."""
    weights = to_device(first_weights(case), device)
    flat = [a for layer in weights for a in layer]
    velocities = to_device([numpy.zeros_like(a) for W in first_weights(case) for a in W], device)
    loss_and_gradient = value_and_grad(network(np, logsumexp), argnums=1)

    def step(x: Any, y: Any) -> Any:
        loss, gradients = loss_and_gradient(x, weights, y)
        found = [g for layer in gradients for g in layer]
        momentum_update.op(*flat, *velocities, *found, learning_rate=RATE, momentum=MOMENTUM)
        return loss

    return step


def backpass_functions(case: Case, device: str = "cpu") -> Step:
    """As a function of plain arrays."""
    step, data = backpass_step(case, device), fresh(to_device(batches(case), device))
    return lambda: step(*data())


# ----- over NumPy, or over CuPy ------------------------------------------------------------------


def arrays(case: Case, xp: Any) -> tuple[list[tuple[Any, Any]], Callable[[], Any]]:
    """Return the first weights as a library's arrays, and its batches in turns."""

    def put(pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        return [(xp.asarray(a), xp.asarray(b)) for a, b in pairs]

    return put(first_weights(case)), fresh(put(batches(case)))


def by_hand(case: Case, xp: Any = numpy) -> Step:
    """As one writes it: the gradients by hand, each operation making its array."""
    layers, data = arrays(case, xp)
    flat = [a for layer in layers for a in layer]
    velocities = [xp.zeros_like(a) for a in flat]

    def step() -> Any:
        x, y = data()
        inputs = [x]
        for W, b in layers[:-1]:
            inputs.append(xp.tanh(inputs[-1] @ W + b))
        W, b = layers[-1]
        scores = inputs[-1] @ W + b
        scores -= scores.max(axis=1, keepdims=True)
        shares = xp.exp(scores)
        sums = shares.sum(axis=1, keepdims=True)
        loss = xp.log(sums).sum() - xp.vdot(scores, y)
        g = shares / sums - y
        gradients: list[Any] = []
        for i in range(len(layers) - 1, -1, -1):
            gradients[:0] = [inputs[i].T @ g, g.sum(axis=0)]
            if i:
                g = (g @ layers[i][0].T) * (1 - inputs[i] ** 2)
        _momentum(flat, velocities, gradients)
        return loss

    return step


def in_place(case: Case, xp: Any = numpy) -> Step:
    """At its most careful: the gradients by hand, every buffer kept, all work in place."""
    layers, data = arrays(case, xp)
    flat = [a for layer in layers for a in layer]
    velocities = [xp.zeros_like(a) for a in flat]
    gradients = [xp.empty_like(a) for a in flat]
    outputs = [xp.empty((case.batch, W.shape[1]), xp.float32) for W, _ in layers]
    backs = [xp.empty((case.batch, W.shape[1]), xp.float32) for W, _ in layers]
    slopes = [xp.empty_like(out) for out in outputs[:-1]]
    scratch = [xp.empty_like(a) for a in flat]
    keep, share, rate = (numpy.float32(a) for a in (MOMENTUM, 1 - MOMENTUM, RATE))

    def step() -> Any:
        x, y = data()
        inputs = [x, *outputs[:-1]]
        for i, (W, b) in enumerate(layers):
            out = outputs[i]
            xp.dot(inputs[i], W, out=out)
            out += b
            if i < len(layers) - 1:
                xp.tanh(out, out=out)
        scores = outputs[-1]
        scores -= scores.max(axis=1, keepdims=True)
        shares = xp.exp(scores, out=backs[-1])
        sums = shares.sum(axis=1, keepdims=True)
        loss = xp.log(sums).sum() - xp.vdot(scores, y)
        shares /= sums
        shares -= y
        for i in range(len(layers) - 1, -1, -1):
            g = backs[i]
            xp.dot(inputs[i].T, g, out=gradients[2 * i])
            g.sum(axis=0, out=gradients[2 * i + 1])
            if i:
                xp.dot(g, layers[i][0].T, out=backs[i - 1])
                slope = xp.square(outputs[i - 1], out=slopes[i - 1])
                xp.subtract(1, slope, out=slope)
                backs[i - 1] *= slope
        for w, v, g, s in zip(flat, velocities, gradients, scratch, strict=True):
            v *= keep
            g *= share
            v += g
            xp.multiply(v, rate, out=s)
            w -= s
        return loss

    return step


def _momentum(flat: list[Any], velocities: list[Any], gradients: list[Any]) -> None:
    for w, v, g in zip(flat, velocities, gradients, strict=True):
        v *= MOMENTUM
        v += (1 - MOMENTUM) * g
        w -= RATE * v


def hips(case: Case) -> Step:
    """HIPS autograd, and the update in NumPy."""
    autograd = importlib.import_module("autograd")
    anp = importlib.import_module("autograd.numpy")
    special = importlib.import_module("autograd.scipy.special")
    weights = first_weights(case)
    flat = [a for layer in weights for a in layer]
    velocities = [numpy.zeros_like(a) for a in flat]
    loss_and_gradient = autograd.value_and_grad(network(anp, special.logsumexp), argnum=1)
    data = fresh(batches(case))

    def step() -> Any:
        x, y = data()
        loss, gradients = loss_and_gradient(x, weights, y)
        _momentum(flat, velocities, [g for layer in gradients for g in layer])
        return loss

    return step


def mygrad(case: Case) -> Step:
    """MyGrad, and the update in NumPy."""
    mg = importlib.import_module("mygrad")
    activations = importlib.import_module("mygrad.nnet.activations")
    weights = [(mg.tensor(W), mg.tensor(b)) for W, b in first_weights(case)]
    tensors = [t for layer in weights for t in layer]
    velocities = [numpy.zeros_like(t.data) for t in tensors]
    data = fresh(batches(case))

    def forward(x: Any, y: Any) -> Any:
        *hidden, (W, b) = weights
        for V, c in hidden:
            x = mg.tanh(mg.matmul(x, V) + c)
        return -mg.sum(activations.logsoftmax(mg.matmul(x, W) + b, axis=1) * y)

    def step() -> Any:
        x, y = data()
        loss = forward(x, y)
        loss.backward()
        _momentum([t.data for t in tensors], velocities, [t.grad for t in tensors])
        for t in tensors:
            t.null_grad()
        return loss

    return step


# ----- PyTorch and JAX ---------------------------------------------------------------------------


def pytorch_step(
    case: Case,
    *,
    fused: bool = False,
    foreach: bool | None = None,
    compiled: bool = False,
    device: str = "cpu",
) -> Advance:
    """PyTorch with its optimizer; dampening makes its momentum the running mean."""
    torch = importlib.import_module("torch")

    def leaf(a: Any) -> Any:
        return torch.from_numpy(a).to(device).requires_grad_()

    weights = [(leaf(W), leaf(b)) for W, b in first_weights(case)]
    flat = [t for layer in weights for t in layer]
    optimizer = torch.optim.SGD(
        flat, lr=RATE, momentum=MOMENTUM, dampening=MOMENTUM, foreach=foreach, fused=fused or None
    )
    for t in flat:  # else the first step would take the whole gradient
        optimizer.state[t]["momentum_buffer"] = torch.zeros_like(t)

    def network(x: Any, weights: Any, y: Any) -> Any:
        *hidden, (W, b) = weights
        for V, c in hidden:
            x = torch.tanh(torch.addmm(c, x, V))
        scores = torch.addmm(b, x, W)
        return -torch.sum((scores - torch.logsumexp(scores, 1, keepdim=True)) * y)

    loss_of = torch.compile(network) if compiled else network

    def step(x: Any, y: Any) -> Any:
        loss = loss_of(x, weights, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def pytorch_batches(case: Case, device: str = "cpu") -> Callable[[], Any]:
    """Return the batches in turns, as PyTorch's."""
    torch = importlib.import_module("torch")
    return fresh([tuple(torch.from_numpy(a).to(device) for a in pair) for pair in batches(case)])


def pytorch(case: Case, device: str = "cpu", **options: Any) -> Step:
    """PyTorch, eager or compiled: see `pytorch_step`."""
    step, data = pytorch_step(case, device=device, **options), pytorch_batches(case, device)
    return lambda: step(*data())


def jax_step(case: Case) -> Advance:
    """JAX: the whole step compiled, its buffers donated; it does not wait for the loss."""
    jax = importlib.import_module("jax")
    jnp = importlib.import_module("jax.numpy")
    loss_and_gradient = jax.value_and_grad(network(jnp, jax.nn.logsumexp), argnums=1)

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def compiled(weights: Any, velocities: Any, x: Any, y: Any) -> Any:
        loss, gradients = loss_and_gradient(x, weights, y)
        velocities = jax.tree.map(
            lambda v, g: MOMENTUM * v + (1 - MOMENTUM) * g, velocities, gradients
        )
        weights = jax.tree.map(lambda w, v: w - RATE * v, weights, velocities)
        return weights, velocities, loss

    state = [jax.tree.map(jnp.asarray, first_weights(case))]
    state.append(jax.tree.map(jnp.zeros_like, state[0]))

    def step(x: Any, y: Any) -> Any:
        *state[:], loss = compiled(*state, x, y)
        return loss

    return step


def jax_jit(case: Case) -> Step:
    """JAX, on NumPy's arrays."""
    jax = importlib.import_module("jax")
    step, data = jax_step(case), fresh(batches(case))
    return lambda: jax.block_until_ready(step(*data()))


OURS = "Backpass, value_and_grad + momentum_update"
RIVALS: dict[str, Callable[[Case], Step]] = {
    OURS: backpass_functions,
    "Backpass, grad + sgd_momentum": backpass_objects,
    "NumPy by hand": by_hand,
    "NumPy by hand, in place": in_place,
    "HIPS autograd": hips,
    "MyGrad": mygrad,
    "PyTorch, eager": pytorch,
    "PyTorch, eager, fused": functools.partial(pytorch, fused=True),
    "PyTorch, compiled, fused": functools.partial(pytorch, fused=True, compiled=True),
    "JAX, jit, donated": jax_jit,
}
OVER_NUMPY = ("NumPy by hand", "NumPy by hand, in place", "HIPS autograd", "MyGrad")
BY_TEXT = {
    name: lambda text, make=make: make(Case.of(text))  # type: ignore[misc]
    for name, make in RIVALS.items()
}


def check(rivals: Mapping[str, Callable[[Any], Step]], case: Any) -> None:
    """Print everybody's loss at the 20th step: one that differs is not measured fairly."""
    for name, make in rivals.items():
        step = make(case)
        last = [step() for _ in range(20)][-1]
        print(f"{name:44} {float(getattr(last, 'value', last)):.4f}")


def main() -> None:
    """Measure, and print a table for each network."""
    arguments = parser(__doc__, rounds=30)
    arguments.add_argument("--network", nargs="+", default=NETWORKS)
    arguments.add_argument("--check", action="store_true")
    options = arguments.parse_args()
    if options.serve:
        serve(BY_TEXT, options.serve)
        return
    if options.check:
        for network in options.network:
            print(network)
            check(RIVALS, Case.of(network))
        return
    print_machine(("backpass.core", "numpy", "autograd", "mygrad", "torch", "jax"))
    # Each has a process of its own: the worker threads of one library spin on after its turn, and
    # would take the processor from the next.
    with processes(__file__, BY_TEXT, over_numpy=OVER_NUMPY, only=options.only) as running:
        for network in options.network:
            times = compare(running, network, options.rounds)
            print_table(f"A step of {network}, us", times, beside=OURS)


if __name__ == "__main__":
    main()
