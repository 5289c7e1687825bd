"""What the run of one entity says: names, tags, params and metrics, the same names on every run."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posterity.portfolio.classes import SCORES
from posterity.portfolio.result import Result
from posterity.tracking import names
from posterity.tracking.origin import Origin
from posterity.tracking.tracker import NOTE

METRICS = (
    "rhat",
    "ess_bulk",
    "ess_tail",
    "khat",
    "divergences",
    "bfmi",
    "mae",
    "seconds",
    "n_rows",
    "prior_rows",
    "conflict_p",
    "vague_weight",
    "actionable_width",
    *SCORES,
)
_TAGS = ("entity", "status", "reason", "method", "role", "prior", "actionable", "fit_key", "parent_fit_key")
_PARAMS = ("entity", "method", "role", "prior", "first_time", "last_time")
_MOST_PARAMETERS = 400


@dataclass(frozen=True, slots=True)
class EntityRun:
    """The run of one entity, ready to be logged. `seconds` is how long its fit took."""

    entity: str
    status: str
    name: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    seconds: float


def describe(result: Result, entity: str, origin: Origin) -> EntityRun:
    """The run of an entity. Missing values are left out; infinity becomes the largest number there is.

    Of more than 400 scalar parameters the first 400 become metrics, which the tag `parameters_left_out` says.
    """
    row = result.entity_row(entity)
    tags = {k: str(row[k]) for k in _TAGS if row.get(k) is not None} | origin.tags(entity)
    tags["posterity.kind"] = "entity"
    if row.get("reason"):
        tags[NOTE] = f"**{row['status']}**: {plain(str(row['reason']), 2_000)}"
    params = {k: str(row[k]) for k in _PARAMS if row.get(k) is not None}
    for column in _entity_columns(result):
        name = names.key(column)
        params[f"entity.{name}" if name in params else name] = str(row.get(column))
    metrics = numbers({k: row.get(k) for k in (*METRICS, *coverages(result))})
    parameters = (
        result.entity_table("parameters.parquet", entity).select(["parameter", "mean", "sd"]).to_pylist()
    )
    for each in parameters[:_MOST_PARAMETERS]:
        name = names.key(each["parameter"])
        metrics |= numbers({f"mean/{name}": each["mean"], f"sd/{name}": each["sd"]})
    if len(parameters) > _MOST_PARAMETERS:
        tags["parameters_left_out"] = str(len(parameters) - _MOST_PARAMETERS)
    return EntityRun(
        entity=entity,
        status=str(row["status"]),
        name=names.run_name(entity),
        tags=tags,
        params=params,
        metrics=metrics,
        seconds=float(row.get("seconds") or 0.0),
    )


def coverages(result: Result) -> tuple[str, ...]:
    """Columns of `entities` that hold the share of rows inside an interval, the narrowest first."""
    found = [c for c in result.table("entities.parquet").column_names if c.startswith("coverage_")]
    return tuple(sorted(found, key=lambda c: float(c.removeprefix("coverage_").replace("_", "."))))


def numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """What can be a metric: no missing values, infinity as the largest float, six digits.

    MLflow shows all digits it has; the tables hold them all.
    """
    found = {k: float(v) for k, v in values.items() if v is not None}
    return {k: _shown(v) for k, v in found.items() if not math.isnan(v)}


def plain(text: str, characters: int) -> str:
    """Text as one line of Markdown that means nothing but itself.

    Character references, as MLflow's Markdown shows the backslash of some escapes.
    """
    line = names.one_line(text, characters)
    return "".join(f"&#{ord(c)};" if c in r"\`*_{}[]<>#|$~&@^=" else c for c in line)


def _shown(value: float) -> float:
    if math.isinf(value):
        return math.copysign(sys.float_info.max, value)
    return value if value.is_integer() else float(f"{value:.6g}")


def _entity_columns(result: Result) -> tuple[str, ...]:
    declared = result.settings.get("data", {}).get("entity") or ()
    columns = (declared,) if isinstance(declared, str) else tuple(declared)
    present = set(result.table("entities.parquet").column_names)
    return tuple(c for c in columns if c in present and c != "entity")
