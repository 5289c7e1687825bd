"""Prior and posterior densities of an entity's parameters, as a grid of small panels.

Drawn on the figure itself, in inches: an `Axes` costs ten milliseconds, and eight of them would be most of
the figure.
"""

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from posterity.report import style
from posterity.report.density import Density, density
from posterity.report.view import Floats, Marginal

_GAP, _HEAD, _FOOT, _KEY = 0.3, 0.36, 0.3, 0.28

type Path = NDArray[np.float64]


class _Sheet:
    """Gathers lines and areas of all panels, so that each colour is one artist."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._height = float(figure.get_size_inches()[1])
        self._lines: dict[tuple[str, float], list[Path]] = {}
        self._areas: dict[str, list[Path]] = {}

    def line(self, x: Floats, top: Floats, color: str, width: float) -> None:
        self._lines.setdefault((color, width), []).append(np.column_stack((x, self._height - top)))

    def area(self, x: Floats, top: Floats, base: float, color: str) -> None:
        outline = np.column_stack((np.r_[x, x[-1], x[0]], self._height - np.r_[top, base, base]))
        self._areas.setdefault(color, []).append(outline)

    def finish(self) -> None:
        inches = self._figure.dpi_scale_trans
        for color, areas in self._areas.items():
            alpha = 0.22 if color == style.BLUE else 0.10
            self._figure.add_artist(
                PolyCollection(areas, facecolor=color, alpha=alpha, linewidth=0, transform=inches)
            )
        for (color, width), lines in self._lines.items():
            self._figure.add_artist(LineCollection(lines, colors=color, linewidths=width, transform=inches))


def draw(
    figure: Figure, shown: tuple[Marginal, ...], left: float, top: float, width: float, height: float
) -> None:
    """Draw the panels into a box given in inches from the figure's left and top edges; three or fewer in
    one column.
    """
    columns = 1 if len(shown) <= 3 else 2
    rows = max(2, -(-len(shown) // columns))
    cell = (width - _GAP * (columns - 1)) / columns
    slot = (height - _KEY + _FOOT) / rows
    x = left
    for text, color in (("posterior", style.BLUE), ("prior", style.ORANGE)):
        if text == "posterior" or any(m.prior is not None for m in shown):
            style.write(figure, x, top, text, 8.5, color, fontweight="bold")
            x += style.measure(text, 8.5) * 1.12 + 0.16
    # Densities of unlike widths share a panel only when each is drawn to its own height.
    notes = (n for n in ("each scaled to its peak", "scaled") if style.measure(n, 8.5) <= left + width - x)
    if any(m.prior is not None for m in shown) and (note := next(notes, "")):
        style.write(figure, x, top, note, 8.5, style.MUTED)
    sheet = _Sheet(figure)
    for i, marginal in enumerate(shown):
        across, down = i % columns, i // columns
        _panel(
            figure,
            sheet,
            marginal,
            left + across * (cell + _GAP),
            top + _KEY + down * slot,
            cell,
            slot - _FOOT,
        )
    sheet.finish()


def _panel(
    figure: Figure, sheet: _Sheet, marginal: Marginal, left: float, top: float, width: float, height: float
) -> None:
    style.write(figure, left, top, style.fit(marginal.name, width, 8.5), 8.5)
    values = marginal.draws[np.isfinite(marginal.draws)]
    posterior = density(values)
    if posterior is None:
        return
    text = style.estimate(float(values.mean()), float(values.std()))
    longer = "" if marginal.prior_sd is None else f"{text}, prior ± {style.number(marginal.prior_sd)}"
    text = longer if longer and style.measure(longer, 7.5) <= width else text
    style.write(figure, left, top + 0.16, style.fit(text, width, 7.5), 7.5, style.MUTED)
    low, high = _window(values, marginal.prior)
    base, peak = top + height, height - _HEAD
    for shape, color in ((marginal.prior, style.ORANGE), (posterior, style.BLUE)):
        if shape is not None:
            x, y = _clip(shape, low, high)
            if x.size:
                across, down = left + (x - low) / (high - low) * width, base - y * peak
                sheet.area(across, down, base, color)
                sheet.line(across, down, color, 1.4)
    sheet.line(np.array([left, left + width]), np.array([base, base]), style.FAINT, 0.8)
    ticks = MaxNLocator(3 if width > 1.7 else 2, steps=[1, 2, 5, 10]).tick_values(low, high)
    inside = [t for t in map(float, ticks) if low + 0.04 * (high - low) <= t <= high - 0.04 * (high - low)]
    for tick, text in zip(inside, style.ticks(inside), strict=True):
        place = left + (tick - low) / (high - low) * width
        sheet.line(np.array([place, place]), np.array([base, base + 0.04]), style.FAINT, 0.8)
        style.write(figure, place, base + 0.07, text, 7.5, style.MUTED, ha="center")


def _window(values: Floats, prior: Density | None) -> tuple[float, float]:
    """Where both can be seen: the prior's range, but the posterior fills at least a quarter of the panel."""
    low, high = (float(v) for v in np.quantile(values, [0.002, 0.998]))
    low, high = style.span(low, high, 0.08)
    if prior is not None and prior.x.size > 1:
        reach = 1.5 * (high - low)
        first, last = float(prior.x[0]), float(prior.x[-1])
        low, high = min(low, max(first, low - reach)), max(high, min(last, high + reach))
    return low, high


def _clip(shape: Density, low: float, high: float) -> tuple[Floats, Floats]:
    """The part of a curve inside [low, high], scaled to the whole curve's peak; a constant is a spike."""
    if shape.x.size == 1:
        inside = low <= shape.x[0] <= high
        return (np.repeat(shape.x, 3), np.array([0.0, 1.0, 0.0])) if inside else (np.empty(0), np.empty(0))
    first, last = max(low, float(shape.x[0])), min(high, float(shape.x[-1]))
    if first >= last:
        return np.empty(0), np.empty(0)
    x = np.linspace(first, last, 160)
    return x, np.interp(x, shape.x, shape.y / shape.y.max())
