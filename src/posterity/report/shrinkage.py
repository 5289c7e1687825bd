"""What the population did to those that taught it: each entity's estimate without it, and with it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterity.portfolio.result import Result
from posterity.report import caterpillar, style
from posterity.report.caterpillar import Order, Sheet
from posterity.report.learned import grouped, members, predictive, theta
from posterity.report.scales import scales

if TYPE_CHECKING:
    from posterity.portfolio.population import Population

type Floats = NDArray[np.float64]

_LEAST = 0.05
"""Share of the posterior's information that an entity's own rows must have in every direction: of less, what
is left when the population is taken out is the error of 4,000 draws."""

_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Shrunk:
    """One partial entry of E entities: estimates `alone` and `pooled` (E,), and the population's 5, 25, 50,
    75 and 95 % points (G, 5); on the parameter's own scale where `own`, on a log axis where `log`.
    """

    label: str
    own: bool
    log: bool
    alone: Floats
    pooled: Floats
    levels: Floats


@dataclass(frozen=True, slots=True)
class ShrinkageView:
    """Pooled entities whose rows determine every parameter; `silent` counts the others."""

    name: str
    silent: int
    entity: tuple[str, ...]
    group: NDArray[np.int64]
    groups: tuple[str, ...]
    parameters: tuple[Shrunk, ...]
    shared: bool


def shrinkage_view(result: Result) -> ShrinkageView | None:
    """The view of a result; None where no entity was pooled with others.

    A result holds no fit without the population, so its share is taken out of the posterior: both as
    Gaussians of the partial entries, precision V⁻¹ − V₀⁻¹, shared parameters as the population has them. That
    leaves the likelihood alone, without the declared prior.
    """
    population = result.population
    if population is None:
        return None
    rows = [row for row in members(result, population) if row["role"] == "established"]
    rows = [
        row for row in rows if (row["prior"] or "").removeprefix("own ").partition(":")[0] == "population"
    ]
    if not rows:
        return None
    groups, group = grouped(result, population, rows)
    draws = [predictive(population, g)[:, list(population.partial)] for g in groups]
    posteriors, size = theta(result), len(population.partial)
    alone, pooled = np.full((len(rows), size), np.nan), np.full((len(rows), size), np.nan)
    for i, row in enumerate(rows):
        if row["entity"] in posteriors:
            mean, covariance = _partial(population, *posteriors[row["entity"]])
            pooled[i] = mean
            alone[i] = without(mean, covariance, draws[group[i]])
    told = np.isfinite(alone).all(axis=1)
    labels = list(dict.fromkeys(result.table("parameters.parquet")["parameter"].to_pylist()))
    entries = scales(population.entries, labels)
    found = []
    for k, position in enumerate(population.partial):
        scale = entries[position]
        levels = np.array([np.quantile(scale.own(d[:, k]), _LEVELS) for d in draws])
        ends = scale.own(alone[told, k]), scale.own(pooled[told, k])
        own, log = scale.parameter is not None, scale.transform == "log"
        found.append(Shrunk(scale.label, own, log, *ends, levels))
    return ShrinkageView(
        name=result.name,
        silent=int((~told).sum()),
        entity=tuple(row["entity"] for row, kept in zip(rows, told, strict=True) if kept),
        group=group[told],
        groups=groups,
        parameters=tuple(found),
        shared=bool(population.shared),
    )


def without(mean: Floats, covariance: Floats, population: Floats) -> Floats:
    """A Gaussian posterior's centre (p,) when the population, draws (S, p), is taken out of it; NaN where too
    little is left.
    """
    own = np.linalg.inv(np.atleast_2d(np.cov(population, rowvar=False)))
    precision = np.linalg.inv(covariance)
    left = precision - own
    # Shares of the information that are the entity's own, direction by direction.
    lower = np.linalg.cholesky(covariance)
    if np.linalg.eigvalsh(lower.T @ left @ lower).min() < _LEAST:
        return np.full(len(mean), np.nan)
    return np.asarray(np.linalg.solve(left, precision @ mean - own @ population.mean(axis=0)))


def shrinkage_figure(view: ShrinkageView) -> Figure:
    """A panel a parameter (at most nine): a line from each entity's estimate alone to the pooled one."""
    shown = view.parameters[: caterpillar.MOST]
    named = view.groups if len(view.groups) > 1 else ()
    sheet = Sheet.of(len(shown), named, len(view.entity), strip=False)
    keys = [
        ("○", style.ORANGE, "estimate from its own rows alone"),
        ("●", style.BLUE, "pooled with the population"),
        ("■", style.GREEN, "population, 50 and 90 %"),
    ]
    facts = [f"{len(view.entity):,} entities"]
    facts.append("alone: the population taken out of the posterior, both as Gaussians")
    if view.shared:
        facts.append("shared parameters kept")
    if view.silent:
        facts.append(f"{view.silent:,} more whose rows alone do not determine all parameters")
    sheet.heading(f"{view.name}: shrinkage", " · ".join(facts), keys)
    for place, parameter in enumerate(shown):
        _panel(sheet, place, view, parameter)
    return sheet.figure


def shrinkage_png(view: ShrinkageView) -> bytes:
    """The shrinkage as a PNG file."""
    return style.png(shrinkage_figure(view))


def _panel(sheet: Sheet, place: int, view: ShrinkageView, parameter: Shrunk) -> None:
    order = Order.of(parameter.alone, view.group, len(view.groups))
    scale = "" if parameter.own else ", unconstrained"
    axes = sheet.panel(place, f"{parameter.label}{scale}", _moved(parameter))
    values = np.r_[parameter.alone, parameter.pooled]
    low, high = caterpillar.extent(values, parameter.levels, parameter.log)
    caterpillar.limits(axes, order, low, high, parameter.log, strip=False)
    caterpillar.bands(axes, order, parameter.levels)
    width, size = order.sizes(sheet.height)
    caterpillar.segments(axes, parameter.alone, parameter.pooled, order.y, max(width, 0.5), style.MUTED, 0.7)
    axes.plot(
        parameter.alone, order.y, "o", markersize=size, zorder=4,
        markerfacecolor="white" if size > 2.5 else style.ORANGE, markeredgecolor=style.ORANGE,
        markeredgewidth=0.9 if size > 2.5 else 0,
    )  # fmt: skip
    axes.plot(parameter.pooled, order.y, "o", color=style.BLUE, markersize=size, markeredgewidth=0, zorder=5)
    sheet.names(place, view.groups, order)


def _moved(parameter: Shrunk) -> str:
    """By how much estimates draw together."""
    scale = np.log if parameter.log else np.asarray
    alone, pooled = (scale(v[np.isfinite(v)]) for v in (parameter.alone, parameter.pooled))
    if alone.size < 2 or not alone.std() > 0:
        return ""
    where = " (log scale)" if parameter.log else ""
    return f"sd of estimates {style.number(alone.std())} alone, {style.number(pooled.std())} pooled{where}"


def _partial(
    population: "Population", names: list[str], mean: Floats, covariance: Floats
) -> tuple[Floats, Floats]:
    at = [names.index(population.entries[i]) for i in population.partial]
    return mean[at], covariance[np.ix_(at, at)]
