"""A population against its entities: where each one is, and where another would be expected."""

import numpy as np
from matplotlib.figure import Figure

from posterity.report import caterpillar, style
from posterity.report.caterpillar import Order, Sheet
from posterity.report.learned import ParameterView, PopulationView


def population_figure(view: PopulationView) -> Figure:
    """A panel a parameter (at most nine): entities sorted by posterior mean with intervals, new ones marked,
    by group; behind them the population's 50 and 90 %, above them its density.
    """
    shown = view.parameters[: caterpillar.MOST]
    named = view.groups if len(view.groups) > 1 else ()
    sheet = Sheet.of(len(shown), named, len(view.entity), strip=True)
    interval = f"with {style.percentage(view.mass)} interval"
    keys = [("●", style.BLUE, f"established, posterior mean {interval}")]
    if view.new.any():
        keys.append(("◆", style.PURPLE, "new"))
    keys.append(("■", style.GREEN, "population: where 50 and 90 % of other entities are expected"))
    sheet.heading(f"{view.name}: the population and its entities", " · ".join(_facts(view)), keys)
    for place, parameter in enumerate(shown):
        _panel(sheet, place, view, parameter)
    return sheet.figure


def population_png(view: PopulationView) -> bytes:
    """The population as a PNG file."""
    return style.png(population_figure(view))


def _panel(sheet: Sheet, place: int, view: PopulationView, parameter: ParameterView) -> None:
    order = Order.of(parameter.mean, view.group, len(view.groups))
    scale = "" if parameter.own else ", unconstrained"
    axes = sheet.panel(place, f"{parameter.label}{scale}", parameter.spread)
    low, high = caterpillar.extent(
        np.r_[parameter.mean, parameter.low, parameter.high], parameter.levels, parameter.log
    )
    caterpillar.limits(axes, order, low, high, parameter.log, strip=True)
    caterpillar.bands(axes, order, parameter.levels)
    caterpillar.curve(axes, order, parameter.density, parameter.log)
    width, size = order.sizes(sheet.height)
    for new, color, marker in ((False, style.BLUE, "o"), (True, style.PURPLE, "D")):
        some = view.new == new
        y, mean = order.y[some], parameter.mean[some]
        # New ones are few and what one looks for: never drawn smaller than can be seen.
        line, dot = (max(width, 0.8), max(0.85 * size, 2.6)) if new else (width, size)
        faint = 0.75 if new else 0.45
        caterpillar.segments(axes, parameter.low[some], parameter.high[some], y, line, color, faint)
        axes.plot(mean, y, marker, color=color, markersize=dot, markeredgewidth=0, zorder=5 if new else 4)
    sheet.names(place, view.groups, order)


def _facts(view: PopulationView) -> list[str]:
    facts = [f"taught by {view.teachers:,} entities with {view.rows:,} rows"]
    if count := int(view.new.sum()):
        facts.append(f"{count:,} new")
    if len(view.groups) > 1:
        facts.append(f"{len(view.groups):,} groups")
    if view.shared:
        facts.append(f"shared by all: {', '.join(view.shared)}")
    if (hidden := len(view.parameters) - caterpillar.MOST) > 0:
        facts.append(f"{hidden:,} more parameters in population.json")
    return [*facts, *view.notes]
