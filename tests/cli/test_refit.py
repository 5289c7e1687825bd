"""`posterity refit`, and versions in `predict` and `lineage`, through the real entry point."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from posterity.cli import main
from posterity.config import from_dict, to_yaml
from posterity.inference import compiled
from tests.portfolio.refitted import CONFIG, carry_everything
from tests.portfolio.small import panel


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.out.splitlines()[-1])
        return found


ENTITY = "P02 / north"

type Command = Callable[..., Said]


@pytest.fixture
def posterity(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["posterity", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return Said(int(stopped.value.code or 0), said.out, said.err)

    return call


@pytest.fixture
def place(tmp_path: Path, posterity: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a first fit of twelve weeks and deliveries of later ones."""
    monkeypatch.chdir(tmp_path)
    carry_everything(monkeypatch)
    rows = panel(products=2, regions=1, weeks=24).to_pandas()
    for name, until in (("first", 12), ("second", 16), ("all", 24)):
        rows[rows["week"] <= until].to_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "config.yaml").write_text(to_yaml(from_dict(CONFIG)))
    fit = ("fit", "config.yaml", "--data", "first.parquet", "--out", "v1", "--workers", 0, "--json")
    assert posterity(*fit).code == 0
    return tmp_path


def refit(posterity: Command, base: str, data: str, out: str, *more: object) -> Said:
    return posterity("refit", base, "--data", data, "--out", out, "--workers", 0, *more)


def test_refit_lineage_and_predictions_as_of(posterity: Command, place: Path) -> None:
    done = refit(posterity, "v1", "second.parquet", "v2")
    assert done.code == 0, done.err
    for part in ("version 1 → 2", "8  new", "24  repeated", "2  exact", "result in v2"):
        assert part in done.out
    again = refit(posterity, "v1", "second.parquet", "v2")
    assert "taken in before" in again.out
    nothing = refit(posterity, "v2", "second.parquet", "v2b", "--json")
    assert (nothing.code, nothing.json["updates"], nothing.json["version"]) == (0, {}, 2)

    last = refit(posterity, "v2", "all.parquet", "v4", "--mode", "carry", "--json").json
    assert (last["before"], last["version"], last["rows"]) == (2, 4, {"new": 16, "repeated": 32})
    assert last["versions"] == ["v4/versions/3", "v4"]
    assert sum(last["updates"].values()) == 4  # type: ignore[attr-defined]

    chain = posterity("lineage", "v4", ENTITY)
    assert 'configuration changed: refit.mode: "exact" → "carry"' in chain.out
    assert "drift found by an audit" in chain.out
    assert [line.split()[:2] for line in chain.out.splitlines() if " taken in" in line][:2] == [
        ["1", "fit"],
        ["2", "exact"],
    ]
    told = posterity("lineage", "v4", ENTITY, "--json").json
    assert [v["version"] for v in told["versions"]] == [1, 2, 3, 4]  # type: ignore[attr-defined]
    assert told["versions"][2]["changed"] == ['refit.mode: "exact" → "carry"']  # type: ignore[index]

    now = pd.read_csv(pd.io.common.StringIO(posterity("predict", "v4", "--horizon", 1).out))
    then = posterity("predict", "v4", "--horizon", 1, "--version", 1).out
    assert now["week"].tolist() == [25, 25]
    assert then == posterity("predict", "v1", "--horizon", 1).out


def test_rows_that_are_left_out_are_told(posterity: Command, place: Path) -> None:
    rows = pd.read_parquet("second.parquet")
    newcomer = rows[rows["product"] == "P01"].assign(product="P09", adoption=[np.nan] * 16)
    known = rows[rows["week"] > 12].copy()
    known.loc[known.index[0], "adoption"] = np.nan
    pd.concat([known, newcomer]).to_parquet("spoilt.parquet")
    said = refit(posterity, "v1", "spoilt.parquet", "v2")
    assert "left out P01 / north: 4 delivered rows left out" in said.out
    assert "P09 / north: 16 delivered rows left out" in said.out
    assert said.code == 0  # nobody lost a posterior, and a newcomer that cannot be read does not join


def test_too_many_failed_are_exit_code_one(
    posterity: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("posterity.portfolio.refit.run.Refitted.too_many_failed", True)
    assert refit(posterity, "v1", "second.parquet", "v2").code == 1


WRONG = {
    "no result": (["nowhere", "--data", "all.parquet"], "no such folder"),
    "no data": (["v1", "--data", "nowhere.parquet"], "nowhere.parquet"),
    "no column": (["v1", "--data", "other.parquet"], "adoption"),
    "no configuration": (["v1", "--data", "all.parquet", "--config", "nowhere.yaml"], "nowhere.yaml"),
    "published": (["v1", "--data", "second.parquet", "--out", "v1"], "other inputs"),
    "no run": (["runs:/0", "--data", "all.parquet"], "no such database"),
}


def test_bad_input_ends_with_sentences_and_exit_code_two(
    posterity: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/none.db")
    pd.read_parquet("all.parquet").drop(columns="adoption").to_parquet("other.parquet")
    before = sorted(p.name for p in place.rglob("*"))
    for name, (arguments, fragment) in WRONG.items():
        said = posterity("refit", *arguments, "--workers", 0)
        assert (said.code, said.out) == (2, ""), (name, said)
        assert fragment in said.err, name
        assert "Traceback" not in said.err, name
    said = posterity("predict", "v1", "--horizon", 1, "--version", 3)
    assert (said.code, "there is that one only" in said.err) == (2, True)
    assert sorted(p.name for p in place.rglob("*")) == before
