"""What shards are mapped over. A runner only runs; what to do about dead workers is `execute`'s business."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

import loky
import threadpoolctl

from posterity.portfolio.shard import Report, Shard, fit_shard

type Outcome = Report | WorkerDied


class WorkerDied(Exception):  # noqa: N818 - an event that `execute` handles, named as one
    """The process that ran a shard is gone: out of memory, a segmentation fault, or killed."""


class Runner(Protocol):
    """Runs shards, in any order, and says of each what came of it."""

    def run(self, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Outcome]]:
        """Yield every shard once, as it ends. Exceptions other than a worker's death are programming
        errors: raised.
        """
        ...


class Inline:
    """One shard after another in this process: nothing to start, and nothing that protects from a crash."""

    def run(self, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Outcome]]:
        """See `Runner`."""
        for shard in shards:
            yield shard, fit_shard(shard)


class Processes:
    """A pool of processes on this machine. Scripts need no `if __name__ == "__main__"` guard (loky)."""

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Outcome]]:
        """See `Runner`."""
        pool = loky.ProcessPoolExecutor(max_workers=max(1, min(self.workers, len(shards))), timeout=60)
        try:
            futures = {pool.submit(one_thread, fit_shard, shard): shard for shard in shards}
            for future in as_completed(futures):
                try:
                    yield futures[future], future.result()
                except BrokenProcessPool as error:
                    yield futures[future], WorkerDied(str(error).splitlines()[0])
        finally:
            pool.shutdown(wait=True, kill_workers=True)


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
