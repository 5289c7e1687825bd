"""A mapping that cannot be changed, so that a configuration is a value: hashable, picklable, still a
`dict` to YAML."""

from typing import Any, NoReturn


class FrozenDict[K, V](dict[K, V]):
    """A `dict` that refuses every change; equal to a `dict` with the same items, and hashable."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(
            "a configuration cannot be changed; make a new one with posterity.config.with_overrides"
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)

    def __copy__(self) -> "FrozenDict[K, V]":
        return self
