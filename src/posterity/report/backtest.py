"""A backtest as a figure: CRPS and coverage by steps ahead, and CRPS along real time, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from posterity.config.schema import percent
from posterity.portfolio.backtest import Backtest
from posterity.report import style

type Floats = NDArray[np.float64]

MOST = 7
"""Lines that can be told apart; further configurations are left out, and the figure says so."""

_COLOURS = (style.BLUE, style.RED, style.GREEN, style.PURPLE, style.ORANGE, "#56b4e9", "#cc79a7")
_DASHES = {"naive": (1.0, (4, 2)), "drift": (1.0, (1, 1.5)), "seasonal naive": (1.0, (6, 2, 1, 2))}
_MARKS = "osD^vPX"

_WIDTH, _LEFT, _RIGHT = 11.0, 0.75, 0.3
_TOP, _KEYS, _HEAD, _UPPER, _LOWER, _FOOT, _GAP = 0.95, 0.24, 0.42, 2.3, 1.7, 0.62, 0.62


@dataclass(frozen=True, slots=True)
class Line:
    """One configuration or baseline. K steps ahead, O origins, I interval masses; missing ones are NaN."""

    name: str
    rival: bool
    crps: Floats  # (K,)
    crps_se: Floats  # (K,)
    coverage: Floats  # (I, K)
    coverage_se: Floats  # (I, K)
    over_time: Floats  # (O,)


@dataclass(frozen=True, slots=True)
class BacktestView:
    """What the figure shows, of the rows that everybody forecast."""

    title: str
    facts: str
    steps: NDArray[np.int64]  # (K,)
    origins: NDArray[np.generic]  # (O,) numbers or datetime64
    masses: tuple[float, ...]
    lines: tuple[Line, ...]
    left_out: int


def backtest_view(backtest: Backtest) -> BacktestView | None:
    """The figure's numbers; None where no row was forecast by everybody."""
    common = backtest.common
    if common.empty:
        return None
    about = backtest.about
    masses = tuple(about["intervals"])
    by_step = backtest.summary(["configuration", "horizon"])
    by_origin = backtest.summary(["configuration", "origin"])
    steps, origins = np.unique(by_step["horizon"].to_numpy()), np.unique(by_origin["origin"].to_numpy())
    rivals = [name for name in backtest.names if name not in backtest.configurations]
    room = max(1, MOST - len(rivals))
    shown = [*backtest.configurations[:room], *rivals]
    lines = tuple(
        _line(name, name in rivals, _of(by_step, name), _of(by_origin, name), steps, origins, masses)
        for name in shown
    )
    every = "every origin" if about["every"] == 1 else f"every {about['every']} origins"
    facts = (
        f"{len(origins):,} origins, {common['entity'].nunique():,} entities, "
        f"{len(common) // common['configuration'].nunique():,} rows forecast by all; a step is "
        f"{about['step']}; refitted at {every}; bars: ± 1 standard error over entities"
    )
    left_out = len(backtest.configurations) - min(room, len(backtest.configurations))
    return BacktestView(f"Backtest of {about['name']}", facts, steps, origins, masses, lines, left_out)


def _of(table: pd.DataFrame, name: str) -> pd.DataFrame:
    return table[table["configuration"] == name]


def _line(
    name: str,
    rival: bool,
    by_step: pd.DataFrame,
    by_origin: pd.DataFrame,
    steps: NDArray[np.int64],
    origins: NDArray[np.generic],
    masses: Sequence[float],
) -> Line:
    along = by_step.set_index("horizon").reindex(steps)
    names = [f"coverage_{percent(mass)}" for mass in masses]
    return Line(
        name,
        rival,
        along["crps"].to_numpy(),
        along["crps_se"].to_numpy(),
        along[names].to_numpy().T,
        along[[f"{column}_se" for column in names]].to_numpy().T,
        by_origin.set_index("origin")["crps"].reindex(origins).to_numpy(),
    )


def backtest_figure(view: BacktestView) -> Figure:
    """CRPS and coverage by steps ahead above, CRPS by origin below."""
    keys = _keys(view)
    top = _TOP + _KEYS * len(keys)
    figure = style.canvas(_WIDTH, top + _HEAD + _UPPER + _FOOT + _HEAD + _LOWER + _FOOT)
    room = _WIDTH - 2 * 0.4
    style.write(figure, 0.4, 0.22, style.fit(view.title, room / 1.15, 14), 14, fontweight="bold")
    left_out = f"; {view.left_out:,} configurations are not drawn" if view.left_out else ""
    style.write(figure, 0.4, 0.57, style.fit(view.facts + left_out, room, 9), 9, style.MUTED)
    for row, line in enumerate(keys):
        x = 0.4
        for number in line:
            x = _key(figure, x, _TOP - 0.08 + row * _KEYS, view.lines[number], number)
    panels = 1 + len(view.masses)
    width = (_WIDTH - _LEFT - _RIGHT - _GAP * (panels - 1)) / panels
    for place in range(panels):
        left = _LEFT + place * (width + _GAP)
        title = "CRPS (smaller is better)" if not place else _covered(view.masses[place - 1])
        style.write(figure, left, top + 0.06, style.fit(title, width, 9.5), 9.5)
        axes = style.place(figure, left, top + _HEAD, width, _UPPER)
        _by_step(axes, view, place)
    below = top + _HEAD + _UPPER + _FOOT
    style.write(figure, _LEFT, below + 0.06, "CRPS by origin, all steps ahead together", 9.5)
    _by_origin(style.place(figure, _LEFT, below + _HEAD, _WIDTH - _LEFT - _RIGHT, _LOWER), view)
    return figure


def backtest_png(backtest: Backtest) -> bytes | None:
    """The figure as a PNG file; None where there is nothing to show."""
    view = backtest_view(backtest)
    return None if view is None else style.png(backtest_figure(view))


def _covered(mass: float) -> str:
    return f"Observed inside the {style.percentage(mass)} interval"


def _by_step(axes: Axes, view: BacktestView, place: int) -> None:
    apart = 0.5 * np.linspace(-0.1, 0.1, len(view.lines)) if len(view.lines) > 1 else np.zeros(1)
    for number, line in enumerate(view.lines):
        values, errors = (
            (line.crps, line.crps_se)
            if not place
            else (line.coverage[place - 1], line.coverage_se[place - 1])
        )
        _draw(axes, view.steps + apart[number], values, line, number, errors)
    if place:
        axes.axhline(view.masses[place - 1], color=style.INK, linewidth=0.9, zorder=1)
        low, high = axes.get_ylim()
        axes.set_ylim(
            max(0.0, min(low, view.masses[place - 1] - 0.08)),
            min(1.02, max(high, view.masses[place - 1] + 0.08)),
        )
    else:
        axes.set_ylim(0, axes.get_ylim()[1])
    style.value_axis(axes)
    axes.set_xlim(view.steps[0] - 0.4, view.steps[-1] + 0.4)
    style.time_axis(axes, view.steps, 8)
    style.label(axes, 0.5, -0.13, "steps ahead", 8, ha="center", va="top")


def _by_origin(axes: Axes, view: BacktestView) -> None:
    x = style.time_axis(axes, view.origins, 9)
    for number, line in enumerate(view.lines):
        _draw(axes, x, line.over_time, line, number, None)
    axes.set_xlim(*style.span(float(x.min()), float(x.max()), 0.02))
    axes.set_ylim(0, axes.get_ylim()[1])
    style.value_axis(axes, 4)
    style.label(axes, 0.5, -0.17, "origin", 8, ha="center", va="top")


def _draw(axes: Axes, x: Floats, values: Floats, line: Line, number: int, errors: Floats | None) -> None:
    colour = style.MUTED if line.rival else _COLOURS[number % len(_COLOURS)]
    axes.plot(
        x,
        values,
        color=colour,
        linewidth=1.2 if line.rival else 1.8,
        linestyle=_dashes(line),
        marker=_MARKS[number % len(_MARKS)],
        markersize=3.5,
        zorder=3 if line.rival else 4,
    )
    if errors is not None:
        axes.vlines(x, values - errors, values + errors, color=colour, linewidth=1.0, alpha=0.7, zorder=2)


def _dashes(line: Line) -> str | tuple[float, tuple[float, ...]]:
    return _DASHES.get(line.name, "-") if line.rival else "-"


def _keys(view: BacktestView) -> list[list[int]]:
    """Numbers of the lines in the rows of the legend."""
    rows: list[list[int]] = [[]]
    x = 0.4
    for number, line in enumerate(view.lines):
        width = 0.7 + style.measure(style.fit(line.name, 3.0, 9), 9)
        if rows[-1] and x + width > _WIDTH - 0.4:
            rows.append([])
            x = 0.4
        rows[-1].append(number)
        x += width
    return rows


def _key(figure: Figure, x: float, y: float, line: Line, number: int) -> float:
    """One entry of the legend at inches from the left and top; where the next one begins."""
    axes = style.place(figure, x, y, 0.38, 0.14)
    axes.set_axis_off()
    _draw(axes, np.array([0.0, 0.5, 1.0]), np.zeros(3), line, number, None)
    text = style.fit(line.name, 3.0, 9)
    style.write(figure, x + 0.45, y, text, 9, style.INK if not line.rival else style.MUTED)
    return x + 0.7 + style.measure(text, 9)
