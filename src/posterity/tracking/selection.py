"""Which entities get a run of their own."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from posterity.portfolio.result import Result

FEW = 200
"""`auto` gives every entity a run up to so many."""
MANY = 60
"""Beyond `FEW`, `auto` gives so many entities a run."""

type Mode = Literal["auto", "all", "none"] | int


def choose(result: Result, mode: Mode) -> tuple[str, ...]:
    """Entities with a run of their own, the worst at the end (MLflow shows the newest run on top).

    `auto` takes all up to 200 entities, else 60; a number is a bound of one's own. Where not all fit, failed,
    flagged, new and other entities each get a quarter of the places, and what one group leaves goes to the
    next. Flagged and failed ones go round their distinct reasons; within a group the order is that of a hash
    of the name, so that runs of different days track the same entities.
    """
    table = result.table("entities.parquet").select(["entity", "status", "reason", "role"])
    rows = [(r["entity"], r["status"], r["reason"], r["role"]) for r in table.to_pylist()]
    bound = {"all": len(rows), "none": 0, "auto": len(rows) if len(rows) <= FEW else MANY}.get(
        str(mode), mode
    )
    groups: dict[str, list[str]] = {
        "failed": _round(rows, "failed"),
        "flagged": _round(rows, "flagged"),
        "new": _hashed(e for e, s, _, role in rows if s not in ("failed", "flagged") and role == "new"),
        "other": _hashed(e for e, s, _, role in rows if s not in ("failed", "flagged") and role != "new"),
    }
    places = _places([len(g) for g in groups.values()], int(bound))
    chosen = [e for group, n in zip(groups.values(), places, strict=True) for e in group[:n]]
    return tuple(reversed(chosen))


def _places(sizes: list[int], bound: int) -> list[int]:
    """How many of `bound` places each group gets: a fair share each, then what is left in order."""
    share = -(-bound // len(sizes))
    given: list[int] = []
    for size in sizes:
        given.append(min(size, share, bound - sum(given)))
    for i, size in enumerate(sizes):
        given[i] += min(size - given[i], bound - sum(given))
    return given


def _round(rows: Iterable[tuple[str, str, str | None, str]], status: str) -> list[str]:
    """Entities of a status, one of every reason before a second of any; digits make no reason."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for entity, found, reason, _ in rows:
        if found == status:
            by_reason["".join(c for c in reason or "" if not c.isdigit())].append(entity)
    ranked = [(i, _hash(e), e) for group in by_reason.values() for i, e in enumerate(_hashed(group))]
    return [e for _, _, e in sorted(ranked)]


def _hashed(entities: Iterable[str]) -> list[str]:
    return sorted(entities, key=lambda e: (_hash(e), e))


def _hash(entity: str) -> str:
    return hashlib.sha256(entity.encode()).hexdigest()
