"""A published result, read lazily: every file is checked against the manifest when it is first needed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from posterity.errors import ResultError
from posterity.portfolio import manifest as manifests
from posterity.portfolio.manifest import Manifest

if TYPE_CHECKING:
    import xarray as xr

    from posterity.config import Config
    from posterity.lineage.graph import Graph
    from posterity.panel.reading import Source
    from posterity.portfolio.population import Population
    from posterity.portfolio.prior import Prior
    from posterity.portfolio.stale import Staleness

    type Configured = Config | Mapping[str, Any] | str | Path


@dataclass(frozen=True, repr=False)
class Result:
    """The tables, draws and lineage that a run left in the folder `path`; open it with `open_result`.

    Tables are pandas DataFrames sorted by entity; each is read and checked once, at first use. A result
    never changes, so two processes may read it while a third writes another. Pickled, it is its path and
    manifest only.
    """

    path: Path
    manifest: Manifest

    def __repr__(self) -> str:
        said = ", ".join(f"{n:,} {status}" for status, n in self.counts.items() if n)
        return f"<Result {self.name!r} version {self.version}: {said or 'no entities'}; {self.path}>"

    @property
    def name(self) -> str:
        """Name of the configuration."""
        return self.manifest.name

    @property
    def counts(self) -> Mapping[str, int]:
        """Entities by status: ok, flagged, failed, ..."""
        return self.manifest.counts

    @property
    def version(self) -> int:
        """1 for a first fit, and one more with every refit that changed a posterior."""
        return int(self.manifest.extra.get("version", 1))

    @cached_property
    def config(self) -> "Config":
        """The resolved configuration of the run."""
        from posterity.config import loads

        return loads(self.text("config.yaml"), str(self.path / "config.yaml"))

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """`config.yaml` as plain values, unchecked: readable also where a newer version would refuse
        the configuration.
        """
        raw = yaml.safe_load(self.text("config.yaml"))
        if not isinstance(raw, dict):
            raise ResultError(
                f"{self.path / 'config.yaml'}: is not a mapping; run the fit again into a new folder"
            )
        return raw

    @cached_property
    def entities(self) -> pd.DataFrame:
        """One row an entity: status, reason, method, diagnostics, coverage, keys."""
        return _frame(self.table("entities.parquet"))

    @cached_property
    def parameters(self) -> pd.DataFrame:
        """One row an entity and scalar parameter: mean, sd, median, bounds, diagnostics."""
        return _frame(self.table("parameters.parquet"))

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """One row an observed row: time, inputs, observed, and the posterior predictive and expected
        curve there.
        """
        return _frame(self.table("intervals.parquet"))

    @cached_property
    def draws(self) -> pd.DataFrame:
        """One row a stored draw, all entities: large; `entity_table("draws.parquet", entity)` reads
        one entity only.
        """
        return _frame(self.table("draws.parquet"))

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row an entity and update, over all versions: how, on which rows, and what audits found."""
        return _frame(self.table("history.parquet"))

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """One row an entity and chunk of time: the rows inside its posterior, by number and digest."""
        return _frame(self.table("ledger.parquet"))

    @cached_property
    def elbo(self) -> pd.DataFrame | None:
        """One row an entity and window of steps: the bound that advi climbed; None where it did not run. The
        curve of a joint model has no entity.
        """
        return _frame(self.table("elbo.parquet")) if self.has("elbo.parquet") else None

    @cached_property
    def prior_draws(self) -> pd.DataFrame | None:
        """Draws from the declared prior, one column a scalar parameter; None where the run stored none."""
        return _frame(self.table("prior_draws.parquet")) if self.has("prior_draws.parquet") else None

    @cached_property
    def transferred_draws(self) -> pd.DataFrame | None:
        """Draws from the transferred priors, named by the column `prior`; None where there were none."""
        name = "transferred_draws.parquet"
        return _frame(self.table(name)) if self.has(name) else None

    @cached_property
    def population(self) -> "Population | None":
        """What the established entities taught; None where no population was learned."""
        if not self.has("population.json"):
            return None
        from posterity.portfolio.population import Population

        return Population.from_dict(json.loads(self.text("population.json")))

    @cached_property
    def priors(self) -> Mapping[str, "Prior"]:
        """The transferred priors by what `entities` says of them in `prior`."""
        found = ((label, self.prior_called(label)) for label in self.manifest.extra.get("priors", {}))
        return {label: prior for label, prior in found if prior is not None}

    def prior_of(self, entity: str) -> "Prior | None":
        """The transferred prior of an entity; None where it kept the declared one, or has no file."""
        return self.prior_called(self.entity_row(entity)["prior"] or "")

    def prior_called(self, label: str) -> "Prior | None":
        """The transferred prior that `entities` calls so; None where it has no file."""
        from posterity.portfolio import prior_file

        files: Mapping[str, str] = self.manifest.extra.get("priors", {})
        if label not in files:
            return None
        if label not in self._priors:
            self._priors[label] = prior_file.loads(self.text(files[label]), files[label])
        return self._priors[label]

    @cached_property
    def _priors(self) -> "dict[str, Prior]":
        return {}

    @cached_property
    def interval_masses(self) -> tuple[float, ...]:
        """Masses of the stored intervals, ascending, e.g. (0.5, 0.9)."""
        names = self._parquet("intervals.parquet").schema_arrow.names
        percents = [n.removeprefix("lower_").replace("_", ".") for n in names if n.startswith("lower_")]
        return tuple(sorted(float(p) / 100 for p in percents))

    def has(self, name: str) -> bool:
        """Whether the result holds the file `name`."""
        return name in self.manifest.files

    def text(self, name: str) -> str:
        """A text file of the result, checked."""
        return self._checked(name).read_text(encoding="utf-8")

    def table(self, name: str) -> pa.Table:
        """A whole Parquet file of the result, checked; read once."""
        if name not in self._tables:
            self._tables[name] = _plain(self._parquet(name).read())
        return self._tables[name]

    def entity_table(self, name: str, entity: str) -> pa.Table:
        """The rows of one entity (none if it has none there). Of a file not read yet, only the row
        groups that hold them.
        """
        self._known(entity)
        if name in self._tables or name != "draws.parquet":
            start, stop = self._ranges(name).get(entity, (0, 0))
            return self.table(name).slice(start, stop - start)
        groups = [
            i for i, (low, high) in enumerate(self._draw_groups) if low is None or low <= entity <= high
        ]
        part = self._parquet(name).read_row_groups(groups)
        return _plain(part.filter(pc.equal(part["entity"], entity)))

    def entity_row(self, entity: str) -> Mapping[str, Any]:
        """The row of `entities` of one entity as plain Python values; missing values are None."""
        self._known(entity)
        start, _ = self._ranges("entities.parquet")[entity]
        row: dict[str, Any] = self.table("entities.parquet").slice(start, 1).to_pylist()[0]
        return {k: None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()}

    def trace(self, entity: str) -> "xr.DataTree":
        """The stored draws of one entity as an ArviZ DataTree: posterior, sample_stats, observed_data,
        constant_data.

        Raises ResultError for an unknown entity, or one without draws (failed), with the reason.
        """
        from posterity.portfolio.trace import tree

        return tree(self, entity)

    @property
    def unobserved(self) -> pd.DataFrame:
        """Rows without a target that were put aside (`data.unobserved: predict`), by entity and time."""
        from posterity.portfolio.unobserved import FILE

        columns = [*self.config.data.entity, "entity"]
        return self.table(FILE).to_pandas() if self.has(FILE) else pd.DataFrame(columns=columns)

    def predict(
        self,
        rows: "Source | None" = None,
        interval: float | Sequence[float] = 0.9,
        *,
        as_of: int | None = None,
    ) -> pd.DataFrame:
        """Predictions with intervals at new rows, by this version or as of an earlier one; see
        `posterity.portfolio.predict.predict`. Default: the rows that have no target (`unobserved`).
        """
        from posterity.portfolio.predict import predict

        source = self if as_of is None else self.as_of(as_of)
        return predict(source, source.unobserved if rows is None else rows, interval)

    def refit(
        self,
        rows: "Source",
        *,
        out: str | Path | None = None,
        mode: str | None = None,
        config: "Configured | None" = None,
        workers: int | None = None,
    ) -> "Result":
        """Take the rows that are not inside yet into the posteriors; returns the new version.

        `rows` may be the new rows alone or the whole panel again; those inside are not counted twice.
        `config` takes the place of the result's own configuration and `mode` that of its `refit.mode`; both
        stay in force for the versions after. `out` defaults to `runs/<name>/<key>`, `workers` to one a core
        (0: this process). Raises ConfigError, PanelError or ResultError before anything is written.
        """
        from posterity.portfolio.portfolio import Portfolio
        from posterity.portfolio.refit.run import refit

        settings = None if config is None else Portfolio(config).config
        return refit(self, rows, config=settings, mode=mode, out=out, workers=workers).result

    def as_of(self, version: int) -> "Result":
        """An earlier version of this result, from the folder that it is in; see `past.as_of`."""
        from posterity.portfolio import past

        return past.as_of(self, version)

    @cached_property
    def graph(self) -> "Graph":
        """`lineage.json`: what every fit of the run came from."""
        from posterity.lineage.graph import Graph

        return Graph.from_dict(json.loads(self.text("lineage.json")))

    def lineage(self, entity: str) -> "Graph":
        """Where the posterior of an entity came from: the part of the graph that leads to it, with all
        versions of it.
        """
        from posterity.portfolio import past

        return past.lineage(self, entity)

    def stale(self) -> "Staleness":
        """Whether the portfolios that this result was built on hold other posteriors now.

        True where a new fit would give some entity another prior; see `posterity.portfolio.stale`.
        """
        from posterity.portfolio.stale import staleness

        return staleness(self)

    def verify(self) -> None:
        """Check every file against the manifest; ResultError lists whatever is missing or damaged."""
        manifests.verify(self.path)

    @cached_property
    def _tables(self) -> dict[str, pa.Table]:
        return {}

    @cached_property
    def _sound(self) -> dict[str, tuple[int, int, int]]:
        """Files whose digest was right, with the size, time and inode they had then."""
        return {}

    @cached_property
    def _found(self) -> dict[str, dict[str, tuple[int, int]]]:
        return {}

    @cached_property
    def _draw_groups(self) -> list[tuple[str | None, str]]:
        """First and last entity of each row group of the draws; None where the file does not say."""
        meta = self._parquet("draws.parquet").metadata
        column = meta.schema.names.index("entity")
        chunks = (meta.row_group(i).column(column).statistics for i in range(meta.num_row_groups))
        return [(s.min, s.max) if s is not None and s.has_min_max else (None, "") for s in chunks]

    def _ranges(self, name: str) -> dict[str, tuple[int, int]]:
        """First row and row after the last of every entity in a table."""
        if name not in self._found:
            runs = pc.run_end_encode(self.table(name)["entity"].combine_chunks())
            ends = runs.run_ends.to_pylist()
            values = runs.values.to_pylist()
            if len(set(values)) != len(values):
                raise ResultError(
                    f"{self.path / name}: rows of an entity are apart; tables are sorted by entity: fit again"
                )
            self._found[name] = dict(zip(values, zip([0, *ends][:-1], ends, strict=True), strict=True))
        return self._found[name]

    def _known(self, entity: str) -> None:
        if entity not in self._ranges("entities.parquet"):
            raise ResultError(_unknown(entity, list(self._ranges("entities.parquet")), self.path))

    def _checked(self, name: str) -> Path:
        """Path of a file whose digest was compared with the manifest, now or since it last changed."""
        file = self.path / name
        if name in self._sound and file.exists() and self._sound[name] == _stamp(file):
            return file
        manifests.check_file(self.path, name, self.manifest)
        self._sound[name] = _stamp(file)
        return file

    def _parquet(self, name: str) -> pq.ParquetFile:
        # ParquetFile and not read_table: that one would take folders such as `region=3/` for columns of the
        # table.
        try:
            return pq.ParquetFile(self._checked(name))
        except pa.ArrowException as error:
            raise ResultError(
                f"{self.path / name}: cannot be read as Parquet ({error}); run the fit again"
            ) from None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "manifest": self.manifest}


def open_result(path: str | Path) -> Result:
    """Open a published result; ResultError says what is wrong with a folder that is none."""
    folder = Path(path)
    return Result(folder, manifests.read_manifest(folder))


def _plain(table: pa.Table) -> pa.Table:
    """Without the pandas index and dtypes that a foreign writer may have left in the file."""
    return table.replace_schema_metadata(None)


def _frame(table: pa.Table) -> pd.DataFrame:
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _stamp(file: Path) -> tuple[int, int, int]:
    state = file.stat()
    return state.st_size, state.st_mtime_ns, state.st_ino


def _short(entity: str) -> str:
    return repr(entity if len(entity) <= 60 else f"{entity[:57]}...")


def _unknown(entity: str, entities: list[str], path: Path) -> str:
    from difflib import get_close_matches

    near = get_close_matches(entity, entities, n=3)
    hint = (
        f"did you mean {', '.join(map(_short, near))}?"
        if near
        else f"the first is {_short(entities[0])}"
        if entities
        else ""
    )
    return f"{path}: no entity {_short(entity)} among {len(entities):,}; {hint or 'the result is empty'}"
