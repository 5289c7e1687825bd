"""The figure of one entity: its data with median and bands, and prior and posterior of every parameter."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from posterity.config.schema import percent
from posterity.report import curve, marginals, style
from posterity.report.view import EntityView

_WIDTH, _HEIGHT = 10.0, 5.5
_LEFT, _RIGHT, _BOTTOM = 0.8, 0.35, 0.62
_MOST_PANELS = 8


def entity_figure(view: EntityView) -> Figure:
    """Data, median and every interval on the left; prior and posterior densities on the right (at most
    eight).

    Without a posterior: the data, if any, and the reason.
    """
    figure = style.canvas(_WIDTH, _HEIGHT)
    failed = not view.median.size
    top = _heading(figure, view, reason=not failed)
    shown = view.marginals[:_MOST_PANELS]
    side = 0.0 if not (shown or failed) else 2.15 if len(shown) <= 3 else 4.0
    side = 3.2 if failed else side
    width = _WIDTH - _LEFT - _RIGHT - (side + 0.55 if side else 0.0)
    height = _HEIGHT - top - 0.34 - _BOTTOM
    if view.x.size:
        axes = style.place(figure, _LEFT, top + 0.34, width, height)
        style.value_axis(axes)
        curve.draw(axes, view)
        axes.set_xlabel(
            style.fit(view.x_label, width, 8.5), fontsize=8.5, color=style.MUTED, parse_math=False
        )
        # The y label stands on top, where it reads from left to right, and leaves its line to the legend.
        room = width + 0.45 - 0.2 - _legend_width(view)
        name = style.fit(view.y_label, min(room, 1.8), 8.5)
        style.write(figure, _LEFT - 0.45, top + 0.06, name, 8.5, style.MUTED)
        _legend(figure, view, _LEFT - 0.45 + style.measure(name, 8.5) + 0.2, top + 0.06, _LEFT + width)
    if failed:
        left = _LEFT + width + 0.45 if view.x.size else _LEFT
        _reason(figure, view, left, top + 0.34, _WIDTH - left - _RIGHT)
    elif shown:
        left = _WIDTH - _RIGHT - side
        marginals.draw(figure, shown, left, top + 0.06, side, _HEIGHT - top - 0.06 - _BOTTOM)
        if hidden := len(view.marginals) - len(shown):
            note = f"and {hidden:,} more parameter{'s' if hidden > 1 else ''} in parameters.parquet"
            style.write(figure, _WIDTH - _RIGHT, _HEIGHT - 0.2, note, 7.5, style.MUTED, ha="right")
    return figure


def entity_png(view: EntityView) -> bytes:
    """The figure of one entity as a PNG file."""
    return style.png(entity_figure(view))


def _heading(figure: Figure, view: EntityView, reason: bool) -> float:
    """Title, status and numbers; returns where the heading ends, in inches from the top."""
    left, right = _LEFT - 0.45, _WIDTH - _RIGHT
    chip = f"{view.status}, {view.method}" if view.method else view.status
    color = style.STATUS.get(view.status, style.MUTED)
    style.write(figure, right, 0.27, f"● {chip}", 10, color, ha="right")
    room = right - left - style.measure(f"● {chip}", 10) - 0.3
    # Bold letters are about an eighth wider than the measured regular ones.
    style.write(
        figure, left, 0.22, style.fit(view.entity, room / 1.15, 14) or "(no name)", 14, fontweight="bold"
    )
    style.write(figure, left, 0.56, style.fit(" · ".join(_facts(view)), right - left, 8.5), 8.5, style.MUTED)
    top = 0.86
    if learned := prior_facts(view):
        text = style.fit(" · ".join(learned), right - left, 8.5)
        style.write(figure, left, top - 0.11, text, 8.5, style.MUTED)
        top += 0.17
    if reason and view.reason:
        for line in style.wrap(view.reason, right - left, 8.5, 2):
            style.write(figure, left, top - 0.06, line, 8.5, color)
            top += 0.17
    return top


def _facts(view: EntityView) -> list[str]:
    found, d = [], view.diagnostics
    if "n_rows" in d:
        found.append(f"{d['n_rows']:,.0f} row{'s' if d['n_rows'] != 1 else ''}")
    if view.role:
        found.append(view.role)
    for key, name in (("rhat", "R-hat"), ("khat", "k-hat")):
        if key in d:
            found.append(f"{name} {d[key]:.3f}" if key == "rhat" else f"{name} {d[key]:.2f}")
    if "ess_bulk" in d:
        found.append(f"ESS {min(d['ess_bulk'], d.get('ess_tail', np.inf)):,.0f}")
    if d.get("divergences"):
        found.append(f"{d['divergences']:,.0f} divergences")
    for band in view.bands:
        key = f"coverage_{percent(band.mass)}"
        if key in d:
            found.append(f"{style.percentage(d[key])} of rows in the {style.percentage(band.mass)} interval")
    if "mae" in d:
        found.append(f"MAE {style.number(d['mae'])}")
    return found


def prior_facts(view: EntityView) -> list[str]:
    """What is to be said of a transferred prior; nothing of a declared one."""
    if view.prior is None:
        return []
    d = view.diagnostics
    # What an entity taught itself has no weight to lose and nothing to contradict.
    both = view.prior.startswith("own ")
    found = [f"{'pooled with its' if both else 'prior from'} {view.prior}"]
    if "prior_rows" in d:
        rows = style.number(d["prior_rows"])
        found.append(f"worth {rows} row{'' if rows == '1' else 's'}")
    if "vague_weight" in d:
        was = f"{style.percentage(view.vague)} → " if view.vague else ""
        found.append(f"weight of the vague part {was}{style.percentage(d['vague_weight'])}")
    if "conflict_p" in d:
        found.append(f"conflict p {style.number(d['conflict_p'])}")
    return found


def _legend(figure: Figure, view: EntityView, left: float, top: float, right: float) -> None:
    """One line of keys above the axes; drawn by hand, as Matplotlib's legend costs more than the curve."""
    y, x = _HEIGHT - top - 0.07, left
    inches = figure.dpi_scale_trans
    figure.add_artist(Line2D([x + 0.06], [y], marker="o", color=style.INK, markersize=5, transform=inches))
    x = _key(figure, "observed", x + 0.16, top)
    if not view.median.size:
        return
    figure.add_artist(Line2D([x, x + 0.24], [y, y], color=style.BLUE, linewidth=1.8, transform=inches))
    x = _key(figure, "median", x + 0.3, top)
    step = _swatch(view)
    # Nested bands lie on one another: a narrower one is as dark as all around it together.
    layers = (1 - np.cumprod(1 - np.asarray(style.shades(len(view.bands))))).tolist()
    for alpha in reversed(layers):
        box = Rectangle(
            (x, y - 0.05), step, 0.1, facecolor=style.BLUE, alpha=alpha, linewidth=0, transform=inches
        )
        figure.add_artist(box)
        x += step
    x += 0.06
    texts = _interval_texts(view)
    _key(figure, next((t for t in texts if style.measure(t, 8.5) <= right - x), texts[-1]), x, top)


def _interval_texts(view: EntityView) -> tuple[str, str]:
    """The intervals' masses in full, and short."""
    masses = [style.percentage(b.mass).removesuffix(" %") for b in view.bands]
    if len(masses) < 2:
        return (f"{masses[0]} % interval" if masses else "",) * 2
    return f"{', '.join(masses)} % intervals", f"{masses[0]} to {masses[-1]} % intervals"


def _swatch(view: EntityView) -> float:
    """Width of one band's box in the legend, in inches."""
    return min(0.2, 0.5 / max(1, len(view.bands)))


def _legend_width(view: EntityView) -> float:
    """Inches that the legend needs at least."""
    texts = sum(style.measure(t, 8.5) for t in ("observed", "median", _interval_texts(view)[1]))
    return texts + 0.16 + 0.22 + 0.3 + 0.22 + _swatch(view) * len(view.bands) + 0.06


def _key(figure: Figure, text: str, left: float, top: float) -> float:
    """Write the text of a key; returns where the next key starts."""
    style.write(figure, left, top, text, 8.5, style.MUTED)
    return left + style.measure(text, 8.5) + 0.22


def _reason(figure: Figure, view: EntityView, left: float, top: float, width: float) -> None:
    style.write(figure, left, top, "No posterior", 10, style.STATUS["failed"], fontweight="bold")
    text = view.reason or "The result gives no reason."
    for i, line in enumerate(style.wrap(text, width, 9.5, 18)):
        style.write(figure, left, top + 0.3 + 0.2 * i, line, 9.5)
