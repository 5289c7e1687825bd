"""Fits as Arrow tables: the rows that a result's files are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from posterity.config.abstain import Abstain
from posterity.config.schema import percent
from posterity.inference.compiled import CompiledModel
from posterity.inference.posterior import Failure, Floats, Posterior
from posterity.portfolio.classes import SCORES
from posterity.portfolio.entity import EntityFit, Summary, counted, summarise

PER_ENTITY = ("parameters", "intervals", "draws")
"""Tables with several rows an entity; the others have one."""
OPTIONAL = ("elbo",)
"""More of these, only of fits that have something to put there."""


@dataclass(frozen=True)
class Layout:
    """What decides the columns: the masses of the intervals, how many draws are stored, the type of time, and
    of classes whether and when there is no answer.
    """

    intervals: tuple[float, ...]
    keep: int
    time: pa.DataType
    abstain: Abstain | None = None


def entity_rows(fits: Sequence[EntityFit], layout: Layout) -> pa.Table:
    """One row a fit: status, diagnostics (the worst over parameters), coverage and error."""
    diagnostics = [None if isinstance(f.outcome, Failure) else f.outcome.diagnostics for f in fits]

    def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
        return pa.array([None if v is None or v != v else v for v in values], kind)

    def worst(name: str, reduce: Any) -> pa.Array:
        return column(
            [None if d is None else float(reduce(getattr(d, name))) for d in diagnostics], pa.float64()
        )

    text, number, whole = pa.string(), pa.float64(), pa.int64()
    columns: dict[str, pa.Array] = {
        "entity": column([f.work.entity for f in fits], text),
        "status": column([f.status for f in fits], text),
        "reason": column([f.reason for f in fits], text),
        "method": column(
            [f.outcome.method if isinstance(f.outcome, Posterior) else None for f in fits], text
        ),
        "tried": column(["; ".join(f.outcome.tried) or None for f in fits], text),
        "rhat": worst("rhat", np.max),
        "ess_bulk": worst("ess_bulk", np.min),
        "ess_tail": worst("ess_tail", np.min),
        "divergences": column([None if d is None else d.divergences for d in diagnostics], whole),
        "bfmi": column([None if d is None else d.bfmi for d in diagnostics], number),
        "khat": column([None if d is None else d.khat for d in diagnostics], number),
        "seconds": column([f.seconds for f in fits], number),
        "mae": column([f.mae for f in fits], number),
        "prior": column([None if f.prior is None else f.prior.source for f in fits], text),
        "prior_key": column([None if f.prior is None else f.prior.key for f in fits], text),
        "prior_rows": column([None if f.prior is None else f.prior.rows for f in fits], number),
        "conflict_p": column([f.conflict_p for f in fits], number),
        "vague_weight": column([f.vague_weight for f in fits], number),
        "fit_key": column([f.work.key for f in fits], text),
    }
    for i, mass in enumerate(layout.intervals):
        coverage = [None if f.coverage is None else float(f.coverage[i]) for f in fits]
        columns[f"coverage_{percent(mass)}"] = column(coverage, number)
    scores = [_answered(f, layout) for f in fits]
    for name in SCORES if any(scores) else ():
        columns[name] = column([s.get(name) for s in scores], number)
    return pa.table(columns)


def _answered(fit: EntityFit, layout: Layout) -> dict[str, float | None]:
    """What the answers of a fit are worth on its own rows; empty where it gives none."""
    target = counted(fit.work)[fit.work.context :]
    return {} if fit.answers is None else fit.answers.scores(target, layout.abstain)


def parameter_rows(fit: EntityFit, model: CompiledModel, layout: Layout) -> pa.Table:
    """One row a scalar parameter."""
    posterior = _posterior(fit)
    flat = posterior.draws.reshape(-1, posterior.draws.shape[-1])
    summary, d = summarise(flat, layout.intervals), posterior.diagnostics
    columns: dict[str, Any] = {
        "parameter": pa.array(model.parameter_names, pa.string()),
        "mean": summary.mean,
        "sd": flat.std(axis=0, ddof=1),
        **summary.columns("", layout.intervals),
        "rhat": _nullable(d.rhat),
        "ess_bulk": _nullable(d.ess_bulk),
        "ess_tail": _nullable(d.ess_tail),
    }
    return pa.table(columns)


def interval_rows(fit: EntityFit, model: CompiledModel, layout: Layout) -> pa.Table:
    """One row an observed row: inputs, observed, and the predictive distribution and expected curve there."""
    rows, description = fit.work.rows.after(fit.work.context), model.description
    assert rows.target is not None
    assert fit.predictive is not None
    time = pa.nulls(rows.n, layout.time) if rows.time is None else pa.array(rows.time).cast(layout.time)
    columns: dict[str, Any] = {"time": time}
    columns |= {name: rows.columns[name] for name in description.columns if name != "time"}
    columns |= {"observed": rows.target, **fit.predictive.columns("", layout.intervals)}
    expected = (fit.expected or fit.predictive).columns("expected_", layout.intervals)
    columns |= expected if fit.expected else dict.fromkeys(expected, pa.nulls(rows.n, pa.float64()))
    columns |= fit.answers.columns(layout.abstain) if fit.answers else {}
    return pa.table(columns)


def draw_rows(fit: EntityFit, model: CompiledModel, layout: Layout) -> pa.Table:
    """One row a stored draw, thinned evenly within chains to `keep`."""
    draws = _posterior(fit).draws
    chains, size, _ = draws.shape
    share = min(size, max(1, layout.keep // chains))
    kept = np.arange(share) * size // share
    chosen = draws[:, kept].reshape(chains * len(kept), -1)
    columns: dict[str, Any] = {
        "chain": np.repeat(np.arange(chains, dtype=np.int32), len(kept)),
        "draw": np.tile(kept.astype(np.int32), chains),
    }
    columns |= {name: chosen[:, i] for i, name in enumerate(model.parameter_names)}
    return pa.table(columns)


def elbo_rows(fit: EntityFit) -> pa.Table | None:
    """One row a point of the bound's curve; None where nothing climbed one."""
    curve = fit.outcome.elbo if isinstance(fit.outcome, Posterior) else None
    return None if curve is None else pa.table({"step": curve.steps, "elbo": curve.elbo})


def empty_rows(
    name: str, layout: Layout, inputs: Mapping[str, pa.DataType], parameters: Sequence[str]
) -> pa.Table:
    """One of `PER_ENTITY` without a row but with all columns, for a portfolio where every entity failed."""
    none, numbers = np.zeros(0), np.zeros((len(layout.intervals), 0))
    summary = Summary(none, none, numbers, numbers)
    diagnostics = dict.fromkeys(("rhat", "ess_bulk", "ess_tail"), none)
    columns: dict[str, dict[str, Any]] = {
        "parameters": {
            "parameter": pa.array([], pa.string()),
            "mean": none,
            "sd": none,
            **summary.columns("", layout.intervals),
            **diagnostics,
        },
        "intervals": {
            "time": pa.array([], layout.time),
            **{key: pa.array([], kind) for key, kind in inputs.items() if key != "time"},
            "observed": none,
            **summary.columns("", layout.intervals),
            **summary.columns("expected_", layout.intervals),
        },
        "draws": {
            **dict.fromkeys(("chain", "draw"), np.zeros(0, np.int32)),
            **dict.fromkeys(parameters, none),
        },
    }
    return pa.table({"entity": pa.array([], pa.string()), **columns[name]})


def factor_row(fit: EntityFit, model: CompiledModel) -> dict[str, Any]:
    """Mean and covariance of θ, as lists, and those of its transferred prior; nulls where there is none."""
    row: dict[str, Any] = dict.fromkeys(FACTORS.names)
    row["names"] = list(model.unconstrained_names)
    if isinstance(fit.outcome, Posterior):
        row["mean"] = fit.outcome.mean.tolist()
        row["covariance"] = fit.outcome.covariance.ravel().tolist()
    if fit.prior is not None:
        at = [model.unconstrained_names.index(entry) for entry in fit.prior.entries]
        mean = np.full(model.dimension, np.nan)
        covariance = np.full((model.dimension, model.dimension), np.nan)
        mean[at], covariance[np.ix_(at, at)] = fit.prior.mixture.mean, fit.prior.mixture.covariance
        row["prior_mean"], row["prior_covariance"] = _known(mean), _known(covariance)
    return row


FACTORS = pa.schema(
    [
        ("names", pa.list_(pa.string())),
        *(
            (name, pa.list_(pa.float64()))
            for name in ("mean", "covariance", "prior_mean", "prior_covariance")
        ),
    ]
)


def _known(values: Floats) -> list[float | None]:
    """As a list, row by row; null for entries that keep their declared prior, which is no Gaussian here."""
    return [None if np.isnan(value) else value for value in values.ravel().tolist()]


def _posterior(fit: EntityFit) -> Posterior:
    assert isinstance(fit.outcome, Posterior)
    return fit.outcome


def _nullable(values: Any) -> pa.Array:
    return pa.array(values, pa.float64(), mask=np.isnan(values))
