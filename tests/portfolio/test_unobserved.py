"""Rows without a target: put aside, predicted by the result, taken in when they have been observed."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import posterity
from posterity.cli import main
from posterity.config import Config, from_dict
from posterity.errors import PanelError
from posterity.inference import compiled

GAPS = [12, 13, 20]


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models are not worth machine code."""
    monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)


def panel(first: int = 0, weeks: int = 24) -> pd.DataFrame:
    rng = np.random.default_rng(first)
    rows = [(p, first + w) for p in ("a", "b") for w in range(weeks)]
    table = pd.DataFrame(rows, columns=["product", "week"])
    return table.assign(sales=20 + 3 * table["week"] + rng.normal(0, 1, len(rows)))


def with_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """Product a without its target in some weeks."""
    return table.assign(sales=table["sales"].mask((table["product"] == "a") & table["week"].isin(GAPS)))


def configuration(unobserved: str | None = "predict", **likelihood: Any) -> Config:
    normal = {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 50}}
    data = {"entity": "product", "time": "week", "target": "sales"}
    return from_dict(
        {
            "name": "gaps",
            "data": data | ({} if unobserved is None else {"unobserved": unobserved}),
            "model": {
                "parameters": {"level": normal, "slope": normal},
                "quantities": {"line": {"expression": "level + slope * week"}},
                "likelihood": {
                    "dist": "Normal",
                    "kwargs": {"mu": "line", "sigma": {"dist": "HalfNormal", "kwargs": {"sigma": 5}}},
                    **likelihood,
                },
            },
            "inference": {"method": "laplace", "draws": 500, "chains": 2},
        }
    )


def fit(rows: pd.DataFrame, out: Path, **config: Any) -> posterity.Result:
    return posterity.Portfolio(configuration(**config)).fit(rows, out=out, workers=0)


def test_they_are_predicted_and_count_for_nothing(tmp_path: Path) -> None:
    whole = panel()
    result = fit(with_gaps(whole), tmp_path / "r")
    assert result.entities.set_index("entity")["n_rows"].to_dict() == {"a": 21, "b": 24}
    assert result.unobserved[["product", "week"]].to_numpy().tolist() == [["a", w] for w in GAPS]
    found = result.predict(interval=0.9)
    assert found["week"].tolist() == GAPS
    truth = whole[(whole["product"] == "a") & whole["week"].isin(GAPS)]["sales"].to_numpy()
    assert (np.abs(found["mean"] - truth) < 4).all()
    assert ((found["lower_90"] < found["mean"]) & (found["mean"] < found["upper_90"])).all()
    # The posterior is that of the rows that were observed.
    without = fit(with_gaps(whole).dropna(), tmp_path / "s")
    assert result.parameters.equals(without.parameters)
    assert result.manifest.run_key != without.manifest.run_key
    assert any("3 rows without a target put aside" in notice for notice in result.manifest.extra["notices"])


def test_a_result_says_in_a_line_what_it_is(tmp_path: Path) -> None:
    assert repr(fit(panel(), tmp_path / "r")) == f"<Result 'gaps' version 1: 2 ok; {tmp_path / 'r'}>"
    assert {"Portfolio", "open", "BayesianClassifier"} <= set(dir(posterity))


def test_the_twin_refuses_them(tmp_path: Path) -> None:
    result = fit(with_gaps(panel()), tmp_path / "r", unobserved=None)
    about = result.entities.set_index("entity")
    assert about.loc["a", "status"] == "failed"
    assert "target 'sales' is missing in 3 of 24 rows" in about.loc["a", "reason"]
    assert result.unobserved.empty


def test_a_gap_in_dependent_rows_is_predicted_given_the_row_before_it(tmp_path: Path) -> None:
    errors = {"ar1": {"rho": {"dist": "Beta", "kwargs": {"alpha": 2, "beta": 2}}}}
    whole = panel()
    result = fit(with_gaps(whole), tmp_path / "r", errors=errors)
    assert np.isfinite(result.predict()[["mean", "lower_90", "upper_90"]]).all(axis=None)


def test_a_row_is_taken_in_once_it_has_been_observed(tmp_path: Path) -> None:
    whole = panel()
    result = fit(with_gaps(whole), tmp_path / "r")
    came = whole[(whole["product"] == "a") & whole["week"].isin(GAPS[:2])]
    ahead = panel(24, 2).assign(sales=np.nan)
    later = result.refit(pd.concat([came, ahead]), out=tmp_path / "s", workers=0)
    assert later.entities.set_index("entity")["n_rows"].to_dict() == {"a": 23, "b": 24}
    asked = [["a", 20], ["a", 24], ["a", 25], ["b", 24], ["b", 25]]
    assert later.unobserved[["product", "week"]].to_numpy().tolist() == asked
    assert len(later.predict()) == 5
    last = later.refit(panel(24, 2), out=tmp_path / "t", workers=0)
    assert last.unobserved[["product", "week"]].to_numpy().tolist() == [["a", 20]]


def test_an_entity_with_nothing_observed_is_told(tmp_path: Path) -> None:
    rows = pd.concat([panel(), panel().assign(product="new", sales=np.nan)])
    result = fit(rows, tmp_path / "r")
    assert result.entities["entity"].tolist() == ["a", "b"]
    told = "; ".join(result.manifest.extra["notices"])
    assert re.search("1 entity has such rows only: '?new'? cannot be fitted", told)
    with pytest.raises(PanelError, match="target 'sales' has no value"):
        fit(panel().assign(sales=np.nan), tmp_path / "s")


def test_the_command_predicts_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(with_gaps(panel()), tmp_path / "r")
    with pytest.raises(SystemExit, match="0"):
        main(["predict", str(tmp_path / "r")])
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(GAPS)
    fit(panel(), tmp_path / "s")
    with pytest.raises(SystemExit, match="2"):
        main(["predict", str(tmp_path / "s")])
    assert "no row without a target is still open" in capsys.readouterr().err
