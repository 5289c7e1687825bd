"""Scores of predictive distributions against what was observed, their means over entities, and paired
comparisons.

CRPS and pinball loss are in units of the target, smaller is better, and reward a forecast for saying what it
believes (Gneiting & Raftery, JASA 102:359, 2007). Rows of one entity depend on each other, so every mean is
one over entities of each entity's mean, and every standard error is one over entities.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from posterity.config.distributions import Support
from posterity.config.schema import percent
from posterity.errors import ConfigError, ResultError
from posterity.inference.compiled import Floats, compiled
from posterity.inference.fit import Seeds
from posterity.panel import Panel, read
from posterity.panel.reading import Source
from posterity.portfolio.classes import SCORES
from posterity.portfolio.predict import described, entity_answers, entity_draws

if TYPE_CHECKING:
    from posterity.portfolio.result import Result

LEVELS = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""Quantile levels whose pinball losses are averaged: 5 %, 10 %, ..., 95 %."""
SAME_ROW = ("origin", "horizon", "entity", "time")
"""Columns that say which forecast a score is about, where a table has them."""
DISCRETE = frozenset(
    {Support.COUNT, Support.POSITIVE_COUNT, Support.BINARY, Support.BINOMIAL, Support.CATEGORY}
)
"""Supports on which draws fall onto what was observed."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Mean over entities of the difference of their mean scores, ours less theirs, with its standard error.

    Negative: ours is better. The standard error is NaN for a single entity.
    """

    difference: float
    se: float
    entities: int

    @property
    def better(self) -> bool:
        """Whether ours is better by more than two standard errors."""
        return self.difference + 2 * self.se < 0

    @property
    def worse(self) -> bool:
        """Whether ours is worse by more than two standard errors."""
        return self.difference - 2 * self.se > 0


def score(result: "Result", rows: Source, *, intervals: Sequence[float] = (0.5, 0.9)) -> pd.DataFrame:
    """Scores of a result's predictions, one row per given row whose entity has a posterior and whose target
    is there.

    `rows` needs the entity columns, the time, the model's inputs and the target. Columns: the entity columns,
    `entity`, `time`, `observed`, and those of `score_draws`; of classes also `predicted`, `probability`,
    `correct` (1 or 0) and, where abstaining is configured, `abstained`. Rows of other entities are left out.

    Raises PanelError for rows that cannot be read, ConfigError for masses that are none.
    """
    masses = checked_masses(intervals)
    config, description = result.config, described(result)
    columns = [c for c in description.columns if c != config.data.time]
    data = config.data
    panel = read(rows, entity=data.entity, time=data.time, target=data.target, columns=columns)
    model = compiled(description)
    support = config.model.family.support
    known, tables = set(result.entities["entity"]), []
    for entity in panel.entities:
        own = panel.rows(entity)
        assert own.target is not None
        present = np.isfinite(own.target)
        drawn = entity_draws(result, model, entity, own) if entity in known and present.any() else None
        if drawn is None:
            continue
        every = np.asarray(drawn[0], dtype=np.float64)
        present &= ~np.isnan(every).all(axis=0)  # where a model cannot say anything there is no forecast
        if not present.any():
            continue
        key = result.entity_row(entity)["fit_key"]
        uniform = uniforms(config.inference.seed, key, own.n)
        draws, target = every[:, present], own.target[present]
        about = _about(panel, entity, None if own.time is None else own.time[present], len(target))
        scored = score_draws(target, draws, masses, uniform[present], discrete=support in DISCRETE)
        found = entity_answers(result, model, entity, own, drawn)
        chosen = {} if found is None else _answered(found.columns(config.abstain), own.target)
        told = {name: values[present] for name, values in chosen.items()}
        tables.append(pd.DataFrame({**about, "observed": target, **scored, **told}))
    return pd.concat(tables, ignore_index=True) if tables else _none(panel, masses)


def score_draws(
    observed: Floats,
    draws: Floats,
    intervals: Sequence[float],
    uniform: Floats,
    *,
    discrete: bool = False,
    sample: bool = True,
) -> dict[str, NDArray[Any]]:
    """Scores of predictive draws (S, n) against `observed` (n,), as columns (n,).

    `mean`, `median`; `crps` by the unbiased estimator from probability-weighted moments (Zamo & Naveau, Math
    Geosci 50:209, 2018), or, where the draws are no `sample` but quantiles that stand for the distribution,
    that of those points; `pinball`, the mean over `LEVELS`; `lower_P`, `upper_P` and `inside_P` (1 or 0) of
    the equal-tailed intervals; `absolute_error` of the median; `pit`, the share of the distribution below
    what was observed. `uniform` (n,) in [0, 1) places the observed value among the draws that equal it, and
    within the gap between its neighbours, so that the PIT of a calibrated forecast is uniform for counts too
    (Czado, Gneiting & Held, Biometrics 65:1254, 2009); `discrete` says that the family gives counts.
    """
    import scoringrules

    ordered = np.sort(np.ascontiguousarray(np.asarray(draws, dtype=np.float64).T), axis=1)  # (n, S)
    size = ordered.shape[1]
    crps = scoringrules.crps_ensemble(observed, ordered, estimator="pwm" if sample and size > 1 else "qd")
    levels = np.array(LEVELS)
    points = quantiles(ordered, levels)
    losses = scoringrules.quantile_score(observed[:, None], points, levels[None, :])
    median = quantiles(ordered, np.array([0.5]))[:, 0]
    columns: dict[str, NDArray[Any]] = {
        "mean": ordered.mean(axis=1),
        "median": median,
        "crps": np.asarray(crps, dtype=np.float64),
        "pinball": np.asarray(losses, dtype=np.float64).mean(axis=1),
    }
    for mass in intervals:
        lower, upper = quantiles(ordered, np.array([(1 - mass) / 2, (1 + mass) / 2])).T
        name = percent(mass)
        columns |= {f"lower_{name}": lower, f"upper_{name}": upper}
        columns[f"inside_{name}"] = ((lower <= observed) & (observed <= upper)).astype(np.float64)
    below = (ordered < observed[:, None]).sum(axis=1)
    ties = (ordered == observed[:, None]).sum(axis=1)
    pit = (below + uniform * ties) / size if discrete else (below + uniform * (1 + ties)) / (size + 1)
    return columns | {"absolute_error": np.abs(median - observed), "pit": pit}


def quantiles(ordered: Floats, levels: Floats) -> Floats:
    """Quantiles (n, L) of sorted samples (n, S), linear between order statistics."""
    place = levels * (ordered.shape[1] - 1)
    low = place.astype(np.int64)
    high = np.minimum(low + 1, ordered.shape[1] - 1)
    found: Floats = ordered[:, low] + (place - low) * (ordered[:, high] - ordered[:, low])
    return found


def _answered(columns: dict[str, NDArray[Any]], observed: Floats) -> dict[str, NDArray[Any]]:
    """The answers at rows (n,), and whether they are right."""
    return columns | {"correct": (columns["predicted"] == observed).astype(np.float64)}


def summary(scores: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    """Means over entities of each entity's mean, one row a group (`by` columns of the scores, none: all).

    Columns: those of `by`, `crps`, `crps_se`, `pinball`, `mae`, `coverage_P` and `coverage_P_se` for every
    interval, of classes `accuracy` and, where abstaining is configured, `answered` (the share that is) and
    `accuracy_answered`, each with its `_se`; `entities`, `rows`. A standard error over one entity is NaN.
    """
    by = list(by)
    if missing := [name for name in by if name not in scores.columns]:
        raise ConfigError([f"by {missing[0]!r} is no column of the scores, which have {_listed(scores)}"])
    inside = [name for name in scores.columns if name.startswith("inside_")]
    scores = _with_answers(scores)
    answers = [name for name in SCORES if name in scores]
    values = ["crps", "pinball", "absolute_error", *inside, *answers]
    grouped = scores.groupby(list(dict.fromkeys([*by, "entity"])), observed=True)
    each = grouped[values].mean().assign(rows=grouped.size()).reset_index()
    groups = each.groupby(by or np.zeros(len(each), dtype=np.int64), observed=True)
    means, sizes = groups[values].mean(), groups.size()
    errors = groups[values].std(ddof=1).div(np.sqrt(sizes), axis=0)
    columns = {"crps": means["crps"], "crps_se": errors["crps"]}
    columns |= {"pinball": means["pinball"], "mae": means["absolute_error"]}
    for name in inside:
        mass = name.removeprefix("inside_")
        columns |= {f"coverage_{mass}": means[name], f"coverage_{mass}_se": errors[name]}
    for name in answers:
        columns |= {name: means[name], f"{name}_se": errors[name]}
    found = pd.DataFrame({**columns, "entities": sizes, "rows": groups["rows"].sum()})
    return found.reset_index(drop=not by)


def _with_answers(scores: pd.DataFrame) -> pd.DataFrame:
    """With a row's part in `accuracy`, `answered` and `accuracy_answered`, which is missing where it has
    none.
    """
    if "correct" not in scores:
        return scores
    found = scores.assign(accuracy=scores["correct"])
    if "abstained" not in scores:
        return found
    sure = ~scores["abstained"].astype(bool)
    return found.assign(answered=sure.astype(np.float64), accuracy_answered=found["correct"].where(sure))


def compare(ours: pd.DataFrame, theirs: pd.DataFrame, score: str = "crps") -> Comparison:
    """Mean over entities of the differences between their mean scores, on the rows that both tables have.

    Rows are the same where entity, time and, in a backtest, origin and horizon are. Raises ResultError where
    they have none in common, or where what was observed differs.
    """
    keys = [name for name in SAME_ROW if name in ours.columns and name in theirs.columns]
    sides = [table.assign(_copy=table.groupby(keys, dropna=False).cumcount()) for table in (ours, theirs)]
    kept = [side[[*keys, "_copy", "observed", score]] for side in sides]
    both = kept[0].merge(kept[1], on=[*keys, "_copy"], suffixes=("", "_theirs"))
    if both.empty:
        raise ResultError("the two tables have no row in common; score both on the same rows")
    unequal = ~np.isclose(both["observed"], both["observed_theirs"], rtol=1e-9, atol=0)
    if unequal.any():
        first = both.loc[unequal].iloc[0]
        raise ResultError(
            f"what was observed differs between the two tables in {int(unequal.sum()):,} rows, first "
            f"{first['entity']!r}: {first['observed']:g} and {first['observed_theirs']:g}; score both on the "
            "same rows"
        )
    differences = (both[score] - both[f"{score}_theirs"]).groupby(both["entity"]).mean()
    return Comparison(float(differences.mean()), _standard_error(differences), len(differences))


def uniforms(seed: int, key: str, n: int) -> Floats:
    """The numbers (n,) in [0, 1) that randomise an entity's PIT, from the root seed and its fit key."""
    return np.random.default_rng(Seeds.of(seed, key).predict.spawn(1)[0]).random(n)


def checked_masses(intervals: Sequence[float]) -> tuple[float, ...]:
    """Masses of intervals as given; ConfigError where one is none."""
    masses = tuple(intervals)
    if not masses or not all(0 < mass < 1 for mass in masses):
        raise ConfigError([f"intervals {masses!r} are no masses between 0 and 1, for instance (0.5, 0.9)"])
    return masses


def _standard_error(values: "pd.Series[float]") -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")


def _about(panel: Panel, entity: str, time: NDArray[Any] | None, rows: int) -> dict[str, Any]:
    columns: dict[str, Any] = {
        name: [value] * rows
        for name, value in zip(panel.entity_columns, panel.entity_values(entity), strict=True)
    }
    return columns | {"entity": [entity] * rows, "time": [None] * rows if time is None else time}


def _none(panel: Panel, masses: Sequence[float]) -> pd.DataFrame:
    """A table without rows, with all columns."""
    none = np.zeros(0)
    scored = score_draws(none, np.zeros((2, 0)), masses, none)
    names = dict.fromkeys((*panel.entity_columns, "entity"), pd.Series([], dtype=str))
    return pd.DataFrame({**names, "time": none, "observed": none, **scored})


def _listed(scores: pd.DataFrame) -> str:
    return ", ".join(map(str, scores.columns))
