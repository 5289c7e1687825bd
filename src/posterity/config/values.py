"""Plain values that a configuration may hold, and the limits on them."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from posterity.config.findings import Finding, Path
from posterity.config.words import MAX_INTEGER, quoted

MAX_BYTES = 1_000_000
MAX_DEPTH = 32
MAX_NODES = 200_000

_NULL = re.compile(r"^(?:|~|null|Null|NULL)$")
_TRUE = re.compile(r"^(?:true|True|TRUE)$")
_FALSE = re.compile(r"^(?:false|False|FALSE)$")
# A leading zero stays text: 010 is ten in YAML 1.2 and eight in 1.1, and nobody knows which was meant.
_INTEGER = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$")
_NOT_FINITE = re.compile(r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$")


def scalar(text: str) -> Any:
    """The value of an unquoted scalar.

    Raises `ValueError`, with a sentence, for numbers that are not finite or larger than 64 bits."""
    if _INTEGER.match(text):
        if len(text) > 20 or abs(int(text)) > MAX_INTEGER:
            raise ValueError("a whole number beyond 64 bits; write a smaller one, or quote it if it is text")
        return int(text)
    if _FLOAT.match(text):
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f"{quoted(text, 30)} is too large for a number; numbers here are finite")
        return number
    if _NULL.match(text):
        return None
    if _TRUE.match(text):
        return True
    if _FALSE.match(text):
        return False
    if _NOT_FINITE.match(text):
        raise ValueError(f"{text} is not a finite number; numbers here are finite")
    return text


class _TooManyError(Exception):
    """More values than a configuration can have."""


def plain(value: Any) -> tuple[Any, list[Finding]]:
    """A deep copy of a caller's value in plain dicts and lists, and what may not stand in a configuration.

    The limits are those of a text: depth, finite numbers, encodable strings; the caller's objects are never
    changed."""
    findings: list[Finding] = []
    nodes = 0

    def copy(part: Any, path: Path) -> Any:
        nonlocal nodes
        nodes += 1
        if nodes > MAX_NODES:
            raise _TooManyError
        if isinstance(part, Mapping | list | tuple) and len(path) >= MAX_DEPTH:
            findings.append(Finding(path[:4], f"nested deeper than {MAX_DEPTH} levels"))
            return None
        if isinstance(part, Mapping):
            return mapping(part, path)
        if isinstance(part, list | tuple):
            return [copy(inner, (*path, i)) for i, inner in enumerate(part)]
        if reason := unusable(part):
            findings.append(Finding(path, reason))
            return None
        return part

    def mapping(part: Mapping[Any, Any], path: Path) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for key, inner in part.items():
            word = str(key)
            if reason := unusable(word):
                findings.append(Finding(path, reason))
            elif word in copied:
                findings.append(Finding((*path, word), "this key stands twice, as a number and as text"))
            else:
                copied[word] = copy(inner, (*path, word))
        return copied

    try:
        return copy(value, ()), findings
    except _TooManyError:
        return None, [Finding((), f"more than {MAX_NODES:,} values; a configuration is far smaller")]


_KINDS: tuple[tuple[type, Callable[[Any], str | None]], ...] = (
    (bool, lambda _: None),
    (int, lambda v: None if abs(v) <= MAX_INTEGER else "a whole number beyond 64 bits; write a smaller one"),
    (float, lambda v: None if math.isfinite(v) else f"{v} is not a finite number; numbers here are finite"),
    (str, lambda v: None if _encodable(v) else f"{v!r} is not valid Unicode text"),
)


def unusable(value: object) -> str | None:
    """Why a scalar may not stand in a configuration, or None."""
    if value is None:
        return None
    for kind, check in _KINDS:
        if isinstance(value, kind):
            return check(value)
    kind_name = type(value).__name__
    return f"a Python {kind_name}; a configuration holds text, numbers, true/false, lists and mappings"


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
