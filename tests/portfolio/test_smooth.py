"""Smooth trends through the whole of it: fits, forecasts, refits, transfers, prior files, joint models."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytensor.tensor as pt
import pytest

import posterity
from posterity.config import Config, from_dict, load, with_overrides
from posterity.errors import ConfigError, PanelError
from posterity.inference import compiled
from posterity.inference.compiled import CompiledModel
from posterity.models import describe, smooths
from posterity.portfolio import prior_file, ranges
from posterity.portfolio.export import export
from posterity.portfolio.fixed import fixed
from posterity.portfolio.plan import read_panel
from posterity.portfolio.predictive import predictive_draws
from tests.entities import described, expected, rows, smoothed

NOISE, SCALE = 0.2, 15.0
RANGE = "smooth(week, m=24, c=2, low=0, high=67)"


def kernel(a: Any, b: Any) -> Any:
    return np.exp(-((np.asarray(a)[:, None] - np.asarray(b)) ** 2) / (2 * SCALE**2))


def panel(sites: int = 1, weeks: int = 60, first: int = 0, alike: float = 0.0, seed: int = 1) -> pd.DataFrame:
    """Gaussian processes with noise over 120 weeks, of which `weeks` from `first` on are given; `alike` is
    the share of the variance that all sites have in common.
    """
    rng, at = np.random.default_rng(seed), np.arange(120)
    lower = np.linalg.cholesky(kernel(at, at) + 1e-9 * np.eye(120))
    common = lower @ rng.normal(size=120)
    frames = []
    for site in range(sites):
        value = np.sqrt(alike) * common + np.sqrt(1 - alike) * (lower @ rng.normal(size=120))
        table = pd.DataFrame({"site": f"s{site}", "week": at, "y": value + NOISE * rng.normal(size=120)})
        frames.append(table.assign(value=value)[first : first + weeks])
    return pd.concat(frames, ignore_index=True)


def narrow(mu: float) -> dict[str, Any]:
    return {"dist": "LogNormal", "kwargs": {"mu": float(np.log(mu)), "sigma": 0.001}}


def configuration(expression: str = "smooth(week, m=24, c=2, high=67)", **more: Any) -> Config:
    """Everything known but the function, so that its posterior is normal and the exact one in closed form."""
    sigma = narrow(NOISE)
    return from_dict(
        {
            "name": "trend",
            "data": {"entity": "site", "time": "week", "target": "y"},
            "model": {
                "parameters": {"trend_amplitude": narrow(1), "trend_lengthscale": narrow(SCALE)},
                "quantities": {"trend": {"expression": expression}},
                "likelihood": {"dist": "Normal", "kwargs": {"mu": "trend", "sigma": sigma}},
            },
            "inference": {"method": "laplace", "draws": 1000, "chains": 2},
            **more,
        }
    )


def fit(config: Config, rows: pd.DataFrame, out: Path) -> posterity.Result:
    return posterity.Portfolio(config).fit(rows, out=out, workers=0)


def curve(result: posterity.Result, weeks: Any, site: str = "s0") -> pd.DataFrame:
    return result.predict(pd.DataFrame({"site": site, "week": np.asarray(weeks)}))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> posterity.Result:
    return fit(configuration(), panel(), tmp_path_factory.mktemp("smooth") / "r")


def test_the_range_and_the_parameters_stand_in_the_configuration(result: posterity.Result) -> None:
    model = result.config.model
    assert model.quantities["trend"].expression == "smooth(week, m=24, c=2, low=0, high=67)"
    assert list(model.parameters) == ["trend_amplitude", "trend_lengthscale", "trend_weights"]
    assert len(model.coords["trend_basis"]) == 24
    assert set(result.entities["status"]) == {"ok"}


def test_fit_and_forecast_are_those_of_the_exact_process(result: posterity.Result) -> None:
    """Means within 15 % of an exact posterior sd, sds within 10 %, to eight weeks after the last row."""
    rows, at = panel(), np.arange(68)
    gain = kernel(at, rows["week"]) @ np.linalg.inv(
        kernel(rows["week"], rows["week"]) + NOISE**2 * np.eye(60)
    )
    mean, sd = gain @ rows["y"], np.sqrt(1 - np.einsum("ij,ij->i", gain, kernel(at, rows["week"])))
    found = curve(result, at)
    width = (found["expected_upper_90"] - found["expected_lower_90"]) / (2 * 1.645)
    assert np.abs((found["expected_mean"] - mean) / sd).max() < 0.15
    assert np.abs(width / sd - 1).max() < 0.1


def test_rows_between_the_range_and_the_edge_are_doubted(result: posterity.Result) -> None:
    weeks = pd.DataFrame({"site": "s0", "week": [66, 67, 68, 70]})
    (said,) = ranges.doubts(result.config, weeks)
    assert said.startswith("2 rows lie outside the range of trend, 0 to 67 in 'week'")
    assert ranges.doubts(result.config, weeks.head(2)) == []


def test_rows_beyond_the_edge_are_refused_with_what_to_do(result: posterity.Result, tmp_path: Path) -> None:
    assert len(curve(result, [100])) == 1
    with pytest.raises(
        PanelError, match=r"beyond the edge of trend, which reaches from -33.5 to 100.5; write low="
    ):
        curve(result, [80, 101])
    rows = pd.concat([panel(), panel(weeks=102).assign(site="late")])
    told = fit(result.config, rows, tmp_path / "r").entities
    assert told.set_index("entity")["status"].to_dict() == {"late": "failed", "s0": "ok"}
    assert "beyond the edge of trend" in told.set_index("entity")["reason"]["late"]


@pytest.mark.parametrize("mode", ["exact", pytest.param("carry", marks=pytest.mark.slow)])
def test_a_refit_means_the_same_function(result: posterity.Result, mode: str, tmp_path: Path) -> None:
    later = panel(weeks=8, first=60)
    again = result.refit(later, out=tmp_path / "s", mode=mode, workers=0)
    assert again.config.model.smooths == result.config.model.smooths
    # Without the range, the words of the first configuration are no other model.
    told = result.refit(
        later, out=tmp_path / "t", mode=mode, workers=0, config=configuration("smooth(week, c=2, m=24)")
    )
    assert told.config.model.smooths == result.config.model.smooths
    # The same as a fit of all rows over that range.
    both = fit(result.config, pd.concat([panel(), later]), tmp_path / "u")
    at = np.arange(68)
    sd = (curve(both, at)["expected_upper_90"] - curve(both, at)["expected_lower_90"]) / (2 * 1.645)
    for other in (again, told):
        assert np.abs((curve(other, at)["expected_mean"] - curve(both, at)["expected_mean"]) / sd).max() < 0.3
    # The twin: over a range of its own, the same weights are another function.
    weights = again.parameters.set_index("parameter")["mean"].filter(like="weights").to_numpy()
    smooth = again.config.model.smooths["trend"]
    here, there = (smooths.basis(one, np.arange(60.0)) @ weights for one in (smooth, smooth.over(0, 103)))
    assert np.abs(here - there).max() > 0.5 * np.std(here)


def learning(**rule: Any) -> dict[str, Any]:
    return {"rules": [{"learn": "*", "from": rule}], "established": {"min_rows": 10_000}, "robust": 0}


@pytest.mark.slow
def test_a_prior_brings_its_range(result: posterity.Result, tmp_path: Path) -> None:
    few = panel(weeks=3, first=60)
    config = configuration("smooth(week, m=24, c=2)", transfer=learning(portfolio=str(result.path)))
    assert fixed(config, read_panel(config, few)).model.smooths == result.config.model.smooths
    learned = fit(config, few, tmp_path / "r")
    assert learned.config.model.smooths == result.config.model.smooths
    assert learned.entities["prior"].tolist() != ["declared"]
    # The twin: another range is another function, so there is no such prior.
    apart = configuration(
        "smooth(week, m=24, c=2, low=0, high=80)", transfer=learning(portfolio=str(result.path))
    )
    own = fit(apart, few, tmp_path / "s")
    assert own.entities["prior"].tolist() == ["declared"]


def test_a_prior_file_holds_the_range(result: posterity.Result, tmp_path: Path) -> None:
    path = prior_file.save(export(result, "s0").prior, tmp_path / "p.yaml")
    prior = prior_file.load(path)
    assert prior.structure is not None
    assert prior.structure.ranges == {"trend": (0, 67)}
    told = configuration("smooth(week, m=24, c=2)", transfer=learning(file=str(path)))
    assert fixed(told, read_panel(told, panel(weeks=9))).model.smooths == result.config.model.smooths
    moved = with_overrides(
        result.config, {"model.quantities.trend.expression": "smooth(week, m=24, c=2, low=0, high=90)"}
    )
    with pytest.raises(
        ConfigError, match="trend is made for the range 0 to 67 in the prior and 0 to 90 in the"
    ):
        prior_file.check_fits(prior, describe(moved))


def test_many_entities_compile_once(tmp_path: Path) -> None:
    config, rows = configuration(), panel(50, weeks=20)
    fit(config, rows[rows["site"].isin(["s0", "s1"])], tmp_path / "a")
    before = compiled.compilations
    assert fit(config, rows, tmp_path / "b").counts["ok"] == 50
    assert compiled.compilations == before


SCALED = {"data.scale": {"week": {"centre": 30, "sd": 17}}}


def test_a_scaled_column_is_scaled_here_too() -> None:
    """The range is that of the scaled column, and weights and amplitude mean what they mean without."""
    scaled, plain = (
        with_overrides(configuration(f"smooth(week, m=24, c=2, {ends})"), {"gates.ess": 1, **more})
        for ends, more in ((f"high={37 / 17!r}, low={-30 / 17!r}", SCALED), ("high=67, low=0", {}))
    )
    found = fixed(with_overrides(configuration("smooth(week, m=24, c=2)"), {**SCALED, **SHORT}), seen())
    smooth = found.model.smooths["trend"]
    assert (smooth.low, smooth.high) == pytest.approx((-30 / 17, 29 / 17), abs=1e-4)
    given = rows(week=[0.0, 20, 60])
    values = {"trend_amplitude": 1.3, "sigma": 0.2, **weights()}
    ours = expected(described(smoothed(scaled)), {**values, "trend_lengthscale": 15 / 17}, given)
    theirs = expected(described(smoothed(plain)), {**values, "trend_lengthscale": 15.0}, given)
    assert ours == pytest.approx(theirs)
    # The twin: a length scale in weeks is too long for weeks that were scaled.
    wrong = expected(described(smoothed(scaled)), {**values, "trend_lengthscale": 15.0}, given)
    assert np.abs(wrong - theirs).max() > 0.1


SHORT = {"model.parameters.trend_lengthscale": narrow(SCALE / 17)}


def seen() -> Any:
    return read_panel(configuration(), panel())


def weights(m: int = 24) -> dict[str, float]:
    return {f"trend_weights[{i}]": float(w) for i, w in enumerate(np.random.default_rng(5).normal(size=m), 1)}


def drawn(model: CompiledModel, size: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the parameters (S, P), hardly any noise in them, and of the function at weeks 0 to 67."""
    rng = np.random.default_rng(6)
    value = rng.normal(0, 1, (size, len(model.parameter_names)))
    value[:, model.parameter_names.index("sigma")] = 1e-9
    value[:, model.parameter_names.index("trend_lengthscale")] = [12.0, 15.0, 20.0]
    for name in ("trend_amplitude", *(n for n in model.parameter_names if "rho" in n)):
        value[:, model.parameter_names.index(name)] = rng.uniform(0.3, 0.9, size)
    smooth = model.description.smooths["trend"]
    functions, curves = smooths.basis(smooth, np.arange(68.0)), []
    for one in value:
        named = dict(zip(model.parameter_names, one, strict=True))
        u = np.array([named[f"trend_weights[{i}]"] for i in range(1, smooth.m + 1)])
        amplitude, scale = (pt.as_tensor(named[f"trend_{n}"]) for n in ("amplitude", "lengthscale"))
        size_of = amplitude.eval() * smooths.root_density(smooth, scale).eval()
        curves.append(functions @ (u * size_of / smooths.scaling(smooth, amplitude, scale).eval()))
    return value, np.array(curves)


def forecasts(model: CompiledModel, past: Any, weeks: list[float], values: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    observed, _ = predictive_draws(model, model.description.numbers, rows(week=weeks), values, rng, past)
    return observed


def test_errors_that_depend_on_the_row_before_go_on_from_the_last_one() -> None:
    """f(t) + ρ^gap (y - f) of the last row, draw by draw."""
    rho = {"dist": "Beta", "kwargs": {"alpha": 2, "beta": 2}}
    config = with_overrides(configuration(RANGE), {"model.likelihood.errors": {"ar1": {"rho": rho}}})
    model = described(smoothed(config))
    values, curves = drawn(model)
    found = forecasts(model, rows([2.0], week=[59.0]), [60.0, 61.0, 67.0], values)
    (place,) = (i for i, n in enumerate(model.parameter_names) if "rho" in n)
    kept = values[:, [place]] ** np.array([1, 2, 8])
    assert found == pytest.approx(curves[:, [60, 61, 67]] + kept * (2 - curves[:, [59]]), abs=1e-6)


def test_a_smooth_and_a_history_are_simulated_together() -> None:
    """Half of the row before, which in a forecast is the draw's own."""
    model = described(
        smoothed(
            with_overrides(
                configuration(RANGE),
                {
                    "model.history": {"before": {"of": "y", "start": 0.0}},
                    "model.quantities.mu": {"expression": "trend + 0.5 * before"},
                    "model.likelihood.kwargs.mu": "mu",
                },
            )
        )
    )
    values, curves = drawn(model)
    found = forecasts(model, rows([1.0, 2.0], week=[58.0, 59.0]), [60.0, 61.0, 67.0], values)
    wanted = np.full((3, 4), 2.0)
    for i, week in enumerate((60, 61, 67), 1):
        wanted[:, i] = curves[:, week] + 0.5 * wanted[:, i - 1]
    assert found == pytest.approx(wanted[:, 1:], abs=1e-6)


@pytest.mark.parametrize(
    ("expression", "scale", "said"),
    [
        (
            "smooth(week, m=20, c=1.5)",
            1.0,
            "half of this prior lies below 1, .* write m=78, or a prior of longer",
        ),
        (
            "smooth(week, m=20, c=1.5)",
            40.0,
            "half of this prior lies above 40, .* write c=4.3, or a prior of",
        ),
    ],
)
def test_a_basis_too_coarse_or_too_narrow_for_its_prior_is_told(
    expression: str, scale: float, said: str
) -> None:
    config = with_overrides(configuration(expression), {"model.parameters.trend_lengthscale": narrow(scale)})
    with pytest.raises(ConfigError, match=said):
        fixed(config, read_panel(config, panel()))


def alike_exactly(rows: pd.DataFrame, site: str, at: Any, alike: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and sd of a site's process given all sites' rows, of which `alike` is the share in common."""
    week, own = rows["week"].to_numpy(), rows["site"].to_numpy()
    same = own[:, None] == own
    noisy = kernel(week, week) * (alike + (1 - alike) * same) + NOISE**2 * np.eye(len(rows))
    gain = np.linalg.solve(noisy, kernel(week, at) * (alike + (1 - alike) * (own == site)[:, None])).T
    variance = 1 - np.einsum("ij,ij->i", gain, kernel(at, week) * (alike + (1 - alike) * (own == site)))
    return gain @ rows["y"].to_numpy(), np.sqrt(variance)


@pytest.mark.slow
def test_a_population_passes_a_shape_on(tmp_path: Path) -> None:
    """Four rows and a population of ten shapes: nearly what the exact process says that knows how much the
    sites have in common, which the population has to learn.
    """
    config = configuration(
        "smooth(week, m=12, c=1.7, low=0, high=59)",
        transfer={"established": {"min_rows": 20}, "robust": 0, "pool": {"covariance": "diagonal"}},
        gates={"khat": 1.0},
    )
    rows = panel(12, alike=0.9)
    few = rows["site"].isin(["s10", "s11"])
    rows = rows[~few | rows["week"].between(20, 23)]
    learned = fit(config, rows, tmp_path / "r")
    alone = fit(
        with_overrides(config, {"transfer": None}), rows[rows["site"].isin(["s10", "s11"])], tmp_path / "s"
    )
    at, away = np.arange(60), {}
    for site in ("s10", "s11"):
        mean, sd = alike_exactly(rows, site, at, 0.9)
        for name, result in (("learned", learned), ("alone", alone)):
            found = curve(result, at, site)
            width = (found["expected_upper_90"] - found["expected_lower_90"]) / (2 * 1.645 * sd)
            distance = np.sqrt(np.mean(((found["expected_mean"] - mean) / sd) ** 2))
            away[site, name] = distance, np.mean(width)
    for site in ("s10", "s11"):
        distance, width = away[site, "learned"]
        assert distance < 0.7
        assert 0.8 < width < 1.5
        # The twin: what four rows say alone.
        assert away[site, "alone"][1] > 2
    assert max(away[site, "alone"][0] for site in ("s10", "s11")) > 1.4


@pytest.mark.slow
def test_a_joint_model_finds_the_curves(tmp_path: Path) -> None:
    """By NUTS and by batches of rows, curves of a joint model are those of separate fits."""
    expression = "smooth(week, m=12, c=1.7, low=0, high=59)"
    rows = panel(4, alike=0.9)
    apart = fit(configuration(expression), rows, tmp_path / "q")
    joint = configuration(
        expression,
        inference={"method": "nuts", "pooling": "joint", "draws": 300, "chains": 2, "tune": 300},
        gates={"ess": 50, "rhat": 1.1},
    )
    batches = with_overrides(joint, {"inference.method": "advi", "inference.minibatch": 120})
    batches = with_overrides(batches, {"inference.tune": "auto"})
    for name, config, far in (("r", joint, 0.1), ("s", batches, 0.25)):
        found = fit(config, rows, tmp_path / name)
        for site, own in rows.groupby("site"):
            mean = curve(found, own["week"], site)["expected_mean"].to_numpy()
            wanted = curve(apart, own["week"], site)["expected_mean"].to_numpy()
            assert np.sqrt(np.mean((mean - wanted) ** 2)) < far, (name, site)
            assert np.sqrt(np.mean((mean - own["value"]) ** 2)) < far + 0.05, (name, site)
        # The twin: another site's curve.
        wanted = curve(apart, np.arange(60), "s1")["expected_mean"].to_numpy()
        mean = curve(found, np.arange(60), "s0")["expected_mean"].to_numpy()
        assert np.sqrt(np.mean((mean - wanted) ** 2)) > 0.3


@pytest.mark.slow
def test_the_shipped_configuration_finds_the_truth(checkout: Path, tmp_path: Path) -> None:
    """Three sites with everything unknown: nine tenths of the weeks inside the 90 % band, ahead as well."""
    config = with_overrides(load(checkout / "configs" / "smooth.yaml"), {"data.source": None})
    rows = pd.read_parquet(checkout / "data" / "trends.parquet")
    truth = pd.read_parquet(checkout / "data" / "trends_truth.parquet")
    sites = ["S01", "S02", "S03"]
    result = fit(config, rows[rows["site"].isin(sites)], tmp_path / "r")
    assert result.counts["ok"] == 3
    inside = []
    for site in sites:
        own = truth[truth["site"] == site]
        found = curve(result, own["week"], site)
        inside += list(
            found["expected_lower_90"].le(own["value"].to_numpy())
            & found["expected_upper_90"].ge(own["value"].to_numpy())
        )
    assert 0.8 < np.mean(inside) < 0.99
