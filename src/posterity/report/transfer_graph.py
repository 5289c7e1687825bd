"""Who taught whom: from teachers through populations to those that learned, left to right."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
from matplotlib.path import Path

from posterity.report import style
from posterity.report.lines_of_transfer import Box, TransferView

_LEFT, _TOP, _BOX, _PITCH, _ACROSS = 0.4, 1.35, 0.52, 0.66, 0.85
_COLORS = {
    "taught": style.BLUE,
    "population": style.GREEN,
    "learner": style.PURPLE,
    "outside": style.ORANGE,
    "declared": style.MUTED,
}


def transfer_graph_figure(view: TransferView) -> Figure:
    """Boxes in columns, those of one group side by side; lines as wide as there are entities behind them."""
    columns = len(view.columns)
    width = max(2.3, min(3.0, (11.0 - 2 * _LEFT - _ACROSS * (columns - 1)) / columns))
    total = max(8.0, 2 * _LEFT + columns * width + (columns - 1) * _ACROSS)
    tallest = max(sum(b.column == c for b in view.boxes) for c in range(columns))
    height = _TOP + tallest * _PITCH + 0.2
    figure = style.canvas(total, height)
    room = total - 2 * _LEFT
    title = style.fit(f"{view.name}: who learned from whom", room / 1.15, 14)
    style.write(figure, _LEFT, 0.22, title, 14, fontweight="bold")
    style.write(figure, _LEFT, 0.57, style.fit(view.facts, room, 9), 9, style.MUTED)
    for column, name in enumerate(view.columns):
        style.write(figure, _LEFT + column * (width + _ACROSS), 1.0, name, 9.5, style.MUTED)
    places = _places(view, tallest)
    most = max((n for *_, n in view.links), default=1)
    for source, target, count in view.links:
        _link(figure, view, places, (source, target), width, 0.8 + 4.2 * np.sqrt(count / most))
    for box, middle in zip(view.boxes, places, strict=True):
        _box(figure, box, _LEFT + box.column * (width + _ACROSS), middle, width)
    return figure


def transfer_graph_png(view: TransferView) -> bytes:
    """The graph as a PNG file."""
    return style.png(transfer_graph_figure(view))


def _places(view: TransferView, tallest: int) -> list[float]:
    """Inches from the top to the middle of every box: near what it is linked to, as far as there is room."""
    places = [0.0] * len(view.boxes)
    for column in range(len(view.columns)):
        members = [i for i, box in enumerate(view.boxes) if box.column == column]
        wanted = {}
        for order, i in enumerate(members):
            near = [places[a] for a, b, _ in view.links if b == i and view.boxes[a].column < column]
            wanted[i] = float(np.mean(near)) if near else _TOP + (order + 0.5) * _PITCH
        members.sort(key=lambda i: wanted[i])
        bottom = _TOP + (tallest - 0.5) * _PITCH
        for order, i in enumerate(members):
            least = _TOP + 0.5 * _PITCH if not order else places[members[order - 1]] + _PITCH
            places[i] = max(least, min(wanted[i], bottom - (len(members) - 1 - order) * _PITCH))
    return places


def _box(figure: Figure, box: Box, left: float, middle: float, width: float) -> None:
    height, color = float(figure.get_size_inches()[1]), _COLORS[box.kind]
    figure.add_artist(
        FancyBboxPatch(
            (left, height - middle - _BOX / 2), width, _BOX, boxstyle="round,pad=0,rounding_size=0.05",
            facecolor="white", edgecolor=color, linewidth=1.2, transform=figure.dpi_scale_trans, zorder=2,
        )
    )  # fmt: skip
    room = width - 0.2
    top = middle - _BOX / 2
    trouble = style.fit(box.trouble, 0.55 * room, 8)
    bad = style.STATUS["flagged"]
    if trouble:
        style.write(figure, left + width - 0.1, top + 0.09, trouble, 8, bad, ha="right", zorder=3)
        room -= style.measure(trouble, 8) + 0.1
    title = style.fit(box.title, room / 1.15, 9)
    style.write(figure, left + 0.1, top + 0.075, title, 9, fontweight="bold", zorder=3)
    text = style.fit(box.text, width - 0.2, 8)
    style.write(figure, left + 0.1, top + 0.285, text, 8, style.MUTED, zorder=3)


def _link(
    figure: Figure, view: TransferView, places: list[float], ends: tuple[int, int], width: float, line: float
) -> None:
    """A line from the right of one box to the left of another, with a head; behind boxes in between."""
    source, target = ends
    height, inches = float(figure.get_size_inches()[1]), figure.dpi_scale_trans
    x0 = _LEFT + view.boxes[source].column * (width + _ACROSS) + width
    x1 = _LEFT + view.boxes[target].column * (width + _ACROSS) - 0.1
    y0, y1 = height - places[source], height - places[target]
    # The bend lies in the first gap: in the columns after it the line stays in the row of its target.
    turned = min(x0 + _ACROSS - 0.1, x1)
    middle = (x0 + turned) / 2
    codes = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4, Path.LINETO]
    curve = Path([(x0, y0), (middle, y0), (middle, y1), (turned, y1), (x1, y1)], codes)
    color = _COLORS[view.boxes[source].kind]
    figure.add_artist(
        PathPatch(curve, fill=False, edgecolor=color, linewidth=line, alpha=0.45, transform=inches, zorder=1)
    )
    half = 0.045 + line / 72
    head = [(x1 - 0.01, y1 - half), (x1 - 0.01, y1 + half), (x1 + 0.1, y1)]
    figure.add_artist(Polygon(head, color=color, linewidth=0, transform=inches, zorder=1))
