"""A small realistic result folder, made with NumPy alone: twelve adoption curves, some flagged, one failed,
hostile names.

`build(folder)` writes and publishes it and returns the folder; numbers are those of an approximate fit, so
figures and tables look like the real thing.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from posterity.config.schema import percent
from posterity.portfolio.store import writing

INTERVALS = (0.5, 0.9)
PARAMETERS = ("lambda_val", "intercept", "sigma", "z[north]", "z[south]", "theta[0]", "theta[1]", "theta[2]")
LONG = "a very long product name that goes on " * 5 + "until char 200"
NAMES = (
    ("../x", "north"),
    ("a/b", "south"),
    ("alpha", "north"),
    ("alpha", "south"),
    ("beta\nsecond line", "north"),
    ("cost $5 & $6 <b>_x^2_", "north"),
    ("emoji \N{ROCKET}\N{HOT BEVERAGE}", "south"),
    ("failed", "north"),
    (LONG[:200], "south"),
    ("one row", "north"),
    ("\N{CJK UNIFIED IDEOGRAPH-6771}\N{CJK UNIFIED IDEOGRAPH-4EAC}", "south"),
    ("\N{LATIN SMALL LETTER E WITH ACUTE}clair", "north"),
)
FAILED, ONE_ROW = "failed / north", "one row / north"
CONFIG = """\
name: example
data:
  source: data/example.parquet
  entity: [product, region]
  time: week
  target: adoption
model:
  parameters:
    lambda_val: {dist: HalfNormal, kwargs: {sigma: 1}}
    intercept: {dist: Normal, kwargs: {mu: 0, sigma: 1}}
    z: {dist: Normal, kwargs: {mu: 0, sigma: 1}, dims: [region]}
    theta: {dist: Normal, kwargs: {mu: 0, sigma: 1}, dims: [spline]}
  quantities:
    bumps: {expression: "0.001 * (z[region] + theta[0] + theta[1] + theta[2])"}
    curve: {expression: "1 - intercept - (1 - intercept) * exp(-lambda_val * week) + bumps"}
  likelihood: {dist: Normal, kwargs: {mu: curve, sigma: {dist: HalfNormal, kwargs: {sigma: 1}}}}
  coords: {spline: [0, 1, 2]}
inference: {method: auto, draws: 250, chains: 4, keep: auto, seed: 2023}
gates: {rhat: 1.01, ess: 400, divergences: 0, khat: 0.7}
intervals: [0.5, 0.9]
"""


@dataclass(frozen=True)
class _Fit:
    """Everything about one made-up entity."""

    product: str
    region: str
    entity: str
    status: str
    reason: str | None
    method: str | None
    time: NDArray[Any]
    observed: NDArray[np.float64]
    draws: NDArray[np.float64]  # (chain * draw, parameter)
    seconds: float
    rhat: float | None
    ess: float | None
    khat: float | None
    divergences: int

    @property
    def key(self) -> str:
        return f"{abs(hash_of(self.entity)):016x}" * 4

    @property
    def curve(self) -> NDArray[np.float64]:
        """Expected curve, (draw, row)."""
        rate, intercept = self.draws[:, 0, None], self.draws[:, 1, None]
        weeks = np.arange(1, len(self.time) + 1)
        return 1 - intercept - (1 - intercept) * np.exp(-rate * weeks)


def hash_of(text: str) -> int:
    """A number that is the same in every process."""
    return int.from_bytes(text.encode()[:7].ljust(7, b"."), "little") + sum(text.encode()) * 7919


def entity_names() -> tuple[str, ...]:
    """The entities of the example, in the order of the tables."""
    return tuple(sorted(" / ".join(pair) for pair in NAMES))


def build(
    folder: Path, *, weeks: int = 52, draws: int = 250, dates: bool = False, priors: bool = True
) -> Path:
    """Write and publish the example: `draws` draws in each of four chains, `weeks` rows an entity (one
    has one row).
    """
    fits = sorted((_fit(*pair, weeks, draws, dates) for pair in NAMES), key=lambda f: f.entity)
    statuses = [f.status for f in fits]
    with writing(folder) as draft:
        draft.table(
            "entities.parquet", pa.Table.from_pylist([_entity_row(f) for f in fits], _entity_schema(fits))
        )
        draft.table("parameters.parquet", pa.Table.from_pylist([r for f in fits for r in _parameter_rows(f)]))
        draft.table("intervals.parquet", pa.concat_tables([_interval_table(f) for f in fits]))
        draft.table(
            "draws.parquet", pa.concat_tables([_draw_table(f, draws) for f in fits if f.status != "failed"])
        )
        if priors:
            draft.table("prior_draws.parquet", _prior_table())
        draft.text("config.yaml", CONFIG)
        draft.json("lineage.json", _lineage(fits))
        return draft.publish(
            run_key="0" * 64,
            name="example",
            created="2026-11-20T12:00:00+00:00",
            engine=1,
            counts={s: statuses.count(s) for s in ("ok", "flagged", "failed")},
            seconds=1.25,
        )


def _fit(product: str, region: str, weeks: int, draws: int, dates: bool) -> _Fit:
    entity = f"{product} / {region}"
    rng = np.random.default_rng(hash_of(entity))
    n = 1 if entity == ONE_ROW else weeks
    rate, intercept, sigma = rng.uniform(0.04, 0.12), rng.uniform(-0.05, 0.15), rng.uniform(0.01, 0.03)
    t = np.arange(1, n + 1)
    observed = 1 - intercept - (1 - intercept) * np.exp(-rate * t) + rng.normal(0, sigma, n)
    spread = 1 / np.sqrt(n)
    latent = rng.normal(0, 1, (4 * draws, len(PARAMETERS)))
    latent[:, 1] = -0.84 * latent[:, 0] + 0.54 * latent[:, 1]
    values = np.empty_like(latent)
    values[:, 0] = rate * np.exp(0.15 * spread * latent[:, 0])
    values[:, 1] = intercept + 0.1 * spread * latent[:, 1]
    values[:, 2] = sigma * np.exp(spread * latent[:, 2])
    values[:, 3:] = 0.3 * latent[:, 3:] + rng.normal(0, 0.3, len(PARAMETERS) - 3)
    failed, flagged = entity == FAILED, product in ("a/b", "alpha") and region == "south"
    reason = None
    if failed:
        reason = (
            "no method gave a posterior: laplace found no positive definite curvature from 8 starts, nuts had"
            " 212 divergences of 1,000 draws at target_accept 0.99; look for rows that contradict each other,"
            " or a prior that allows what the likelihood cannot take"
        )
    elif flagged:
        reason = (
            "R-hat 1.034 is above 1.01 (lambda_val) and bulk ESS 212 below 400 (lambda_val): run more draws"
        )
    method = None if failed else "nuts" if flagged or product.startswith("emoji") else "laplace"
    start = np.datetime64("2025-01-06", "D")
    return _Fit(
        product=product,
        region=region,
        entity=entity,
        status="failed" if failed else "flagged" if flagged else "ok",
        reason=reason,
        method=method,
        time=start + 7 * np.arange(n).astype("timedelta64[D]") if dates else t,
        observed=observed,
        draws=values,
        seconds=float(rng.gamma(2, 0.02)),
        rhat=None if method != "nuts" else 1.034 if flagged else 1.003,
        ess=None if failed else 212.0 if flagged else float(rng.uniform(800, 3900)),
        khat=float(rng.normal(0.1, 0.15)) if method == "laplace" else None,
        divergences=3 if flagged else 0,
    )


def _predictive(fit: _Fit) -> NDArray[np.float64]:
    rng = np.random.default_rng(hash_of(fit.entity) + 1)
    curve = fit.curve
    return curve + rng.normal(size=curve.shape) * fit.draws[:, 2, None]


def _summary(samples: NDArray[np.float64], prefix: str = "") -> dict[str, NDArray[np.float64]]:
    """Mean, median and bounds over the first axis."""
    found = {f"{prefix}mean": samples.mean(axis=0), f"{prefix}median": np.median(samples, axis=0)}
    for mass in INTERVALS:
        low, high = np.quantile(samples, [(1 - mass) / 2, (1 + mass) / 2], axis=0)
        found |= {f"{prefix}lower_{percent(mass)}": low, f"{prefix}upper_{percent(mass)}": high}
    return found


def _entity_row(fit: _Fit) -> dict[str, Any]:
    row: dict[str, Any] = {
        "product": fit.product,
        "region": fit.region,
        "entity": fit.entity,
        "status": fit.status,
        "reason": fit.reason,
        "method": fit.method,
        "role": "established" if len(fit.time) >= 20 else "new",
        "n_rows": len(fit.time),
        "first_time": fit.time[0].item(),
        "last_time": fit.time[-1].item(),
        "rhat": fit.rhat,
        "ess_bulk": fit.ess,
        "ess_tail": None if fit.ess is None else 0.8 * fit.ess,
        "divergences": fit.divergences,
        "bfmi": 0.9 if fit.method == "nuts" else None,
        "khat": fit.khat,
        "seconds": fit.seconds,
        "prior": "declared",
        "prior_rows": None,
        "conflict_p": None,
        "fit_key": fit.key,
        "parent_fit_key": None,
    }
    predicted = _summary(_predictive(fit))
    for mass in INTERVALS:
        p = percent(mass)
        inside = (fit.observed >= predicted[f"lower_{p}"]) & (fit.observed <= predicted[f"upper_{p}"])
        row[f"coverage_{p}"] = None if fit.status == "failed" else float(inside.mean())
    row["mae"] = None if fit.status == "failed" else float(np.abs(fit.observed - predicted["median"]).mean())
    return row


def _entity_schema(fits: list[_Fit]) -> pa.Schema:
    time = pa.date32() if fits[0].time.dtype.kind == "M" else pa.int64()
    texts = (
        "product",
        "region",
        "entity",
        "status",
        "reason",
        "method",
        "role",
        "prior",
        "fit_key",
        "parent_fit_key",
    )
    types = dict.fromkeys(texts, pa.string()) | dict.fromkeys(("n_rows", "divergences"), pa.int64())
    types |= {"first_time": time, "last_time": time}
    return pa.schema([(name, types.get(name, pa.float64())) for name in _entity_row(fits[0])])


def _parameter_rows(fit: _Fit) -> list[dict[str, Any]]:
    if fit.status == "failed":
        return []
    rows = []
    for i, name in enumerate(PARAMETERS):
        values = fit.draws[:, i]
        summary = {k: float(v) for k, v in _summary(values).items()}
        diagnostics = {"rhat": fit.rhat, "ess_bulk": fit.ess, "ess_tail": 0.8 * (fit.ess or 0)}
        rows.append(
            {"entity": fit.entity, "parameter": name, "sd": float(values.std()), **summary, **diagnostics}
        )
    return rows


def _interval_table(fit: _Fit) -> pa.Table:
    n = len(fit.time)
    predicted = _summary(_predictive(fit)) | _summary(fit.curve, "expected_")
    nothing = np.full(n, np.nan)
    columns: dict[str, Any] = {
        "entity": [fit.entity] * n,
        "time": pa.array(fit.time, from_pandas=True),
        "week": np.arange(1.0, n + 1),
        "observed": fit.observed,
    }
    columns |= {
        k: pa.array(nothing if fit.status == "failed" else v, from_pandas=True) for k, v in predicted.items()
    }
    return pa.table(columns)


def _draw_table(fit: _Fit, draws: int) -> pa.Table:
    columns: dict[str, Any] = {
        "entity": [fit.entity] * (4 * draws),
        "chain": np.repeat(np.arange(4), draws),
        "draw": np.tile(np.arange(draws), 4),
    }
    return pa.table(columns | {name: fit.draws[:, i] for i, name in enumerate(PARAMETERS)})


def _prior_table() -> pa.Table:
    rng = np.random.default_rng(1)
    priors = {name: rng.normal(0, 1, 1000) for name in PARAMETERS}
    return pa.table(priors | {name: np.abs(priors[name]) for name in ("lambda_val", "sigma")})


def _lineage(fits: list[_Fit]) -> dict[str, Any]:
    nodes = [{"id": "config:0", "kind": "config", "attributes": {"name": "example"}}]
    edges = []
    for fit in fits:
        if fit.status != "failed":
            nodes.append({"id": f"fit:{fit.key}", "kind": "fit", "attributes": {"entity": fit.entity}})
            edges.append({"source": "config:0", "target": f"fit:{fit.key}", "relation": "described"})
    return {"format": 1, "nodes": nodes, "edges": edges}
