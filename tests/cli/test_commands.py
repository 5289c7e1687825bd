"""The commands through their real entry point: what they print, what they write, and their exit codes."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from posterity.cli import main
from posterity.config import from_dict, json_schema, loads, to_yaml
from posterity.inference import compiled
from tests.portfolio.small import SMALL, changed, panel

COMMAND = Path(sys.executable).with_name("posterity")


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.out.splitlines()[-1])
        return found


type Command = Callable[..., Said]


@pytest.fixture
def posterity(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The entry point in this process, which saves seconds of importing for every call."""
    monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)

    def call(*arguments: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["posterity", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return Said(int(stopped.value.code or 0), said.out, said.err)

    return call


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with `config.yaml` and `panel.parquet`."""
    pq.write_table(panel(), tmp_path / "panel.parquet")
    data = SMALL["data"] | {"source": str(tmp_path / "panel.parquet")}
    (tmp_path / "config.yaml").write_text(to_yaml(from_dict(SMALL | {"data": data})))
    return tmp_path


def fitted(posterity: Command, place: Path, *more: object) -> Said:
    return posterity("fit", place / "config.yaml", "--out", place / "run", "--workers", 0, "--json", *more)


def test_check_says_what_a_fit_would_do_and_writes_nothing(posterity: Command, place: Path) -> None:
    said = posterity("check", place / "config.yaml", "--json")
    assert said.code == 0
    assert said.json["entities"] == 6
    assert said.json["rows"] == 120
    assert said.json["reasons"] == {}
    people = posterity("check", place / "config.yaml")
    assert "6 entities, 120 rows" in people.out
    assert {p.name for p in place.iterdir()} == {"config.yaml", "panel.parquet"}


def test_check_shows_who_cannot_be_fitted(posterity: Command, place: Path) -> None:
    pq.write_table(changed(panel(), ("P02", "south"), "adoption", [np.nan]), place / "panel.parquet")
    said = posterity("check", place / "config.yaml", "--json")
    assert said.code == 0
    assert list(said.json["reasons"]) == ["P02 / south"]
    assert "cannot be fitted P02 / south" in posterity("check", place / "config.yaml").out


def test_fit_show_predict_and_lineage(posterity: Command, place: Path) -> None:
    first = fitted(posterity, place)
    assert first.code == 0, first.err
    assert first.json["result"] == str(place / "run")
    assert first.json["ok"] + first.json["flagged"] == 6
    again = fitted(posterity, place)
    assert (again.code, again.json["unchanged"], again.json["ok"]) == (0, 6, 0)
    assert "unchanged" in posterity("fit", place / "config.yaml", "--out", place / "run").out

    overview = posterity("show", place / "run", "--json")
    assert overview.json["methods"] == {"laplace": 6}
    assert 0.8 < overview.json["coverage_90"] <= 1
    assert "laplace 6" in posterity("show", place / "run").out
    one = posterity("show", place / "run", "P02 / south", "--json").json
    assert [row["parameter"] for row in one["parameters"]] == ["lambda_val", "intercept", "sigma"]
    assert "lambda_val" in posterity("show", place / "run", "P02 / south").out

    lineage = posterity("lineage", place / "run", "P02 / south", "--json").json
    assert "fit" in {node["kind"] for node in lineage["nodes"]}
    assert "P02 / south came from" in posterity("lineage", place / "run", "P02 / south").out

    ahead = posterity("predict", place / "run", "--horizon", 2, "--interval", 0.5)
    assert ahead.code == 0
    table = pd.read_csv(pd.io.common.StringIO(ahead.out))
    assert table["week"].tolist() == [21, 22] * 6
    assert {"lower_50", "upper_50", "expected_mean"} <= set(table.columns)

    asked = pd.DataFrame({"product": ["P01"], "region": ["north"], "week": [30]})
    asked.to_csv(place / "rows.csv", index=False)
    said = posterity("predict", place / "run", "--rows", place / "rows.csv", "--out", place / "found.parquet")
    assert (said.code, said.out) == (0, "")
    assert pd.read_parquet(place / "found.parquet")["week"].tolist() == [30]


def test_some_entities_and_another_method(posterity: Command, place: Path) -> None:
    said = fitted(posterity, place, "--entities", "P01 / north, P02 / south", "--method", "auto")
    assert said.code == 0
    entities = pd.read_parquet(place / "run" / "entities.parquet")
    assert entities["entity"].tolist() == ["P01 / north", "P02 / south"]
    assert loads((place / "run" / "config.yaml").read_text()).inference.method == "auto"


def test_too_many_failed_entities_are_exit_code_one(posterity: Command, place: Path) -> None:
    pq.write_table(changed(panel(), ("P02", "south"), "adoption", [np.nan]), place / "panel.parquet")
    said = fitted(posterity, place)
    assert (said.code, said.json["failed"]) == (1, 1)  # one of six is more than the tenth that is allowed


def test_schema_is_what_editors_get(posterity: Command) -> None:
    assert json.loads(posterity("schema").out) == json_schema()


def test_simulate_writes_the_shipped_panel(posterity: Command, tmp_path: Path, checkout: Path) -> None:
    said = posterity("simulate", "adoption", "--out", tmp_path)
    assert said.code == 0
    for name in ("adoption.parquet", "adoption_truth.parquet"):
        assert pq.read_table(tmp_path / name).equals(pq.read_table(checkout / "data" / name))
    few = posterity("simulate", "adoption", "--out", tmp_path / "few", "--products", 2, "--weeks", 3)
    assert "30 rows" in few.out


WRONG = {
    "no such file": (["check", "nowhere.yaml"], "nowhere.yaml"),
    "broken configuration": (["check", "broken.yaml"], "likelyhood"),
    "no such data": (["check", "config.yaml", "--data", "nowhere.parquet"], "nowhere.parquet"),
    "no such column": (["check", "config.yaml", "--data", "other.parquet"], "adoption"),
    "unknown entity": (["fit", "config.yaml", "--entities", "P99 / moon"], "P99 / moon"),
    "no entity": (["fit", "config.yaml", "--entities", " , "], "no entity is selected"),
    "no result": (["show", "nowhere"], "nowhere"),
    "folder that is none": (["predict", ".", "--horizon", "3"], "manifest.json"),
    "rows and horizon": (
        ["predict", "run", "--horizon", "3", "--rows", "x.csv"],
        "either --rows FILE or --horizon",
    ),
    "neither": (["predict", "run"], "either --rows FILE or --horizon"),
    "interval in percent": (["predict", "run", "--horizon", "3", "--interval", "90"], "between 0 and 1"),
    "horizon of nothing": (["predict", "run", "--horizon", "0"], "at least 1"),
    "other ending": (["predict", "run", "--horizon", "3", "--out", "x.xlsx"], "must end in .csv or .parquet"),
    "unknown name": (["show", "run", "P01 / nroth"], "P01 / north"),
    "unknown fit": (["lineage", "run", "P01"], "no entity 'P01'"),
    "folder of other inputs": (
        ["fit", "config.yaml", "--out", "run", "--method", "nuts", "--json"],
        "other inputs",
    ),
}


def test_bad_input_ends_with_sentences_and_exit_code_two(
    posterity: Command, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    assert fitted(posterity, place).code == 0
    (place / "broken.yaml").write_text(
        (place / "config.yaml").read_text().replace("likelihood", "likelyhood")
    )
    pq.write_table(panel().drop_columns(["adoption"]), place / "other.parquet")
    before = sorted(p.name for p in place.rglob("*"))
    for name, (arguments, fragment) in WRONG.items():
        said = posterity(*arguments)
        assert (said.code, said.out) == (2, ""), name
        assert fragment in said.err, name
        assert "Traceback" not in said.err, name
    assert sorted(p.name for p in place.rglob("*")) == before


def run(*arguments: object, folder: Path) -> Said:
    """A process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONWARNINGS"}
    done = subprocess.run(
        [COMMAND, *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def test_help_answers_at_once(tmp_path: Path) -> None:
    run("--help", folder=tmp_path)  # writes bytecode where there is none yet
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = run("--help", folder=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert said.code == 0
    assert all(
        name in said.out for name in ("check", "fit", "show", "predict", "lineage", "schema", "simulate")
    )
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.slow
def test_fit_as_a_process(place: Path) -> None:
    """A default run into `runs/`, by worker processes: the result on stdout, nothing on stderr."""
    arguments = ["--entities", "P01 / north,P01 / south", "--workers", 2, "--json"]
    said = run("fit", "config.yaml", *arguments, folder=place)
    assert (said.code, said.err) == (0, "")
    assert len(said.out.splitlines()) == 1
    folder = place / str(said.json["result"])
    assert folder.parent == place / "runs" / "small"
    assert (folder / "manifest.json").exists()


def test_mistakes_as_processes(place: Path) -> None:
    wrong = run("check", "nowhere.yaml", folder=place)
    assert (wrong.code, wrong.out) == (2, "")
    assert "Traceback" not in wrong.err
    unknown = run("fitt", "config.yaml", folder=place)
    assert unknown.code != 0
    assert "Traceback" not in unknown.err
    assert "fit" in unknown.err + unknown.out


def test_a_reader_that_has_seen_enough_ends_a_command_quietly(posterity: Command, place: Path) -> None:
    fitted(posterity, place)
    command = [str(COMMAND), "predict", str(place / "run"), "--horizon", "2000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline(), process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=120) == 141
    assert "P01" in first[1]
    assert ",21," in first[1]  # weeks are whole numbers, as they were
