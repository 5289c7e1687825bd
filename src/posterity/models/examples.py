"""Models of one's own, as examples: configurations name them as `posterity.models.examples:NAME`."""

from collections.abc import Mapping
from typing import Any

import pymc as pm
import pytensor
import pytensor.tensor as pt


def autoregression(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """AR(1) around a level, the first row given the level."""
    level = priors["level"]
    before = pt.concatenate([level[None], data["y"][:-1]])
    pm.Normal("y", level + priors["phi"] * (before - level), priors["s"], observed=data["y"])


def garch(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """GARCH(1, 1) (Bollerslev 1986): a row's variance is h = w + a y² + b h of the row before.

    The recursion is written out as a matrix, beginning where it would settle without any change, w / (1 - b).
    """
    w, a, b = (priors[name] for name in "wab")
    y = data["y"]
    row = pt.arange(y.shape[0])
    gap = row[:, None] - 1 - row
    # What an earlier y² still counts for.
    weight = pt.switch(gap >= 0, b ** pt.maximum(gap, 0), 0)
    pm.Normal("y", 0, pt.sqrt(w / (1 - b) + a * (weight @ y**2)), observed=y)


def decay(data: Mapping[str, Any], priors: Mapping[str, Any]) -> None:
    """Two compartments, dx/dt = -k x and dy/dt = k x - e y from (1, 0), by Runge and Kutta's fourth-order
    steps on a fixed grid, read off at the rows' times by straight lines.
    """
    k, e = priors["k"], priors["e"]
    steps, size = 20, 0.5

    def slope(x: Any, y: Any, k: Any, e: Any) -> tuple[Any, Any]:
        return -k * x, k * x - e * y

    def step(x: Any, y: Any, *rates: Any) -> tuple[Any, Any]:
        x1, y1 = slope(x, y, *rates)
        x2, y2 = slope(x + size / 2 * x1, y + size / 2 * y1, *rates)
        x3, y3 = slope(x + size / 2 * x2, y + size / 2 * y2, *rates)
        x4, y4 = slope(x + size * x3, y + size * y3, *rates)
        return x + size / 6 * (x1 + 2 * x2 + 2 * x3 + x4), y + size / 6 * (y1 + 2 * y2 + 2 * y3 + y4)

    start = [pt.ones(()), pt.zeros(())]
    _, seen = pytensor.scan(
        step, outputs_info=start, non_sequences=[k, e], n_steps=steps, return_updates=False
    )
    grid, at = pt.concatenate([start[1][None], seen]), data["t"] / size
    low = pt.clip(pt.floor(at), 0, steps - 1).astype("int64")
    value = grid[low] + (at - low) * (grid[low + 1] - grid[low])
    pm.Normal("y", value, priors["s"], observed=data["y"])
