"""What a figure shows, as small frozen values of plain arrays that can be sent to a worker process."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from posterity.config.schema import percent
from posterity.portfolio.result import Result
from posterity.report.density import Density, density
from posterity.report.priors import Taught, Used, taught, used

GATES: Mapping[str, float] = MappingProxyType(
    {"rhat": 1.01, "ess": 400.0, "divergences": 0.0, "khat": 0.7, "bfmi": 0.2, "conflict": 0.01}
)
"""Gates of a configuration that names none."""

_MOST_DRAWS = 2_000
_LONG = 8
_PREDICTED = ("mean", "median", "lower_", "upper_", "expected_")

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Band:
    """An interval of probability `mass`, one bound a row."""

    mass: float
    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True)
class Marginal:
    """Posterior draws of a scalar parameter, thinned, and the density of its declared prior where the result
    has one; `taught` is the prior that took its place.
    """

    name: str
    draws: Floats
    prior: Density | None
    prior_sd: float | None
    taught: Taught | None = None


@dataclass(frozen=True, slots=True)
class EntityView:
    """One entity: its rows in the order of x, its intervals (narrowest first), its marginals and its
    diagnostics.

    `median` and `bands` are empty when there is no posterior; `x` is float64 or datetime64, as long as
    `observed`. `prior` is the label of a transferred prior, `vague` the weight its vague component had.
    """

    entity: str
    status: str
    reason: str | None
    method: str | None
    role: str | None
    x: NDArray[Any]
    x_label: str
    observed: Floats
    y_label: str
    median: Floats
    bands: tuple[Band, ...]
    marginals: tuple[Marginal, ...]
    diagnostics: Mapping[str, float]
    prior: str | None = None
    vague: float = 0.0


@dataclass(frozen=True, slots=True)
class PortfolioView:
    """All entities of a result, one array element an entity; missing numbers are NaN. Coverage by the
    interval's mass.
    """

    name: str
    counts: Mapping[str, int]
    wall_seconds: float | None
    target: str
    entity: tuple[str, ...]
    status: tuple[str, ...]
    method: tuple[str, ...]
    n_rows: Floats
    rhat: Floats
    ess: Floats
    khat: Floats
    divergences: Floats
    seconds: Floats
    mae: Floats
    coverage: Mapping[float, Floats]
    gates: Mapping[str, float]


def entity_view(result: Result, entity: str, *, marginals: bool = True) -> EntityView:
    """The view of one entity; see `entity_views`."""
    return next(entity_views(result, [entity], marginals=marginals))


def entity_views(result: Result, entities: Sequence[str], *, marginals: bool = True) -> Iterator[EntityView]:
    """Views one after another, in the order asked; tables are read once, the priors' densities made once.

    Without `marginals` no draws are read: enough for small multiples. ResultError for an unknown entity.
    """
    priors = _priors(result) if marginals else {}
    has_draws = marginals and result.has("draws.parquet")
    for entity in entities:
        draws = result.entity_table("draws.parquet", entity) if has_draws else None
        yield _view(result, entity, draws, priors)


def portfolio_view(result: Result) -> PortfolioView:
    """The view of the whole portfolio, from `entities.parquet` alone."""
    table = result.table("entities.parquet")

    def floats(name: str) -> Floats:
        return _floats(table[name]) if name in table.column_names else np.full(table.num_rows, np.nan)

    ess = np.stack([floats("ess_bulk"), floats("ess_tail")])
    return PortfolioView(
        name=result.name,
        counts=dict(result.counts),
        wall_seconds=result.manifest.seconds,
        target=_target(result),
        entity=tuple(table["entity"].to_pylist()),
        status=tuple(table["status"].to_pylist()),
        method=tuple(m or "" for m in table["method"].to_pylist()),
        n_rows=floats("n_rows"),
        rhat=floats("rhat"),
        ess=np.fmin(ess[0], ess[1]),
        khat=floats("khat"),
        divergences=floats("divergences"),
        seconds=floats("seconds"),
        mae=floats("mae"),
        coverage={m: floats(f"coverage_{percent(m)}") for m in result.interval_masses},
        gates={**GATES, **{k: float(v) for k, v in (result.settings.get("gates") or {}).items()}},
    )


def _view(
    result: Result, entity: str, draws: pa.Table | None, priors: Mapping[str, tuple[Density | None, float]]
) -> EntityView:
    row = result.entity_row(entity)
    rows = result.entity_table("intervals.parquet", entity)
    x, x_label = _abscissa(rows, str(result.settings.get("data", {}).get("time") or ""))
    order = np.argsort(x, kind="stable")
    median = _floats(rows["median"])[order]
    predicted = bool(np.isfinite(median).any())
    bands = tuple(
        Band(m, _floats(rows[f"lower_{percent(m)}"])[order], _floats(rows[f"upper_{percent(m)}"])[order])
        for m in result.interval_masses
    )
    names = ["rhat", "ess_bulk", "ess_tail", "khat", "divergences", "bfmi", "mae", "seconds", "n_rows"]
    names += ["prior_rows", "conflict_p", "vague_weight"]
    names += [f"coverage_{percent(m)}" for m in result.interval_masses]
    prior = None if draws is None else used(result, row)
    label = row.get("prior")
    return EntityView(
        entity=entity,
        status=row["status"],
        reason=row["reason"],
        method=row["method"],
        role=row.get("role"),
        x=x[order],
        x_label=x_label,
        observed=_floats(rows["observed"])[order],
        y_label=_target(result),
        median=median if predicted else np.empty(0),
        bands=bands if predicted else (),
        marginals=() if draws is None else _marginals(draws, priors, prior),
        diagnostics={k: float(row[k]) for k in names if row.get(k) is not None},
        prior=None if label in (None, "declared") else str(label),
        vague=0.0 if prior is None else prior.vague,
    )


def _marginals(
    draws: pa.Table, priors: Mapping[str, tuple[Density | None, float]], prior: Used | None
) -> tuple[Marginal, ...]:
    step = max(1, -(-draws.num_rows // _MOST_DRAWS))
    labels = short_first([c for c in draws.column_names if c not in ("entity", "chain", "draw")])
    found = ((c, _floats(draws[c])[::step]) for c in labels if draws[c].null_count < draws.num_rows)
    learned = {} if prior is None else taught(prior, labels)
    declared = {c: priors.get(c, (None, None)) for c in labels}
    return tuple(Marginal(c, v, declared[c][0], declared[c][1], learned.get(c)) for c, v in found)


def short_first(labels: Sequence[str]) -> list[str]:
    """Labels of parameters, the entries of long vectors last: a figure has room for a few, and the weights of
    a basis say less than the numbers beside them.
    """
    entries = Counter(label.partition("[")[0] for label in labels)
    return sorted(labels, key=lambda label: entries[label.partition("[")[0]] > _LONG)


def _priors(result: Result) -> dict[str, tuple[Density | None, float]]:
    if not result.has("prior_draws.parquet"):
        return {}
    table = result.table("prior_draws.parquet")
    values = {c: _floats(table[c]) for c in table.column_names}
    return {c: (density(v), float(np.nanstd(v))) for c, v in values.items()}


def _abscissa(rows: pa.Table, time: str) -> tuple[NDArray[Any], str]:
    """What the rows are drawn against: time, else the only numeric input, else the row's number."""
    if "time" in rows.column_names and rows["time"].null_count == 0 and rows.num_rows:
        values: NDArray[Any] = _dates(rows["time"])
        if values.dtype.kind in "iufM":
            return values, time or "time"
    inputs = [
        c
        for c in rows.column_names
        if c not in ("entity", "time", "observed")
        and not c.startswith(_PREDICTED)
        and rows[c].null_count == 0
    ]
    if len(inputs) == 1 and rows.num_rows:
        return _floats(rows[inputs[0]]), inputs[0]
    return np.arange(1.0, rows.num_rows + 1), "row"


def _target(result: Result) -> str:
    return str(result.settings.get("data", {}).get("target") or "observed")


def _dates(column: pa.ChunkedArray) -> NDArray[Any]:
    values: NDArray[Any] = (
        column.cast(pa.timestamp("us")) if pa.types.is_temporal(column.type) else column
    ).to_numpy()
    return values


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(pc.fill_null(column.cast(pa.float64()), np.nan).to_numpy(), dtype=np.float64)
