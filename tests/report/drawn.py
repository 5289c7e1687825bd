"""What is written in a figure, and whether it can be read."""

import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from posterity.report import style


def texts(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def drawn(figure: Figure) -> list[Text]:
    """Every text that was drawn: ticks beyond the limits of their axis are not."""
    style.png(figure)
    shown = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            low, high = min(limits), max(limits)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low <= tick.get_loc() <= high:
                    shown = [t for t in shown if t not in (tick.label1, tick.label2)]
    return shown


def faults(figure: Figure) -> list[tuple[str, ...]]:
    """Texts that leave the figure, and pairs of texts that lie on one another, tick labels included."""
    shown = drawn(figure)
    width, height = figure.get_size_inches() * figure.dpi
    names = [t.get_text() for t in shown]
    x0, y0, x1, y1 = np.array([t.get_window_extent().extents for t in shown]).T
    outside = (x0 < 0) | (y0 < 0) | (x1 > width) | (y1 > height)
    across = np.minimum.outer(x1, x1) - np.maximum.outer(x0, x0)
    down = np.minimum.outer(y1, y1) - np.maximum.outer(y0, y0)
    # Boxes include the room for descenders, so that lines of text may touch by a few pixels.
    pairs = np.argwhere(np.triu((across > 1) & (down > 4), 1))
    return [(names[i],) for i in np.flatnonzero(outside)] + [(names[i], names[j]) for i, j in pairs]


def size(png: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(png)) as image:
        image.load()
        return image.size
