"""A chain in the terminal: what comes first, what was assumed, what is decided, what changed upstream."""

import json
from pathlib import Path

import pandas as pd
import pytest

from posterity.cli import main
from posterity.config import from_dict, to_yaml
from tests.portfolio.chained import FIRST, SECOND, panels


def say(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Exit code and everything printed."""
    with pytest.raises(SystemExit) as stopped:
        main(list(map(str, words)))
    said = capsys.readouterr()
    return int(stopped.value.code or 0), said.out + said.err


def told(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, object]:
    """What a command prints for programs."""
    code, out = say(capsys, *words, "--json")
    assert code == 0, out
    found: dict[str, object] = json.loads(out.splitlines()[-1])
    return found


def test_a_chain_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")
    first, second, _ = panels(3)
    write(FIRST, first)
    write(SECOND, second)
    code, out = say(capsys, "check", "second.yaml")
    assert code == 2
    assert "first: no finished result there or in runs/first; fit that portfolio first" in out
    code, out = say(capsys, "fit", "first.yaml", "--workers", 0)
    assert code == 0, out
    assert "assumes straight lines" in out
    assert "decided 90 % interval of b at most 1.2 wide" in out
    assert "need more data (90 % interval of b" in out
    done = told(capsys, "fit", "second.yaml", "--workers", 0)
    assert (done["ok"], done["unchanged"]) == (3, 0)
    checked = told(capsys, "check", "second.yaml")
    assert (checked["known"], checked["assumptions"]) == (3, [SECOND["assumptions"]])
    result = done["result"]
    shown = told(capsys, "show", told(capsys, "fit", "first.yaml")["result"])
    assert shown["decided"] + shown["needs_data"] == 3  # type: ignore[operator]
    assert "upstream" not in shown
    code, out = say(capsys, "lineage", result, "i001")
    assert "first errors of size one" in out
    assert "second a and b are the same in both" in out
    steps = told(capsys, "lineage", result, "i001")["assumptions"]
    assert steps == [
        {"portfolio": "first", "assumptions": FIRST["assumptions"]},
        {"portfolio": "second", "assumptions": [SECOND["assumptions"]]},
    ]
    # A week later one item has other rows.
    first.loc[first["item"] == "i001", "y"] += 0.5
    write(FIRST, first)
    assert told(capsys, "fit", "first.yaml", "--workers", 0)["unchanged"] == 2
    code, out = say(capsys, "check", "second.yaml")
    assert "2 posteriors are in earlier results; 1 are left to fit" in out
    assert f"{result} is of before: first: runs/first/" in out
    assert "parents 1 with another posterior: fit again" in out
    code, out = say(capsys, "show", result)
    assert "upstream first: runs/first/" in out
    (upstream,) = told(capsys, "show", result)["upstream"]  # type: ignore[misc]
    assert (upstream["stale"], upstream["changed"]) == (True, ["i001"])
    code, out = say(capsys, "show", result, "i001")
    assert "its parent in first has another posterior now" in out
    code, out = say(capsys, "show", result, "i002")
    assert "upstream" not in out
    again = told(capsys, "fit", "second.yaml", "--workers", 0)
    assert (again["ok"], again["unchanged"]) == (1, 2)
    code, out = say(capsys, "show", again["result"])
    assert "upstream" not in out


def write(config: dict[str, object], panel: pd.DataFrame) -> None:
    """`NAME.yaml` and its panel in the working directory."""
    name = str(config["name"])
    panel.to_parquet(f"{name}.parquet")
    whole = config | {"data": config["data"] | {"source": f"{name}.parquet"}}  # type: ignore[operator]
    Path(f"{name}.yaml").write_text(to_yaml(from_dict(whole)), encoding="utf-8")
