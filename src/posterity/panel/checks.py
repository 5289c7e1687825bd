"""What speaks against fitting an entity: missing values, duplicate rows, values the likelihood cannot give.

Each check turns rows into a sentence per entity with counts; no row is taken out of the panel.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posterity.config.distributions import Support
from posterity.errors import PanelError
from posterity.panel.findings import listing, nearest, plural
from posterity.panel.ordering import same_time
from posterity.panel.panel import Panel

type Mask = NDArray[np.bool_]


def values(panel: Panel) -> Panel:
    """Reasons for missing or infinite values and duplicate times; notices of entities with little in them."""
    for name in dict.fromkeys(n for n in (panel.time, panel.target, *panel.inputs) if n is not None):
        role = "time" if name == panel.time else "target" if name == panel.target else "input"
        column = panel.arrays[name]
        if column.dtype == object:
            missing, infinite = np.array([v is None for v in column]), np.zeros(len(column), dtype=bool)
        else:
            missing, infinite = np.isnan(column), np.isinf(column)
        for mask, what in ((missing, "missing"), (infinite, "infinite")):
            panel = _with(panel, mask, f"{role} {name!r} is {what} in")
    return _shape(_duplicates(panel))


def support(panel: Panel, support: Support, n_column: str | float | None = None) -> Panel:
    """Reasons for rows whose target a likelihood with this support cannot give.

    `n_column` is the number of trials of a binomial likelihood: the name of a column read with the panel, or
    a number.
    """
    if panel.target is None:
        raise PanelError(["the panel was read without a target; name data.target"])
    y = panel.arrays[panel.target]
    if support is Support.BINOMIAL and n_column is not None:
        panel, trials = _trials(panel, n_column)
    else:
        trials = np.array(np.inf)
    possible = _POSSIBLE[support](y, trials)
    outside = np.isfinite(y) & ~possible & ~np.isnan(trials)
    fact = f"target {panel.target!r} is outside what the likelihood can give ({support.value}) in"
    return _with(panel, outside, fact, shown=y)


def within(panel: Panel, lower: float | str | None, upper: float | str | None) -> Panel:
    """Reasons for rows whose target lies beyond a limit that is a number or a column: a censored value is
    recorded as its limit, and a truncated one is not recorded.
    """
    assert panel.target is not None
    y = panel.arrays[panel.target]
    for end, beyond, word in ((lower, np.less, "below"), (upper, np.greater, "above")):
        if end is not None:
            limit = panel.arrays[end] if isinstance(end, str) else np.array(end)
            named = f"column {end!r}" if isinstance(end, str) else f"{end:g}"
            outside = np.isfinite(y) & beyond(y, limit)
            panel = _with(
                panel, outside, f"target {panel.target!r} is {word} its limit, {named}, in", shown=y
            )
    return panel


def weights(panel: Panel, column: str) -> Panel:
    """Reasons for rows whose weight is negative."""
    found = panel.arrays[column]
    negative = np.isfinite(found) & (found < 0)
    return _with(panel, negative, f"the weight {column!r} is negative in", shown=found)


def beyond(panel: Panel, outside: Mask, fact: str, shown: NDArray[np.float64]) -> Panel:
    """Reasons for rows where a model says nothing: the `fact` is followed by how many, and by the first."""
    return _with(panel, outside, fact, shown=shown)


def _trials(panel: Panel, n_column: str | float) -> tuple[Panel, NDArray[np.float64]]:
    if not isinstance(n_column, str):
        return panel, np.array(float(n_column))
    known = [*panel.inputs, *([panel.time] if panel.time else [])]
    if n_column not in known:
        found = f"read were {listing(known)}{nearest(n_column, known)}"
        raise PanelError([f"no column {n_column!r} for the number of trials; {found}"])
    trials = panel.arrays[n_column]
    if trials.dtype == object:
        raise PanelError([f"column {n_column!r}, the number of trials, holds text; it must hold counts"])
    odd = np.isfinite(trials) & ((trials < 0) | (trials != np.floor(trials)))
    panel = _with(panel, odd, f"the number of trials {n_column!r} is not a count in", shown=trials)
    return panel, np.where(odd, np.nan, trials)


def _whole(y: NDArray[Any]) -> Mask:
    return np.asarray(y == np.floor(y))


_POSSIBLE: dict[Support, Callable[[NDArray[np.float64], NDArray[np.float64]], Mask]] = {
    Support.REAL: lambda y, n: np.isfinite(y),
    Support.POSITIVE: lambda y, n: y > 0,
    Support.NONNEGATIVE: lambda y, n: y >= 0,
    Support.UNIT: lambda y, n: (y > 0) & (y < 1),
    Support.COUNT: lambda y, n: (y >= 0) & _whole(y),
    Support.CATEGORY: lambda y, n: (y >= 0) & _whole(y),
    Support.POSITIVE_COUNT: lambda y, n: (y >= 1) & _whole(y),
    Support.BINARY: lambda y, n: (y == 0) | (y == 1),
    Support.BINOMIAL: lambda y, n: (y >= 0) & _whole(y) & (y <= n),
    Support.CIRCULAR: lambda y, n: np.abs(y) <= np.pi,
    Support.OTHER: lambda y, n: np.isfinite(y),
}


def _duplicates(panel: Panel) -> Panel:
    if panel.time is None or panel.n_rows < 2:
        return panel
    repeated = np.zeros(panel.n_rows, dtype=bool)
    repeated[1:] = same_time(panel.table.column(panel.time))
    repeated[panel.offsets[:-1]] = False
    return _with(panel, repeated, f"one row per {panel.time!r} is needed, and a time is repeated in")


def _shape(panel: Panel) -> Panel:
    """Notices of entities with one row or a constant target: they are fitted, with little to learn from."""
    notices = []
    single = [panel.entities[i] for i in np.flatnonzero(panel.counts == 1)]
    if single:
        notices.append(
            f"{plural(len(single), 'entity has', 'entities have')} one row only: {listing(single, 3)}"
        )
    if panel.target is not None:
        y = panel.arrays[panel.target]
        starts = panel.offsets[:-1]
        flat = (
            (np.maximum.reduceat(y, starts) == np.minimum.reduceat(y, starts))
            & np.isfinite(y[starts])
            & (panel.counts > 1)
        )
        constant = [panel.entities[i] for i in np.flatnonzero(flat)]
        if constant:
            count = plural(len(constant), "entity has", "entities have")
            notices.append(f"{count} a target that never changes: {listing(constant, 3)}")
        huge = int(np.sum(np.isfinite(y) & (np.abs(y) > 1e100)))
        if huge:
            notices.append(
                f"target {panel.target!r} is beyond 1e100 in {plural(huge, 'row')}; a likelihood may overflow"
            )
    return panel.with_reasons({}, notices)


def _with(panel: Panel, mask: Mask, fact: str, shown: NDArray[np.float64] | None = None) -> Panel:
    """The panel with a reason for every entity with a row in the mask, and one notice of how many there are.

    A reason reads `fact` "2 of 52 rows" and where the first of them is; `shown` holds values to show of that
    row.
    """
    if not mask.any():
        return panel
    per_entity = np.add.reduceat(mask.astype(np.int64), panel.offsets[:-1])
    found = {}
    for i in np.flatnonzero(per_entity):
        first = int(panel.offsets[i] + np.argmax(mask[panel.offsets[i] : panel.offsets[i + 1]]))
        where = _where(panel, first, None if shown is None else float(shown[first]))
        found[panel.entities[i]] = f"{fact} {per_entity[i]:,} of {plural(int(panel.counts[i]), 'row')}{where}"
    entity, example = next(iter(found.items()))
    rows, entities = plural(int(mask.sum()), "row"), plural(len(found), "entity", "entities")
    return panel.with_reasons(found, [f"{rows} of {entities} cannot be fitted; {entity}: {example}"])


def _where(panel: Panel, row: int, value: float | None) -> str:
    parts = [] if value is None else [f"{value:g}"]
    if panel.time is not None:
        at = panel.table.column(panel.time)[row].as_py()
        parts += [] if at is None or at != at else [f"at {panel.time} {at}"]
    return f" (first: {' '.join(parts)})" if parts else ""
