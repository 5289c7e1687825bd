"""The predictive band of an entity as it tightens from version to version: PNG frames, and a GIF of them."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from posterity.errors import ResultError
from posterity.portfolio.result import Result
from posterity.portfolio.store import atomic
from posterity.report import style
from posterity.report.frames import Frame, frames
from posterity.report.view import Floats

STEP, HELD = 650, 2_600
"""Milliseconds that a frame is shown, and the last one."""
COLOURS = 96
"""In a GIF's palette: more would only smooth the letters' edges."""
_WIDTH, _HEIGHT = 6.8, 4.1
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.75, 0.3, 1.0, 0.58


def animation(results: Sequence[Result], entity: str) -> tuple[bytes, ...]:
    """PNG frames of an entity, one for each version in which its posterior changed, on the same axes.

    `results` are versions, oldest first (`posterity.report.frames.versions` follows a result back through its
    parents). Raises ResultError as `frames` does.
    """
    found = frames(results, entity)
    limits = y_limits(found)
    return tuple(style.png(frame_figure(frame, limits)) for frame in found)


def gif(pngs: Sequence[bytes]) -> bytes:
    """Frames as a GIF that loops and holds its last frame. ResultError where there are none."""
    if not pngs:
        raise ResultError("no frames to animate")
    images = [Image.open(io.BytesIO(png)).convert("RGB") for png in pngs]
    # One palette for all, from the first and the last: shades that change from frame to frame flicker.
    sample = Image.new("RGB", (images[0].width, 2 * images[0].height))
    sample.paste(images[0], (0, 0))
    sample.paste(images[-1], (0, images[0].height))
    palette = sample.quantize(COLOURS)
    indexed = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    buffer = io.BytesIO()
    indexed[0].save(
        buffer,
        format="gif",
        save_all=True,
        append_images=indexed[1:],
        duration=[*[STEP] * (len(indexed) - 1), HELD],
        loop=0,
    )
    return buffer.getvalue()


def write(pngs: Sequence[bytes], path: str | Path, folder: str | Path | None = None) -> Path:
    """Write the GIF to `path` and, where a folder is named, every frame into it: `01.png`, `02.png`, ..."""
    target = Path(path)
    if folder is not None:
        for number, png in enumerate(pngs, 1):
            with atomic(Path(folder) / f"{number:02}.png") as file:
                file.write(png)
    with atomic(target) as file:
        file.write(gif(pngs))
    return target


def y_limits(found: Sequence[Frame]) -> tuple[float, float]:
    """Limits for all frames: the data, and of the bands what is no further from it than the data is wide.

    A first version with few rows may know next to nothing; its band would make all others a line.
    """
    data = found[-1].observed[np.isfinite(found[-1].observed)]
    edges = [part for frame in found for band in frame.bands for part in (band.lower, band.upper)]
    bands = np.concatenate(edges)
    bands = bands[np.isfinite(bands)]
    if not data.size:
        return style.span(float(bands.min()), float(bands.max()))
    width = float(np.ptp(data)) or float(np.abs(data).max()) or 1.0
    low, high = float(data.min()), float(data.max())
    return style.span(
        max(min(low, float(bands.min())), low - 0.6 * width),
        min(max(high, float(bands.max())), high + 0.6 * width),
    )


def frame_figure(frame: Frame, limits: tuple[float, float]) -> Figure:
    """One frame: bands and median over all rows, those inside as dots, those still to come as rings."""
    figure = style.canvas(_WIDTH, _HEIGHT)
    left, right = _LEFT - 0.45, _WIDTH - _RIGHT
    count = f"{frame.n_rows:,} row{'' if frame.n_rows == 1 else 's'}"
    number = f"version {frame.version} · {count} · {frame.update}"
    if frame.status != "ok":
        number += f" · {frame.status}"
    style.write(figure, right, 0.26, number, 10, style.MUTED, ha="right")
    room = right - left - style.measure(number, 10) - 0.3
    style.write(figure, left, 0.22, style.fit(frame.entity, room / 1.15, 14), 14, fontweight="bold")
    name = style.fit(frame.y_label, 1.6, 8.5)
    style.write(figure, left, 0.66, name, 8.5, style.MUTED)
    _legend(figure, frame, left + style.measure(name, 8.5) + 0.25, 0.66)
    axes = style.place(figure, _LEFT, _TOP, _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM)
    style.value_axis(axes)
    _draw(axes, frame)
    axes.set_ylim(*limits)
    axes.set_xlabel(
        style.fit(frame.x_label, _WIDTH - 2, 8.5), fontsize=8.5, color=style.MUTED, parse_math=False
    )
    return figure


def _draw(axes: Axes, frame: Frame) -> None:
    x = style.time_axis(axes, frame.x)
    for band, alpha in zip(reversed(frame.bands), style.shades(len(frame.bands)), strict=True):
        axes.fill_between(x, band.lower, band.upper, color=style.BLUE, alpha=alpha, linewidth=0, zorder=2)
    axes.plot(x, frame.median, color=style.BLUE, linewidth=1.8, zorder=4, solid_capstyle="round")
    size = float(np.clip(4.6 * (60 / max(x.size, 1)) ** 0.3, 2.2, 4.6))
    _points(axes, x, frame, frame.inside, size, style.ORANGE, "white")
    _points(axes, x, frame, ~frame.inside, size, "white", style.MUTED)
    axes.set_xlim(*style.span(float(x.min()), float(x.max()), 0.02))


def _points(
    axes: Axes, x: Floats, frame: Frame, shown: NDArray[np.bool_], size: float, face: str, edge: str
) -> None:
    axes.plot(
        x[shown], frame.observed[shown], "o", color=face, markersize=size, markeredgecolor=edge,
        markeredgewidth=0.5 if edge == "white" else 0.9, zorder=5,
    )  # fmt: skip


def _legend(figure: Figure, frame: Frame, left: float, top: float) -> None:
    y, x = _HEIGHT - top - 0.07, left
    inches = figure.dpi_scale_trans
    marks = (("inside", style.ORANGE, "white", 0.5), ("still to come", "white", style.MUTED, 0.9))
    for text, face, edge, width in marks:
        figure.add_artist(
            Line2D(
                [x + 0.06], [y], marker="o", color=face, markersize=5, markeredgecolor=edge,
                markeredgewidth=width, transform=inches,
            )
        )  # fmt: skip
        x = _key(figure, text, x + 0.16, top)
    figure.add_artist(Line2D([x, x + 0.24], [y, y], color=style.BLUE, linewidth=1.8, transform=inches))
    x = _key(figure, "median", x + 0.3, top)
    # Nested bands lie on one another: a narrower one is as dark as all around it together.
    layers = (1 - np.cumprod(1 - np.asarray(style.shades(len(frame.bands))))).tolist()
    for alpha in reversed(layers):
        box = Rectangle((x, y - 0.05), 0.2, 0.1, color=style.BLUE, alpha=alpha, linewidth=0, transform=inches)
        figure.add_artist(box)
        x += 0.2
    masses = ", ".join(style.percentage(band.mass).removesuffix(" %") for band in frame.bands)
    _key(figure, f"{masses} % interval{'s' if len(frame.bands) > 1 else ''}", x + 0.06, top)


def _key(figure: Figure, text: str, left: float, top: float) -> float:
    """Write the text of a key; returns where the next key starts."""
    style.write(figure, left, top, text, 8.5, style.MUTED)
    return left + style.measure(text, 8.5) + 0.2
