"""What matrix products cost on the GPU: the host's time, the device's, and other ways to do them.

python tests/benchmarks/products_on_gpu.py
"""

import ctypes
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / f"packages/backpass-{name}/src") for name in ("core", "cuda")]

import cupy  # noqa: E402
import numpy  # noqa: E402

from backpass.cupy import blas, products  # noqa: E402
from backpass.cupy.precision import set_matmul_precision  # noqa: E402

lib = blas.load()
pointer = blas.pointer
null = cupy.cuda.Stream.null


def host(f, n=2000):
    """Return the host's microseconds for a call, the least of seven rounds."""
    f()
    null.synchronize()
    best = 1e9
    for _ in range(7):
        start = time.perf_counter()
        for _ in range(n // 10):
            f()
        best = min(best, (time.perf_counter() - start) / (n // 10))
        null.synchronize()
    return best * 1e6


def device(f, n=20):
    """Return the device's microseconds for a call, captured and replayed, the least of five."""
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        f()
        stream.synchronize()
        stream.begin_capture()
        kept = [f() for _ in range(n)]
        graph = stream.end_capture()
        best = 1e9
        for _ in range(5):
            a, b = cupy.cuda.Event(), cupy.cuda.Event()
            graph.launch()
            a.record(stream)
            graph.launch()
            b.record(stream)
            b.synchronize()
            best = min(best, cupy.cuda.get_elapsed_time(a, b) / n)
    del kept
    return best * 1e3


def nodes(f):
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        kept = f()
        stream.synchronize()
        stream.begin_capture()
        kept = f()
        graph = stream.end_capture()
    del kept
    text = graph.debug_dot_str()
    names = [line for line in text.splitlines() if "label" in line]
    return len(names), [n.split("label")[1][:100] for n in names]


def rand(*shape, dtype="float32"):
    return cupy.asarray(numpy.random.default_rng(0).uniform(-1, 1, shape).astype(dtype))


def say(*xs):
    print(*xs, flush=True)


say("device", cupy.cuda.runtime.getDeviceProperties(0)["name"].decode())
say("--- host us: ours, cupy")
x, w = rand(1, 784), rand(784, 200)
g = rand(1, 200)
heads = rand(8, 64, 12, 64).swapaxes(1, 2)
for name, ours, theirs in [
    ("1x784x200", lambda: products.matmul(x, w), lambda: x @ w),
    ("g wT", lambda: products.KERNELS["matmul.vjp0"](g, w), lambda: g @ w.T),
    ("xT g", lambda: products.KERNELS["matmul.vjp1"](g, x), lambda: x.T @ g),
    ("strided 4x64x64", lambda a=rand(4, 64, 64): products.matmul(a, a), None),
    ("addressed heads", lambda: products.matmul(heads, heads.swapaxes(-1, -2)), None),
]:
    say(f"{name:20s} {host(ours):6.2f}", f"{host(theirs):6.2f}" if theirs else "")
say("parts: ndarray", f"{host(lambda: products.ndarray((1, 200), 'float32')):.2f}",
    "handle", f"{host(lambda: blas.handle(0, 0)):.2f}")  # fmt: skip
at, (data, _, one, zero) = blas.handle(0, 0), products._KINDS["float32"]
out = cupy.empty((1, 200), "float32")
px, pw, po = (pointer(a.data.ptr) for a in (x, w, out))
call = lambda f: f(at, 0, 0, 200, 1, 784, one, pw, 0, 200, px, 0, 784, zero, po, 0, 200, 68, -1)  # noqa: E731
say("cublasGemmEx alone", f"{host(lambda: call(lib.cublasGemmEx)):.2f}")
unlocked = ctypes.PyDLL(lib._name).cublasGemmEx
say("holding the GIL", f"{host(lambda: call(unlocked)):.2f}")

say("--- device us: matrix-vector: ours; columns first (n, m swapped); gemv; bytes/time TB/s")
for m, k in [(256, 784), (2048, 2048), (8192, 8192), (100_000, 64), (64, 100_000)]:
    a, v = rand(m, k), rand(k)
    y = cupy.empty(m, "float32")
    pa, pv, py = (pointer(b.data.ptr) for b in (a, v, y))
    alpha, beta = (ctypes.c_float * 1)(1), (ctypes.c_float * 1)(0)

    def here():
        return blas.handle(0, cupy.cuda.get_current_stream().ptr)

    flipped = lambda: lib.cublasGemmEx(here(), 1, 0, m, 1, k, one, pa, 0, k, pv, 0, k, zero, py, 0, m, 68, -1)  # noqa: E501, E731
    gemv = lambda: lib.cublasSgemv_v2(here(), 1, k, m, alpha, pa, k, pv, 1, beta, py, 1)  # noqa: E731
    t = [device(f) for f in (lambda: products.matmul(a, v), flipped, gemv)]
    right = a.get().astype("f8") @ v.get()
    assert abs(y.get() - right).max() < 1e-2, abs(y.get() - right).max()
    say(f"A v {m}x{k}", *(f"{u:8.2f}" for u in t), f"{4 * m * k / min(t) / 1e6:.2f}")
    u = rand(m)
    z = cupy.empty(k, "float32")
    pu, pz = pointer(u.data.ptr), pointer(z.data.ptr)
    flipped = lambda: lib.cublasGemmEx(here(), 1, 1, 1, k, m, one, pu, 0, m, pa, 0, k, zero, pz, 0, 1, 68, -1)  # noqa: E501, E731
    gemv = lambda: lib.cublasSgemv_v2(here(), 0, k, m, alpha, pa, k, pu, 1, beta, pz, 1)  # noqa: E731
    t = [device(f) for f in (lambda: products.matmul(u, a), flipped, gemv)]
    say(f"v A {m}x{k}", *(f"{u:8.2f}" for u in t), f"{4 * m * k / min(t) / 1e6:.2f}")

say("--- device us: dot: ours; cublasDotEx; cupy (x * y).sum()")
lib.cublasSetPointerMode_v2(blas.handle(0, 0), 1)
lib.cublasSetPointerMode_v2(blas.handle(0, 0), 0)
for n in (200, 10_000, 1_000_000, 100_000_000):
    a, b, r = rand(n), rand(n), cupy.empty((), "float32")
    pa, pb, pr = (pointer(c.data.ptr) for c in (a, b, r))

    def dotex():
        h = blas.handle(0, cupy.cuda.get_current_stream().ptr)
        lib.cublasSetPointerMode_v2(h, 1)
        s = lib.cublasDotEx(h, n, pa, 0, 1, pb, 0, 1, pr, 0, 0)
        lib.cublasSetPointerMode_v2(h, 0)
        assert s == 0, s

    t = [device(f, 5) for f in (lambda: products.dot(a, b), dotex, lambda: (a * b).sum())]
    say(f"{n}", *(f"{u:10.2f}" for u in t), "nodes", nodes(lambda: products.dot(a, b))[0],
        "host", f"{host(dotex):.2f}")  # fmt: skip
    right = a.get().astype("f8") @ b.get()
    say("   errors", abs(float(products.dot(a, b)) - right), abs(float(r) - right))

say("--- device us: outer products by K = 1: ours, elementwise")
for m, n in [(784, 200), (4096, 4096)]:
    a, b = rand(m, 1), rand(1, n)
    say(m, n, f"{device(lambda: products.matmul(a, b)):.2f}", f"{device(lambda: a * b):.2f}")

say("--- the MLP's products, device us and graph nodes")
for m in (1, 256, 8192):
    for k, n in [(784, 200), (200, 100), (100, 10)]:
        a, b, c = rand(m, k), rand(k, n), rand(m, n)
        fs = [
            lambda: products.matmul(a, b),
            lambda: products.KERNELS["matmul.vjp0"](c, b),
            lambda: products.KERNELS["matmul.vjp1"](c, a),
        ]
        say(m, k, n, *(f"{device(f):.2f} ({nodes(f)[0]})" for f in fs))
say(nodes(lambda: products.matmul(rand(1, 784), w)))

say("--- TFLOP/s, n = 8192: ours; torch")
try:
    import torch
except ImportError:
    torch = None
n = 8192
for dtype, how in [("float32", "highest"), ("float32", "tf32"), ("float16", "highest"),
                   ("bfloat16", "highest"), ("float64", "highest")]:  # fmt: skip
    set_matmul_precision(how)
    if dtype == "bfloat16":
        import ml_dtypes

        a = rand(n, n).astype(ml_dtypes.bfloat16)
    else:
        a = rand(n, n).astype(dtype)
    t = device(lambda: products.matmul(a, a), 3)
    line = [f"{2 * n**3 / t / 1e6:.1f}"]
    if torch is not None:
        torch.backends.cuda.matmul.allow_tf32 = how == "tf32"
        b = torch.rand(n, n, device="cuda").to(getattr(torch, dtype))
        for _ in range(2):
            e1, e2 = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            e1.record()
            for _ in range(3):
                b @ b
            e2.record()
            torch.cuda.synchronize()
        line.append(f"{2 * n**3 / (e1.elapsed_time(e2) / 3 * 1e3) / 1e6:.1f}")
    say(dtype, how, *line)
set_matmul_precision("highest")

say("--- attention (8, 64 tokens, 12 heads of 64): addressed, copied then strided; host / device")
q = rand(8, 512, 12, 64).swapaxes(1, 2)
kt = q.swapaxes(-1, -2)
for name, f in [
    ("addressed", lambda: products.matmul(q, kt)),
    ("copied", lambda: products.matmul(q.copy(), q.copy().swapaxes(-1, -2))),
]:
    say(name, f"{host(f):.2f} {device(f):.2f}")
h = q.astype("float16")
ht = h.swapaxes(-1, -2)
say("float16 addressed", f"{device(lambda: products.matmul(h, ht)):.2f}",
    "copied", f"{device(lambda: products.matmul(h.copy(), h.copy().swapaxes(-1, -2))):.2f}")  # fmt: skip
