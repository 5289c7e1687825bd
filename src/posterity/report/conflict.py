"""How well transferred priors and rows agree: the conflict probabilities of all that learned."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from posterity.portfolio.result import Result
from posterity.report import style
from posterity.report.view import GATES

type Floats = NDArray[np.float64]

_WIDTH, _HEIGHT, _LEFT, _TOP = 10.0, 3.9, 0.4, 1.2
_PLOT, _LIST = 5.4, 6.35
_MOST, _PITCH = 8, 0.265


@dataclass(frozen=True, slots=True)
class ConflictView:
    """The entities with a conflict probability, lowest first; `gate` is the least that passes."""

    name: str
    gate: float
    entity: tuple[str, ...]
    prior: tuple[str, ...]
    p: Floats


def conflict_view(result: Result) -> ConflictView | None:
    """The view of a result; None where no entity has a conflict probability."""
    table = result.table("entities.parquet")
    if "conflict_p" not in table.column_names:
        return None
    rows = table.select(["entity", "prior", "conflict_p"]).to_pylist()
    found = [row for row in rows if row["conflict_p"] is not None and np.isfinite(row["conflict_p"])]
    if not found:
        return None
    found.sort(key=lambda row: row["conflict_p"])
    gate = float((result.settings.get("gates") or {}).get("conflict", GATES["conflict"]))
    return ConflictView(
        name=result.name,
        gate=gate,
        entity=tuple(row["entity"] for row in found),
        prior=tuple(row["prior"] or "" for row in found),
        p=np.array([row["conflict_p"] for row in found], dtype=np.float64),
    )


def conflict_figure(view: ConflictView) -> Figure:
    """A histogram with the level that priors in agreement with their rows would give; the lowest by name."""
    figure = style.canvas(_WIDTH, _HEIGHT)
    room = _WIDTH - 2 * _LEFT
    title = style.fit(f"{view.name}: do priors and rows agree?", room / 1.15, 14)
    style.write(figure, _LEFT, 0.22, title, 14, fontweight="bold")
    below = int((view.p < view.gate).sum())
    many, gate = "entity" if view.p.size == 1 else "entities", style.number(view.gate)
    facts = f"{view.p.size:,} {many} with a transferred prior · {below:,} below the gate {gate}"
    facts += f" · by chance alone {style.number(view.gate * view.p.size)}"
    style.write(figure, _LEFT, 0.57, style.fit(facts, room, 9), 9, style.MUTED)
    _histogram(figure, view)
    _lowest(figure, view)
    return figure


def conflict_png(view: ConflictView) -> bytes:
    """The histogram as a PNG file."""
    return style.png(conflict_figure(view))


def _histogram(figure: Figure, view: ConflictView) -> None:
    words = "entities by conflict probability · dotted: expected where all agree"
    style.write(figure, _LEFT, 0.9, style.fit(words, _PLOT, 8.5), 8.5, style.MUTED)
    axes = style.place(figure, _LEFT + 0.25, _TOP, _PLOT - 0.25, _HEIGHT - _TOP - 0.62)
    bins = 20 if view.p.size >= 100 else 10
    edges = np.linspace(0, 1, bins + 1)
    low = view.p < view.gate
    bad, good = (np.histogram(view.p[some], edges)[0] for some in (low, ~low))
    options: dict[str, Any] = {
        "width": np.diff(edges),
        "align": "edge",
        "edgecolor": "white",
        "linewidth": 0.6,
    }
    axes.bar(edges[:-1], bad, color=style.RED, **options)
    axes.bar(edges[:-1], good, bottom=bad, color=style.BLUE, **options)
    expected = view.p.size / bins
    axes.axhline(expected, color=style.INK, linewidth=1, linestyle=(0, (1, 1.5)), zorder=3)
    axes.axvline(view.gate, color=style.INK, linewidth=1, linestyle=(0, (4, 2)), zorder=3)
    top = max(float((bad + good).max()), expected) * 1.28
    axes.set_ylim(0, top)
    axes.set_xlim(-0.005, 1)
    style.value_axis(axes, 4)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    style.number_axis(axes, 5)
    words = f"gate {style.number(view.gate)}" + (f", {int(low.sum()):,} below" if low.any() else "")
    right = view.gate > 0.5
    style.label(
        axes, view.gate + (-0.012 if right else 0.012), top * 0.985, words, 8, style.INK,
        transform=axes.transData, va="top", ha="right" if right else "left",
    )  # fmt: skip
    words = "probability of rows at least as far from what the prior expects"
    axes.set_xlabel(words, fontsize=8.5, color=style.MUTED)


def _lowest(figure: Figure, view: ConflictView) -> None:
    """Those to look at first."""
    style.write(figure, _LIST, 0.9, "lowest", 8.5, style.MUTED)
    inches, width = figure.dpi_scale_trans, _WIDTH - _LIST - _LEFT
    shown = [(e, p, float(v)) for e, p, v in zip(view.entity, view.prior, view.p, strict=True)][:_MOST]
    for row, (entity, prior, p) in enumerate(shown):
        y = _TOP + row * _PITCH
        rule = _HEIGHT - y + 0.02
        figure.add_artist(
            Line2D([_LIST, _LIST + width], [rule, rule], color=style.HAIR, linewidth=0.7, transform=inches)
        )
        color = style.RED if p < view.gate else style.INK
        number = style.number(p)
        style.write(figure, _LIST + width, y + 0.05, number, 8.5, color, ha="right")
        room = width - style.measure(number, 8.5) - 0.15
        name = style.fit(entity, 0.5 * room, 8.5)
        style.write(figure, _LIST, y + 0.05, name, 8.5, color)
        source = style.fit(prior, room - style.measure(name, 8.5) - 0.15, 8)
        style.write(figure, _LIST + style.measure(name, 8.5) + 0.12, y + 0.055, source, 8, style.MUTED)
