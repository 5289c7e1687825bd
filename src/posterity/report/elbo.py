"""How variational methods climbed: the bound on the log evidence, step by step."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from posterity.portfolio.result import Result
from posterity.report import style

type Floats = NDArray[np.float64]

_WIDTH, _HEIGHT, _LEFT, _TOP = 10.0, 3.9, 0.4, 1.15
_MOST = 200
"""Curves that are drawn: more would be one grey area."""
_TAIL = 0.1
"""Share of a curve, at its end, whose mean stands for where it ended."""


@dataclass(frozen=True, slots=True)
class Climb:
    """One curve: steps (k,) and the bound there (k,), of an entity, or of all together (no name)."""

    entity: str
    steps: NDArray[np.int64]
    elbo: Floats

    @property
    def end(self) -> float:
        """Where it ended, its noise averaged."""
        return float(self._last.mean())

    @property
    def noise(self) -> float:
        """Sd of its points there."""
        return float(self._last.std())

    @property
    def _last(self) -> Floats:
        return self.elbo[-max(1, round(_TAIL * len(self.elbo))) :]


@dataclass(frozen=True, slots=True)
class ElboView:
    """The curves of a result, and how many are not drawn."""

    name: str
    climbs: tuple[Climb, ...]
    left_out: int


def elbo_view(result: Result, entity: str | None = None) -> ElboView | None:
    """The view of a result, or of one entity of it; None where no bound was climbed there."""
    table = result.elbo
    if table is None:
        return None
    groups = table.groupby("entity", dropna=False, sort=False)
    found = [
        Climb(str(name) if isinstance(name, str) else "", rows["step"].to_numpy(), rows["elbo"].to_numpy())
        for name, rows in groups
        if entity is None or name == entity
    ]
    if not found:
        return None
    return ElboView(entity or result.name, tuple(found[:_MOST]), max(0, len(found) - _MOST))


def elbo_figure(view: ElboView) -> Figure:
    """Each curve above where it ended, in nats."""
    figure = style.canvas(_WIDTH, _HEIGHT)
    room = _WIDTH - 2 * _LEFT
    title = style.fit(f"{view.name}: did the bound settle?", room / 1.15, 14)
    style.write(figure, _LEFT, 0.22, title, 14, fontweight="bold")
    style.write(figure, _LEFT, 0.57, style.fit(_facts(view), room, 9), 9, style.MUTED)
    words = "the evidence bound (ELBO, nats) above where it ended; logarithmic below its noise"
    style.write(figure, _LEFT, 0.85, style.fit(words, room, 8.5), 8.5, style.MUTED)
    axes = style.place(figure, _LEFT + 0.45, _TOP, room - 0.45, _HEIGHT - _TOP - 0.62)
    one = len(view.climbs) == 1
    noise = max(max(2 * climb.noise for climb in view.climbs), 1e-9)
    deepest = min(float((climb.elbo - climb.end).min()) for climb in view.climbs)
    for climb in view.climbs:
        axes.plot(
            climb.steps,
            climb.elbo - climb.end,
            color=style.BLUE,
            linewidth=1.6 if one else 0.8,
            alpha=1.0 if one else max(0.15, 1 / np.sqrt(len(view.climbs))),
        )
    # Linear within the noise at the end, logarithmic below: the climb and the rest are both to be seen.
    axes.set_yscale("symlog", linthresh=noise, linscale=0.6)
    highest = max(float((climb.elbo - climb.end).max()) for climb in view.climbs)
    axes.set_ylim(min(1.5 * deepest, -2 * noise), max(1.1 * highest, 2 * noise))
    decades = np.arange(np.ceil(np.log10(noise)), np.floor(np.log10(max(-deepest, noise))) + 1)
    axes.set_yticks([0.0, *(-(10.0 ** decades[:: max(1, len(decades) // 4)]))])
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: style.number(value))
    axes.grid(axis="y", color=style.HAIR, linewidth=0.7)
    axes.set_xlim(0, max(int(climb.steps[-1]) for climb in view.climbs))
    style.number_axis(axes, 6)
    axes.set_xlabel("step", fontsize=8.5, color=style.MUTED)
    return figure


def elbo_png(view: ElboView) -> bytes:
    """The curves as a PNG file."""
    return style.png(elbo_figure(view))


def _facts(view: ElboView) -> str:
    steps = np.array([climb.steps[-1] for climb in view.climbs])
    if len(view.climbs) == 1:
        return f"{steps[0]:,} steps · ended at {style.number(view.climbs[0].end)}"
    left_out = f" · {view.left_out:,} more are not drawn" if view.left_out else ""
    many = f"{len(view.climbs):,} entities"
    return f"{many} · {np.median(steps):,.0f} steps at the median, {steps.max():,} at most{left_out}"
