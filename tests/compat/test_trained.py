"""What was learned, as the priors of another model: the old rule's mistakes one by one."""

from pathlib import Path

import numpy as np
import preliz
import pytest
import yaml

from benchmarks.old_rule import old_rule
from posterity.compat import PymcModel, load_config_from_file
from posterity.errors import ConfigError
from tests.compat.wrapped import CONFIG, LINE, curve, draws_in, line, rows


@pytest.fixture(scope="module")
def fitted() -> PymcModel:
    return PymcModel(CONFIG, curve).fit(*rows())


@pytest.fixture(scope="module")
def written(fitted: PymcModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "trained.yaml"
    fitted.export_trained_config(path)
    return path


def moments(prior: dict) -> tuple[float, float]:
    found = getattr(preliz, prior["dist"])(**prior["params"])
    return float(found.mean()), float(found.std())


def test_every_prior_describes_its_posterior_and_the_noise_is_among_them(
    fitted: PymcModel, written: Path
) -> None:
    priors = load_config_from_file(written)["variable_params"]
    assert list(priors) == ["lambda_val", "intercept", "sigma"]
    for name, prior in priors.items():
        draws = fitted.trace["posterior"][name]
        assert moments(prior) == pytest.approx((float(draws.mean()), float(draws.std())), rel=0.1)
    assert priors["lambda_val"]["dist"] in {"Gamma", "LogNormal", "InverseGamma", "Weibull"}


def test_the_old_rule_made_the_half_normal_far_too_wide(fitted: PymcModel) -> None:
    draws = {
        name: fitted.trace["posterior"][name].values.reshape(1, -1) for name in ("lambda_val", "intercept")
    }
    old = old_rule(draws, fitted._configured()).model.parameters["lambda_val"]
    assert preliz.HalfNormal(**old.kwargs).std() > 15 * draws["lambda_val"].std()


@pytest.mark.parametrize(
    ("dist", "params"),
    [
        ("Beta", {"alpha": 2, "beta": 2}),
        ("Gamma", {"alpha": 2, "beta": 2}),
        ("LogNormal", {"mu": 0, "sigma": 1}),
    ],
)
def test_other_families_are_trained_too(tmp_path: Path, dist: str, params: dict) -> None:
    draws = np.random.default_rng(1).beta(60, 90, (4, 100))
    config = {
        **LINE,
        "variable_params": {**LINE["variable_params"], "level": {"dist": dist, "params": params}},
    }
    model = PymcModel(config, line)
    model.load_trace(draws_in(tmp_path / "t.nc", level=draws, slope=draws, sigma=draws))
    trained = model.export_trained_config()["variable_params"]["level"]
    assert moments(trained) == pytest.approx((draws.mean(), draws.std()), rel=0.05)


def test_a_new_model_learns_jointly_so_that_dependence_is_not_lost(fitted: PymcModel, written: Path) -> None:
    def dependence(model: PymcModel) -> float:
        posterior = model.trace["posterior"]
        return float(
            np.corrcoef(posterior["lambda_val"].values.ravel(), posterior["intercept"].values.ravel())[0, 1]
        )

    joint = PymcModel(load_config_from_file(written), curve).fit(*rows(4, seed=2))
    assert joint.trace.attrs["prior"] == f"file: {written.with_name('trained.prior.yaml').as_posix()}"
    assert dependence(fitted) > 0.7
    assert dependence(joint) > 0.7


def test_the_same_rows_are_not_counted_twice(written: Path) -> None:
    with pytest.warns(UserWarning, match="the joint prior was not used: .* it helped to teach that prior"):
        PymcModel(load_config_from_file(written), curve).fit(*rows())


def test_the_file_is_the_old_format_and_says_what_it_lacks(
    fitted: PymcModel, written: Path, tmp_path: Path
) -> None:
    text = written.read_text()
    assert "# The priors of variable_params are independent" in text
    assert "# It is in trained.prior.yaml, the joint prior" in text
    found = yaml.safe_load(text)
    assert found == load_config_from_file(written)
    assert set(found) == {"independent_vars", "variable_params", "sample_params", "transfer"}
    assert found["independent_vars"] == ["week"]
    assert all(set(prior) == {"dist", "params"} for prior in found["variable_params"].values())
    again = PymcModel(CONFIG, curve)
    fitted.save_trace(tmp_path / "trace.nc")
    again.load_trace(tmp_path / "trace.nc")
    assert again.export_trained_config(tmp_path / "loaded.yaml") == fitted.export_trained_config()
    assert (
        "# It is lost: a trace that was loaded has no joint prior" in (tmp_path / "loaded.yaml").read_text()
    )


def test_a_named_function_stays_in_the_file(tmp_path: Path) -> None:
    draws = np.random.default_rng(1).normal(1, 0.1, (4, 50))
    for config, function in (
        (LINE | {"function": f"{line.__module__}:line"}, None),
        (LINE, f"{line.__module__}:line"),
    ):
        model = PymcModel(config, function)
        model.load_trace(draws_in(tmp_path / "t.nc", level=draws, slope=draws, sigma=draws))
        trained = model.export_trained_config()
        assert trained["function"] == f"{line.__module__}:line"
        assert not PymcModel(trained).check_is_fitted()


def test_yaml_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.yaml").write_text(
        "independent_vars: [week]\nvariable_params: !!python/object/apply:os.mkdir [exploded]\n"
    )
    with pytest.raises(ConfigError, match=r"old.yaml:2:18: variable_params: the tag .* is not read"):
        load_config_from_file("old.yaml")
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("- week\n", "holds no mapping; write independent_vars"),
        ("a: 1\na: 2\n", "old.yaml:2:1: a: this key is already at line 1"),
        ("a: [1\n", "this is not valid YAML"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str, fragment: str) -> None:
    path = tmp_path / "old.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        PymcModel.load_config_from_file(path)
    assert fragment in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config_from_file(tmp_path / "none.yaml")


def test_numbers_are_read_as_numbers_and_words_as_words(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text("variable_params: {x: {dist: Normal, params: {sigma: 1e-3}}}\nindependent_vars: [no]\n")
    found = load_config_from_file(path)
    assert found["variable_params"]["x"]["params"] == {"sigma": 0.001}
    assert found["independent_vars"] == ["no"]
