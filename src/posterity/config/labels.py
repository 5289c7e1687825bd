"""Labels of dimensions: a list, or a number of them."""

from typing import Any

MOST_LABELS = 100_000


def numbered(value: Any) -> Any:
    """A number n as the labels 0 to n - 1; lists as tuples, which cannot be changed."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_LABELS:
        return tuple(range(value))
    return tuple(value) if isinstance(value, list) else value
