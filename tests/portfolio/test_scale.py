"""Columns on a scale that is remembered: the same parameters in refits, transfers, priors and forecasts."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import posterity
from posterity.config import Config, from_dict, with_overrides
from posterity.config.scale import Scaling
from posterity.errors import ConfigError
from posterity.inference import compiled
from posterity.models import describe
from posterity.portfolio import prior_file
from posterity.portfolio.fixed import fixed
from posterity.portfolio.plan import read_panel

RNG = np.random.default_rng(4)
TRUE = {"slope": -2.0, "level": 300.0}


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models are not worth machine code."""
    monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)


def panel(entities: int = 2, first: int = 0, weeks: int = 30, low: float = 10.0) -> pd.DataFrame:
    """Sales that fall by 2 with every unit of price, which lies around `low` + 5."""
    rng = np.random.default_rng([entities, first])
    rows = [(f"p{e}", first + w) for e in range(entities) for w in range(weeks)]
    price = rng.uniform(low, low + 10, len(rows))
    sales = TRUE["level"] + TRUE["slope"] * price + rng.normal(0, 3, len(rows))
    return pd.DataFrame(rows, columns=["product", "week"]).assign(price=price, sales=sales)


def configuration(scale: dict[str, Any] | None = None, **more: Any) -> Config:
    """A straight line with the priors of a standardised one."""
    normal = {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 2}}
    sigma = {"dist": "HalfNormal", "kwargs": {"sigma": 1}}
    scale = {"price": "standard", "sales": "standard"} if scale is None else scale
    return from_dict(
        {
            "name": "line",
            "data": {"entity": "product", "time": "week", "target": "sales"}
            | ({"scale": scale} if scale else {}),
            "model": {
                "parameters": {"level": normal, "slope": normal},
                "quantities": {"line": {"expression": "level + slope * price"}},
                "likelihood": {"dist": "Normal", "kwargs": {"mu": "line", "sigma": sigma}},
            },
            "inference": {"method": "laplace", "draws": 500, "chains": 2},
            **more,
        }
    )


def fit(config: Config, rows: pd.DataFrame, out: Path) -> posterity.Result:
    return posterity.Portfolio(config).fit(rows, out=out, workers=0)


def slope(result: posterity.Result, entity: str = "p0") -> float:
    """The slope in units of the columns."""
    table = result.parameters.set_index(["entity", "parameter"])["mean"]
    scale = result.config.data.scale
    return table[entity, "slope"] * scale["sales"].sd / scale["price"].sd


def test_the_numbers_are_those_of_the_panel_and_stand_in_the_configuration(tmp_path: Path) -> None:
    rows = panel()
    scale = fit(configuration(), rows, tmp_path / "r").config.data.scale
    assert {name: type(s) for name, s in scale.items()} == {"price": Scaling, "sales": Scaling}
    for name in scale:
        assert scale[name].centre == pytest.approx(rows[name].mean(), rel=1e-4)
        assert scale[name].sd == pytest.approx(rows[name].std(ddof=0), rel=1e-5)


def test_parameters_are_standardised_and_everything_else_is_in_the_columns_unit(tmp_path: Path) -> None:
    rows = panel()
    scaled, plain = fit(configuration(), rows, tmp_path / "a"), tmp_path / "b"
    wide = {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1000}}
    unscaled = fit(
        with_overrides(
            configuration({}),
            {"model.parameters.level": wide, "model.parameters.slope": wide}
            | {"model.likelihood.kwargs.sigma": {"dist": "HalfNormal", "kwargs": {"sigma": 30}}},
        ),
        rows,
        plain,
    )
    assert slope(scaled) == pytest.approx(TRUE["slope"], abs=0.5)
    mine, theirs = scaled.intervals, unscaled.intervals
    assert np.abs(mine["mean"] - theirs["mean"]).max() < 1.5
    assert mine["observed"].to_numpy() == pytest.approx(rows["sales"].to_numpy())
    assert mine["price"].to_numpy() == pytest.approx(rows["price"].to_numpy())
    ahead = rows.tail(3).assign(week=[90, 91, 92])
    mine, theirs = scaled.predict(ahead, interval=0.9), unscaled.predict(ahead, interval=0.9)
    for column in ("mean", "lower_90", "upper_90", "expected_mean"):
        assert mine[column].to_numpy() == pytest.approx(theirs[column].to_numpy(), abs=2)


@pytest.mark.parametrize("mode", ["exact", "carry"])
def test_a_refit_means_the_same_parameters(mode: str, tmp_path: Path) -> None:
    """The new chunk lies elsewhere, so that it has another mean and sd of its own."""
    first, later = panel(), panel(first=30, low=40)
    result = fit(configuration(), first, tmp_path / "r")
    again = result.refit(later, out=tmp_path / "s", mode=mode, workers=0)
    assert again.config.data.scale == result.config.data.scale
    assert slope(again) == pytest.approx(TRUE["slope"], abs=0.2)
    # The word in the configuration is no other model.
    told = result.refit(later, out=tmp_path / "t", mode=mode, config=configuration(), workers=0)
    assert told.config.data.scale == result.config.data.scale
    assert told.parameters["mean"].to_numpy() == pytest.approx(again.parameters["mean"].to_numpy())
    # The twin: scaled anew, the same columns mean other parameters.
    both = fit(configuration(), pd.concat([first, later]), tmp_path / "u")
    assert both.config.data.scale != result.config.data.scale
    slopes = [r.parameters.set_index(["entity", "parameter"])["mean"]["p0", "slope"] for r in (again, both)]
    assert abs(slopes[0] - slopes[1]) > 0.1


def transferred(kind: dict[str, Any], scale: dict[str, Any] | None = None) -> Config:
    rules = [{"learn": "*", "from": kind}]
    return configuration(scale, transfer={"rules": rules, "established": {"min_rows": 10_000}, "robust": 0})


def test_a_prior_brings_its_scale(tmp_path: Path) -> None:
    """Three rows of another price range: the prior says what is known, on the scale it was learned on."""
    old = fit(configuration(), panel(), tmp_path / "r")
    few = panel(first=30, weeks=3, low=40)
    learned = fit(transferred({"portfolio": str(tmp_path / "r")}), few, tmp_path / "s")
    assert learned.config.data.scale == old.config.data.scale
    assert slope(learned) == pytest.approx(TRUE["slope"], abs=0.3)
    # The twin: on another scale the same numbers would mean something else, so there is no such prior.
    apart = {"price": {"centre": 45, "sd": 3}, "sales": {"centre": 210, "sd": 7}}
    own = fit(transferred({"portfolio": str(tmp_path / "r")}, apart), few, tmp_path / "t")
    assert set(own.entities["prior"]) == {"declared"}


def test_a_prior_file_holds_the_scale(tmp_path: Path) -> None:
    pooled = configuration(transfer={"established": {"min_rows": 20}})
    rows = pd.concat([panel(5), panel(5, weeks=5).assign(product="new")])
    rows = rows.drop_duplicates(["product", "week"])
    result = fit(pooled, rows, tmp_path / "r")
    (path,) = [p for p in (tmp_path / "r" / "priors").glob("*.yaml") if "population" in p.name]
    prior = prior_file.load(path, describe(result.config))
    assert prior.structure is not None
    assert prior.structure.scales == describe(result.config).scales
    other = fixed(transferred({"file": str(path)}), read_panel(configuration(), panel(1, low=90)))
    assert other.data.scale == result.config.data.scale
    moved = with_overrides(result.config, {"data.scale.price": {"centre": 0, "sd": 1}})
    with pytest.raises(ConfigError, match=r"price is read with centre .* in the prior and centre 0 and sd 1"):
        prior_file.check_fits(prior, describe(moved))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data.scale": {"prize": "standard"}}, "'prize' is read by nothing in the model"),
        ({"data.scale": {"slope": "standard"}}, "is a parameter or quantity"),
        ({"data.scale": {"product": "standard"}}, "is an entity column"),
        ({"data.scale": {"price": "log"}}, "standard"),
        ({"data.scale": {"price": {"centre": 0, "sd": 0}}}, "more than 0"),
        ({"model.likelihood": {"dist": "Poisson", "kwargs": {"mu": "line"}}}, "likelihood Poisson"),
        (
            {"model.likelihood": {"dist": "Normal", "kwargs": {"mu": "line", "sigma": "price"}}},
            "takes the column 'price'",
        ),
        ({"model.likelihood.censored": {"lower": 0}}, "limits are in its own unit"),
    ],
)
def test_what_cannot_be_scaled_is_told(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        with_overrides(configuration(), change)


def test_a_constant_column_has_no_scale() -> None:
    with pytest.raises(ConfigError, match=r"data\.scale\.price: the column is 3 in every row"):
        fixed(configuration(), read_panel(configuration(), panel().assign(price=3.0)))


def test_rows_of_entities_that_cannot_be_fitted_have_no_say() -> None:
    bad = panel(3)
    bad.loc[(bad["product"] == "p2") & (bad["week"] == 0), "sales"] = np.nan
    bad.loc[(bad["product"] == "p2") & (bad["week"] == 1), "price"] = 1e30
    found = fixed(configuration(), read_panel(configuration(), bad)).data.scale
    good = bad[bad["product"] != "p2"]
    assert found == fixed(configuration(), read_panel(configuration(), good)).data.scale


def test_the_key_of_a_model_without_scales_is_what_it_was() -> None:
    known = "9a67b487cfc837b5c018932312ee77e7da0c9717abc8df566904b675ab47a41e"
    assert describe(configuration({})).key == known


def test_another_scale_is_no_other_structure(tmp_path: Path) -> None:
    """Numbers of a scale are neither compiled nor taken from the model that was compiled first."""
    fit(configuration(), panel(), tmp_path / "a")
    made = compiled.compilations
    elsewhere = fit(configuration(), panel(3, low=60), tmp_path / "b")
    assert compiled.compilations == made
    assert slope(elsewhere) == pytest.approx(TRUE["slope"], abs=0.5)
    assert elsewhere.config.data.scale["price"].centre == pytest.approx(65, abs=1)
