"""The actionable section: when an entity is known well enough to be decided."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from posterity.config.families import Raw, mapping
from posterity.config.findings import Finding
from posterity.config.priors import Name, Section
from posterity.config.promotion import OpenShare
from posterity.config.scope import Scope
from posterity.config.words import listed, meant, quoted

PATH = ("actionable",)


class Actionable(Section):
    """Marks each entity as decided or in need of more data, by the width of an interval. No fit depends on
    it: another rule marks the same posteriors anew."""

    quantity: Name
    """A parameter, an entry of one (`theta[north]`) or a quantity. Of a vector the widest entry counts, of a
    quantity that differs between rows the widest of the entity's observed rows."""

    max_width: Annotated[float, Field(gt=0)]
    """An entity whose interval is at most so wide is decided."""

    interval: OpenShare | None = None
    """Mass of that interval, one of `intervals`; absent: the widest of them."""

    relative: bool = False
    """Whether widths are shares of the median's size instead of in the quantity's units."""

    @property
    def parameter(self) -> str:
        """The quantity without an entry: `theta` of `theta[north]`."""
        return self.quantity.partition("[")[0]


def findings(value: Raw, scope: Scope) -> Iterator[Finding]:
    """What is wrong with the names of the section."""
    section = mapping(value.get("actionable"))
    yield from _quantity(section.get("quantity"), scope)
    mass, masses = section.get("interval"), value.get("intervals", [0.5, 0.9])
    if isinstance(mass, float) and isinstance(masses, list | tuple) and mass not in masses:
        yield Finding(
            (*PATH, "interval"),
            f"{mass} found; allowed: one of those in intervals, {listed(masses)}",
        )


def _quantity(name: Any, scope: Scope) -> Iterator[Finding]:
    if not isinstance(name, str):
        return
    whole, bracket, _ = name.partition("[")
    known = [*scope.parameters, *scope.inner, *scope.quantities]
    if whole not in known:
        yield Finding(
            (*PATH, "quantity"),
            f"{quoted(name)} is no parameter and no quantity; allowed: {listed(known)}{meant(whole, known)}",
        )
    elif bracket and not scope.dims(whole) and whole not in scope.coefficients:
        yield Finding((*PATH, "quantity"), f"{whole!r} has no entries; write {whole}")
