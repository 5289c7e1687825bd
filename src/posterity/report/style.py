"""One look for every figure: colours, fonts, axes, and text that always fits.

Colours are Okabe and Ito's, told apart by colour-blind readers; status is never told by colour alone. Text
comes from data (entity names, reasons), so it is measured, shortened and stripped of what the font cannot
draw; `$` is no formula.
"""

import io
import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib import dates, font_manager, ticker
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

INK, MUTED, FAINT, HAIR = "#1b1f24", "#5c6570", "#aeb6bf", "#dde1e6"
BLUE, ORANGE, GREEN, RED, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#882255"
STATUS = {"ok": GREEN, "flagged": RED, "failed": PURPLE, "unchanged": MUTED}
METHODS = (BLUE, "#56b4e9", "#cc79a7", ORANGE, GREEN, MUTED)
DPI = 110

# DejaVu comes with Matplotlib, so figures look alike everywhere; the others, where installed, draw what it
# lacks.
_FALLBACKS = ("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans", "WenQuanYi Zen Hei", "Arial Unicode MS")


@cache
def fonts() -> tuple[str, ...]:
    """Font families in order of preference, those that are installed."""
    installed = set(font_manager.fontManager.get_font_names())
    return ("DejaVu Sans", *(name for name in _FALLBACKS if name in installed))


def canvas(width: float, height: float) -> Figure:
    """An empty white figure of `width` × `height` inches."""
    return Figure(figsize=(width, height), dpi=DPI, facecolor="white")


def png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    # Not savefig, which makes a second renderer and stores an alpha channel: together a third of an entity
    # figure.
    agg = FigureCanvasAgg(figure)
    agg.draw()
    pixels = np.ascontiguousarray(np.asarray(agg.buffer_rgba())[..., :3])
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png", compress_level=3, dpi=(DPI, DPI))
    return buffer.getvalue()


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a position in inches from the figure's left and top edges: quick, and known before anything
    is drawn.
    """
    w, h = (float(v) for v in figure.get_size_inches())
    axes: Axes = figure.add_axes((left / w, 1 - (top + height) / h, width / w, height / h))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set(color=FAINT, linewidth=0.8)
    axes.tick_params(
        colors=MUTED, labelsize=8, length=3, width=0.8, color=FAINT, labelfontfamily=list(fonts()), pad=3
    )
    axes.set_axisbelow(True)
    return axes


def write(
    figure: Figure, left: float, top: float, text: str, size: float, color: str = INK, **options: Any
) -> Text:
    """Text with its top left corner at inches from the figure's left and top edges."""
    w, h = (float(v) for v in figure.get_size_inches())
    defaults: dict[str, Any] = {"ha": "left", "va": "top", "parse_math": False, "fontfamily": list(fonts())}
    return figure.text(
        left / w, 1 - top / h, drawable(text), fontsize=size, color=color, **(defaults | options)
    )


def label(
    axes: Axes, x: float, y: float, text: str, size: float = 8, color: str = MUTED, **options: Any
) -> Text:
    """Text inside axes, at fractions of their width and height unless `transform` says otherwise."""
    defaults: dict[str, Any] = {"transform": axes.transAxes, "parse_math": False, "fontfamily": list(fonts())}
    return axes.text(x, y, drawable(text), fontsize=size, color=color, **(defaults | options))


def fit(text: str, width: float, size: float) -> str:
    """`text` as one line of at most `width` inches at `size` points; its middle gives way to an ellipsis."""
    line = drawable(text)
    if measure(line, size) <= width:
        return line
    advance = np.cumsum([measure(c, size) for c in line])
    room = width - measure("…", size)
    # The end tells series apart as often as the beginning does; it gets two fifths.
    head = int(np.searchsorted(advance, 0.6 * room))
    tail = int(np.searchsorted(advance, advance[-1] - 0.4 * room)) + 1
    return line[:head].rstrip() + "…" + line[max(tail, head) :].lstrip()


def wrap(text: str, width: float, size: float, lines: int) -> list[str]:
    """`text` in at most `lines` lines of `width` inches; what does not fit ends in an ellipsis."""
    found: list[str] = []
    words = [w if measure(w, size) <= width else fit(w, width, size) for w in drawable(text).split()]
    while words and len(found) < lines:
        n = 1
        while n < len(words) and measure(" ".join(words[: n + 1]), size) <= width:
            n += 1
        found.append(" ".join(words[:n]))
        words = words[n:]
    if words:
        last = found[-1]
        while last and measure(last + " …", size) > width:
            last = last[:-1]
        found[-1] = last.rstrip(" ,;:") + " …"
    return found


def measure(text: str, size: float) -> float:
    """Width of `text` in inches at `size` points; a little generous, as Agg sets letters on whole pixels."""
    return 1.02 * sum(map(_advance, text)) * size / 72


def drawable(text: str) -> str:
    """`text` on one line; what no font here can draw becomes its code point (letters: they tell names
    apart) or a square.
    """
    kept = [" " if unicodedata.category(c)[0] in "CZ" else c for c in text]
    return " ".join("".join(c if _has(c) else _stand_in(c) for c in kept).split())


def _stand_in(character: str) -> str:
    return f"\\u{ord(character):04x}" if unicodedata.category(character)[0] == "L" else "□"


def number(value: float) -> str:
    """A number as a person would write it: three digits, thousands apart, a true minus sign."""
    size = abs(value)
    if not np.isfinite(value):
        text = str(value)
    elif size >= 1e6 or 0 < size < 1e-4:
        text = f"{value:.2e}"
    else:
        text = f"{value:,.0f}" if size >= 100 else f"{value:.3g}"
    return text.replace("-", "−")


def estimate(mean: float, sd: float) -> str:
    """`mean ± sd`, the sd to two digits and the mean to the same place: 0.0604 ± 0.0013."""
    if not (np.isfinite(mean) and np.isfinite(sd)) or sd <= 0 or not 1e-6 < sd < 1e6 or abs(mean) > 1e7:
        return f"{number(mean)} ± {number(sd)}"
    places = max(0, 1 - int(np.floor(np.log10(sd))))
    # Adding zero after rounding turns a negative zero into zero.
    return f"{round(mean, places) + 0.0:,.{places}f} ± {sd:,.{places}f}".replace("-", "−")


def ticks(values: Sequence[float], thousands: str = ",") -> list[str]:
    """Tick labels with as many digits as tell them apart, and the same unit (k, M, G) for all."""
    if not len(values):
        return []
    size = max(abs(v) for v in values)
    step = min((abs(b - a) for a, b in pairwise(values)), default=size) or 1.0
    if size >= 1e12 or 0 < size < 1e-4:
        places = _places(step / 10 ** np.floor(np.log10(size)))
        return [f"{v:.{places}e}".replace("-", "−") if v else "0" for v in values]
    units = ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e5, 1e3, " k"))
    scale, unit = next(((s, u) for least, s, u in units if size >= least), (1.0, ""))
    places = _places(step / scale)
    texts = [f"{round(v / scale, places) + 0.0:,.{places}f}" for v in values]
    return [(t.replace(",", thousands) + unit).replace("-", "−") for t in texts]


def _places(step: float) -> int:
    """Decimal places that a step of this size needs."""
    return next((p for p in range(12) if abs(round(step, p) - step) < 0.01 * step), 12)


class _Ticks(ticker.Formatter):
    """`ticks` for a Matplotlib axis: no offset such as `1e6` in a corner, which would lie on other text."""

    def __init__(self, thousands: str) -> None:
        self._thousands = thousands

    def __call__(self, x: float, pos: int | None = None) -> str:
        return ticks([x], self._thousands)[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        return ticks([float(v) for v in values], self._thousands)


def percentage(share: float) -> str:
    """0.905 -> `90.5 %`."""
    return f"{share * 100:.3g} %"


def time_axis(axes: Axes, values: NDArray[Any], most: int = 6) -> NDArray[np.float64]:
    """Set up the x axis for numbers or dates and return the values to draw at."""
    if values.dtype.kind == "M":
        locator = dates.AutoDateLocator(minticks=2, maxticks=most)
        axes.xaxis.set_major_locator(locator)
        formatter = dates.ConciseDateFormatter(locator, show_offset=False)
        # Years are written out wherever a label would otherwise be a bare day or month at a year's turn.
        formatter.formats = ["%Y", "%b %y", "%d %b", "%H:%M", "%H:%M", "%S.%f"]
        formatter.zero_formats = ["", "%Y", "%b %y", "%d %b", "%H:%M", "%H:%M"]
        axes.xaxis.set_major_formatter(formatter)
        converted: NDArray[np.float64] = dates.date2num(values.astype("datetime64[us]"))
        return converted
    axes.xaxis.set_major_locator(ticker.MaxNLocator(most, integer=bool(np.all(values == np.round(values)))))
    # Numbers along x are often years or periods: no mark between thousands.
    axes.xaxis.set_major_formatter(_Ticks(""))
    return values.astype(np.float64)


def number_axis(axes: Axes, most: int = 5) -> None:
    """At most about `most` plain numbers along x."""
    axes.xaxis.set_major_locator(ticker.MaxNLocator(most))
    axes.xaxis.set_major_formatter(_Ticks(","))


def value_axis(axes: Axes, most: int = 5) -> None:
    """Quiet horizontal grid and few ticks."""
    axes.yaxis.set_major_locator(ticker.MaxNLocator(most))
    axes.yaxis.set_major_formatter(_Ticks(","))
    axes.grid(axis="y", color=HAIR, linewidth=0.7)


def span(low: float, high: float, margin: float = 0.05) -> tuple[float, float]:
    """Axis limits around [low, high], never of zero width."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return 0.0, 1.0
    width = high - low
    if width <= 1e-9 * max(abs(low), abs(high), 1e-9):
        width = abs(low) or 1.0
        return low - 0.5 * width, high + 0.5 * width
    return low - margin * width, high + margin * width


def shades(n: int) -> Sequence[float]:
    """Opacity of `n` nested bands, from the widest to the narrowest."""
    return np.linspace(0.16, 0.34, n).tolist() if n > 1 else [0.22] * n


@cache
def _faces() -> tuple[FT2Font, ...]:
    paths = (font_manager.findfont(font_manager.FontProperties(family=name)) for name in fonts())
    faces = tuple(FT2Font(path) for path in paths)
    for face in faces:
        face.set_size(100, 72)
    return faces


@cache
def _advance(character: str) -> float:
    """Width of a character at one point, in points."""
    for face in _faces():
        if face.get_char_index(ord(character)):
            return float(face.load_char(ord(character)).linearHoriAdvance) / 65536 / 100
    return 1.0


@cache
def _has(character: str) -> bool:
    return any(face.get_char_index(ord(character)) for face in _faces())
