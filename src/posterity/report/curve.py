"""Data, median and bands of one entity, drawn into given axes: shared by the entity figure and the small
multiples.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from posterity.report import style
from posterity.report.view import EntityView, Floats

_MANY_ROWS = 4_000


@dataclass(frozen=True, slots=True)
class Size:
    """Line width and largest marker size in points."""

    line: float
    marker: float


FULL, SMALL = Size(1.8, 5.0), Size(1.1, 2.4)


def draw(axes: Axes, view: EntityView, size: Size = FULL, ticks: int = 6) -> None:
    """Draw the entity and set both axes' limits. With several predictions at one x, bars take the place
    of bands.
    """
    if view.x.size == 0:
        return
    x = style.time_axis(axes, view.x, ticks)
    keep = _single(x, view)
    if keep is not None:
        _bands(axes, x[keep], view, keep, size)
    elif view.median.size:
        _bars(axes, x, view, size)
    _data(axes, x, view.observed, size)
    if np.ptp(x) > 0:
        axes.set_xlim(*style.span(float(x.min()), float(x.max()), 0.02))
    else:
        # One moment: a scale around it would invent years, so it gets one tick and a neighbourhood.
        first = view.x[0]
        text = str(first.astype("datetime64[D]")) if view.x.dtype.kind == "M" else style.number(float(first))
        axes.set_xticks([x[0]], [text])
        axes.set_xlim(x[0] - 1, x[0] + 1)
    axes.set_ylim(*limits(view))


def limits(view: EntityView) -> tuple[float, float]:
    """The y range that holds the data and every band."""
    parts = [view.observed, view.median, *(b.lower for b in view.bands), *(b.upper for b in view.bands)]
    values = np.concatenate(parts)
    values = values[np.isfinite(values)]
    return style.span(float(values.min()), float(values.max())) if values.size else (0.0, 1.0)


def _single(x: Floats, view: EntityView) -> NDArray[np.intp] | None:
    """One row for each x when the predictions at equal x agree and make a curve, else None."""
    if not view.median.size:
        return None
    _, first, inverse = np.unique(x, return_index=True, return_inverse=True)
    if first.size < 2:
        return None
    if first.size == x.size:
        return first
    curves = [
        _finite(c) for c in (view.median, *(b.lower for b in view.bands), *(b.upper for b in view.bands))
    ]
    scale = _largest(curves[0]) or 1.0
    # Predictive quantiles at equal x differ by simulation; a hundredth of the curve's size cannot be seen.
    same = all(_largest(c - c[first][inverse]) <= 0.01 * scale for c in curves)
    return first if same else None


def _largest(values: Floats) -> float:
    return float(np.abs(np.nan_to_num(values, nan=0.0)).max(initial=0.0))


def _bands(axes: Axes, x: Floats, view: EntityView, keep: NDArray[np.intp], size: Size) -> None:
    for band, alpha in zip(reversed(view.bands), style.shades(len(view.bands)), strict=True):
        low, high = _finite(band.lower[keep]), _finite(band.upper[keep])
        axes.fill_between(x, low, high, color=style.BLUE, alpha=alpha, linewidth=0, zorder=2)
    axes.plot(
        x, _finite(view.median[keep]), color=style.BLUE, linewidth=size.line, zorder=4, solid_capstyle="round"
    )


def _bars(axes: Axes, x: Floats, view: EntityView, size: Size) -> None:
    width = 9.0 if x.size == 1 else max(1.0, min(6.0, 200 / x.size)) * size.marker / FULL.marker
    for i, (band, alpha) in enumerate(zip(reversed(view.bands), style.shades(len(view.bands)), strict=True)):
        low, high = _finite(band.lower), _finite(band.upper)
        axes.vlines(
            x, low, high, color=style.BLUE, alpha=alpha + 0.1, linewidth=width * (1 + 0.4 * i), zorder=2
        )
    options: dict[str, Any] = {"marker": "_", "markersize": width * 1.9, "markeredgewidth": size.line}
    axes.plot(x, _finite(view.median), linestyle="none", color=style.BLUE, zorder=4, **options)


def _data(axes: Axes, x: Floats, observed: Floats, size: Size) -> None:
    if x.size > _MANY_ROWS:
        axes.plot(x, _finite(observed), ",", color=style.INK, zorder=5)
        return
    diameter = float(np.clip(size.marker * (60 / x.size) ** 0.3, 0.45 * size.marker, size.marker))
    edge = 0.5 if diameter > 3 else 0.0
    axes.plot(
        x, _finite(observed), "o", color=style.INK, markersize=diameter, markeredgecolor="white",
        markeredgewidth=edge, zorder=5,
    )  # fmt: skip


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)
