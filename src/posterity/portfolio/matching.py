"""Whether what somebody else learned may be used: the same unknowns, and other rows."""

from collections.abc import Iterable

from posterity.config.smooths import names_of
from posterity.errors import PosterityError
from posterity.inference.compiled import CompiledModel, compiled
from posterity.models import Description
from posterity.models.design import meaning
from posterity.portfolio.prior import Provenance, Window
from posterity.portfolio.structure import Structure, scales_apart


def matched_entries(
    own: Description, theirs: Description, match: Iterable[tuple[str, str]], name: str
) -> dict[str, str]:
    """Own entries of θ → theirs, in own order, for pairs of parameters; `name` is what messages call theirs.

    Raises PosterityError where the unconstrained scales of a pair differ, those on which both models read a
    column, or the terms of formulas that they are coefficients of: equal numbers would not be equal values.
    """
    here, there = Structure.of(own), Structure.of(theirs)
    known = {*own.inputs, *own.regressors, own.target}
    both = known & {*theirs.inputs, *theirs.regressors, theirs.target}
    if apart := scales_apart(there.scales, here.scales, both):
        raise PosterityError(f"{name}: {'; '.join(apart)}; give both the same numbers under data.scale")
    for parameter, other in match:
        if _smooth(own, parameter) != _smooth(theirs, other):
            raise PosterityError(
                f"{parameter} cannot learn from {other} of {name}: they belong to {_smooth(own, parameter)} "
                f"here and {_smooth(theirs, other)} there, so that equal numbers are other functions"
            )
    mine, others = _by_parameter(compiled(own)), _by_parameter(compiled(theirs))
    pairs: dict[str, str] = {}
    for parameter, other in match:
        scales = here.parameters[parameter].scale, there.parameters[other].scale
        if scales[0] != scales[1] or len(mine[parameter]) != len(others[other]):
            raise PosterityError(
                f"{parameter} ({scales[0]}) cannot learn from {other} of {name} ({scales[1]}): give both "
                "priors of the same support and dims"
            )
        if meaning(own.model.quantities, parameter) != meaning(theirs.model.quantities, other):
            raise PosterityError(
                f"{parameter} cannot learn from {other} of {name}: they belong to terms with other columns, "
                "levels or remembered means; the same formula under the same quantity's name takes the "
                "design of what it learns from"
            )
        pairs |= dict(zip(mine[parameter], others[other], strict=True))
    return {entry: pairs[entry] for entry in compiled(own).unconstrained_names if entry in pairs}


def overlap(entity: str, here: Window, provenance: Provenance) -> str | None:
    """Why an entity's own rows (`here`) may be in a prior already; None where they are not."""
    if entity not in provenance.entities:
        return None
    at = provenance.entities.index(entity)
    there = provenance.windows[at] if at < len(provenance.windows) else None
    if there is None or here.first_time is None or there.last_time is None:
        return "it helped to teach that prior, and nobody can tell by which rows"
    if _later(here.first_time, there.last_time):
        return None
    until, since = there.last_time, here.first_time
    return f"its rows up to {until} are in that prior already, and here they begin at {since}"


def _smooth(description: Description, parameter: str) -> str:
    """The smooth that a parameter belongs to, in words."""
    found = (str(s) for quantity, s in description.smooths.items() if parameter in names_of(quantity))
    return next(found, "no smooth")


def _by_parameter(model: CompiledModel) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, owner in zip(model.unconstrained_names, model.owners, strict=True):
        found.setdefault(owner, []).append(name)
    return found


def _later(time: str | float, other: str | float) -> bool:
    """Whether a time is after another: numbers as numbers, dates as ISO text."""
    try:
        return float(time) > float(other)
    except ValueError:
        return str(time) > str(other)
