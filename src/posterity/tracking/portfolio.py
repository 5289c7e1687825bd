"""What the parent run says about the whole portfolio: params, metrics, tags, its dataset and its files."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from posterity.portfolio.result import Result
from posterity.report.diagnostics import diagnostics_png
from posterity.report.figures import KINDS, LEARNING
from posterity.report.multiples import multiples_png
from posterity.report.view import PortfolioView, entity_views
from posterity.report.worst import worst_entities, worst_png
from posterity.tracking import chained, learning, names, refits
from posterity.tracking.address import redact
from posterity.tracking.entity import coverages, numbers
from posterity.tracking.origin import Origin
from posterity.tracking.tracker import Dataset

_MOST_PARAMS = 500
_WORST = 24
_WORST_OF = {
    "rhat": "max",
    "ess_bulk": "min",
    "ess_tail": "min",
    "khat": "max",
    "bfmi": "min",
    "divergences": "sum",
}
_PREDICTED = ("mean", "median", "lower_", "upper_", "expected_")
_FILES = (
    "config.yaml",
    "lineage.json",
    "manifest.json",
    "population.json",
    "entities.parquet",
    "parameters.parquet",
    "intervals.parquet",
    "factors.parquet",
    "prior_draws.parquet",
    "transferred_draws.parquet",
    "rows.parquet",
    "ledger.parquet",
    "history.parquet",
    "elbo.parquet",
)


def params(result: Result) -> dict[str, str]:
    """The configuration, flattened to dotted names; at most 500 of them, as `config.yaml` holds all."""
    found: dict[str, str] = {}
    for path, value in _leaves("", result.settings):
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        found[path] = redact(text)
    return dict(list(found.items())[:_MOST_PARAMS])


def metrics(result: Result) -> dict[str, float]:
    """Counts, shares and the worst of each diagnostic, under the names that entity runs use for their own.

    rhat and khat: largest; ess and bfmi: smallest; divergences and n_rows: sums; coverage, mae, accuracy and
    the share answered: means over rows; seconds: wall clock, `seconds_fitting`: sum over entities.
    `learning.metrics` says what is told of populations and transferred priors, `refits.metrics` what is told
    of versions.
    """
    table = result.entities
    total = max(len(table), 1)
    counts = {s: result.counts.get(s, 0) for s in ("ok", "flagged", "failed")} | dict(result.counts)
    found: dict[str, Any] = {"entities": len(table)}
    found |= {f"entities_{names.key(s)}": n for s, n in counts.items()}
    found |= {f"share_{names.key(s)}": n / total for s, n in counts.items()}
    found |= {f"method_{names.key(m)}": n for m, n in methods(result).items()}
    for name, how in _WORST_OF.items():
        values = _finite(table, name)
        found[name] = getattr(values, how)() if values.size else None
    rows = table["n_rows"].to_numpy(dtype=np.float64)
    for name in (*coverages(result), "mae"):
        found[name] = _weighted(_column(table, name), rows)
    found |= _answers(table, rows)
    found |= {"n_rows": rows.sum(), "seconds": result.manifest.seconds}
    found["seconds_fitting"] = _finite(table, "seconds").sum()
    more = {**learning.metrics(result), **refits.metrics(result), **chained.metrics(result)}
    return {**numbers(found), **more}


def _answers(table: pd.DataFrame, rows: NDArray[np.float64]) -> dict[str, float | None]:
    """Means over rows of what answers are worth; accuracy among the answered is one over answered rows."""
    answered = _column(table, "answered")
    among = _weighted(_column(table, "accuracy_answered"), rows * np.nan_to_num(answered))
    plain = {name: _weighted(_column(table, name), rows) for name in ("accuracy", "answered")}
    return {**plain, "accuracy_answered": among}


def methods(result: Result) -> Mapping[str, int]:
    """Fitted entities by method, the most frequent first."""
    return dict(Counter(m for m in result.table("entities.parquet")["method"].to_pylist() if m).most_common())


def tags(result: Result, origin: Origin) -> dict[str, str]:
    """Hashes and identity of the result."""
    return {
        "posterity.kind": "portfolio",
        "portfolio": result.name,
        "result": str(result.path),
        "run_key": result.manifest.run_key,
        "created": result.manifest.created,
        "engine": str(result.manifest.engine),
        "config_hash": origin.config,
        "data_hash": origin.data,
        "code_hash": origin.code,
        **chained.tags(result),
    }


def dataset(result: Result, origin: Origin, source: str | None) -> Dataset:
    """The panel: its name and address, the columns used, and a digest of the rows that the fits saw."""
    data = result.settings.get("data", {})
    address = redact(str(source or data.get("source") or "given in memory"))
    table = result.table("intervals.parquet")
    columns = [(f.name, _type(f.type)) for f in table.schema if not f.name.startswith(_PREDICTED)]
    target = str(data.get("target") or "observed")
    return Dataset(
        name=names.one_line(address.rstrip("/").rpartition("/")[2] or result.name, 200),
        digest=origin.data[:32],
        source=address,
        columns=tuple((target if name == "observed" else name, kind) for name, kind in columns),
        rows=table.num_rows,
    )


def files(result: Result, draws: bool) -> Iterator[tuple[Path, str]]:
    """Files of the result and the artifact folders they go to: tables apart, the rest on top."""
    for name in (*_FILES, *(("draws.parquet",) if draws else ())):
        if result.has(name) or name == "manifest.json":
            yield result.path / name, "tables" if name.endswith(".parquet") else ""
    for name in result.manifest.files:
        if name.startswith("priors/"):
            yield result.path / name, "priors"


def write_summary(result: Result, view: PortfolioView, path: Path) -> None:
    """All entities as CSV with the worst on top, which MLflow shows as a table."""
    table = result.entities.drop(columns=["fit_key", "parent_fit_key"], errors="ignore")
    place = {entity: i for i, entity in enumerate(ranked(view))}
    order = table["entity"].map(place).to_numpy().argsort(kind="stable")
    first = ["entity", "status", "reason", "method", "role", "n_rows", "rhat", "ess_bulk", "ess_tail", "khat"]
    columns = [c for c in first if c in table] + [c for c in table.columns if c not in first]
    shown = table.iloc[order][columns].dropna(axis="columns", how="all")
    shown.to_csv(path, index=False, float_format="%.4g", lineterminator="\n")


def ranked(view: PortfolioView) -> tuple[str, ...]:
    """All entities: failed, flagged, then those that the report calls worst, then the others."""
    worst = {e: i for i, e in enumerate(worst_entities(view, len(view.entity)))}
    class_ = {"failed": 0, "flagged": 1}
    keys = [
        (class_.get(s, 2), worst.get(e, len(worst)), e) for e, s in zip(view.entity, view.status, strict=True)
    ]
    return tuple(e for *_, e in sorted(keys))


def write_figures(result: Result, view: PortfolioView, folder: Path) -> tuple[str, ...]:
    """Portfolio figures as PNG files; returns a sentence for each that could not be made."""
    worst = worst_entities(view, _WORST)
    makers: dict[str, Callable[[], bytes | None]] = {
        "diagnostics.png": lambda: diagnostics_png(view),
        "worst.png": lambda: worst_png(view),
        "entities.png": lambda: multiples_png(
            list(entity_views(result, worst, marginals=False)), f"{result.name}: entities to look at first"
        ),
        **{f"{name}.png": partial(draw, result) for name, draw in {**LEARNING, **KINDS}.items()},
    }
    problems = []
    for name, make in makers.items():
        try:
            if (image := make()) is not None:
                (folder / name).write_bytes(image)
        except Exception as error:  # a figure must not cost the record of the run
            problems.append(names.one_line(f"{name}: {type(error).__name__}: {error}", 500))
    return tuple(problems)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(f"{path}.{names.key(str(name))}" if path else names.key(str(name)), inner)
    elif value is not None:
        yield path[:250], value


def _column(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    if name not in table:
        return np.full(len(table), np.nan)
    return table[name].to_numpy(dtype=np.float64, na_value=np.nan)


def _finite(table: pd.DataFrame, name: str) -> NDArray[np.float64]:
    values = _column(table, name)
    return values[~np.isnan(values)]


def _weighted(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float | None:
    known = ~np.isnan(values) & (weights > 0)
    return float(np.average(values[known], weights=weights[known])) if known.any() else None


def _type(kind: pa.DataType) -> str:
    if pa.types.is_temporal(kind):
        return "datetime"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "long"
    return "double" if pa.types.is_floating(kind) else "string"
