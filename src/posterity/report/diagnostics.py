"""The portfolio at a glance: how many fits are sound, by which method, how far from the gates, how long."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from posterity.report import style
from posterity.report.ticks import log_axis
from posterity.report.view import Floats, PortfolioView

_WIDTH, _HEIGHT = 11.0, 6.6
_LEFT, _TOP, _GAP, _HEAD = 0.55, 1.0, 0.5, 0.45
_CELL = (_WIDTH - 0.55 - 0.45 - 2 * 0.5) / 3, 1.95
_BINS = 30


@dataclass(frozen=True, slots=True)
class _Panel:
    """One histogram: its values, its gate, and on which side of the gate a fit is flagged."""

    title: str
    values: Floats
    gate: float | None
    gate_name: str = "gate"
    worse: str = "above"
    log: bool = False
    absent: str = "no fit has it"
    digits: int | None = None

    def spelled(self, value: float) -> str:
        """A value of this panel as text."""
        return style.number(value) if self.digits is None else f"{value:.{self.digits}f}"


def diagnostics_figure(view: PortfolioView) -> Figure:
    """Distributions over entities of R-hat, ESS, k-hat, coverage and seconds, with gates, and counts by
    status and method.

    Bars beyond a gate are red; values far out are gathered in the last bar, which says so.
    """
    figure = style.canvas(_WIDTH, _HEIGHT)
    write = style.write
    write(figure, _LEFT, 0.22, style.fit(view.name, _WIDTH - 1, 12), 14, fontweight="bold")
    counts = " · ".join(f"{n:,} {status}" for status, n in view.counts.items() if n)
    wall = f" · {style.number(view.wall_seconds)} s in all" if view.wall_seconds is not None else ""
    line = f"{len(view.entity):,} entities · {counts}{wall}"
    write(figure, _LEFT, 0.56, style.fit(line, _WIDTH - 1, 9), 9, style.MUTED)
    _counts(figure, view)
    for i, panel in enumerate(_panels(view), start=1):
        left = _LEFT + (i % 3) * (_CELL[0] + _GAP)
        top = _TOP + (i // 3) * (_CELL[1] + _HEAD + 0.4)
        _histogram(figure, panel, left, top)
    return figure


def diagnostics_png(view: PortfolioView) -> bytes:
    """The overview as a PNG file."""
    return style.png(diagnostics_figure(view))


def _panels(view: PortfolioView) -> list[_Panel]:
    gates = view.gates
    panels = [
        _Panel(
            "R-hat, worst parameter",
            view.rhat,
            gates["rhat"],
            absent="no entity was fitted in several chains",
            digits=3,
        ),
        _Panel("effective draws (ESS), worst parameter", view.ess, gates["ess"], worse="below", log=True),
        _Panel(
            "k-hat (Pareto)", view.khat, gates["khat"], absent="no entity was fitted by importance sampling"
        ),
    ]
    if view.coverage:
        mass = max(view.coverage)
        title = f"share of rows in the {style.percentage(mass)} interval"
        panels.append(_Panel(title, view.coverage[mass], mass, gate_name="nominal", worse="neither"))
    panels.append(_Panel("seconds an entity", view.seconds, None, log=True))
    return panels


def _counts(figure: Figure, view: PortfolioView) -> None:
    """Bars of status and of method, each with its name and number: read without a legend."""
    bars = [
        (s or "unknown", n, style.STATUS.get(s, style.MUTED)) for s, n in _ordered(view.status, style.STATUS)
    ]
    methods = Counter(m for m in view.method if m).most_common(5)
    groups = [("status", bars)]
    if methods:
        groups.append(("method", [(m, n, style.METHODS[i]) for i, (m, n) in enumerate(methods)]))
    y, width, most = _TOP, _CELL[0], max((n for _, g in groups for _, n, _ in g), default=1)
    names = max((style.measure(name, 8.5) for _, g in groups for name, _, _ in g), default=0.5)
    names = min(names, 0.45 * width) + 0.12
    pitch = min(0.25, (_CELL[1] + _HEAD - 0.6) / max(1, sum(len(g) for _, g in groups)))
    inches = figure.dpi_scale_trans
    for title, group in groups:
        style.write(figure, _LEFT, y, title, 9.5)
        y += 0.27
        for name, n, color in group:
            length = max((width - names - 0.55) * n / most, 0.02)
            box = Rectangle(
                (_LEFT + names, _HEIGHT - y - 0.15), length, 0.14, color=color, lw=0, transform=inches
            )
            figure.add_artist(box)
            style.write(figure, _LEFT, y, style.fit(name, names - 0.1, 8.5), 8.5, style.MUTED)
            style.write(figure, _LEFT + names + length + 0.07, y, f"{n:,}", 8.5)
            y += pitch
        y += 0.12


def _ordered(values: tuple[str, ...], order: dict[str, str]) -> list[tuple[str, int]]:
    counted = Counter(values)
    return [(s, counted.pop(s)) for s in order if s in counted] + counted.most_common()


def _histogram(figure: Figure, panel: _Panel, left: float, top: float) -> None:
    width, height = _CELL
    style.write(figure, left, top, style.fit(panel.title, width, 9.5), 9.5)
    values = panel.values[np.isfinite(panel.values)]
    if panel.log:
        values = values[values > 0]
    if not values.size:
        style.write(figure, left, top + 0.3, style.fit(panel.absent, width, 8.5), 8.5, style.MUTED)
        return
    axes = style.place(figure, left, top + _HEAD, width, height)
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    low, high, far = _range(values, panel)
    shown = np.clip(values, low, high)
    edges = np.geomspace(low, high, _BINS + 1) if panel.log else np.linspace(low, high, _BINS + 1)
    if panel.gate is not None and panel.worse != "neither":
        # The gate is an edge, so that no bar lies on both sides of it.
        edges[np.abs(edges - panel.gate).argmin()] = panel.gate
        edges = np.unique(edges)
    counts, _ = np.histogram(shown, edges)
    centre = (edges[:-1] + edges[1:]) / 2
    bad = np.zeros(centre.size, dtype=bool)
    if panel.gate is not None and panel.worse != "neither":
        bad = centre > panel.gate if panel.worse == "above" else centre < panel.gate
    colors = np.where(bad, style.RED, style.BLUE)
    axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=colors, edgecolor="white", linewidth=0.5)
    axes.set_ylim(0, counts.max() * 1.22)
    if panel.log:
        axes.set_xscale("log")
    axes.set_xlim(low, high)
    if panel.log:
        log_axis(axes, low, high)
    else:
        style.number_axis(axes, 5)
    _gate(axes, panel, values, low, high)
    summary = (
        f"median {panel.spelled(float(np.median(values)))}, {values.size:,} entities"
        if values.size > 1
        else "1 entity"
    )
    if far:
        summary += f"; last bar: {far:,} up to {panel.spelled(float(values.max()))}"
    style.write(figure, left, top + 0.18, style.fit(summary, width, 7.5), 7.5, style.MUTED)


def _range(values: Floats, panel: _Panel) -> tuple[float, float, int]:
    """Limits that show the bulk and the gate, and how many values lie beyond the upper one."""
    low, high = float(values.min()), float(values.max())
    if panel.worse == "neither":
        return max(0.0, min(low, (panel.gate or 0) - 0.1) - 0.02), 1.0 + 0.02, 0
    if panel.gate is not None:
        low, high = min(low, panel.gate), max(high, panel.gate)
    if panel.log:
        return low / 1.15, high * 1.15, 0
    cap = float(np.quantile(values, 0.75))
    if panel.gate is not None:
        cap = max(cap, panel.gate)
    cap += 1.5 * (cap - low)
    far = int((values > cap).sum())
    low, top = style.span(low, min(high, cap) if far else high, 0.04)
    return low, top, far


def _gate(axes: Axes, panel: _Panel, values: Floats, low: float, high: float) -> None:
    if panel.gate is None:
        return
    axes.axvline(panel.gate, color=style.INK, linewidth=1, linestyle=(0, (4, 2)), ymax=0.9)
    text = f"{panel.gate_name} {style.number(panel.gate)}"
    if panel.worse != "neither":
        beyond = values > panel.gate if panel.worse == "above" else values < panel.gate
        text += f", {int(beyond.sum()):,} {panel.worse}"
    scale = np.log if panel.log else float
    right = (scale(panel.gate) - scale(low)) / (scale(high) - scale(low)) > 0.5
    style.label(
        axes, panel.gate, 0.98, f"{text} " if right else f" {text}", 7.5, style.INK,
        transform=axes.get_xaxis_transform(), ha="right" if right else "left", va="top",
    )  # fmt: skip
