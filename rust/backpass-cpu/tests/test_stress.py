"""Threads, forks and exits at bad moments: right results, no hang, no crash.

Each runs in a process of its own, so that a hang ends with a time limit and a crash with a message.
"""

import os
import signal
import subprocess
import sys
import sysconfig
import textwrap

import pytest

PRELUDE = """
import os, sys, threading, time
import numpy as np
from backpass.cpu import KERNELS, empty_cache, memory_stats, set_num_threads

def work(rounds=1):
    '''Whether kernels of many sizes compute what they should.'''
    for _ in range(rounds):
        for n in (1, 10, 1_000, 20_000, 70_000, 300_000):
            x = np.arange(n, dtype=np.float32)
            x %= 64
            y = KERNELS["zero_multiply"](x, np.float32(2))
            total = float(KERNELS["sum"](y))
            if not np.array_equal(y, x + x) or total != 2 * int(x.astype(np.int64).sum()):
                return False
        if "matmul" in KERNELS:
            a = np.eye(150, dtype=np.float32)
            b = np.arange(150 * 150, dtype=np.float32).reshape(150, 150)
            if not np.array_equal(KERNELS["matmul"](a, b), b):
                return False
    return True
"""


def run(program, limit=120, **settings):
    """Run a program in a process of its own; return what it prints."""
    made = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-X", "faulthandler", "-c",
         PRELUDE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=limit,
        env={**os.environ, **settings},
    )  # fmt: skip
    assert made.returncode == 0, f"status {made.returncode}\n{made.stdout}\n{made.stderr[-3000:]}"
    return made.stdout.strip()


STRESS = """
    stop = time.monotonic() + {seconds}
    right, done = [], []

    def call():
        while time.monotonic() < stop:
            right.append(work())

    def disturb():
        n = 0
        while time.monotonic() < stop:
            n += 1
            set_num_threads(1 + n % 5)
            if n % 50 == 0:
                empty_cache()
            memory_stats()
            time.sleep(0.0005)

    threads = [threading.Thread(target=call) for _ in range(8)]
    threads.append(threading.Thread(target=disturb))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(right) >= 8 and all(right), right
    assert memory_stats()["in_use"] == 0, memory_stats()
    empty_cache()
    print("right")
"""


def test_many_threads_call_kernels_while_the_number_of_threads_changes():
    assert run(STRESS.format(seconds=2), BACKPASS_NUM_THREADS="2") == "right"


@pytest.mark.slow
def test_many_threads_call_kernels_for_long():
    assert run(STRESS.format(seconds=60), BACKPASS_NUM_THREADS="2") == "right"


forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")


@forks
def test_forks_while_threads_compute():
    program = """
        stop = threading.Event()

        def call():
            while not stop.is_set():
                work()

        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        set_num_threads(3)
        statuses = []
        for i in range(25):
            child = os.fork()
            if child == 0:
                good = work(2)
                thread = threading.Thread(target=lambda: None)
                thread.start()
                thread.join()
                grandchild = os.fork() if i % 5 == 0 else None
                if grandchild == 0:
                    os._exit(0 if work() else 3)
                if grandchild:
                    good = good and os.waitpid(grandchild, 0)[1] == 0
                os._exit(0 if good else 1)
            statuses.append(os.waitpid(child, 0)[1])
            time.sleep(0.002)
        stop.set()
        for thread in threads:
            thread.join()
        assert statuses == [0] * 25, statuses
        assert work()
        print("right")
    """
    assert run(program) == "right"


@pytest.mark.parametrize("method", [pytest.param("fork", marks=forks), "spawn"])
def test_a_pool_of_processes(method, tmp_path):
    script = tmp_path / "pool.py"
    script.write_text(
        PRELUDE
        + textwrap.dedent(
            f"""
            import multiprocessing
            if __name__ == "__main__":
                assert work()
                with multiprocessing.get_context("{method}").Pool(3) as pool:
                    assert pool.map(work, [1] * 6) == [True] * 6
                assert work()
                print("right")
            """
        )
    )
    run = [sys.executable, "-W", "ignore::DeprecationWarning", str(script)]
    made = subprocess.run(run, capture_output=True, text=True, timeout=120)
    assert made.returncode == 0, made.stderr
    assert made.stdout.strip() == "right"


@pytest.mark.parametrize("end", ["pass", "sys.exit(0)", "os._exit(0)", "import atexit; work()"])
def test_the_interpreter_ends_while_helpers_and_daemons_run(end):
    program = f"""
        set_num_threads(4)
        assert work()
        for _ in range(3):
            threading.Thread(target=work, args=(10**6,), daemon=True).start()
        time.sleep(0.05)
        {end}
    """
    for _ in range(3):
        run(program, limit=60)


@pytest.mark.skipif(not hasattr(signal, "sigtimedwait"), reason="no such call on this platform")
def test_a_signal_does_not_end_in_a_helper():
    """A thread that awaits a signal gets it, though helpers have been started before."""
    program = """
        import signal
        set_num_threads(4)
        assert work()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signal.sigtimedwait([signal.SIGUSR1], 5).si_signo == signal.SIGUSR1
        print("right")
    """
    # OpenBLAS's threads would take the signal.
    assert run(program, OPENBLAS_NUM_THREADS="1") == "right"


def test_subinterpreters_are_refused():
    if sys.version_info >= (3, 13):
        create = "import _interpreters as i; n = i.create('legacy')"
    else:
        create = "import _xxsubinterpreters as i; n = i.create(isolated=False)"
    program = f"""
        {create}
        said = i.run_string(n, '''
        try:
            import backpass.cpu
        except ImportError as error:
            print("refused:", error)
        '''.replace("        ", ""))
        assert work()
    """
    assert "refused" in run(program)


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this interpreter has a lock anyway"
)
def test_a_free_threaded_interpreter_takes_its_lock_up_again():
    assert run("print(sys._is_gil_enabled())", PYTHON_GIL="") == "True"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("BACKPASS_NUM_THREADS", "many", "is no whole number from 1 to 64"),
        ("BACKPASS_NUM_THREADS", "0", "is no whole number from 1 to 64"),
        ("BACKPASS_NUM_THREADS", "-1", "is no whole number from 1 to 64"),
        ("BACKPASS_NUM_THREADS", "1000", "is no whole number from 1 to 64"),
        ("BACKPASS_NUM_THREADS", "2.0", "is no whole number from 1 to 64"),
        ("BACKPASS_POOL_LIMIT", "2 GB", "is no whole number of bytes"),
        ("BACKPASS_ISA", "sse2", "is none of scalar, avx2 and avx512"),
    ],
)
def test_settings_that_make_no_sense_are_named(name, value, says):
    made = subprocess.run(
        [sys.executable, "-c", PRELUDE + "print(work())"],
        capture_output=True,
        text=True,
        env={**os.environ, name: value},
    )
    assert made.stdout.strip() == "True", made.stderr
    assert f'RuntimeWarning: {name}="{value}" {says}, and is ignored' in made.stderr


def test_settings_that_make_sense_are_used():
    program = "from backpass.cpu import get_num_threads\nprint(get_num_threads(), memory_stats())"
    said = run(
        f"work()\n{program}", BACKPASS_NUM_THREADS=" 3 ", BACKPASS_POOL_LIMIT="0", BACKPASS_ISA=""
    )
    assert said.startswith("3 ")
    assert "'cached': 0" in said
