"""Entities one above the other, sorted and by group, with their population's bands behind them.

What the figures of populations and of shrinkage have in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from posterity.report import style
from posterity.report.density import Density
from posterity.report.ticks import log_axis

type Floats = NDArray[np.float64]

MOST = 9
"""Parameters that a figure shows."""

WIDTH, LEFT = 11.0, 0.4
_TOP, _HEAD, _FOOT, _GAP = 1.3, 0.44, 0.42, 0.38
_STRIP = 0.16
_MOST_LABELS = 24
_LEGIBLE = 0.115


@dataclass(frozen=True, slots=True)
class Order:
    """Heights (E,) of the entities on the y axis, and each group's lower and upper edge (G, 2)."""

    y: Floats
    edges: Floats
    top: float

    @classmethod
    def of(cls, values: Floats, group: NDArray[np.int64], groups: int) -> "Order":
        """Sorted by value within groups, the first group on top, missing values last."""
        gap = max(0.6, 0.02 * len(values)) if groups > 1 else 0.0
        y, edges, at = np.empty(len(values)), np.empty((groups, 2)), 0.0
        for number in reversed(range(groups)):
            members = np.flatnonzero(group == number)
            members = members[np.argsort(values[members], kind="stable")]
            y[members] = at + np.arange(len(members))
            edges[number] = at - 0.5, at + max(len(members), 1) - 0.5
            at += max(len(members), 1) + gap
        return cls(y, edges, at - gap)

    def sizes(self, height: float) -> tuple[float, float]:
        """Line width and marker size in points that leave neighbours apart in so many inches."""
        pitch = 72 * height / max(1.0, self.top)
        return float(np.clip(0.45 * pitch, 0.25, 1.4)), float(np.clip(0.75 * pitch, 0.9, 4.5))


@dataclass(frozen=True, slots=True)
class Sheet:
    """Where the panels of a figure are, in inches."""

    figure: Figure
    columns: int
    left: float
    width: float
    height: float
    strip: bool

    @classmethod
    def of(cls, panels: int, groups: Sequence[str], entities: int, strip: bool) -> "Sheet":
        """A figure for so many panels; names of groups stand left of each row of panels."""
        columns = min(3, max(1, panels)) if panels != 4 else 2
        rows = max(1, -(-panels // columns))
        names = max((style.measure(g, 8) for g in groups), default=0.0)
        left = LEFT + min(1.3, names) + 0.1
        body = 2.6 if entities <= 40 else 3.6
        body = body if rows == 1 else max(2.2, 0.8 * body) if rows == 2 else 2.1
        body = max(body, min(len(groups), _MOST_LABELS) * _LEGIBLE * 1.35)
        width = (WIDTH - left - 0.3 - _GAP * (columns - 1)) / columns
        figure = style.canvas(WIDTH, _TOP + rows * (_HEAD + body + _FOOT))
        return cls(figure, columns, left, width, body, strip)

    def heading(self, title: str, facts: str, keys: Sequence[tuple[str, str, str]]) -> None:
        """Title, a line of facts, and a line of keys: glyph, colour, words."""
        room = WIDTH - 2 * LEFT
        style.write(self.figure, LEFT, 0.22, style.fit(title, room / 1.15, 14), 14, fontweight="bold")
        style.write(self.figure, LEFT, 0.57, style.fit(facts, room, 9), 9, style.MUTED)
        x = LEFT
        for glyph, color, words in keys:
            style.write(self.figure, x, 0.86, glyph, 9, color)
            x += style.measure(glyph, 9) + 0.07
            style.write(self.figure, x, 0.865, words, 8.5, style.MUTED)
            x += style.measure(words, 8.5) + 0.25

    def panel(self, place: int, title: str, about: str) -> Axes:
        """Axes of the panel at a place, with its heading."""
        across, down = place % self.columns, place // self.columns
        left = self.left + across * (self.width + _GAP)
        top = _TOP + down * (_HEAD + self.height + _FOOT)
        style.write(self.figure, left, top - 0.08, style.fit(title, self.width, 9.5), 9.5)
        style.write(self.figure, left, top + 0.12, style.fit(about, self.width, 7.5), 7.5, style.MUTED)
        axes = style.place(self.figure, left, top + _HEAD - 0.06, self.width, self.height)
        axes.spines["left"].set_visible(False)
        axes.set_yticks([])
        return axes

    def names(self, place: int, groups: Sequence[str], order: Order) -> None:
        """Names of the groups left of the first panel of a row, as many as can be read."""
        if place % self.columns or len(groups) < 2:
            return
        top = _TOP + place // self.columns * (_HEAD + self.height + _FOOT) + _HEAD - 0.06
        total = order.top * (1 + _STRIP if self.strip else 1.0) + 1
        step = max(1, -(-len(groups) * _LEGIBLE // self.height), -(-len(groups) // _MOST_LABELS))
        room = self.left - LEFT - 0.02
        for i, name in enumerate(groups):
            if i % int(step) == 0:
                middle = (order.edges[i].mean() + 0.5 + 0.5) / total
                y = top + self.height * (1 - middle) - 0.065
                text = style.fit(name, room, 8)
                style.write(self.figure, self.left - 0.1, y, text, 8, style.MUTED, ha="right")


def limits(axes: Axes, order: Order, low: float, high: float, log: bool, strip: bool) -> None:
    """Both axes' limits, and numbers along x."""
    if log:
        axes.set_xscale("log")
        low, high = (float(v) for v in 10 ** np.array(style.span(np.log10(low), np.log10(high), 0.03)))
        axes.set_xlim(low, high)
        log_axis(axes, low, high, 3, 6)
    else:
        axes.set_xlim(*style.span(low, high, 0.03))
        style.number_axis(axes, 5)
    axes.set_ylim(-1, order.top * (1 + _STRIP if strip else 1.0))


def extent(values: Floats, levels: Floats, log: bool) -> tuple[float, float]:
    """What x covers: the population's 90 % and all values, but those far from the others."""
    scale = np.log if log else np.asarray
    with np.errstate(divide="ignore", invalid="ignore"):
        every = scale(values[np.isfinite(values)])
    bands = scale(levels)
    low, high = float(bands.min()), float(bands.max())
    reach = 1.5 * (high - low)
    inside = every[np.isfinite(every) & (every > low - reach) & (every < high + reach)]
    low, high = min(low, inside.min(initial=np.inf)), max(high, inside.max(initial=-np.inf))
    return (float(np.exp(low)), float(np.exp(high))) if log else (low, high)


def bands(axes: Axes, order: Order, levels: Floats) -> None:
    """The population's 90 and 50 % and its median behind each group."""
    for (bottom, top), (p5, p25, p50, p75, p95) in zip(order.edges, levels, strict=True):
        for low, high, alpha in ((p5, p95, 0.13), (p25, p75, 0.2)):
            axes.add_patch(
                Rectangle((low, bottom), high - low, top - bottom, color=style.GREEN, alpha=alpha, lw=0)
            )
        axes.plot([p50, p50], [bottom, top], color=style.GREEN, linewidth=1.1, zorder=2)


def curve(axes: Axes, order: Order, shape: Density | None, log: bool) -> None:
    """The population's density on top of everything."""
    if shape is None or shape.x.size < 2:
        return
    x = 10**shape.x if log else shape.x
    base, tall = order.top + 0.01 * order.top, (_STRIP - 0.02) * order.top
    y = base + tall * shape.y / shape.y.max()
    axes.fill_between(x, base, y, color=style.GREEN, alpha=0.2, linewidth=0)
    axes.plot(x, y, color=style.GREEN, linewidth=1.2)


def segments(
    axes: Axes, starts: Floats, ends: Floats, y: Floats, width: float, color: str, alpha: float
) -> None:
    """Horizontal lines; those with an end that is missing are left out."""
    kept = np.isfinite(starts) & np.isfinite(ends)
    points = np.stack([np.stack([starts, y], 1), np.stack([ends, y], 1)], 1)[kept]
    axes.add_collection(LineCollection(list(points), colors=color, linewidths=width, alpha=alpha, zorder=3))
