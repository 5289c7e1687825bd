"""Work as mapped Prefect tasks, over whichever of Prefect's task runners the configuration names.

A pool is kept from one `run` to the next, with the models that its workers have compiled; one broken by a
dead worker is never used again. What to do about the items of a broken pool is the business of
`posterity.portfolio.dispatch`.
"""

import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Crashed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from flows.tasks import work
from flows.workers import end_workers
from posterity.portfolio.runners import Item, WorkerDied

type Kind = Literal["threads", "processes", "dask", "ray"]
type Pool = TaskRunner[Any]

DEATHS = {"BrokenProcessPool", "KilledWorker", "WorkerCrashedError", "OutOfMemoryError", "NodeDiedError"}
"""What pools raise where a worker is gone: concurrent.futures, Dask, and three of Ray. By name, as the last
two are extras. Anything else that a task raises is an error of ours."""


def processes(workers: int) -> Pool:
    """Processes of this machine."""
    return ProcessPoolTaskRunner(max_workers=workers)


def threads(workers: int) -> Pool:
    """Threads of the flow's process: quick to start, and nothing protects from a crash in compiled code."""
    return ThreadPoolTaskRunner(max_workers=workers)


def dask(workers: int) -> Pool:
    """A Dask cluster of processes on this machine, one thread each."""
    # A shard that killed a worker must not be handed to three more: `execute` finds out which entity it was.
    once = {"distributed.scheduler.allowed-failures": 0, "logging.distributed": "warning"}
    import_module("dask").config.set(once)
    options = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
    runner: Pool = import_module("prefect_dask").DaskTaskRunner(cluster_kwargs=options)
    return runner


def ray(workers: int) -> Pool:
    """A Ray instance on this machine."""
    options = {"num_cpus": workers, "include_dashboard": False}
    runner: Pool = import_module("prefect_ray").RayTaskRunner(init_kwargs=options)
    return runner


POOLS: dict[Kind, Callable[[int], Pool]] = {
    "threads": threads,
    "processes": processes,
    "dask": dask,
    "ray": ray,
}


@dataclass
class PrefectRunner:
    """A `posterity.portfolio.runners.Runner` whose items are task runs of the current flow run."""

    kind: Kind
    workers: int
    _pool: Pool | None = field(default=None, init=False, repr=False)

    def run[I: Item, R](
        self, function: Callable[[I], R], items: Sequence[I]
    ) -> Iterator[tuple[I, R | WorkerDied]]:
        """Every item as it ends, or the death of its worker."""
        if not items:
            return
        # Pickled here: Prefect would walk through every value of a parameter in search of futures.
        task: Any = work
        given = {"what": [i.title for i in items], "call": [pickle.dumps((function, i)) for i in items]}
        futures = self._started().map(task, given)
        place = {id(future): item for future, item in zip(futures, items, strict=True)}
        died = False
        try:
            for future in as_completed(list(futures)):
                found = outcome(future)
                died = died or isinstance(found, WorkerDied)
                yield place[id(future)], found
        except BaseException:  # stopped, or an error of ours: the rest of the items is not waited for
            end_workers()
            self.close()
            raise
        if died:
            self.close()

    def close(self) -> None:
        """Let the workers go; the next `run` would start new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.__exit__(None, None, None)

    def _started(self) -> Pool:
        if self._pool is None:
            self._pool = POOLS[self.kind](max(1, self.workers)).__enter__()
        return self._pool


def outcome(future: PrefectFuture[Any]) -> Any:
    """What came of an item, or the death of its worker; other errors are raised."""
    try:
        return future.result()
    except Exception as error:
        if not isinstance(error, BrokenExecutor) and type(error).__name__ not in DEATHS:
            raise
        died = WorkerDied(str(error).splitlines()[0] if str(error) else type(error).__name__)
        crashed(future, str(died))
        return died


def crashed(future: PrefectFuture[Any], reason: str) -> None:
    """Tell the server: the dead worker cannot, and its task run would be shown as running for ever."""
    with get_client(sync_client=True) as client:
        try:
            state = client.read_task_run(future.task_run_id).state
            if state is None or not state.is_final():
                client.set_task_run_state(future.task_run_id, Crashed(message=reason), force=True)
        except ObjectNotFound:
            pass  # it waited in the pool and never began
