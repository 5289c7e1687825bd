"""Curves of a bound as metrics with steps: an entity's on its own run, a joint model's on the parent."""

from posterity.portfolio.result import Result
from posterity.tracking.tracker import Tracker

ELBO = "elbo"
"""Name of the metric."""


def log_elbo(tracker: Tracker, run_id: str, result: Result, entity: str | None = None) -> None:
    """Log the curve of an entity, or the one that belongs to none; nothing where there is no such curve."""
    table = result.elbo
    if table is None:
        return
    rows = table[table["entity"].isna() if entity is None else table["entity"] == entity]
    if len(rows):
        points = zip(rows["step"].tolist(), rows["elbo"].tolist(), strict=True)
        tracker.log_curve(run_id, ELBO, tuple(points))
