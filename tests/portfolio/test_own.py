"""Models of one's own: the same as in the configuration's words, and everything works with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posterity import Portfolio, Result
from posterity.config import from_dict, to_dict, with_overrides
from posterity.errors import ConfigError, ModelError
from posterity.inference import compiled
from posterity.portfolio.export import export
from tests.entities import prior
from tests.portfolio.refitted import carry_everything

PLACE, EXAMPLES = "tests.models.own_models", "posterity.models.examples"
SHIPPED = ("autoregression", "garch", "decay")


def config(name: str, parameters: dict[str, Any], time: str | None = "t", **build: Any) -> dict[str, Any]:
    """Entities `e`, target `y`."""
    data = {"entity": "shop", "target": "y"} | ({"time": time} if time else {})
    function = f"{EXAMPLES if name in SHIPPED else PLACE}:{name}"
    made: Any = function if not build else {"function": function, **build}
    return {"name": "own", "data": data, "model": {"parameters": parameters, "build": made}}


LINE = {
    "a": prior("Normal", mu=0, sigma=5),
    "b": prior("Normal", mu=0, sigma=5),
    "s": prior("HalfNormal", sigma=1),
}


def lines(entities: int = 6, rows: int = 20) -> pd.DataFrame:
    rng, x = np.random.default_rng(1), np.linspace(0, 1, rows)
    parts = [
        pd.DataFrame(
            {
                "shop": f"e{i}",
                "t": np.arange(rows),
                "x": x,
                "y": 1 + i / 5 + 2 * x + rng.normal(scale=0.3, size=rows),
            }
        )
        for i in range(entities)
    ]
    return pd.concat(parts, ignore_index=True)


def one(values: np.ndarray, step: float = 1.0) -> pd.DataFrame:
    return pd.DataFrame({"shop": "e0", "t": step * np.arange(len(values)), "y": values})


def fit(values: dict[str, Any], rows: pd.DataFrame, out: Path) -> Result:
    return Portfolio(values).fit(rows, out=out, workers=0)


def test_it_is_the_model_that_the_words_describe(tmp_path: Path) -> None:
    mine = config("line", LINE, columns=["x"])
    model = {
        "parameters": LINE,
        "quantities": {"mu": {"expression": "a + b * x"}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "mu", "sigma": "s"}},
    }
    own, words = (
        fit({**mine, "model": m}, lines(), tmp_path / n)
        for n, m in (("own", mine["model"]), ("words", model))
    )
    pd.testing.assert_frame_equal(own.parameters, words.parameters)
    pd.testing.assert_frame_equal(own.intervals[words.intervals.columns], words.intervals)
    later = pd.DataFrame({"shop": "e1", "t": [20, 21], "x": [0.5, 2.0]})
    assert own.predict(later)["mean"].tolist() == pytest.approx(
        words.predict(later)["mean"].tolist(), rel=0.05
    )


def test_transfer_refits_and_exports_work_and_nothing_is_compiled_for_an_entity(tmp_path: Path) -> None:
    rows = lines(8)
    short = rows[(rows["shop"] != "e7") | (rows["t"] < 3)]
    values = config("line", LINE, columns=["x"]) | {"transfer": {"established": {"min_rows": 15}}}
    first = fit(values, short[short["t"] < 16], tmp_path / "first")
    made = compiled.compilations
    assert first.entities.set_index("entity").loc["e7", "prior"] == "population"
    wide = fit({**values, "transfer": None}, short[short["t"] < 16], tmp_path / "wide")
    sds = [r.parameters.set_index(["entity", "parameter"]).loc[("e7", "b"), "sd"] for r in (first, wide)]
    assert sds[0] < 0.5 * sds[1]
    later = first.refit(rows, out=tmp_path / "later", workers=0)
    assert later.version > 1
    assert later.entity_row("e7")["n_rows"] == 20
    fit(values, lines(20), tmp_path / "many")
    assert compiled.compilations - made <= 4  # of the same structures, whatever entities there are
    trained = export(first, "e0").plain
    assert trained.model.build == first.config.model.build
    assert abs(trained.model.parameters["b"].kwargs["mu"] - 2) < 0.5


def test_deterministics_are_no_parameters(tmp_path: Path) -> None:
    result = fit(config("named", LINE, columns=["x"]), lines(1), tmp_path / "o")
    assert result.parameters["parameter"].tolist() == ["a", "b", "s"]


def test_a_mixture_finds_both_levels(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    high = rng.random(200) < 0.3
    rows = one(np.where(high, 5.0, 1.0) + rng.normal(scale=0.5, size=200))
    parameters = {
        "low": prior("Normal", mu=0, sigma=5), "step": prior("HalfNormal", sigma=5),
        "share": prior("Beta", alpha=1, beta=1), "s": prior("HalfNormal", sigma=1),
    }  # fmt: skip
    means = fit(config("mixture", parameters), rows, tmp_path / "o").parameters.set_index("parameter")["mean"]
    assert means["low"] == pytest.approx(1, abs=0.15)
    assert means["low"] + means["step"] == pytest.approx(5, abs=0.25)
    assert means["share"] == pytest.approx(high.mean(), abs=0.05)


AR = {
    "level": prior("Normal", mu=0, sigma=5),
    "phi": prior("Beta", alpha=2, beta=2),
    "s": prior("HalfNormal", sigma=1),
}


@pytest.fixture(scope="module")
def series() -> np.ndarray:
    rng, values = np.random.default_rng(0), [3.0]
    for _ in range(149):
        values.append(2 + 0.8 * (values[-1] - 2) + rng.normal(scale=0.3))
    return np.array(values)


def test_forecasts_of_an_autoregression_fan_out_from_the_last_row(series: np.ndarray, tmp_path: Path) -> None:
    result = fit(config("autoregression", AR, lookback=1), one(series), tmp_path / "o")
    found = result.predict(pd.DataFrame({"shop": "e0", "t": np.arange(150, 180)}))
    draws = result.table("draws.parquet").to_pandas()
    ahead = np.arange(1, 31)
    level, phi, s = (draws[name].to_numpy()[:, None] for name in ("level", "phi", "s"))
    mean = level + phi**ahead * (series[-1] - level)
    variance = s**2 * (1 - phi ** (2 * ahead)) / (1 - phi**2)
    sd = np.sqrt(variance.mean(axis=0) + mean.var(axis=0))
    np.testing.assert_allclose(found["mean"], mean.mean(axis=0), atol=0.06)
    np.testing.assert_allclose(found["upper_90"] - found["lower_90"], 2 * 1.645 * sd, rtol=0.1)


def test_carried_rows_know_the_row_before(
    series: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_everything(monkeypatch)
    values = config("autoregression", AR, lookback=1)
    first = fit(values, one(series[:140]), tmp_path / "first")
    rows = one(series)
    exact, carry = (first.refit(rows, mode=m, out=tmp_path / m, workers=0) for m in ("exact", "carry"))
    assert carry.entity_row("e0")["update"] == "carry"
    for name in ("level", "phi", "s"):
        a, b = (r.parameters.set_index("parameter").loc[name] for r in (exact, carry))
        assert abs(a["mean"] - b["mean"]) < 0.3 * a["sd"]


@pytest.mark.slow
def test_garch_finds_the_recursion(tmp_path: Path) -> None:
    rng, h, values = np.random.default_rng(0), 0.5, []
    for _ in range(200):
        values.append(np.sqrt(h) * rng.normal())
        h = 0.05 + 0.15 * values[-1] ** 2 + 0.75 * h
    parameters = {
        "w": prior("HalfNormal", sigma=0.2),
        "a": prior("Beta", alpha=2, beta=8),
        "b": prior("Beta", alpha=8, beta=4),
    }
    result = fit(
        config("garch", parameters, lookback="all") | {"inference": {"draws": 250, "method": "laplace"}},
        one(np.array(values)),
        tmp_path / "o",
    )
    table = result.parameters.set_index("parameter")
    for name, truth in (("w", 0.05), ("a", 0.15), ("b", 0.75)):
        assert abs(table.loc[name, "mean"] - truth) < 3 * table.loc[name, "sd"]
    assert 0.85 < result.entities["coverage_90"][0] < 0.95


@pytest.mark.slow
def test_an_ode_gives_back_its_rates(tmp_path: Path) -> None:
    t, k, e = np.arange(0.0, 10, 0.25), 0.8, 0.3
    exact = k / (e - k) * (np.exp(-k * t) - np.exp(-e * t))
    rows = one(exact + np.random.default_rng(3).normal(scale=0.01, size=len(t)), 0.25)
    parameters = {n: prior("LogNormal", mu=-1, sigma=1) for n in "ke"} | {"s": prior("HalfNormal", sigma=0.1)}
    table = fit(config("decay", parameters), rows, tmp_path / "o").parameters.set_index("parameter")
    assert table.loc["k", "mean"] == pytest.approx(k, abs=4 * table.loc["k", "sd"])
    assert table.loc["e", "mean"] == pytest.approx(e, abs=4 * table.loc["e", "sd"])
    assert table.loc["k", "sd"] < 0.05


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fails", "raised KeyError: 'price'"),
        ("makes_its_own", "makes the unknown 'more' itself; declare its prior"),
        ("observes_nothing", r"observed=data\['y'\]; found none"),
        ("observes_another", "is not the target"),
        ("looks_back", "lookback: all"),
        ("not_there", "has nothing called 'not_there'"),
    ],
)
def test_what_a_function_may_not_do_is_told_before_anything_is_fitted(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Portfolio(config(name, {"a": LINE["a"]}, columns=["x"])).plan(lines(1))


def test_the_short_form_and_the_way_back() -> None:
    short, long = (from_dict(config("line", LINE, **more)) for more in ({}, {"lookback": 0}))
    assert short.model == long.model
    assert from_dict(to_dict(short)) == short
    assert with_overrides(short, {"model.build.lookback": 2}).model.build.lookback == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"likelihood": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}}},
            "model.build: stands beside likelihood",
        ),
        ({"build": None}, "model.likelihood: is missing"),
        ({"build": "line"}, "model.build"),
        ({"parameters": {}}, "no parameters"),
        ({"build": {"function": "a:b", "columns": ["y"]}}, "'y' is given to the function anyway"),
        ({"build": {"function": "a:b", "columns": ["a"]}}, "'a' is a parameter"),
    ],
)
def test_mistakes_in_the_configuration(change: dict[str, Any], said: str) -> None:
    values = config("line", LINE)
    values["model"] = {k: v for k, v in (values["model"] | change).items() if v is not None}
    with pytest.raises(ConfigError, match=said):
        from_dict(values)
