"""What runs say of transferred priors: where they came from, who taught them, how far apart teachers are."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.portfolio.result import Result
from posterity.report import style
from posterity.report.view import GATES
from posterity.tracking import names
from posterity.tracking.address import fragment
from posterity.tracking.entity import numbers, plain
from posterity.tracking.origin import Origin

type Floats = NDArray[np.float64]

TAUGHT_BY = "taught_by"
"""The tag with the id of the run that taught an entity: the portfolio's for a population, or its parent's."""

_DECLARED = "declared"


def tags(result: Result, entity: str, origin: Origin, portfolio_run: str) -> dict[str, str]:
    """The source and key of an entity's transferred prior, its file among the portfolio's artifacts, and who
    taught it; nothing where the declared prior was kept.
    """
    row = result.entity_row(entity)
    kind = source(row)
    if kind == _DECLARED:
        return {}
    found = {"prior_source": kind}
    files: Mapping[str, str] = result.manifest.extra.get("priors", {})
    if row["prior"] in files:
        found["prior_file"] = files[row["prior"]]
    node = origin.prior(entity)
    if node is not None:
        found["prior_key"] = node.id.partition(":")[2]
        if "teachers" in node.attributes:
            found["taught_by_count"] = str(node.attributes["teachers"])
    if kind == "population":
        found |= {TAUGHT_BY: portfolio_run, "taught_by_artifact": "population.json"}
    elif (parent := origin.entity_of(row.get("parent_fit_key"))) is not None:
        found["taught_by_entity"] = parent
    return found


def source(row: Mapping[str, Any]) -> str:
    """What kind of prior a row of `entities` has: declared, population, entity, file, portfolio, previous."""
    return str(row.get("prior") or _DECLARED).removeprefix("own ").partition(":")[0].partition(" #")[0]


def sentence(result: Result, entity: str, told: Mapping[str, str], experiment_id: str) -> str:
    """The same in a sentence of Markdown, with a link to the run that taught; "" for a declared prior."""
    if "prior_source" not in told:
        return ""
    row = result.entity_row(entity)
    text = f"Prior: **{plain(str(row['prior']), 200)}**"
    if row.get("prior_rows") is not None:
        text += f", worth {style.number(row['prior_rows'])} rows"
    if "taught_by_count" in told:
        count = int(told["taught_by_count"])
        text += f", taught by {count:,} fit{'' if count == 1 else 's'}"
    if TAUGHT_BY in told:
        what = "run of the portfolio" if told["prior_source"] == "population" else "run of its parent"
        text += f" ([{what}]({fragment(experiment_id, told[TAUGHT_BY])}))"
    if row.get("conflict_p") is not None:
        text += f"; conflict p {style.number(row['conflict_p'])}"
    return text


def metrics(result: Result) -> dict[str, float]:
    """Of the portfolio: its population's sds between entities and how well it is known, how many entities
    learned, and under the names that their runs use the median `prior_rows`, least `conflict_p`, largest
    `vague_weight`. Sds are on the unconstrained scale.
    """
    rows = result.table("entities.parquet").to_pylist()
    learned = [row for row in rows if source(row) != _DECLARED]
    if not learned:
        return {}
    p = _known(learned, "conflict_p")
    found: dict[str, Any] = {"entities_learned": len(learned), "conflicts": int((p < gate(result)).sum())}
    reducers: dict[str, Callable[[Floats], Any]] = {
        "prior_rows": np.median,
        "conflict_p": np.min,
        "vague_weight": np.max,
    }
    for name, reduce in reducers.items():
        values = _known(learned, name)
        found[name] = float(reduce(values)) if values.size else None
    population = result.population
    if population is not None:
        found |= {"population_teachers": len(population.teachers), "population_rows": population.rows}
        found |= {"population_khat": population.khat, "population_sweeps": population.sweeps}
        spreads = population.sds.mean(axis=0).tolist()
        for position, sd in zip(population.partial, spreads, strict=True):
            found[f"population_sd/{names.key(population.entries[position])}"] = sd
    return numbers(found)


def gate(result: Result) -> float:
    """The least conflict probability that passes."""
    return float((result.settings.get("gates") or {}).get("conflict", GATES["conflict"]))


def _known(rows: list[dict[str, Any]], name: str) -> Floats:
    values = [row.get(name) for row in rows]
    return np.array([v for v in values if v is not None and np.isfinite(v)], dtype=np.float64)
