"""The smallest items that a runner can map; light to import, as workers do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """What runners map need not be a shard."""

    value: int

    @property
    def title(self) -> str:
        """What people read."""
        return f"number {self.value}"


def squared(number: Number) -> int:
    """Its square."""
    return number.value**2
