"""The widths by which a rule calls entities decided: of a parameter's interval, or of a quantity's.

Of a vector the widest entry counts, and of a quantity the widest of the entity's observed rows. Not that of
the last row: rows need not have an order (those of a dose-response curve have none), and whoever acts on a
curve should know all of it.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from posterity.config.actionable import Actionable
from posterity.config.schema import percent
from posterity.inference.compiled import compiled, inputs_of
from posterity.inference.posterior import Floats
from posterity.inference.quantity import DrawnQuantity
from posterity.models.arrays import arrays
from posterity.portfolio.actionable import chosen, mass_of
from posterity.portfolio.entity import summarise
from posterity.portfolio.parts import flattened

if TYPE_CHECKING:
    from posterity.portfolio.plan import Plan

CELLS, FEWEST = 2_000_000, 2_000
"""Draws × rows of an entity that its widths are computed from, and draws that are used in any case."""


def widths(plan: "Plan", pieces: Iterable[pa.Table]) -> dict[str, float]:
    """The width that counts, by entity, from the parts of its fit; nothing where there is no posterior."""
    rule = plan.config.actionable
    if rule is None:
        return {}
    mass, found = mass_of(rule, plan.config), dict[str, float]()
    of_quantity = rule.quantity in plan.config.model.quantities
    for piece in pieces:
        if not of_quantity and "parameters" in piece.column_names:
            found |= _of_parameters(rule, mass, flattened(piece, "parameters"))
        elif of_quantity and "draws" in piece.column_names:
            found |= _of_quantity(rule, mass, plan, flattened(piece, "draws"))
    return found


def _of_parameters(rule: Actionable, mass: float, table: pa.Table) -> dict[str, float]:
    wanted = pa.array(chosen(rule, dict.fromkeys(table["parameter"].to_pylist())), pa.string())
    rows = table.filter(pc.is_in(table["parameter"], wanted))
    lower, upper = (rows[f"{side}_{percent(mass)}"].to_numpy() for side in ("lower", "upper"))
    medians = rows["median"].to_numpy()
    return {e: _widest(rule, (upper - lower)[at], medians[at]) for e, at in _places(rows)}


def _of_quantity(rule: Actionable, mass: float, plan: "Plan", table: pa.Table) -> dict[str, float]:
    model = compiled(plan.description)
    quantity = DrawnQuantity.of(model, rule.quantity)
    values: Any = np.column_stack([table[name].to_numpy() for name in model.parameter_names])
    found = {}
    for entity, at in _places(table):
        rows = plan.panel.rows(entity)
        inputs = inputs_of(model, {**arrays(plan.description, rows), **plan.description.numbers})
        most = max(FEWEST, CELLS // max(rows.n, 1))
        draws = np.ascontiguousarray(values[at][:: max(1, -(-len(values[at]) // most))])
        said = summarise(quantity(draws, inputs), (mass,))
        found[entity] = _widest(rule, said.upper[0] - said.lower[0], said.median)
    return found


def _places(table: pa.Table) -> Iterator[tuple[str, slice]]:
    """Each entity with its rows, which lie together."""
    runs = pc.run_end_encode(table["entity"].combine_chunks())
    start = 0
    for entity, stop in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
        yield entity, slice(start, stop)
        start = stop


def _widest(rule: Actionable, width: Floats, median: Floats) -> float:
    if rule.relative:
        width = np.divide(width, np.abs(median), out=np.full_like(width, np.inf), where=median != 0)
    return float(np.max(width))
