"""The fits to look at first, by three readings of bad: coverage, error, diagnostics."""

from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from posterity.report import style
from posterity.report.view import Floats, PortfolioView

_WIDTH, _LEFT, _GAP, _TOP, _PITCH = 11.5, 0.4, 0.4, 1.45, 0.27


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Entities by badness (larger is worse, NaN: not ranked), with the text to show for each."""

    title: str
    subtitle: str
    badness: Floats
    texts: tuple[str, ...]
    nothing: str

    def order(self, n: int) -> list[int]:
        """Indices of the worst `n` with any badness, worst first, ties by entity order."""
        found = [i for i in np.argsort(-self.badness, kind="stable").tolist() if self.badness[i] > 0]
        return found[:n]


def worst_entities(view: PortfolioView, n: int = 24) -> tuple[str, ...]:
    """The `n` entities to look at first: failed ones, then the heads of the three rankings in turn."""
    chosen = dict.fromkeys(e for e, s in zip(view.entity, view.status, strict=True) if s == "failed")
    orders = [r.order(n) for r in _rankings(view)]
    for place in range(n):
        chosen |= dict.fromkeys(view.entity[order[place]] for order in orders if place < len(order))
    return tuple(chosen)[:n]


def worst_figure(view: PortfolioView, n: int = 12) -> Figure:
    """Three ranked lists of at most `n` entities: coverage furthest from nominal, largest error,
    diagnostics past gates.
    """
    rankings = _rankings(view)
    orders = [r.order(n) for r in rankings]
    rows = max(3, *(len(o) for o in orders))
    height = _TOP + rows * _PITCH + 0.3
    figure = style.canvas(_WIDTH, height)
    style.write(
        figure, _LEFT, 0.22, style.fit(f"{view.name}: worst fits", _WIDTH - 1, 12), 14, fontweight="bold"
    )
    failed = sum(s == "failed" for s in view.status)
    note = f"{len(view.entity):,} entities"
    note += f" · {failed:,} failed, with no posterior to rank" if failed else ""
    style.write(figure, _LEFT, 0.56, note, 9, style.MUTED)
    x = _WIDTH - _LEFT
    for status in ("failed", "flagged", "ok"):
        x -= style.measure(f"● {status}", 8.5) + (0 if status == "failed" else 0.15)
        style.write(figure, x, 0.27, f"● {status}", 8.5, style.STATUS[status])
    width = (_WIDTH - 2 * _LEFT - 2 * _GAP) / 3
    for i, (ranking, order) in enumerate(zip(rankings, orders, strict=True)):
        _list(figure, view, ranking, order, _LEFT + i * (width + _GAP), width, height)
    return figure


def worst_png(view: PortfolioView, n: int = 12) -> bytes:
    """The ranked lists as a PNG file."""
    return style.png(worst_figure(view, n))


def _rankings(view: PortfolioView) -> tuple[_Ranking, ...]:
    return _coverage(view), _error(view), _gates(view)


def _coverage(view: PortfolioView) -> _Ranking:
    """By how many binomial standard errors coverage misses its nominal value: one row in or out of one is
    no surprise.
    """
    mass = max(view.coverage, default=0.9)
    inside = view.coverage.get(mass, np.full(len(view.entity), np.nan))
    error = np.sqrt(mass * (1 - mass) / np.maximum(view.n_rows, 1))
    return _Ranking(
        "coverage",
        f"rows in the {style.percentage(mass)} interval, least by chance first",
        np.abs(inside - mass) / error,
        tuple(style.percentage(v) for v in inside),
        "no entity has intervals",
    )


def _error(view: PortfolioView) -> _Ranking:
    texts = tuple(style.number(v) for v in view.mae)
    return _Ranking("error", f"mean |{view.target} − median|", view.mae, texts, "no entity has an error")


def _gates(view: PortfolioView) -> _Ranking:
    """How far past its gate the worst diagnostic is, each counted in multiples of its own distance from
    perfect.
    """
    g = view.gates
    past = {
        "R-hat": (view.rhat - 1) / max(g["rhat"] - 1, 1e-6),
        "ESS": g["ess"] / np.maximum(view.ess, 1.0),
        "k-hat": view.khat / max(g["khat"], 1e-6),
        # Ten divergences weigh as much as an ESS of half its gate.
        "divergences": np.where(view.divergences > g["divergences"], 1.01 + view.divergences / 10, 0.0),
    }
    shown = {"R-hat": view.rhat, "ESS": view.ess, "k-hat": view.khat, "divergences": view.divergences}
    table = np.nan_to_num(np.stack(list(past.values())), nan=0.0)
    first = table.argmax(axis=0)
    names = list(past)
    texts = tuple(f"{names[k]} {_spelled(names[k], float(shown[names[k]][i]))}" for i, k in enumerate(first))
    badness = np.where(table.max(axis=0) > 1, table.max(axis=0), 0.0)
    return _Ranking("diagnostics", "furthest past a gate", badness, texts, "every fit is inside its gates")


def _spelled(name: str, value: float) -> str:
    return f"{value:.3f}" if name == "R-hat" else style.number(value)


def _list(
    figure: Figure,
    view: PortfolioView,
    ranking: _Ranking,
    order: list[int],
    left: float,
    width: float,
    height: float,
) -> None:
    style.write(figure, left, 0.9, ranking.title, 10.5, fontweight="bold")
    style.write(figure, left, 1.12, style.fit(ranking.subtitle, width, 8.5), 8.5, style.MUTED)
    if not order:
        style.write(figure, left, _TOP + 0.05, ranking.nothing, 9, style.MUTED)
    inches = figure.dpi_scale_trans
    number_width = max((style.measure(ranking.texts[i], 8.5) for i in order), default=0.0)
    for row, i in enumerate(order):
        y = _TOP + row * _PITCH
        rule = height - y + 0.03
        figure.add_artist(
            Line2D([left, left + width], [rule, rule], color=style.HAIR, linewidth=0.7, transform=inches)
        )
        color = style.STATUS.get(view.status[i], style.MUTED)
        style.write(figure, left, y + 0.05, "●", 8.5, color)
        name = style.fit(view.entity[i], width - number_width - 0.35, 8.5)
        style.write(figure, left + 0.18, y + 0.05, name, 8.5)
        style.write(figure, left + width, y + 0.05, ranking.texts[i], 8.5, color, ha="right")
