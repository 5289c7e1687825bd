"""`posterity check` on a portfolio with transfer: the waves, the sources, and what is wrong with rules."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from posterity.cli import main
from posterity.config import from_dict, to_yaml
from tests.portfolio.small import SMALL, panel

CHILD = {"learn": "P04 / north", "from": {"entity": "P03 / south"}}


def check(
    folder: Path, capsys: pytest.CaptureFixture[str], *options: str, **transfer: object
) -> tuple[int, str]:
    """Exit code and everything printed, for P01 and P02 with 20 rows and P03 and P04 with five."""
    rows = panel(products=4).to_pandas()
    kept = rows[(rows["product"] < "P03") | (rows["week"] <= 5)]
    pq.write_table(pa.Table.from_pandas(kept, preserve_index=False), folder / "panel.parquet")
    config = SMALL | {"data": SMALL["data"] | {"source": str(folder / "panel.parquet")}, "transfer": transfer}
    (folder / "config.yaml").write_text(to_yaml(from_dict(config)), encoding="utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["check", str(folder / "config.yaml"), *options])
    said = capsys.readouterr()
    return int(stopped.value.code or 0), said.out + said.err


def test_the_waves_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(tmp_path, capsys, rules=[CHILD])
    assert code == 0
    lines = [" ".join(line.replace("│", " ").split()) for line in out.splitlines()]
    assert "1 fit the established 4 declared" in lines
    assert "3 fit the new 3 population" in lines
    assert "4 fit the children of entities 1 entity: P03 / south" in lines
    assert any(line.startswith("2 learn the population 4") for line in lines)


def test_the_waves_are_there_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = check(tmp_path, capsys, "--json", rules=[CHILD, {"learn": "P03 / north", "from": "previous"}])
    assert code == 0
    told = json.loads(out.splitlines()[-1])
    assert [wave["wave"] for wave in told["waves"]] == ["established", "population", "new", "children"]
    assert told["sources"] == {"declared": 5, "population": 2, "entity: P03 / south": 1}
    assert "no earlier result" in told["fallbacks"]["P03 / north"]
    assert any("P03 / north" in notice for notice in told["notices"])


def test_without_transfer_there_is_nothing_to_show(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out = check(tmp_path, capsys, rules=[{"learn": "*", "from": "declared"}])
    assert "wave" not in out


@pytest.mark.parametrize(
    ("rules", "fragment"),
    [
        (
            [CHILD, {"learn": "P03 / south", "from": {"entity": "P04 / north"}}],
            "P03 / south → P04 / north → P03 / south",
        ),
        ([{"learn": "P03*", "from": {"entity": "P01 / nroth"}}], "did you mean 'P01 / north'?"),
    ],
)
def test_rules_that_cannot_work_are_bad_input(
    rules: list[object], fragment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = check(tmp_path, capsys, rules=rules)
    assert code == 2
    assert fragment in out
