"""What a row counts for, given by a column."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posterity import Portfolio, Result
from posterity.config import from_dict, to_dict
from posterity.errors import ConfigError
from posterity.models import describe
from posterity.portfolio.scores import score
from tests.entities import prior


def config(weights: str | None = "n", **more: Any) -> dict[str, Any]:
    likelihood = {"dist": "Normal", "kwargs": {"mu": "level", "sigma": "s"}}
    return {
        "name": "weights",
        "data": {"entity": "shop", "time": "t", "target": "y"},
        "model": {
            "parameters": {"level": prior("Normal", mu=0, sigma=10), "s": prior("HalfNormal", sigma=5)},
            "likelihood": likelihood | ({"weights": weights} if weights else {}),
        },
        **more,
    }


def rows(count: int = 12) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = rng.normal(2, 1, count)
    return pd.DataFrame(
        {"shop": "a", "t": np.arange(count), "y": y, "n": np.tile([0.0, 1.0, 3.0], count // 3)}
    )


def fit(values: dict[str, Any], table: pd.DataFrame, out: Path) -> Result:
    return Portfolio(values).fit(table, out=out, workers=0)


def moments(result: Result) -> np.ndarray:
    return result.parameters[["mean", "sd"]].to_numpy()


def test_a_weight_of_three_is_three_rows_and_of_none_no_row(tmp_path: Path) -> None:
    table = rows()
    again = table.loc[table.index.repeat(table["n"].astype(int))].reset_index(drop=True)
    again["t"] = np.arange(len(again))
    weighted, repeated = fit(config(), table, tmp_path / "w"), fit(config(None), again, tmp_path / "r")
    np.testing.assert_allclose(moments(weighted), moments(repeated), rtol=0.05)
    plain = fit(config(None), table, tmp_path / "p")  # the twin
    assert np.abs(moments(plain) / moments(repeated) - 1).max() > 0.1


def test_predictions_and_scores_ask_for_no_weights(tmp_path: Path) -> None:
    result = fit(config(), rows(), tmp_path / "o")
    later = pd.DataFrame({"shop": "a", "t": [12, 13]})
    assert result.predict(later)["mean"].notna().all()
    assert len(score(result, later.assign(y=[2.0, 1.0]))) == 2


def test_refits_keep_the_weights_and_a_changed_one_is_a_revised_row(tmp_path: Path) -> None:
    table = rows()
    first = fit(config(), table[table["t"] < 9], tmp_path / "first")
    later = first.refit(table, out=tmp_path / "later", workers=0)
    np.testing.assert_allclose(moments(later), moments(fit(config(), table, tmp_path / "whole")))
    changed = table.assign(n=table["n"].where(table["t"] != 1, 2.0))
    history = first.refit(changed, out=tmp_path / "changed", workers=0).history
    assert history["revised"].sum() == 1


def test_what_a_weight_cannot_be(tmp_path: Path) -> None:
    plan = Portfolio(config()).plan(rows().assign(n=lambda t: t["n"] - 1))
    assert "the weight 'n' is negative in" in plan.panel.reasons["a"]
    for word, said in (("level", "a parameter or quantity"), ("y", "uses already"), ("t", "uses already")):
        with pytest.raises(ConfigError, match=said):
            from_dict(config(word))
    with pytest.raises(ConfigError, match="counts every row once"):
        from_dict(config(inference={"pooling": "joint", "method": "nuts"}))


def test_weights_come_back_and_are_not_in_other_models_keys() -> None:
    plain, weighted = from_dict(config(None)), from_dict(config())
    assert from_dict(to_dict(weighted)) == weighted
    assert "weights" not in to_dict(plain)["model"]["likelihood"]
    assert describe(plain).key != describe(weighted).key
    assert describe(weighted).columns == ()
