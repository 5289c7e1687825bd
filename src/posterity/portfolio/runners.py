"""What work is mapped over. A runner only runs; what to do about dead workers is its caller's business."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol

import loky
import threadpoolctl

ORPHANED = 0.5
"""Seconds between two looks at whether the parent is still there."""


class WorkerDied(Exception):  # noqa: N818 - an event that callers handle, named as one
    """The process that ran an item is gone: out of memory, a segmentation fault, or killed."""


class Item(Protocol):
    """A piece of work, picklable; `title` is what people read of it: `fit P01 … P08 (12)`."""

    @property
    def title(self) -> str:
        """A few words."""
        ...


class Runner(Protocol):
    """Applies a function to items, in any order, and says of each what came of it."""

    def run[I: Item, R](
        self, function: Callable[[I], R], items: Sequence[I]
    ) -> Iterator[tuple[I, R | WorkerDied]]:
        """Yield every item once, as it ends. `function` is importable by name; its exceptions, other than
        a worker's death, are programming errors: raised.
        """
        ...

    def close(self) -> None:
        """Let the workers go; the next `run` would start new ones."""
        ...


class Inline:
    """One item after another in this process: nothing to start, and nothing that protects from a crash."""

    def run[I: Item, R](
        self, function: Callable[[I], R], items: Sequence[I]
    ) -> Iterator[tuple[I, R | WorkerDied]]:
        """See `Runner`."""
        for item in items:
            yield item, function(item)

    def close(self) -> None:
        """Nothing to let go."""


class Processes:
    """A pool of processes on this machine. Scripts need no `if __name__ == "__main__"` guard (loky).

    The pool is kept from one `run` to the next, with the models that its workers have compiled; one broken by
    a dead worker is never used again.
    """

    def __init__(self, workers: int) -> None:
        self.workers = max(1, workers)
        self._pool: Any = None

    def run[I: Item, R](
        self, function: Callable[[I], R], items: Sequence[I]
    ) -> Iterator[tuple[I, R | WorkerDied]]:
        """See `Runner`."""
        if not items:
            return
        if self._pool is None:
            self._pool = loky.ProcessPoolExecutor(
                max_workers=self.workers, timeout=60, initializer=leave_with_parent
            )
        whole = False
        try:
            futures = {self._pool.submit(one_thread, function, item): item for item in items}
            died = False
            for future in as_completed(futures):
                try:
                    yield futures[future], future.result()
                except BrokenProcessPool as error:
                    died = True
                    yield futures[future], WorkerDied(str(error).splitlines()[0])
            whole = not died
        finally:
            if not whole:  # broken, stopped, or an error of ours: what is still running is of no use
                self.close()

    def close(self) -> None:
        """See `Runner`."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None


def leave_with_parent() -> None:
    """In a worker: end within a second of the process that started it, were that killed. Nobody waits for
    what an orphan computes, and the rerun needs its core.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(ORPHANED)
        os._exit(1)

    threading.Thread(target=watch, name="leave-with-parent", daemon=True).start()


def one_thread[A, R](function: Callable[[A], R], argument: A) -> R:
    """Call with linear algebra on one thread: matrices are tiny, and every core has a worker already."""
    with threadpoolctl.threadpool_limits(1):
        return function(argument)


def cores() -> int:
    """Cores this process may use, by affinity and by the container's quota (loky knows cgroups)."""
    return int(loky.cpu_count())


def runner_for(workers: int) -> Runner:
    """Processes, or this process where `workers` is 0."""
    return Processes(workers) if workers else Inline()
