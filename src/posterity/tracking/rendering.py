"""The files of entity runs: figure, animation of a refit, intervals, parameters and draws, made in this
process or in a pool.

Nothing here knows MLflow, so that worker processes do not load it; only the caller writes to the tracker.
A file that cannot be made is a problem of its entity and stops nothing.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from posterity.errors import ResultError
from posterity.portfolio.result import Result, open_result
from posterity.report.animation import animation, gif
from posterity.report.elbo import elbo_png, elbo_view
from posterity.report.entity import entity_png
from posterity.report.frames import versions
from posterity.report.view import entity_view
from posterity.tracking.names import one_line

_CHUNK = 6
_MOST_CSV_ROWS = 20_000
_SMALL_DRAWS = 64 * 2**20
# A fresh process needs some three seconds to load what draws; an entity takes a fifth of one.
_WORTH_A_POOL = 24
# A frame takes a tenth of a second: the first entities of a refit, and its newest versions.
_ANIMATED, _FRAMES = 24, 13


@dataclass(frozen=True, slots=True)
class Files:
    """The folder with the files of one entity, and a sentence for each file that could not be made."""

    entity: str
    folder: Path
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Job:
    """Entities with their places, which name their folders: an entity's name never becomes a path."""

    entities: tuple[tuple[int, str], ...]
    folder: Path
    traces: bool


@contextmanager
def rendering(
    result: Result, entities: Sequence[str], folder: Path, *, traces: bool, workers: int
) -> Generator[Iterator[Files]]:
    """Files of the entities in their order. With several workers and enough to do, a pool starts at once.

    When a worker dies, the entities not yet done come without files and with that problem.
    """
    places = list(enumerate(entities))
    jobs = [_Job(tuple(places[i : i + _CHUNK]), folder, traces) for i in range(0, len(places), _CHUNK)]
    if workers <= 1 or len(places) < _WORTH_A_POOL:
        yield (files for job in jobs for files in _render(result, job))
        return
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), multiprocessing.get_context("spawn"), _open, (result.path,)
    )
    try:
        futures = deque((job, pool.submit(_render_here, job)) for job in jobs)
        yield _gathered(futures)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _gathered(futures: deque[tuple[_Job, Future[list[Files]]]]) -> Iterator[Files]:
    while futures:
        job, future = futures.popleft()
        try:
            yield from future.result()
        except BrokenProcessPool:
            lost = "the process that makes figures died (out of memory?)"
            yield from (Files(entity, job.folder / f"{i:06d}", (lost,)) for i, entity in job.entities)


_result: Result | None = None


def _open(path: Path) -> None:
    global _result
    _result = open_result(path)


def _render_here(job: _Job) -> list[Files]:
    assert _result is not None, "the pool's initializer ran"
    return list(_render(_result, job))


def _render(result: Result, job: _Job) -> Iterator[Files]:
    draws = result.manifest.files.get("draws.parquet")
    if draws is not None and draws.bytes <= _SMALL_DRAWS:
        with suppress(ResultError):  # a damaged file is each entity's own problem
            result.table("draws.parquet")  # read once; otherwise each entity reads its row group twice
    for place, entity in job.entities:
        folder = job.folder / f"{place:06d}"
        folder.mkdir(parents=True)
        problems: list[str] = []
        for name, make in _MAKERS.items():
            if (name == "trace.nc" and not job.traces) or (name == "animation.gif" and place >= _ANIMATED):
                continue
            try:
                make(result, entity, folder)
            except Exception as error:  # one figure must not cost the others, whatever is wrong with it
                problems.append(one_line(f"{name}: {type(error).__name__}: {error}", 500))
        yield Files(entity, folder, tuple(problems))


def _figure(result: Result, entity: str, folder: Path) -> None:
    (folder / "figure.png").write_bytes(entity_png(entity_view(result, entity)))


def _elbo(result: Result, entity: str, folder: Path) -> None:
    """The bound that the entity's own optimisation climbed."""
    if (view := elbo_view(result, entity)) is not None:
        (folder / "elbo.png").write_bytes(elbo_png(view))


def _animation(result: Result, entity: str, folder: Path) -> None:
    """The versions of an entity that this refit updated."""
    own = result.entity_row(entity).get("version")
    if result.version > 1 and own == result.version and result.entity_table("draws.parquet", entity).num_rows:
        pngs = animation(_versions(result.path)[-_FRAMES:], entity)
        if len(pngs) > 1:
            (folder / "animation.gif").write_bytes(gif(pngs))


@lru_cache(maxsize=1)
def _versions(path: Path) -> tuple[Result, ...]:
    return versions(open_result(path))


def _intervals(result: Result, entity: str, folder: Path) -> None:
    table = result.entity_table("intervals.parquet", entity).drop_columns(["entity"])
    if table.num_rows > _MOST_CSV_ROWS:
        pq.write_table(table, folder / "intervals.parquet")
    elif table.num_rows:
        _csv(table, folder / "intervals.csv")


def _parameters(result: Result, entity: str, folder: Path) -> None:
    table = result.entity_table("parameters.parquet", entity).drop_columns(["entity"])
    if table.num_rows:
        _csv(table, folder / "parameters.csv")


def _trace(result: Result, entity: str, folder: Path) -> None:
    if result.entity_table("draws.parquet", entity).num_rows == 0:
        return
    tree = result.trace(entity)
    posterior = tree["posterior"].data_vars.items()
    single = {str(name): {"dtype": "float32"} for name, v in posterior if v.dtype == np.float64}
    tree.to_netcdf(folder / "trace.nc", engine="h5netcdf", encoding={"/posterior": single})


def _csv(table: pa.Table, path: Path) -> None:
    table.to_pandas().to_csv(path, index=False, float_format="%.6g", lineterminator="\n")


_MAKERS: dict[str, Callable[[Result, str, Path], None]] = {
    "figure.png": _figure,
    "elbo.png": _elbo,
    "animation.gif": _animation,
    "intervals.csv": _intervals,
    "parameters.csv": _parameters,
    "trace.nc": _trace,
}
