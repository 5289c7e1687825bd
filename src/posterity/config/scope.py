"""Everything in a configuration that has a name."""

from dataclasses import dataclass, field
from typing import Any

from posterity.config import families
from posterity.config.families import Described, Raw, mapping, words
from posterity.config.formula import Formula, examine
from posterity.config.labels import numbered


@dataclass(slots=True)
class Scope:
    """Everything that has a name."""

    entity: tuple[str, ...]
    time: str | None
    target: str | None
    parameters: dict[str, Described] = field(default_factory=dict)
    inner: dict[str, Described] = field(default_factory=dict)
    quantities: dict[str, Any] = field(default_factory=dict)
    history: dict[str, Any] = field(default_factory=dict)
    coords: Raw = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    strangers: set[str] = field(default_factory=set)
    opaque: bool = False
    formulas: dict[str, Formula] = field(default_factory=dict)
    coefficients: set[str] = field(default_factory=set)

    def dims(self, name: str) -> tuple[str, ...]:
        """The dims of a parameter; none for scalars and for other names."""
        one = self.parameters.get(name)
        return one.dims if one is not None else ()


def scope_of(data: Raw, model: Raw) -> Scope:
    """The names that the data and model sections declare."""
    time, target = data.get("time"), data.get("target")
    scope = Scope(
        entity=words(data.get("entity")),
        time=time if isinstance(time, str) else None,
        target=target if isinstance(target, str) else None,
        quantities=dict(mapping(model.get("quantities"))),
        history=dict(mapping(model.get("history"))),
        coords={name: numbered(labels) for name, labels in mapping(model.get("coords")).items()},
    )
    for one in families.described(model):
        if one.role == "parameter":
            scope.parameters[str(one.path[-1])] = one
        elif one.role in ("sigma", "rho") and one.spec:
            scope.inner[str(one.path[-1])] = one
    for name, quantity in scope.quantities.items():
        text = mapping(quantity).get("formula")
        if isinstance(text, str) and (formula := examine(text)[0]) is not None:
            scope.formulas[name] = formula
            if mapping(quantity).get("design") is None:
                found = coefficients(name, mapping(quantity), formula)
                scope.parameters |= found
                scope.coefficients |= set(found)  # whose dims a panel will tell
    return scope


def coefficients(name: str, quantity: Raw, formula: Formula) -> dict[str, Described]:
    """The parameters that a formula will have, by name, with the priors that are given to them."""
    path, given = ("model", "quantities", name), mapping(quantity.get("priors"))
    found = {}
    for term in formula.terms:
        place = (*path, "priors", term.name) if term.name in given else (*path, "formula")
        found[f"{name}_{term.suffix}"] = Described(place, mapping(given.get(term.name)), "parameter")
    return found
