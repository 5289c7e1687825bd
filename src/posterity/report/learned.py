"""What a population is and where its entities are, as a small value that figures are drawn from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from posterity.config.schema import percent
from posterity.portfolio.result import Result
from posterity.report import style
from posterity.report.density import Density, density
from posterity.report.scales import Scale, scales

if TYPE_CHECKING:
    from posterity.portfolio.population import Population

type Floats = NDArray[np.float64]

_DRAWS = 4_000
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class ParameterView:
    """One partial entry of E entities in G groups, on its own scale where `own`, on a log axis where `log`.

    `levels` (G, 5) are the population's 5, 25, 50, 75 and 95 % points; `density` is over log10 where `log`.
    """

    label: str
    own: bool
    log: bool
    mean: Floats
    low: Floats
    high: Floats
    levels: Floats
    density: Density | None
    spread: str


@dataclass(frozen=True, slots=True)
class PopulationView:
    """A population, the entities that taught it or learned from it (those with a posterior), and their group.

    `mass` is that of the entities' intervals; `shared` says what each shared parameter is.
    """

    name: str
    teachers: int
    rows: int
    entity: tuple[str, ...]
    new: NDArray[np.bool_]
    group: NDArray[np.int64]
    groups: tuple[str, ...]
    mass: float
    parameters: tuple[ParameterView, ...]
    shared: tuple[str, ...]
    notes: tuple[str, ...]


def population_view(result: Result) -> PopulationView | None:
    """The view of a result's population; None where it has none."""
    population = result.population
    if population is None:
        return None
    rows = members(result, population)
    groups, group = grouped(result, population, rows)
    entities = [row["entity"] for row in rows]
    labels = list(dict.fromkeys(result.table("parameters.parquet")["parameter"].to_pylist()))
    entries = scales(population.entries, labels)
    draws = [predictive(population, g) for g in groups]
    counts = np.bincount(group, minlength=len(groups))
    mass = max(result.interval_masses, default=0.9)
    found = []
    for i, position in enumerate(population.partial):
        scale = entries[position]
        mean, low, high = _estimates(result, entities, scale, mass)
        values = [scale.own(d[:, position]) for d in draws]
        levels = np.array([np.quantile(v, _LEVELS) for v in values])
        log = scale.transform == "log"
        shares = [max(1, _DRAWS * n // max(1, len(entities))) for n in counts.tolist()]
        whole = np.concatenate([v[:n] for v, n in zip(values, shares, strict=True)])
        shape = density(np.log10(whole) if log else whole)
        own = scale.parameter is not None
        spread = _spread(population, i, scale)
        found.append(ParameterView(scale.label, own, log, mean, low, high, levels, shape, spread))
    return PopulationView(
        name=result.name,
        teachers=len(population.teachers),
        rows=population.rows,
        entity=tuple(entities),
        new=np.array([row["role"] == "new" for row in rows], dtype=bool),
        group=group,
        groups=groups,
        mass=mass,
        parameters=tuple(found),
        shared=tuple(_shared(population, i, entries[p]) for i, p in enumerate(population.shared)),
        notes=population.notes,
    )


def members(result: Result, population: "Population") -> list[dict[str, Any]]:
    """Rows of `entities` of those with a posterior that taught the population or learned from it."""
    taught = set(population.teachers)
    rows = result.table("entities.parquet").to_pylist()
    return [row for row in rows if row["status"] != "failed" and (row["entity"] in taught or learned(row))]


def learned(row: Mapping[str, Any]) -> bool:
    """Whether an entity's prior came from a population: one it was taught by, or its own."""
    return (row["prior"] or "").removeprefix("own ").partition(":")[0] == "population"


def grouped(
    result: Result, population: "Population", rows: Sequence[Mapping[str, Any]]
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Labels of the groups, and for each row its place among them; one without a name where there are none.

    Groups that nobody established is in come last.
    """
    within = ((result.settings.get("transfer") or {}).get("pool") or {}).get("within") or ()
    columns = (within,) if isinstance(within, str) else tuple(within)
    if not population.groups:
        return ("",), np.zeros(len(rows), dtype=np.int64)
    own = [" / ".join(str(row[c]) for c in columns) for row in rows]
    groups = tuple(dict.fromkeys([*(g for g in population.groups if g in set(own)), *sorted(set(own))]))
    return groups, np.array([groups.index(g) for g in own], dtype=np.int64)


def predictive(population: "Population", group: str) -> Floats:
    """Draws (S, D_t) of where another entity of the group is expected, always the same."""
    return population.predictive(group or None, _DRAWS, np.random.default_rng(0))


def _estimates(
    result: Result, entities: Sequence[str], scale: Scale, mass: float
) -> tuple[Floats, Floats, Floats]:
    """Posterior mean and bounds of every entity (E,): from the tables, or from θ's moments."""
    if scale.parameter is not None:
        table = result.parameters
        own = table[table["parameter"] == scale.parameter].set_index("entity").reindex(list(entities))
        columns = ("mean", f"lower_{percent(mass)}", f"upper_{percent(mass)}")
        mean, low, high = (own[column].to_numpy(dtype=np.float64) for column in columns)
        return mean, low, high
    moments = theta(result)
    mean, sd = np.full(len(entities), np.nan), np.full(len(entities), np.nan)
    for i, entity in enumerate(entities):
        if entity in moments:
            names, centre, covariance = moments[entity]
            at = names.index(scale.entry)
            mean[i], sd[i] = centre[at], np.sqrt(covariance[at, at])
    reach = norm.ppf(0.5 + mass / 2) * sd
    return mean, mean - reach, mean + reach


def theta(result: Result) -> dict[str, tuple[list[str], Floats, Floats]]:
    """By entity with a posterior the names, mean (D,) and covariance (D, D) of θ."""
    found = {}
    for row in result.table("factors.parquet").to_pylist():
        if row["mean"] is not None:
            mean = np.array(row["mean"])
            covariance = np.array(row["covariance"]).reshape(len(mean), len(mean))
            found[row["entity"]] = (list(row["names"]), mean, covariance)
    return found


def _spread(population: "Population", place: int, scale: Scale) -> str:
    """How far entities are apart, in words."""
    sds = population.sds[:, place]
    sd = style.estimate(float(sds.mean()), float(sds.std()))
    where = {"log": " (log scale)", "logit": " (logit scale)"}.get(scale.transform, "")
    if population.between.shape[1]:
        between = style.number(float(np.median(population.between[:, place])))
        return f"sd {sd} in groups, {between} between{where}"
    return f"sd between entities {sd}{where}"


def _shared(population: "Population", place: int, scale: Scale) -> str:
    values = scale.own(population.shared_values[:, place])
    return f"{scale.label} {style.estimate(float(values.mean()), float(values.std()))}"
