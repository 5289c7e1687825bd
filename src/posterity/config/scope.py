"""Everything in a configuration that has a name."""

from dataclasses import dataclass, field
from typing import Any

from posterity.config import families
from posterity.config.families import Described, Raw, mapping, words


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
        coords=mapping(model.get("coords")),
    )
    for one in families.described(model):
        if one.role == "parameter":
            scope.parameters[str(one.path[-1])] = one
        elif one.role in ("sigma", "rho") and one.spec:
            scope.inner[str(one.path[-1])] = one
    return scope
