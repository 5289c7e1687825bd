"""Shards as mapped Prefect tasks, over whichever of Prefect's task runners the configuration names.

Every call of `run` starts a pool, so that one broken by a shard is never used again. What to do
about the shards of a broken pool is the business of `posterity.portfolio.execute`.
"""

import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Crashed
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from flows.tasks import fit_part
from flows.workers import end_workers
from posterity.portfolio.runners import Outcome, WorkerDied
from posterity.portfolio.shard import Shard

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


@dataclass(frozen=True)
class PrefectRunner:
    """A `posterity.portfolio.runners.Runner` whose shards are task runs of the current flow run."""

    kind: Kind
    workers: int

    def run(self, shards: Sequence[Shard]) -> Iterator[tuple[Shard, Outcome]]:
        """Every shard as it ends, or the death of its worker."""
        with POOLS[self.kind](max(1, min(self.workers, len(shards)))) as pool:
            # Pickled here: Prefect would walk through every value of a parameter in search of futures.
            task: Any = fit_part
            futures = pool.map(
                task,
                {"what": [title(s) for s in shards], "shard": [pickle.dumps(s) for s in shards]},
            )
            place = {id(future): shard for future, shard in zip(futures, shards, strict=True)}
            try:
                for future in as_completed(list(futures)):
                    yield place[id(future)], outcome(future)
            except BaseException:  # stopped, or an error of ours: the rest of the shards is not waited for
                end_workers()
                raise


def outcome(future: PrefectFuture[Any]) -> Outcome:
    """The report of a shard, or the death of its worker; other errors are raised."""
    try:
        return future.result()  # type: ignore[no-any-return]
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


def title(shard: Shard) -> str:
    """What people read of a shard: its first and last entity, and how many."""
    first, last, n = shard.work[0].entity, shard.work[-1].entity, len(shard.work)
    return brief(first) if n == 1 else f"{brief(first)} … {brief(last)} ({n})"


def brief(entity: str) -> str:
    """An entity's name in 40 characters on one line."""
    line = " ".join(entity.split())
    return line if len(line) <= 40 else f"{line[:39]}…"
