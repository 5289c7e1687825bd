"""The calls of the old wrapper, and what was wrong with each: every test here fails on what it did."""

import copy
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pymc as pm
import pytest
import xarray as xr

from posterity.compat import PymcModel, load_config_from_file
from posterity.errors import ConfigError, ModelError, PanelError, ResultError
from tests.compat.wrapped import CONFIG, LINE, curve, draws_in, line, loaded, rows


@pytest.fixture(scope="module")
def fitted() -> PymcModel:
    return PymcModel(CONFIG | {"function_params": {"function": curve}}).fit(*rows())


def test_fit_returns_the_model_and_finds_the_truth(fitted: PymcModel) -> None:
    assert isinstance(fitted, PymcModel)
    assert fitted.check_is_fitted()
    posterior = fitted.trace["posterior"]
    truth = {"lambda_val": 0.08, "intercept": 0.1, "sigma": 0.02}
    assert set(posterior.data_vars) == set(truth)
    for name, value in truth.items():
        assert abs(float(posterior[name].mean()) - value) < 3 * float(posterior[name].std())
    assert posterior["lambda_val"].shape == (4, 1000)


def test_shapes_and_that_the_centre_is_the_same_with_and_without_alpha(fitted: PymcModel) -> None:
    x, y = rows()
    centre, bounds = fitted.predict(x), fitted.predict(x, alpha=0.9)
    assert centre.shape == (40,)
    assert bounds.shape == (3, 40)
    np.testing.assert_array_equal(bounds[1], centre)
    assert (np.diff(bounds, axis=0) > 0).all()
    assert 0.8 <= ((bounds[0] < y) & (bounds[2] > y)).mean() <= 1
    assert fitted.predict(x[:0]).shape == (0,)
    assert fitted.predict(x[:0], alpha=0.5).shape == (3, 0)


def test_rows_come_as_a_frame_with_more_columns_a_mapping_or_an_array(fitted: PymcModel) -> None:
    x, _ = rows()
    centre = fitted.predict(x)
    other = x.assign(adoption="unused", series=1).set_index(x["week"] + 7)
    for given in (other, {"week": x["week"]}, x["week"], x.to_numpy(), x["week"].to_numpy()):
        np.testing.assert_array_equal(fitted.predict(given), centre)


def test_the_centre_is_the_median_not_the_mean_and_not_the_curve_at_mean_parameters(tmp_path: Path) -> None:
    level = np.random.default_rng(1).normal(0, 1, (2, 501))
    model = loaded(
        tmp_path, LINE, lambda week, level, slope: np.exp(level) + slope * week, level=level, slope=0.0
    )
    truth = np.median(np.exp(level))
    mean, at_means = np.exp(level).mean(), np.exp(level.mean())
    assert abs(mean - truth) > 0.3
    assert abs(at_means - truth) > 0.005
    np.testing.assert_allclose(model.predict([1, 2]), truth, atol=1e-6)
    np.testing.assert_allclose(model.predict([1, 2], alpha=0.5)[1], truth, atol=1e-6)


@pytest.mark.parametrize(
    "alpha", [0.5, 0.9, 0.99]
)  # documented were the quantiles 1 - alpha / 2 and alpha / 2
def test_alpha_is_the_mass_between_the_bounds(tmp_path: Path, alpha: float) -> None:
    model = loaded(tmp_path, LINE, line, level=np.linspace(0, 1, 1001).reshape(1, -1), slope=0.0)
    lower, centre, upper = model.predict([3], alpha=alpha)
    np.testing.assert_allclose(
        [lower[0], centre[0], upper[0]], [(1 - alpha) / 2, 0.5, (1 + alpha) / 2], atol=1e-6
    )


def test_the_noise_is_in_the_interval(tmp_path: Path) -> None:
    model = loaded(tmp_path, LINE, line, level=np.zeros((4, 1000)), slope=0.0, sigma=1.0)
    lower, _, upper = model.predict(np.arange(400), alpha=0.9)
    np.testing.assert_allclose([lower.mean(), upper.mean()], [-1.645, 1.645], atol=0.01)


@pytest.mark.parametrize("alpha", [0, 1, 90, -0.1, float("nan")])
def test_what_alpha_may_be(fitted: PymcModel, alpha: float) -> None:
    with pytest.raises(ConfigError, match=r"alpha: .* found; allowed: the mass of the interval"):
        fitted.predict(rows()[0], alpha=alpha)


def test_a_block_of_rows_predicts_as_all_of_them_do(
    fitted: PymcModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    week = np.arange(1, 41)
    whole = fitted.predict(week, alpha=0.9)
    monkeypatch.setattr("posterity.compat.pymc_model.BLOCK", 7)
    np.testing.assert_allclose(fitted.predict(week, alpha=0.9), whole, atol=0.005)


def test_sample_params_may_be_missing_or_empty() -> None:
    for given in ({}, {"sample_params": None}, {"sample_params": {}}):
        config = {key: value for key, value in CONFIG.items() if key != "sample_params"} | given
        assert not PymcModel(config, curve).check_is_fitted()


def test_the_callers_dictionary_is_not_changed_and_not_watched(fitted: PymcModel, tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG) | {"function_params": {"function": curve}}
    config["variable_params"]["lambda_val"]["dist"] = pm.HalfNormal  # as the old loader left it
    before = copy.deepcopy(config)
    model = PymcModel(config)
    model.load_trace(_saved(fitted, tmp_path))
    model.export_trained_config(tmp_path / "trained.yaml")
    model.export_trained_config(tmp_path / "trained.yaml")
    assert config == before
    centre = model.predict(rows()[0])
    config["variable_params"]["lambda_val"]["params"]["sigma"] = "broken"
    config["independent_vars"].append("month")
    np.testing.assert_array_equal(model.predict(rows()[0]), centre)


def _saved(model: PymcModel, folder: Path) -> Path:
    model.save_trace(folder / "saved.nc")
    return folder / "saved.nc"


def test_a_trace_is_netcdf_that_others_open_and_predicts_the_same(fitted: PymcModel, tmp_path: Path) -> None:
    path = _saved(fitted, tmp_path)
    with xr.open_datatree(path) as tree:
        assert set(tree["posterior"].data_vars) == {"lambda_val", "intercept", "sigma"}
    again = PymcModel(CONFIG, curve)
    again.load_trace(str(path))
    x, _ = rows()
    np.testing.assert_array_equal(again.predict(x, alpha=0.8), fitted.predict(x, alpha=0.8))
    assert list(tmp_path.iterdir()) == [path]


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("exploded", "w")


def test_a_pickled_trace_is_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("trace.pkl").write_bytes(pickle.dumps({"trace": Bomb()}))
    with pytest.raises(ResultError, match=r"is no netCDF file; .*trace\.to_netcdf\(path\)"):
        PymcModel(CONFIG, curve).load_trace("trace.pkl")
    assert not Path("exploded").exists()


def test_a_trace_of_another_model_is_refused(fitted: PymcModel, tmp_path: Path) -> None:
    path = draws_in(tmp_path / "other.nc", lambda_val=np.ones((2, 10)), rate=np.ones((2, 10)))
    model = PymcModel(CONFIG, curve)
    with pytest.raises(ResultError, match="has lambda_val and rate and lacks intercept and sigma"):
        model.load_trace(path)
    assert not model.check_is_fitted()
    with pytest.raises(ResultError, match="cannot be read"):
        model.load_trace(tmp_path / "none.nc")


def test_before_a_fit_every_call_says_what_to_do(tmp_path: Path) -> None:
    model = PymcModel(CONFIG, curve)
    assert model.trace is None
    for call in (
        lambda: model.predict(rows()[0]),
        lambda: model.save_trace(tmp_path / "trace.nc"),
        lambda: model.export_trained_config(),
    ):
        with pytest.raises(
            ResultError, match=r"not fitted yet; call fit\(X, Y\) or load_trace\(path\) first"
        ):
            call()


@pytest.mark.parametrize(
    ("x", "y", "fragment"),
    [
        ({"weeks": [1, 2]}, [0, 1], "X lacks the independent_vars week; its columns are weeks"),
        (
            [[1, 2], [3, 4]],
            [0, 1],
            r"X has the shape \(2, 2\); give a DataFrame, or an array \(n, 1\) of week",
        ),
        ([1, 2, 3], [0, 1], r"Y has the shape \(2,\) and X 3 rows"),
        ([1, 2, None], [0, 1, 2], "'week' is missing in 1 of 3 rows"),
        ([1, 2, 3], [0, 1, None], "'Y_obs' is missing in 1 of 3 rows"),
    ],
)
def test_rows_that_cannot_be_used(x: object, y: object, fragment: str) -> None:
    with pytest.raises(PanelError, match=fragment):
        PymcModel(CONFIG, curve).fit(x, y)


def test_a_model_pickles_and_predicts_the_same(fitted: PymcModel) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict([3, 4], alpha=0.9), fitted.predict([3, 4], alpha=0.9))


def test_an_open_gate_warns() -> None:
    config = CONFIG | {"sample_params": {"draws": 50, "chains": 2}, "inference": {"method": "laplace"}}
    with pytest.warns(UserWarning, match="the posterior is flagged"):
        PymcModel(config, curve).fit(*rows(15))


def test_no_posterior_is_an_error_and_leaves_the_model_as_it_was() -> None:
    model = PymcModel(CONFIG | {"inference": {"method": "laplace"}}, curve)
    with pytest.raises(ModelError, match=r"no posterior: .* do the priors allow these data"):
        model.fit([1, 2, 3], [1e300, -1e300, 1e300])
    assert not model.check_is_fitted()


def test_the_shipped_file_is_the_old_one_and_runs(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from posterity import Portfolio

    monkeypatch.chdir(checkout)
    config = load_config_from_file("configs/wrapper/adoption.yaml")
    assert config["sample_params"] == {"draws": 1000}
    panel = pd.read_parquet("data/adoption.parquet").query("product == 'P01' and region == 'north'")
    x, y = panel[["week"]], panel["adoption"]
    lower, centre, upper = PymcModel(config).fit(x, y).predict(x, alpha=0.9)
    assert ((lower < y) & (upper > y)).mean() == pytest.approx(0.9, abs=0.1)
    assert np.abs(centre - y).mean() < 0.05
    plan = Portfolio("configs/wrapper/adoption.yaml").plan(entities=("P01 / north",))
    assert plan.fittable == ("P01 / north",) or list(plan.fittable) == ["P01 / north"]


def test_fitting_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = PymcModel(CONFIG, curve).fit(*rows())
        assert len(list(tmp_path.iterdir())) == 1
        del model
    assert list(tmp_path.iterdir()) == []
