"""How much a classifier gains by saying nothing where it is not sure: accuracy against the share answered."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from posterity.portfolio.classes import TradeOff, trade_off
from posterity.portfolio.result import Result
from posterity.report import style

_WIDTH, _HEIGHT, _LEFT, _TOP = 10.0, 3.9, 0.4, 1.0
_PLOT = 5.6
_THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class AbstainView:
    """The curve over some rows, and the configured threshold (None: it always answers); `rows` says which
    rows these are.
    """

    name: str
    rows: str
    curve: TradeOff
    below: float | None

    def at(self, threshold: float) -> tuple[float, float] | None:
        """Share answered and accuracy among those at a threshold; None where nobody is."""
        sure = np.flatnonzero(self.curve.threshold >= threshold)
        return (
            (float(self.curve.answered[sure[-1]]), float(self.curve.accuracy[sure[-1]]))
            if len(sure)
            else None
        )


def abstain_view(result: Result, rows: pd.DataFrame | None = None) -> AbstainView | None:
    """The view of a result's own rows, or of scored ones (`scores.score`); None without classes."""
    if not result.config.model.family.classifies:
        return None
    table = result.intervals if rows is None else rows
    if "predicted" not in table:
        return None
    known = table[table["observed"].notna() & table["predicted"].notna()]
    if not len(known):
        return None
    right = (known["predicted"] == known["observed"]).to_numpy(dtype=bool)
    curve = trade_off(right, known["probability"].to_numpy(dtype=np.float64))
    whose = "rows that it was fitted to" if rows is None else "rows that it has not seen"
    abstain = result.config.abstain
    return AbstainView(
        result.name, f"{len(known):,} {whose}", curve, None if abstain is None else abstain.below
    )


def abstain_figure(view: AbstainView) -> Figure:
    """The curve with the configured threshold, and what other thresholds would give."""
    figure = style.canvas(_WIDTH, _HEIGHT)
    room = _WIDTH - 2 * _LEFT
    title = style.fit(f"{view.name}: is it right where it answers?", room / 1.15, 14)
    style.write(figure, _LEFT, 0.22, title, 14, fontweight="bold")
    facts = f"{view.rows} · {style.percentage(float(view.curve.accuracy[-1]))} right if all are answered"
    style.write(figure, _LEFT, 0.57, style.fit(facts, room, 9), 9, style.MUTED)
    axes = style.place(figure, _LEFT + 0.5, _TOP, _PLOT - 0.5, _HEIGHT - _TOP - 0.62)
    _curve(axes, view)
    _thresholds(figure, view)
    return figure


def abstain_png(view: AbstainView) -> bytes:
    """The figure as a PNG file."""
    return style.png(abstain_figure(view))


def _curve(axes: Axes, view: AbstainView) -> None:
    curve = view.curve
    # The first few of the surest say nothing: one mistake among ten would be a dip to 90 %.
    shown = curve.answered >= 0.05
    axes.plot(curve.answered[shown], curve.accuracy[shown], color=style.BLUE, linewidth=1.8)
    low = float(curve.accuracy[shown].min()) if shown.any() else 0.0
    axes.set_ylim(max(0.0, low - 0.25 * (1 - low) - 0.002), 1 + 0.06 * (1 - low) + 0.001)
    axes.set_xlim(0, 1.01)
    point = None if view.below is None else view.at(view.below)
    if point is not None:
        axes.plot(*point, "o", color=style.RED, markersize=7, zorder=4)
        words = f"below {style.number(view.below or 0)} no answer"
        axes.annotate(
            words, point, (-8, -16), textcoords="offset points", ha="right", va="top", fontsize=8.5,
            color=style.RED, parse_math=False, fontfamily=list(style.fonts()),
        )  # fmt: skip
    style.value_axis(axes, 5)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: style.percentage(round(value, 6))))
    style.number_axis(axes, 5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: style.percentage(round(value, 6))))
    axes.set_xlabel("share answered, the surest first", fontsize=8.5, color=style.MUTED)
    axes.set_ylabel("right among the answered", fontsize=8.5, color=style.MUTED)


def _thresholds(figure: Figure, view: AbstainView) -> None:
    """A small table: threshold, share answered, accuracy among those."""
    left, tops = _PLOT + 0.9, _TOP + 0.05
    columns = (left + 0.85, left + 1.85, left + 2.85)
    for x, head in zip(columns, ("answers from", "answered", "right"), strict=True):
        style.write(figure, x, tops, head, 8.5, style.MUTED, ha="right")
    chosen = sorted({*_THRESHOLDS, *([view.below] if view.below is not None else [])})
    for row, threshold in enumerate(chosen):
        y, point = tops + 0.3 + 0.29 * row, view.at(threshold)
        color = style.RED if threshold == view.below else style.INK
        told = ("–", "–") if point is None else (style.percentage(point[0]), style.percentage(point[1]))
        for x, text in zip(columns, (style.number(threshold), *told), strict=True):
            style.write(figure, x, y, text, 9, color, ha="right")
