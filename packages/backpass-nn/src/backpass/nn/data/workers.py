"""Threads that work ahead: results in order, never more than so many at once, none left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from queue import Empty, SimpleQueue
from typing import Any

#: Given a job and a function that tells whether its result is still wanted, return the result.
Work = Callable[[int, Callable[[], bool]], Any]

#: Seconds to wait for threads to end what they are at. They do not keep the program from ending.
_PATIENCE = 5.0

#: Seconds after which a wait is begun anew: Ctrl-C may not end it, if the system tells another
#: thread than the one that waits.
_LISTENING = 0.25

#: A job, and either its result or its exception.
_Outcome = tuple[int, Any, BaseException | None]


def in_order(
    work: Work, jobs: Sequence[int], workers: int, ahead: int
) -> Generator[Any, None, None]:
    """Yield the result of each job, in order, computed by threads.

    At most `ahead` jobs are under way or waiting beside the one whose result is in use. An
    exception is raised here in its job's turn, as it was raised there. When the iteration ends, by
    whatever cause, so do the threads.

    What the threads and this function share are queues, whose methods a signal cannot interrupt
    half-way, and a flag that threads only read: Ctrl-C at any moment leaves nothing locked.
    """
    todo: SimpleQueue[int | None] = SimpleQueue()
    done: SimpleQueue[_Outcome] = SimpleQueue()
    ended = threading.Event()
    threads = [
        threading.Thread(
            target=_run, args=(work, todo, done, ended), name=f"loader-{i}", daemon=True
        )
        for i in range(min(workers, len(jobs)))
    ]
    waiting: dict[int, tuple[Any, BaseException | None]] = {}
    begun = 0
    try:
        for thread in threads:
            begun += 1
            thread.start()
        for job in jobs[:ahead]:
            todo.put(job)
        for i, job in enumerate(jobs):
            while job not in waiting:
                try:
                    number, result, error = done.get(timeout=_LISTENING)
                except Empty:
                    continue
                waiting[number] = result, error
            result, error = waiting.pop(job)
            if error is not None:
                raise error
            if i + ahead < len(jobs):
                todo.put(jobs[i + ahead])
            yield result
    finally:
        # The exception's traceback holds this frame.
        result = error = None
        waiting.clear()
        ended.set()
        for _ in threads:
            todo.put(None)
        deadline = time.monotonic() + _PATIENCE
        for thread in threads[:begun]:
            _wait_for(thread, deadline)


def _wait_for(thread: threading.Thread, deadline: float) -> None:
    """Wait for the end of a thread, but no longer than until then."""
    # A garbage collection may close the generator in one of the threads themselves.
    while thread is not threading.current_thread() and time.monotonic() < deadline:
        try:
            return thread.join(deadline - time.monotonic())
        except RuntimeError:
            # Ctrl-C has interrupted its start, and it begins in a moment all the same.
            time.sleep(0.001)


def one_by_one(work: Work, jobs: Sequence[int]) -> Generator[Any, None, None]:
    """Yield the result of each job, computed when it is asked for."""
    for job in jobs:
        yield work(job, lambda: True)


def _run(
    work: Work, todo: SimpleQueue[int | None], done: SimpleQueue[_Outcome], ended: threading.Event
) -> None:
    """Do jobs until there are no more."""
    while (job := todo.get()) is not None and not ended.is_set():
        try:
            outcome: _Outcome = job, work(job, lambda: not ended.is_set()), None
        except BaseException as error:  # whatever it is, it belongs to the thread that waits for it
            outcome = job, None, error
        done.put(outcome)
        del outcome


__all__ = ["Work", "in_order", "one_by_one"]
