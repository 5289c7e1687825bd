"""Digests of plain values, the same on every machine and in every process."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from posterity.lineage.versions import ENGINE_VERSION

_ALLOWED = "allowed are None, bool, int, finite float, str, list, tuple and mappings with str keys"
_DEPTH = 100


def digest(value: Any) -> str:
    """SHA-256 of the value's canonical JSON, 64 hexadecimal digits.

    Keys are sorted, tuples equal lists, and numbers that are equal have one digest: 1, 1.0 and, for zero,
    -0.0. Other floats are written by `repr`, which is exact. NaN and infinity raise `ValueError` and unknown
    types `TypeError`, each with the place in the value: nothing is hashed by an accident of its `repr`.
    """
    text = json.dumps(
        _canonical(value, "value"), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def fit_key(*, model: Any, prior: Any, data: Any, inference: Any, engine: int = ENGINE_VERSION) -> str:
    """Identity of a fit: equal keys mean that fitting again gives the same posterior.

    The parts are plain values or digests; `data` is the entity's digest, which contains its name. The git
    revision is left out on purpose, so that a commit does not refit the world; `engine` is raised when
    results may change.
    """
    return digest({"model": model, "prior": prior, "data": data, "inference": inference, "engine": engine})


def _canonical(value: Any, where: str, depth: int = 0) -> Any:
    if depth > _DEPTH:
        raise ValueError(
            f"{where[:80]}… is nested deeper than {_DEPTH} levels, or contains itself; hash a flatter value"
        )
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _number(float(value), where)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r} of type {type(key).__name__}; keys must be str")
        return {str.__str__(k): _canonical(v, f"{where}.{k}", depth + 1) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [_canonical(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
    raise TypeError(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}, not hashable; {_advice(value)}"
    )


def _number(value: float, where: str) -> int | float:
    if not math.isfinite(value):
        raise ValueError(
            f"{where} is {value}, which is equal to nothing or has no JSON; replace it by None or a number"
        )
    return int(value) if value.is_integer() else value


def _advice(value: Any) -> str:
    if hasattr(value, "model_dump"):
        return "hash its model_dump(mode='json')"
    if hasattr(value, "tolist"):
        return "hash its .tolist() (or .item() for a scalar)"
    if isinstance(value, (set, frozenset)):
        return "sort it into a list first"
    return _ALLOWED
