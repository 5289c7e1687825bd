"""A result in MLflow: one run for the portfolio, one for each entity that deserves it."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from posterity.portfolio.result import Result
from posterity.report.view import portfolio_view
from posterity.tracking import learning, portfolio, refits
from posterity.tracking.address import Address, fragment, resolve
from posterity.tracking.connect import connect
from posterity.tracking.elbo import log_elbo
from posterity.tracking.entity import EntityRun, describe
from posterity.tracking.lifetime import context, started
from posterity.tracking.memory import now
from posterity.tracking.note import portfolio_note
from posterity.tracking.origin import Origin
from posterity.tracking.rendering import Files, rendering
from posterity.tracking.selection import Mode, choose
from posterity.tracking.tracker import NOTE, NewRun, Tracker

FILES_PROBLEM = "files_problem"
"""The tag of a run that says which of its files could not be made, and why."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """Where a result was recorded. `troubled` children lack files; `command` opens MLflow's pages."""

    run_id: str
    experiment_id: str
    uri: str
    children: int
    troubled: int
    command: str

    @property
    def fragment(self) -> str:
        """The part of the address of the run's page after the server's: `#/experiments/1/runs/3f…?…`."""
        return fragment(self.experiment_id, self.run_id)


def track(
    result: Result,
    *,
    uri: str | None = None,
    experiment: str | None = None,
    run_id: str | None = None,
    source: str | Path | None = None,
    tags: Mapping[str, str] | None = None,
    workers: int = 1,
    tracker: Tracker | None = None,
) -> Tracked:
    """Record a result: a parent run, and child runs as `tracking.entity_runs` says.

    `uri` and `experiment` default to the configuration's, then to $MLFLOW_TRACKING_URI or SQLite, and the
    portfolio's name; `tracker` takes the place of both. `run_id` is a run that `started` opened and will end;
    without it a run is made and ended here. `source` says where the panel came from, `tags` go to the parent
    run. `workers` processes make figures and netCDF files. Recording twice in one run adds what is missing.

    Raises ConfigError and TrackingError; a figure that cannot be made is counted in `troubled` and a tag.
    """
    settings = result.settings.get("tracking") or {}
    address = uri or settings.get("uri")
    name = experiment or settings.get("experiment") or result.name
    keeper = tracker or connect(address, name)
    with ExitStack() as stack:
        if run_id is None:
            title = f"{result.name} {result.manifest.created[:16].replace('T', ' ')}"
            run_id = stack.enter_context(started(title, experiment=name, tracker=keeper)).run_id
        recorder = _Recorder(result, keeper, keeper.prepare(), run_id, settings)
        children, troubled = recorder.record(str(source) if source else None, tags or {}, workers)
    shown = resolve(address).command if tracker is None else _command(keeper)
    return Tracked(run_id, recorder.experiment_id, keeper.uri, children, troubled, shown)


@dataclass(frozen=True)
class _Recorder:
    result: Result
    tracker: Tracker
    experiment_id: str
    run_id: str
    settings: Mapping[str, object]

    def record(self, source: str | None, tags: Mapping[str, str], workers: int) -> tuple[int, int]:
        """Record everything; returns how many entity runs there are and how many lack files."""
        result, origin = self.result, Origin(self.result)
        mode: Mode = self.settings.get("entity_runs", "auto")  # type: ignore[assignment]
        traces = self.settings.get("traces", "all") != "none"
        chosen = choose(result, mode)
        known = self._known(chosen)
        wanted = [e for e in chosen if e not in known]
        with tempfile.TemporaryDirectory(prefix="posterity-") as scratch:
            folder = Path(scratch)
            with rendering(result, wanted, folder / "runs", traces=traces, workers=workers) as rendered:
                values = portfolio.metrics(result)
                version = refits.tags(result, self.tracker)
                self.tracker.log(
                    self.run_id,
                    metrics=values,
                    params=portfolio.params(result),
                    tags={**portfolio.tags(result, origin), **version, **tags},
                )
                log_elbo(self.tracker, self.run_id, result)
                self.tracker.use(self.run_id, portfolio.dataset(result, origin, source))
                for path, target in portfolio.files(result, traces):
                    self.tracker.attach(self.run_id, path, target)
                self._summaries(folder)
                runs, troubled = dict(known), 0
                for run, files in self._described(rendered, origin):
                    runs[run.entity] = self._child(run, files)
                    troubled += bool(files.problems)
        self._link(wanted, runs)
        view = portfolio_view(result)
        told = refits.sentence(result, version, self.experiment_id)
        note = portfolio_note(result, view, values, runs, self.experiment_id, troubled, told)
        self.tracker.log(self.run_id, tags={NOTE: note}, metrics={"entity_runs": len(runs)})
        return len(runs), troubled

    def _summaries(self, folder: Path) -> None:
        view = portfolio_view(self.result)
        csv, figures = folder / "entities.csv", folder / "figures"
        figures.mkdir()
        portfolio.write_summary(self.result, view, csv)
        problems = portfolio.write_figures(self.result, view, figures)
        self.tracker.attach(self.run_id, csv)
        self.tracker.attach(self.run_id, figures, "figures")
        if problems:
            self.tracker.log(self.run_id, tags={FILES_PROBLEM: "\n".join(problems)})

    def _known(self, chosen: tuple[str, ...]) -> dict[str, str]:
        """Runs that an earlier attempt finished; what it left half done is dropped."""
        found = {}
        for run in self.tracker.find(parent=self.run_id):
            entity = run.tags.get("entity", "")
            same = entity in chosen and run.tags.get("fit_key") == self.result.entity_row(entity)["fit_key"]
            if run.status == "FINISHED" and same:
                found[entity] = run.run_id
            elif run.status != "FINISHED":
                self.tracker.drop(run.run_id)
        return found

    def _described(self, rendered: Iterator[Files], origin: Origin) -> Iterator[tuple[EntityRun, Files]]:
        for files in rendered:
            run = describe(self.result, files.entity, origin)
            told = learning.tags(self.result, files.entity, origin, self.run_id)
            more = {**refits.entity_tags(self.result, files.entity), **told}
            tags = {**run.tags, **more, **self._note(run.tags, told, files.entity)}
            metrics = {**run.metrics, **refits.entity_metrics(self.result, files.entity)}
            yield replace(run, tags=tags, metrics=metrics), files

    def _note(self, own: Mapping[str, str], told: Mapping[str, str], entity: str) -> dict[str, str]:
        learned = learning.sentence(self.result, entity, told, self.experiment_id)
        return {NOTE: "\n\n".join(t for t in (own.get(NOTE), learned) if t)} if learned else {}

    def _link(self, wanted: Sequence[str], runs: Mapping[str, str]) -> None:
        """Tell runs of children which run is their parent's, now that all are there."""
        for entity in wanted:
            run = self.tracker.get(runs[entity]) if self._has_parent(entity) else None
            if run is not None and (teacher := runs.get(run.tags.get("taught_by_entity", ""))):
                told = {**run.tags, learning.TAUGHT_BY: teacher}
                own = {NOTE: run.tags[NOTE].rpartition("\n\n")[0]}
                link = {learning.TAUGHT_BY: teacher, **self._note(own, told, entity)}
                self.tracker.log(runs[entity], tags=link)

    def _has_parent(self, entity: str) -> bool:
        return self.result.entity_row(entity).get("parent_fit_key") is not None

    def _child(self, run: EntityRun, files: Files) -> str:
        tags = {**context(), **run.tags}
        if files.problems:
            tags[FILES_PROBLEM] = "\n".join(files.problems)
        # The column Duration then shows how long the fit took.
        ended = now()
        began = ended - round(1000 * run.seconds)
        child = self.tracker.open(NewRun(run.name, tags, self.run_id, began))
        try:
            self.tracker.log(child, metrics=run.metrics, params=run.params)
            log_elbo(self.tracker, child, self.result, run.entity)
            if files.folder.is_dir():
                self.tracker.attach(child, files.folder)
        except BaseException:
            self.tracker.close(child, "KILLED")
            raise
        # A failed fit shows as a failed run, so that MLflow's own filter by state finds it.
        self.tracker.close(child, "FAILED" if run.status == "failed" else "FINISHED", ended)
        return child


def _command(tracker: Tracker) -> str:
    address = getattr(tracker, "address", None)
    return address.command if isinstance(address, Address) else ""
