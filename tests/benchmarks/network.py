"""Training steps of networks, and their parts: `backpass.nn` beside PyTorch and JAX.

    python tests/benchmarks/network.py [--rounds N] [--case "cnn 32" ...] [--only ...] [--memory]
        [--device cuda] [--dtype bfloat16]

The cases:

- `cnn B`: the CNN of training.py (5 x 5 convolutions of 32 and 64 channels, each with ReLU and a
  2 x 2 pool, dense layers of 128 and 10) on batches of B images, with cross-entropy and Adam;
- `block` (and `block dropout`, of 0.1): a transformer's block of width 256 with 4 heads, 1,024
  between the dense layers and GELU, on batches of 8 sequences of 128, Adam;
- `attention N`, `causal N`: 8 heads of 64 over a sequence of N, forward and backward;
- `layer_norm`, `batch_norm`, `cross_entropy`, `dropout`, `embedding`: forward and backward over
  1e6 numbers (rows of 1,000; images of 64 channels; embeddings of 100).

The data lie on the device before, and no loader takes time. Everything is float32, or with
`--dtype bfloat16` what each library calls mixed precision: weights, activations and gradients in
bfloat16, and the optimizer's own copy of the weights in float32.

Each contender has a process of its own. `--memory` gives, instead of the time, the most memory that
is taken at once during a step beyond what is there between steps.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy
from interleave import (
    Failed,
    Queued,
    Step,
    compare,
    parser,
    print_machine,
    print_table,
    processes,
    serve,
)
from training import RATE, network

WIDTH, HEADS, LENGTH, BATCH = 256, 4, 128, 8
OURS = "Backpass"
CPU_CASES = ("cnn 1", "cnn 32", "cnn 128", "block", "block dropout", "attention 1024")
CPU_CASES += ("attention 4096", "causal 1024", "causal 4096")
PARTS = ("layer_norm", "batch_norm", "cross_entropy", "dropout", "embedding")
GPU_CASES = ("cnn 128", "cnn 1024", "block", "attention 1024", "attention 4096", "causal 4096")


class Case(NamedTuple):
    """What is measured, where and in which dtype: `cnn 32/cpu/float32`."""

    name: str
    device: str
    dtype: str

    @classmethod
    def of(cls, text: str) -> Case:
        """Read one."""
        return cls(*text.split("/"))

    @property
    def words(self) -> list[str]:
        """The parts of the name."""
        return self.name.split(" ")

    @property
    def size(self) -> int:
        """The number in the name."""
        return int(self.words[1])


def numbers(*shape: int, seed: int = 0) -> Any:
    """Return normally distributed numbers."""
    return numpy.random.default_rng(seed).standard_normal(shape, dtype=numpy.float32)


def labels(count: int, most: int) -> Any:
    """Return whole numbers less than `most`."""
    return numpy.random.default_rng(1).integers(0, most, count)


# ----- Backpass ----------------------------------------------------------------------------------


def backpass(case: Case) -> Step | Queued:
    """Backpass, eager."""
    if case.device == "cuda":
        importlib.import_module("backpass.cupy")
    step = _backpass_step(case)
    if case.device == "cpu":
        return step
    return Queued(step, importlib.import_module("gpu").wait())


def captured(case: Case) -> Queued:
    """Backpass, the whole step as a CUDA graph."""
    cp = importlib.import_module("backpass.cupy")
    return Queued(
        cp.capture(_backpass_step(case, capturable=True)), importlib.import_module("gpu").wait()
    )


def _backpass_step(case: Case, *, capturable: bool = False) -> Step:
    from backpass import nn
    from backpass.core import Tensor, stop_gradient, to_device
    from backpass.nn import functional

    def put(x: Any) -> Any:
        there = to_device(x, case.device)
        return Tensor(there).astype(case.dtype).value if x.dtype.kind == "f" else there

    nn.seed(0)
    kind, *_ = case.words
    if kind in ("cnn", "block"):
        if kind == "cnn":
            model: Any = network(nn, "cnn")
            x, y = put(numbers(case.size, 1, 28, 28)), put(labels(case.size, 10))
        else:
            rate = 0.1 if "dropout" in case.words else 0.0
            model = nn.TransformerBlock(
                WIDTH, HEADS, 4 * WIDTH, dropout=rate, activation="gelu", norm_first=True
            )
            x, y = put(numbers(BATCH, LENGTH, WIDTH)), None
        model.to(case.device)
        if case.dtype != "float32":
            model.to(case.dtype)
        optimizer = nn.optimizers.Adam(model, learning_rate=RATE, capturable=capturable)

        def step() -> Any:
            made = model(x)
            loss = (made * made).mean() if y is None else functional.cross_entropy(made, y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return stop_gradient(loss)

        return step
    if kind in ("attention", "causal"):
        operands = [put(numbers(1, 8, case.size, 64, seed=i)) for i in range(3)]
        attend = functools.partial(functional.scaled_dot_product_attention, causal=kind == "causal")
        return _forward_and_backward(Tensor, attend, operands, put)
    return _forward_and_backward(
        Tensor, *_part(functional, case, put, lambda x: Tensor(put(x))), put
    )


def _forward_and_backward(tensor: Any, f: Any, operands: list[Any], put: Any) -> Step:
    leaves = [tensor(x).requires_grad_() for x in operands]
    made = f(*leaves)
    g = put(numbers(*made.shape, seed=9)) if made.shape else None

    def step() -> None:
        made = f(*leaves)
        made.backward() if g is None else made.backward(g)
        for leaf in leaves:
            leaf.grad = None

    return step


def _part(functional: Any, case: Case, put: Any, buffer: Any) -> tuple[Any, list[Any]]:
    """Return a part of a network as a function of its operands: both libraries' names agree."""
    kind = case.words[0]
    if kind == "layer_norm":
        x = [numbers(1000, 1000), numbers(1000, seed=1), numbers(1000, seed=2)]
        return lambda x, w, b: functional.layer_norm(x, (1000,), w, b), list(map(put, x))
    if kind == "cross_entropy":
        y = put(labels(1000, 1000))
        return lambda x: functional.cross_entropy(x, y), [put(numbers(1000, 1000))]
    if kind == "dropout":
        return lambda x: functional.dropout(x, 0.5, training=True), [put(numbers(1000, 1000))]
    if kind == "embedding":
        at = put(labels(10_000, 10_000))
        return lambda w: functional.embedding(at, w), [put(numbers(10_000, 100))]
    if kind == "batch_norm":
        x = [numbers(16, 64, 32, 32), numbers(64, seed=1), numbers(64, seed=2)]
        mean, variance = buffer(numpy.zeros(64, "f")), buffer(numpy.ones(64, "f"))

        def norm(x: Any, w: Any, b: Any) -> Any:
            made = functional.batch_norm(x, mean, variance, w, b, training=True)
            return made[0] if isinstance(made, tuple) else made

        return norm, list(map(put, x))
    raise Failed(f"there is no case {case.name!r}")


# ----- PyTorch -----------------------------------------------------------------------------------


def pytorch(case: Case, channels_last: bool = False) -> Step | Queued:
    """PyTorch, eager, with its fused Adam."""
    torch = importlib.import_module("torch")
    step = _pytorch_step(torch, case, channels_last)
    return step if case.device == "cpu" else Queued(step, torch.cuda.synchronize)


def _pytorch_step(torch: Any, case: Case, channels_last: bool) -> Step:
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False
    layout = torch.channels_last if channels_last else torch.contiguous_format
    dtype = getattr(torch, case.dtype)

    def put(x: Any) -> Any:
        there = torch.from_numpy(x).to(case.device)
        if there.is_floating_point():
            there = there.to(dtype)
        return there.to(memory_format=layout) if there.ndim == 4 else there

    kind, *_ = case.words
    if kind in ("cnn", "block"):
        if kind == "cnn":
            model = network(torch.nn, "cnn")
            x, y = put(numbers(case.size, 1, 28, 28)), put(labels(case.size, 10))
        else:
            model = torch.nn.TransformerEncoderLayer(
                WIDTH,
                HEADS,
                4 * WIDTH,
                dropout=0.1 if "dropout" in case.words else 0.0,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            x, y = put(numbers(BATCH, LENGTH, WIDTH)), None
        model = model.to(device=case.device, memory_format=layout)
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
        mixed = torch.autocast(case.device, dtype, enabled=case.dtype != "float32")
        if case.dtype != "float32":
            x = x.float()

        def step() -> Any:
            with mixed:
                made = model(x)
                if y is None:
                    loss = (made * made).mean()
                else:
                    loss = torch.nn.functional.cross_entropy(made, y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss

        return step
    if kind in ("attention", "causal"):
        operands = [put(numbers(1, 8, case.size, 64, seed=i)) for i in range(3)]
        attend = functools.partial(
            torch.nn.functional.scaled_dot_product_attention, is_causal=kind == "causal"
        )
        return _torch_forward_and_backward(attend, operands, put)
    return _torch_forward_and_backward(*_part(torch.nn.functional, case, put, put), put)


def _torch_forward_and_backward(f: Any, operands: list[Any], put: Any) -> Step:
    leaves = [x.requires_grad_() for x in operands]
    made = f(*leaves)
    g = put(numbers(*made.shape, seed=9)) if made.shape else None

    def step() -> None:
        made = f(*leaves)
        made.backward() if g is None else made.backward(g)
        for leaf in leaves:
            leaf.grad = None

    return step


# ----- JAX ---------------------------------------------------------------------------------------


def jax_cnn(case: Case) -> Step | Queued:
    """JAX, the CNN's step compiled, its buffers donated, Adam by hand."""
    jax = importlib.import_module("jax")
    jnp = jax.numpy
    shapes = [(5, 5, 1, 32), (5, 5, 32, 64), (1024, 128), (128, 10)]
    weights = [numbers(*shape, seed=i) * 0.05 for i, shape in enumerate(shapes)]
    params = [(jnp.asarray(w), jnp.zeros(w.shape[-1])) for w in weights]
    x = jnp.asarray(numbers(case.size, 28, 28, 1))
    y = jnp.asarray(labels(case.size, 10))

    def loss(params: Any) -> Any:
        made = x
        for w, b in params[:2]:
            layout = ("NHWC", "HWIO", "NHWC")
            made = jax.lax.conv_general_dilated(made, w, (1, 1), "VALID", dimension_numbers=layout)
            made = jax.nn.relu(made + b)
            window = (1, 2, 2, 1)
            made = jax.lax.reduce_window(made, -jnp.inf, jax.lax.max, window, window, "VALID")
        made = made.reshape(len(made), -1)
        made = jax.nn.relu(made @ params[2][0] + params[2][1]) @ params[3][0] + params[3][1]
        return -jnp.take_along_axis(jax.nn.log_softmax(made), y[:, None], 1).mean()

    def update(params: Any, m: Any, v: Any, t: Any) -> Any:
        value, grads = jax.value_and_grad(loss)(params)
        tree = jax.tree_util.tree_map
        m = tree(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = tree(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        scale = RATE * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        params = tree(lambda p, m, v: p - scale * m / (jnp.sqrt(v) + 1e-8), params, m, v)
        return params, m, v, t + 1, value

    compiled = jax.jit(update, donate_argnums=(0, 1, 2))
    zeros = jax.tree_util.tree_map(jnp.zeros_like, params)
    state = [params, zeros, jax.tree_util.tree_map(jnp.zeros_like, params), jnp.float32(1)]

    def step() -> None:
        state[:] = compiled(*state)[:4]

    def wait() -> None:
        jax.block_until_ready(state)

    return Queued(step, wait)


# ----- the tables --------------------------------------------------------------------------------

RIVALS: dict[str, Callable[[Case], Step | Queued]] = {
    OURS: backpass,
    "PyTorch": pytorch,
    "PyTorch, channels last": functools.partial(pytorch, channels_last=True),
    "JAX, jit": jax_cnn,
    "Backpass, captured": captured,
}
BY_TEXT = {name: lambda text, make=make: make(Case.of(text)) for name, make in RIVALS.items()}


def takes_part(name: str, case: Case) -> bool:
    """Tell whether a contender is written for a case."""
    if name.startswith("JAX"):
        return case.words[0] == "cnn" and case.dtype == "float32"
    if name.endswith("channels last"):
        return case.words[0] in ("cnn", "batch_norm")
    return case.device == "cuda" or not name.endswith("captured")


def peak(name: str, case: Case) -> int:
    """Return the most bytes taken at once in a step, beyond what is there between steps."""
    made = RIVALS[name](case)
    step, finish = made if isinstance(made, Queued) else (made, gc.collect)
    for _ in range(3):
        step()
    finish()
    gc.collect()
    if case.device == "cuda":
        return _peak_on_gpu(name, step)
    from memory import begin_anew, resident

    from backpass.core import empty_cache

    # What a pool or the heap holds idle would not be counted.
    empty_cache()
    ctypes.CDLL(None).malloc_trim(0)
    begin_anew()
    before = resident("VmRSS")
    for _ in range(3):
        step()
    finish()
    return resident("VmHWM") - before


def _peak_on_gpu(name: str, step: Step) -> int:
    if name.startswith("PyTorch"):
        torch = importlib.import_module("torch")
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return int(torch.cuda.max_memory_allocated() - before)
    pool = importlib.import_module("cupy").get_default_memory_pool()
    pool.free_all_blocks()
    before = pool.total_bytes()
    step()
    return int(pool.total_bytes() - before)


def print_peaks(cases: list[str], only: list[str]) -> None:
    """Print how much memory each contender takes."""
    print(f"\n| {'MiB at the peak of a step':28} | {' | '.join(f'{n:>22}' for n in RIVALS)} |")
    print(f"|{'-' * 30}|{'|'.join('-' * 23 + ':' for _ in RIVALS)}|")
    for case in cases:
        cells = []
        for name in RIVALS:
            if not takes_part(name, Case.of(case)) or (only and not name.startswith(tuple(only))):
                cells.append(f"{'':>22}")
                continue
            command = [sys.executable, __file__, "--peak", name, "--case", case]
            made = subprocess.run(command, capture_output=True, text=True)
            last = made.stdout.split()[-1:] if made.returncode == 0 else []
            cells.append(f"{int(last[0]) / 2**20:22.1f}" if last else f"{'-':>22}")
        print(f"| {case:28} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Measure, and print a table for each case."""
    arguments = parser(__doc__, rounds=20)
    arguments.add_argument("--case", nargs="+", default=[])
    arguments.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    arguments.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    arguments.add_argument("--memory", action="store_true")
    arguments.add_argument("--peak", help="for --memory itself")
    options = arguments.parse_args()
    if options.device == "cuda":
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    if options.serve:
        serve(BY_TEXT, options.serve)
        return
    if options.peak:
        print(peak(options.peak, Case.of(options.case[0])))
        return
    names = options.case or (GPU_CASES if options.device == "cuda" else CPU_CASES + PARTS)
    cases = [f"{name}/{options.device}/{options.dtype}" for name in names]
    print_machine(("backpass.core", "numpy", "torch", "jax"))
    if options.device == "cuda":
        importlib.import_module("gpu").print_gpu()
    if options.memory:
        print_peaks(cases, options.only)
        return
    with processes(__file__, BY_TEXT, only=options.only) as running:
        for case in cases:
            able = [process for process in running if takes_part(process.label, Case.of(case))]
            print_table(f"{case}, us", compare(able, case, options.rounds), beside=OURS)


if __name__ == "__main__":
    main()
