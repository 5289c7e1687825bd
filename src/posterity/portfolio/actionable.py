"""Which entities are known well enough to be decided, and which need more data: the rule and its marks.

Marks are made of posteriors when a result is merged, so that another rule marks the same fits anew.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from posterity.config import Config
from posterity.config.actionable import Actionable
from posterity.config.words import listed, meant, quoted
from posterity.errors import ConfigError

if TYPE_CHECKING:
    from posterity.models import BuiltModel
    from posterity.portfolio.result import Result

DECIDED, NEEDS_DATA = "decided", "needs data"


@dataclass(frozen=True)
class Counted:
    """Entities by mark, and the rule that made it in words."""

    decided: int
    needs_data: int
    rule: str

    @property
    def sentence(self) -> str:
        """The whole in a line."""
        return f"{self.decided:,} decided, {self.needs_data:,} need more data ({self.rule})"


def check(config: Config, built: "BuiltModel") -> None:
    """Raise ConfigError where the rule names an entry that a parameter does not have."""
    from posterity.inference.graph import Graph, parameter_labels

    rule = config.actionable
    if rule is None or rule.quantity in config.model.quantities:
        return
    known = [name for name in parameter_labels(Graph(built)) if name.partition("[")[0] == rule.parameter]
    if not chosen(rule, known):
        message = (
            f"actionable.quantity: {quoted(rule.quantity)} is no entry of {rule.parameter}; allowed: "
            f"{rule.parameter} for the widest of all, or {listed(known)}{meant(rule.quantity, known)}"
        )
        raise ConfigError([message])


def chosen(rule: Actionable, labels: Iterable[str]) -> list[str]:
    """The labels that a rule means: one entry, or all of a parameter."""
    every = [label for label in labels if label.partition("[")[0] == rule.parameter]
    return every if "[" not in rule.quantity else [label for label in every if label == rule.quantity]


def mass_of(rule: Actionable, config: Config) -> float:
    """Mass of the interval whose width counts."""
    return max(config.intervals) if rule.interval is None else rule.interval


def words(rule: Actionable, config: Config) -> str:
    """The rule for people."""
    width = f"{rule.max_width:g}{' of its median' if rule.relative else ''}"
    return f"{100 * mass_of(rule, config):g} % interval of {rule.quantity} at most {width} wide"


def columns(
    rule: Actionable | None, entities: Sequence[str], widths: Mapping[str, float]
) -> dict[str, pa.Array]:
    """`actionable` and `actionable_width` of entities; missing without a posterior or a rule."""
    every = [None if rule is None else widths.get(entity) for entity in entities]
    marks = [None if w is None or rule is None else _mark(rule, w) for w in every]
    finite = [None if w is None or not np.isfinite(w) else w for w in every]
    return {"actionable": pa.array(marks, pa.string()), "actionable_width": pa.array(finite, pa.float64())}


def _mark(rule: Actionable, width: float) -> str:
    return DECIDED if width <= rule.max_width else NEEDS_DATA


def counted(result: "Result") -> Counted | None:
    """How many entities of a result are decided; None where it has no rule."""
    if not result.settings.get("actionable"):
        return None
    rule, marks = result.config.actionable, result.table("entities.parquet")["actionable"].to_pylist()
    assert rule is not None
    return Counted(marks.count(DECIDED), marks.count(NEEDS_DATA), words(rule, result.config))
