"""Censored and truncated targets: right where the plain likelihood is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from posterity import Portfolio
from posterity.config import from_dict, to_dict
from posterity.errors import ConfigError, ModelError
from posterity.models import describe
from tests.entities import prior

MEAN, SD, ROWS = 1.0, 2.0, 400


def config(dist: str = "Normal", **limits: Any) -> dict[str, Any]:
    kwargs = {"mu": "level", "sigma": "s"}
    return {
        "name": "limits",
        "data": {"entity": "shop", "target": "y"},
        "model": {
            "parameters": {"level": prior("Normal", mu=0, sigma=10), "s": prior("HalfNormal", sigma=5)},
            "likelihood": {"dist": dist, "kwargs": kwargs, **limits},
        },
    }


def rows(kind: str) -> pd.DataFrame:
    """Normal rows of which those below 0 are recorded as 0, or not at all."""
    values = np.random.default_rng(1).normal(MEAN, SD, 2 * ROWS)
    values = np.maximum(values, 0)[:ROWS] if kind == "censored" else values[values > 0][:ROWS]
    return pd.DataFrame({"shop": "a", "y": values, "floor": 0.0})


def means(values: dict[str, Any], table: pd.DataFrame, out: Path) -> "pd.Series[float]":
    result = Portfolio(values).fit(table, out=out, workers=0)
    assert result.counts["ok"] == 1, result.entities["reason"][0]
    return result.parameters.set_index("parameter")["mean"]


@pytest.mark.parametrize("limit", [0.0, "floor"])
@pytest.mark.parametrize("kind", ["censored", "truncated"])
def test_limits_give_the_distribution_back_where_plain_rows_do_not(
    kind: str, limit: float | str, tmp_path: Path
) -> None:
    found = means(config(**{kind: {"lower": limit}}), rows(kind), tmp_path / "limited")
    assert found["level"] == pytest.approx(MEAN, abs=0.5)
    assert found["s"] == pytest.approx(SD, abs=0.35)
    if limit == 0.0:  # the twin
        plain = means(config(), rows(kind), tmp_path / "plain")
        assert plain["level"] > MEAN + 0.15
        assert plain["s"] < SD - 0.4


def test_the_posterior_is_that_of_the_known_likelihood(tmp_path: Path) -> None:
    """Mode of Tobin's likelihood, written out."""
    table = rows("censored")
    found = means(config(censored={"lower": 0}), table, tmp_path / "o")
    y, cut = table["y"].to_numpy(), (table["y"] == 0).to_numpy()

    def log_density(level: float, s: float) -> float:
        seen = stats.norm.logpdf(y[~cut], level, s).sum() + cut.sum() * stats.norm.logcdf(0, level, s)
        return float(seen + stats.norm.logpdf(level, 0, 10) + stats.halfnorm.logpdf(s, scale=5))

    grid = [(a, b) for a in np.linspace(0.3, 1.7, 71) for b in np.linspace(1.5, 2.6, 56)]
    density = np.array([log_density(*point) for point in grid])
    weights = np.exp(density - density.max())
    exact = weights @ np.array(grid) / weights.sum()
    assert found["level"] == pytest.approx(exact[0], abs=0.02)
    assert found["s"] == pytest.approx(exact[1], abs=0.02)


def test_predictions_stay_within_the_limits(tmp_path: Path) -> None:
    limits = {"lower": 0, "upper": 4}
    for kind in ("censored", "truncated"):
        table = rows(kind)
        table["y"] = np.minimum(table["y"], 4)
        result = Portfolio(config(**{kind: limits})).fit(table, out=tmp_path / kind, workers=0)
        found = result.predict(pd.DataFrame({"shop": ["a"] * 3}), interval=0.99)
        assert (found["lower_99"] >= 0).all()
        assert (found["upper_99"] <= 4).all()
        assert 0.8 < result.entities["coverage_90"][0] <= 1


def test_limits_come_back_and_change_the_model() -> None:
    plain, limited = from_dict(config()), from_dict(config(censored={"lower": "floor"}))
    assert from_dict(to_dict(limited)) == limited
    assert "censored" not in to_dict(plain)["model"]["likelihood"]
    assert describe(limited).key != describe(plain).key
    assert describe(limited).columns == ("floor",)


def test_rows_beyond_a_limit_are_told(tmp_path: Path) -> None:
    table = rows("censored").assign(y=lambda t: t["y"] - 1)
    plan = Portfolio(config(censored={"lower": "floor"})).plan(table)
    assert "'y' is below its limit, column 'floor', in" in plan.panel.reasons["a"]


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"censored": {"lower": 0}, "truncated": {"lower": 0}}, "stands beside censored"),
        ({"censored": {}}, "neither lower nor upper"),
        ({"truncated": {"lower": 2, "upper": 1}}, "lower is below upper"),
        ({"censored": {"lower": "level"}}, "a limit is known"),
        ({"censored": {"low": 0}}, "lower"),
    ],
)
def test_mistakes(limits: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_dict(config(**limits))


SKEWED = {"dist": "SkewNormal", "kwargs": {"mu": "level", "sigma": "s", "alpha": 1}}
COUNTED = {"dist": "Poisson", "kwargs": {"mu": "s"}}


@pytest.mark.parametrize(
    ("kind", "family", "said"),
    [
        ("censored", SKEWED, "SkewNormal cannot be censored"),
        ("truncated", SKEWED, "SkewNormal cannot be truncated"),
        ("truncated", COUNTED, "Poisson cannot be truncated"),  # its predictions could not be drawn
    ],
)
def test_a_family_that_lacks_what_limits_need_is_refused(
    kind: str, family: dict[str, Any], said: str
) -> None:
    values = config(**{kind: {"lower": 0}})
    values["model"]["likelihood"] |= family
    if family is COUNTED:
        del values["model"]["parameters"]["level"]
    with pytest.raises(ModelError, match=said):
        Portfolio(values).plan(rows("censored").round())


def test_counts_can_be_censored(tmp_path: Path) -> None:
    values = config(censored={"upper": 6})
    values["model"]["parameters"] = {"s": prior("Gamma", alpha=2, beta=0.5)}
    values["model"]["likelihood"] |= COUNTED
    counts = np.minimum(np.random.default_rng(0).poisson(5, 300), 6)
    found = means(values, pd.DataFrame({"shop": "a", "y": counts}), tmp_path / "o")
    assert found["s"] == pytest.approx(5, abs=0.5)
    assert counts.mean() < 4.7  # the twin: what plain rows would say
