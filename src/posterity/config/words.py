"""Wording of messages: lists, nearest names."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import islice

MAX_INTEGER = 2**63 - 1
MAX_LISTED = 80


def quoted(value: object, limit: int = 60) -> str:
    """A value as an error shows it: `'text'`, numbers as they are, cut where it gets long."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        words = [str(key)[:40] for key in list(value)[:4]] + ["more"] * (len(value) > 4)
        return f"a mapping with {listed(words, 'and')}" if words else "an empty mapping"
    if isinstance(value, list | tuple):
        text = "[" + ", ".join(quoted(v, 20) for v in value[:5]) + (", ...]" if len(value) > 5 else "]")
    elif isinstance(value, int):
        text = str(value) if abs(value) <= MAX_INTEGER else "a number with many digits"
    else:
        text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def quoted_word(word: object) -> str:
    """A word as it is, anything else in quotes."""
    return str(word) if re.fullmatch(r"[\w:.-]+", str(word)) else repr(str(word))


def listed(words: Iterable[object], last: str = "or") -> str:
    """`a, b or c`."""
    shown = [quoted_word(word) for word in islice(words, MAX_LISTED)]
    if len(shown) == MAX_LISTED:
        return ", ".join([*shown, "..."])
    return "".join(shown) if len(shown) < 2 else f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def nearest(word: str, known: Iterable[object]) -> str | None:
    """The known word that was probably meant, or None."""
    # Long words and lists are cut: difflib is slow and configurations are untrusted.
    folded = {_folded(str(k))[:100]: str(k) for k in reversed(list(islice(known, MAX_LISTED)))}
    matches = get_close_matches(_folded(word)[:100], folded, n=1, cutoff=0.6)
    return folded[matches[0]] if matches else None


def meant(word: str, known: Iterable[object]) -> str:
    """`; did you mean 'draws'?`, or nothing."""
    match = nearest(word, known)
    return f"; did you mean {match!r}?" if match is not None and match != word else ""


def _folded(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")
