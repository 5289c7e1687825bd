"""Small multiples: up to two dozen entities side by side, to compare shapes rather than read numbers."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from posterity.report import curve, style
from posterity.report.view import EntityView

MOST = 24
_CELL, _GAP_X, _GAP_Y = (2.15, 1.3), 0.42, 0.62
_LEFT, _TOP = 0.65, 1.15


def multiples_figure(views: Sequence[EntityView], title: str, subtitle: str = "") -> Figure:
    """One small panel an entity (the first `MOST`): data, median and bands, its status as a dot.

    The y axis is shared where that leaves every entity legible, else each panel has its own.
    """
    shown = list(views)[:MOST]
    columns = min(6 if len(shown) > 12 else 4, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    width = max(5.0, _LEFT + columns * (_CELL[0] + _GAP_X))
    figure = style.canvas(width, _TOP + rows * (_CELL[1] + _GAP_Y) + 0.05)
    style.write(figure, 0.35, 0.2, style.fit(title, (width - 0.7) / 1.15, 14), 14, fontweight="bold")
    left_out = len(views) - len(shown)
    note = subtitle + (f" · {left_out:,} more not shown" if left_out > 0 else "")
    style.write(figure, 0.35, 0.52, style.fit(note, width - 0.7, 9), 9, style.MUTED)
    shared = _shared(shown)
    for i, view in enumerate(shown):
        left = _LEFT + (i % columns) * (_CELL[0] + _GAP_X)
        top = _TOP + (i // columns) * (_CELL[1] + _GAP_Y)
        _panel(figure, view, left, top, shared)
    return figure


def multiples_png(views: Sequence[EntityView], title: str, subtitle: str = "") -> bytes:
    """The small multiples as a PNG file."""
    return style.png(multiples_figure(views, title, subtitle))


def _panel(
    figure: Figure, view: EntityView, left: float, top: float, shared: tuple[float, float] | None
) -> None:
    color = style.STATUS.get(view.status, style.MUTED)
    style.write(figure, left, top - 0.22, "●", 8, color)
    status = "" if view.status == "ok" else view.status
    room = _CELL[0] - 0.17 - (style.measure(status, 7.5) + 0.1 if status else 0.0)
    style.write(figure, left + 0.17, top - 0.22, style.fit(view.entity, room, 8), 8)
    if status:
        style.write(figure, left + _CELL[0], top - 0.215, status, 7.5, color, ha="right")
    axes = style.place(figure, left, top, *_CELL)
    axes.tick_params(labelsize=7, length=2, pad=2)
    style.value_axis(axes, 3)
    if not view.x.size:
        axes.set_xticks([])
        axes.set_yticks([])
        lines = style.wrap(view.reason or "no rows", _CELL[0] - 0.2, 7.5, 5)
        style.label(axes, 0.04, 0.92, "", va="top")
        for i, line in enumerate(lines):
            style.label(axes, 0.04, 0.92 - 0.13 * i, line, 7.5, va="top")
        return
    curve.draw(axes, view, curve.SMALL, ticks=3)
    if shared is not None:
        axes.set_ylim(*shared)


def _shared(views: Sequence[EntityView]) -> tuple[float, float] | None:
    """Common y limits, unless they would squeeze half of the entities into less than a third of the panel."""
    ranges = np.array([curve.limits(v) for v in views if v.x.size]).reshape(-1, 2)
    if not len(ranges):
        return None
    low, high = float(ranges[:, 0].min()), float(ranges[:, 1].max())
    typical = float(np.median(ranges[:, 1] - ranges[:, 0]))
    return (low, high) if typical * 3 >= high - low else None
