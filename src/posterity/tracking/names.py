"""Names and values as MLflow takes them, made from whatever the user calls things."""

import hashlib
import re
import unicodedata

from posterity.tracking.tracker import KEY_CHARACTERS, PARAM_CHARACTERS, TAG_CHARACTERS

_FORBIDDEN = re.compile(r"[^\w.\- :]")
_NAME_CHARACTERS = 120


def key(label: str) -> str:
    """A metric's or param's name for a label: `theta[1, 2]` becomes `theta.1.2`.

    It depends on the label alone, so it is the same on every run. Where characters are lost, six digits of
    the label's hash keep different labels apart.
    """
    plain = re.sub(r",\s*", ".", label.removesuffix("]").replace("[", ".", 1)) if "[" in label else label
    safe = _FORBIDDEN.sub("_", plain).strip()
    if safe.startswith(".."):  # names are paths to MLflow, and this one would lead out of the run
        safe = "_" + safe.lstrip(".")
    if safe == plain and safe.strip(".") and len(safe) <= KEY_CHARACTERS // 2:
        return safe
    tail = hashlib.sha256(label.encode("utf-8", "replace")).hexdigest()[:6]
    return f"{safe[: KEY_CHARACTERS // 2]}-{tail}"


def one_line(text: str, characters: int) -> str:
    """Text without line breaks and control or direction characters, cut to a length."""
    plain = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    plain = " ".join(plain.split())
    return plain if len(plain) <= characters else f"{plain[: characters - 1].rstrip()}…"


def run_name(text: str) -> str:
    """A name for a run that is one line of at most 120 characters and never empty."""
    return one_line(text, _NAME_CHARACTERS) or "(unnamed)"


def param(value: str) -> str:
    """A param's value, cut to what MLflow takes."""
    return _cut(value, PARAM_CHARACTERS)


def tag(value: str) -> str:
    """A tag's value, cut to what MLflow takes."""
    return _cut(value, TAG_CHARACTERS)


def _cut(value: str, characters: int) -> str:
    # PostgreSQL has no NUL in texts, and nothing encodes a lone surrogate.
    plain = value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return plain if len(plain) <= characters else f"{plain[: characters - 1]}…"
