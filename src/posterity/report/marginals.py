"""Prior and posterior densities of an entity's parameters, as a grid of small panels.

Where a prior was transferred: the declared one in grey, the transferred one with its vague component dotted,
the posterior.

Drawn on the figure itself, in inches: an `Axes` costs ten milliseconds, and eight of them would be most of
the figure.
"""

from typing import Any

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from posterity.report import style
from posterity.report.density import Density, density
from posterity.report.view import Floats, Marginal

_GAP, _HEAD, _FOOT, _KEY = 0.3, 0.36, 0.3, 0.28
_VAGUE, _VAGUE_HEIGHT = "vague", 0.4

type Path = NDArray[np.float64]


class _Sheet:
    """Gathers lines and areas of all panels, so that each colour is one artist."""

    def __init__(self, figure: Figure) -> None:
        self._figure = figure
        self._height = float(figure.get_size_inches()[1])
        self._lines: dict[tuple[str, float, str], list[Path]] = {}
        self._areas: dict[str, list[Path]] = {}

    def line(self, x: Floats, top: Floats, color: str, width: float, style: str = "-") -> None:
        self._lines.setdefault((color, width, style), []).append(np.column_stack((x, self._height - top)))

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
        for (color, width, dashes), lines in self._lines.items():
            options: dict[str, Any] = {
                "colors": color,
                "linewidths": width,
                "linestyles": dashes,
                "transform": inches,
            }
            self._figure.add_artist(LineCollection(lines, **options))


def draw(
    figure: Figure,
    shown: tuple[Marginal, ...],
    left: float,
    top: float,
    width: float,
    height: float,
    columns: int | None = None,
) -> None:
    """Draw the panels into a box given in inches from the figure's left and top edges; three or fewer in
    one column.
    """
    columns = columns or (1 if len(shown) <= 3 else 2)
    rows = max(1 if columns > 2 else 2, -(-len(shown) // columns))
    cell = (width - _GAP * (columns - 1)) / columns
    slot = (height - _KEY + _FOOT) / rows
    _keys(figure, shown, left, top, width)
    sheet = _Sheet(figure)
    # Beside transferred priors declared ones are grey, also where they were kept.
    declared = style.MUTED if any(m.taught for m in shown) else style.ORANGE
    for i, marginal in enumerate(shown):
        across, down = i % columns, i // columns
        place = left + across * (cell + _GAP), top + _KEY + down * slot
        _panel(figure, sheet, marginal, declared, place, cell, slot - _FOOT)
    sheet.finish()


def _keys(figure: Figure, shown: tuple[Marginal, ...], left: float, top: float, width: float) -> None:
    """What each colour is, in one line; words give way where there is little room."""
    words = [(("posterior", "posterior"), style.BLUE)]
    if any(m.taught for m in shown):
        words.append((("transferred prior", "prior"), style.ORANGE))
        if any(m.taught and m.taught.vague for m in shown):
            words.append((("its vague part", "vague"), style.ORANGE))
        if any(m.prior for m in shown):
            words.append((("declared prior", "declared"), style.MUTED))
    elif any(m.prior for m in shown):
        words.append((("prior", "prior"), style.ORANGE))

    def room(short: int, size: float) -> float:
        return sum(style.measure(texts[short], size) * 1.12 + 0.16 for texts, _ in words)

    short, size = next(((i, z) for i, z in ((0, 8.5), (1, 8.5), (1, 7.5)) if room(i, z) <= width), (1, 6.5))
    x = left
    for texts, color in words:
        weight = "normal" if texts[1] == "vague" else "bold"
        style.write(figure, x, top, texts[short], size, color, fontweight=weight)
        x += style.measure(texts[short], size) * 1.12 + 0.16
    # Densities of unlike widths share a panel only when each is drawn to its own height.
    notes = (n for n in ("each scaled to its peak", "scaled") if style.measure(n, 8.5) <= left + width - x)
    if len(words) > 1 and (note := next(notes, "")):
        style.write(figure, x, top, note, 8.5, style.MUTED)


def _panel(
    figure: Figure,
    sheet: _Sheet,
    marginal: Marginal,
    declared: str,
    place: tuple[float, float],
    width: float,
    height: float,
) -> None:
    left, top = place
    style.write(figure, left, top, style.fit(marginal.name, width, 8.5), 8.5)
    values = marginal.draws[np.isfinite(marginal.draws)]
    posterior = density(values)
    if posterior is None:
        return
    text = style.estimate(float(values.mean()), float(values.std()))
    sd = marginal.taught.sd if marginal.taught else marginal.prior_sd
    longer = "" if sd is None else f"{text}, prior ± {style.number(sd)}"
    text = longer if longer and style.measure(longer, 7.5) <= width else text
    style.write(figure, left, top + 0.16, style.fit(text, width, 7.5), 7.5, style.MUTED)
    low, high = _window(values, marginal)
    base, peak = top + height, height - _HEAD
    for shape, tallest, color in _shapes(marginal, posterior, declared):
        x, y = _clip(shape, low, high, tallest)
        if x.size:
            across, down = left + (x - low) / (high - low) * width, base - y * peak
            if color == _VAGUE:
                sheet.line(across, down, style.ORANGE, 1.0, ":")
            else:
                sheet.area(across, down, base, color)
                sheet.line(across, down, color, 1.0 if color == style.MUTED else 1.4)
    sheet.line(np.array([left, left + width]), np.array([base, base]), style.FAINT, 0.8)
    inside = _ticks(low, high, 3 if width > 1.7 else 2)
    for tick, text in zip(inside, style.ticks(inside), strict=True):
        mark = left + (tick - low) / (high - low) * width
        sheet.line(np.array([mark, mark]), np.array([base, base + 0.04]), style.FAINT, 0.8)
        style.write(figure, mark, base + 0.07, text, 7.5, style.MUTED, ha="center")


def _ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers away from the panel's edges: two at least, where a finer step has them."""
    margin, inside = 0.04 * (high - low), []
    for number in range(most, most + 4):
        ticks = map(float, MaxNLocator(number, steps=[1, 2, 5, 10]).tick_values(low, high))
        inside = [t for t in ticks if low + margin <= t <= high - margin]
        if len(inside) > 1:
            break
    return inside


def _shapes(marginal: Marginal, posterior: Density, declared: str) -> list[tuple[Density, float, str]]:
    """Densities from back to front, each with the height that becomes the panel's, and its colour."""
    taught, found = marginal.taught, [(posterior, float(posterior.y.max()), style.BLUE)]
    if taught is not None:
        found.insert(0, (taught.density, taught.peak, style.ORANGE))
        if taught.vague is not None:
            # At its true height nobody would see it.
            found.insert(0, (taught.vague, float(taught.vague.y.max()) / _VAGUE_HEIGHT, _VAGUE))
    if marginal.prior is not None:
        found.insert(0, (marginal.prior, float(marginal.prior.y.max()), declared))
    return found


def _window(values: Floats, marginal: Marginal) -> tuple[float, float]:
    """Where both can be seen: the prior's range, but the posterior fills at least a quarter of the panel.

    Beside a transferred prior an eighth: it is narrower than a declared one, and worth seeing whole.
    """
    low, high = (float(v) for v in np.quantile(values, [0.002, 0.998]))
    low, high = style.span(low, high, 0.08)
    prior = marginal.prior if marginal.taught is None else _middle(marginal.taught.density)
    if prior is not None and prior.x.size > 1:
        reach = (1.5 if marginal.taught is None else 3.5) * (high - low)
        first, last = float(prior.x[0]), float(prior.x[-1])
        low, high = min(low, max(first, low - reach)), max(high, min(last, high + reach))
    return low, high


def _middle(shape: Density) -> Density:
    """The part of a curve that holds all but its outer half per cents."""
    mass = np.concatenate([[0.0], np.cumsum(np.diff(shape.x) * (shape.y[1:] + shape.y[:-1]) / 2)])
    kept = (mass >= 0.005 * mass[-1]) & (mass <= 0.995 * mass[-1])
    return Density(shape.x[kept], shape.y[kept])


def _clip(shape: Density, low: float, high: float, tallest: float) -> tuple[Floats, Floats]:
    """The part of a curve inside [low, high], in units of `tallest`, cut there; a constant is a spike."""
    if shape.x.size == 1:
        inside = low <= shape.x[0] <= high
        return (np.repeat(shape.x, 3), np.array([0.0, 1.0, 0.0])) if inside else (np.empty(0), np.empty(0))
    first, last = max(low, float(shape.x[0])), min(high, float(shape.x[-1]))
    if first >= last:
        return np.empty(0), np.empty(0)
    x = np.linspace(first, last, 160)
    return x, np.minimum(np.interp(x, shape.x, shape.y / tallest), 1.0)
