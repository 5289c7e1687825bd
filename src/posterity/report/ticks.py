"""Plain numbers along logarithmic axes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from posterity.report import style

_STEPS: tuple[tuple[float, ...], ...] = (
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 5, 7),
    (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9),
)


def log_axis(axes: Axes, low: float, high: float, least: int = 2, most: int = 5) -> None:
    """A few round numbers between `low` and `high` along a logarithmic x."""
    powers = 10.0 ** np.arange(np.floor(np.log10(low)) - 1, np.ceil(np.log10(high)) + 1)
    for steps in _STEPS:
        places = [float(s * power) for power in powers for s in steps if low <= s * power <= high]
        if len(places) >= least:
            break
    else:
        places = [float(t) for t in MaxNLocator(most).tick_values(low, high) if low <= t <= high]
    places = _apart(places, np.log(high / low) / (most + 3))
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(style.ticks(places) if len(places) < 2 else [style.number(p) for p in places])


def _apart(places: list[float], distance: float) -> list[float]:
    """Those that are so far from the one before, in logarithms."""
    kept: list[float] = []
    for place in places:
        if place > 0 and (not kept or np.log(place / kept[-1]) >= distance):
            kept.append(place)
    return kept
