"""Which entities get a run of their own."""

from pathlib import Path

import pyarrow as pa
import pytest

from posterity.portfolio.result import Result, open_result
from posterity.portfolio.store import writing
from posterity.tracking.selection import FEW, MANY, choose

type Row = tuple[str, str | None, str]


def portfolio(folder: Path, rows: dict[str, Row]) -> Result:
    """A result with entities only: status, reason and role by name."""
    columns = {k: [r[i] for r in rows.values()] for i, k in enumerate(("status", "reason", "role"))}
    schema = pa.schema([(k, pa.string()) for k in ("entity", "status", "reason", "role")])
    with writing(folder) as draft:
        draft.table("entities.parquet", pa.table({"entity": list(rows), **columns}, schema))
        draft.publish(run_key="0", name="x", counts={})
    return open_result(folder)


OK: Row = ("ok", None, "established")


def ok(n: int) -> dict[str, Row]:
    return {f"e{i:05}": OK for i in range(n)}


@pytest.mark.parametrize(
    ("mode", "n", "expected"),
    [
        ("auto", FEW, FEW),
        ("auto", FEW + 1, MANY),
        ("all", 300, 300),
        ("none", 5, 0),
        (7, 300, 7),
        (0, 9, 0),
        (9, 5, 5),
    ],
)
def test_how_many(tmp_path: Path, mode: str | int, n: int, expected: int) -> None:
    chosen = choose(portfolio(tmp_path / "r", ok(n)), mode)  # type: ignore[arg-type]
    assert len(chosen) == len(set(chosen)) == expected


def test_every_kind_is_seen_and_the_worst_comes_last(tmp_path: Path) -> None:
    rows: dict[str, Row] = {**ok(500), **{f"new{i}": ("ok", None, "new") for i in range(40)}}
    rows |= {f"flag{i}": ("flagged", f"R-hat {i}", "established") for i in range(300)}
    rows |= {f"fail{i}": ("failed", "no rows", "new") for i in range(5)}
    chosen = choose(portfolio(tmp_path / "r", dict(sorted(rows.items()))), "auto")
    kinds = [c.rstrip("0123456789") for c in chosen]
    assert {k: kinds.count(k) for k in kinds} == {"e": 15, "new": 15, "flag": 25, "fail": 5}
    assert list(dict.fromkeys(kinds)) == ["e", "new", "flag", "fail"]


def test_every_reason_is_seen(tmp_path: Path) -> None:
    rows: dict[str, Row] = ok(300) | {
        f"fail{i:03}": ("failed", f"{i} rows are NaN", "new") for i in range(200)
    }
    rows["failzzz"] = ("failed", "the worker died", "new")
    assert "failzzz" in choose(portfolio(tmp_path / "r", rows), 4)


def test_the_choice_outlives_new_entities(tmp_path: Path) -> None:
    before = set(choose(portfolio(tmp_path / "a", ok(1_000)), "auto"))
    after = set(choose(portfolio(tmp_path / "b", ok(1_010)), "auto"))
    assert len(before & after) >= 57
