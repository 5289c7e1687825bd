"""Figures of some results, by name: each from a result, or None where it has nothing to show."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from posterity.portfolio.result import Result
from posterity.report.abstain import abstain_png, abstain_view
from posterity.report.conflict import conflict_png, conflict_view
from posterity.report.elbo import elbo_png, elbo_view
from posterity.report.learned import population_view
from posterity.report.lines_of_transfer import transfer_view
from posterity.report.population import population_png
from posterity.report.shrinkage import shrinkage_png, shrinkage_view
from posterity.report.transfer_graph import transfer_graph_png

type Figure = Callable[[Result], bytes | None]


def _drawn[View](make: Callable[[Result], View | None], draw: Callable[[View], bytes]) -> Figure:
    def figure(result: Result) -> bytes | None:
        view = make(result)
        return None if view is None else draw(view)

    return figure


LEARNING: Mapping[str, Figure] = MappingProxyType(
    {
        "population": _drawn(population_view, population_png),
        "transfer": _drawn(transfer_view, transfer_graph_png),
        "shrinkage": _drawn(shrinkage_view, shrinkage_png),
        "conflict": _drawn(conflict_view, conflict_png),
    }
)
"""Of results with transferred priors."""

KINDS: Mapping[str, Figure] = MappingProxyType(
    {"elbo": _drawn(elbo_view, elbo_png), "abstain": _drawn(abstain_view, abstain_png)}
)
"""Of variational methods, and of targets that are classes."""
