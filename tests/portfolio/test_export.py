"""The trained configuration: the old wrapper's traps one by one, and what comes out of a result."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytest

from benchmarks.old_rule import old_rule
from posterity.cli import main
from posterity.config import Config, PriorSpec, from_dict, load, loads, to_yaml
from posterity.errors import ConfigError, ResultError
from posterity.inference import compiled
from posterity.inference.compiled import CompiledModel
from posterity.models import build, describe
from posterity.panel.reading import read
from posterity.portfolio import prior_file
from posterity.portfolio.export import Exported, _limits, export
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.result import Result
from tests.entities import configuration, prior
from tests.portfolio.example import FAILED
from tests.portfolio.small import SMALL, panel

ENTITY = "alpha / north"


@pytest.fixture(scope="module")
def exported(example: Result) -> Exported:
    return export(example, ENTITY)


def moments(spec: PriorSpec) -> tuple[float, float]:
    draws = pm.draw(getattr(pm, spec.dist).dist(**spec.kwargs), 4_000, random_seed=1, mode="FAST_COMPILE")
    return float(np.mean(draws)), float(np.std(draws))


# The old wrapper's traps. Each test holds for the export and shows that the old rule falls in.


def model_of(**parameters: Any) -> Config:
    likelihood = {"dist": "Normal", "kwargs": {"mu": "m", "sigma": prior("HalfNormal", sigma=1)}}
    sum_of_all = " + ".join(n if "dims" not in spec else f"{n}[0]" for n, spec in parameters.items())
    coords = {"spline": [0, 1, 2]} if any("dims" in spec for spec in parameters.values()) else None
    return configuration(likelihood, parameters, {"m": {"expression": sum_of_all}}, coords=coords)


def trained(spec: dict[str, Any], draws: np.ndarray) -> PriorSpec:
    from posterity.portfolio.readable import readable

    return readable("x", model_of(x=spec).model.parameters["x"], draws)


def test_a_half_normal_far_from_zero_becomes_no_prior_52_times_too_wide() -> None:
    draws = np.random.default_rng(1).normal(0.0794, 0.0009, 2_000)
    spec = prior("HalfNormal", sigma=1)
    mean, sd = moments(trained(spec, draws))
    assert mean == pytest.approx(0.0794, abs=0.0001)
    assert sd == pytest.approx(0.0009, rel=0.1)
    old = moments(old_rule({"x": draws}, model_of(x=spec)).model.parameters["x"])
    assert 50 < old[1] / draws.std() < 55


@pytest.mark.parametrize(
    "spec", [prior("Beta", alpha=1, beta=1), prior("Gamma", alpha=1, beta=1), prior("Exponential", lam=1)]
)
def test_no_family_is_left_unchanged_without_a_word(spec: dict[str, Any]) -> None:
    draws = np.random.default_rng(1).beta(60, 90, 2_000)
    mean, sd = moments(trained(spec, draws))
    assert mean == pytest.approx(draws.mean(), rel=0.02)
    assert sd == pytest.approx(draws.std(), rel=0.1)
    config = model_of(x=spec)
    assert old_rule({"x": draws}, config).model.parameters["x"] == config.model.parameters["x"]


def test_a_log_normal_gets_moments_of_the_logarithm() -> None:
    draws = np.exp(np.random.default_rng(1).normal(-3, 0.2, 2_000))
    spec = prior("LogNormal", mu=0, sigma=1)
    found = trained(spec, draws)
    assert found.dist == "LogNormal"
    assert found.kwargs["mu"] == pytest.approx(-3, abs=0.02)
    assert found.kwargs["sigma"] == pytest.approx(0.2, abs=0.02)
    old = moments(old_rule({"x": draws}, model_of(x=spec)).model.parameters["x"])
    assert old[0] > 20 * draws.mean()


def test_vectors_keep_their_entries(exported: Exported, example: Result) -> None:
    theta = exported.plain.model.parameters["theta"]
    draws = example.draws[example.draws["entity"] == ENTITY]
    for i in range(3):
        assert theta.kwargs["mu"][i] == pytest.approx(draws[f"theta[{i}]"].mean(), abs=0.02)  # type: ignore[index]
    assert theta.dims == ("spline",)
    old = old_rule(example, example.config, [ENTITY]).model.parameters["theta"]
    assert isinstance(old.kwargs["mu"], float)


def test_the_correlation_is_in_the_joint_part(exported: Exported) -> None:
    joint = exported.prior
    i, j = joint.entries.index("lambda_val_log__"), joint.entries.index("intercept")
    covariance = joint.mixture.covariance
    correlation = covariance[i, j] / np.sqrt(covariance[i, i] * covariance[j, j])
    assert correlation == pytest.approx(-0.84, abs=0.03)


def test_the_noise_scale_is_exported(exported: Exported, example: Result) -> None:
    draws = example.draws.loc[example.draws["entity"] == ENTITY, "sigma"]
    sigma = exported.plain.model.likelihood.kwargs["sigma"]
    assert isinstance(sigma, PriorSpec)
    assert moments(sigma) == pytest.approx((draws.mean(), draws.std()), rel=0.1)
    old = old_rule(example, example.config, [ENTITY])
    assert old.model.likelihood == example.config.model.likelihood


# What comes out of a result.


def test_the_joint_part_is_over_the_trained_models_own_scale(exported: Exported, example: Result) -> None:
    rows = read(
        panel_of(example), entity=("product", "region"), time="week", target="adoption", columns=["week"]
    )
    model = CompiledModel(build(describe(exported.plain, rows)))
    assert exported.prior.entries == model.unconstrained_names
    assert exported.prior.model == model.description.key
    prior_file.check_fits(exported.prior, describe(exported.plain, rows))
    prior_file.check_fits(exported.prior, describe(example.config, rows))
    draws = example.draws[example.draws["entity"] == ENTITY]
    logged = np.log(draws["lambda_val"])
    i = exported.prior.entries.index("lambda_val_log__")
    assert exported.prior.mixture.mean[i] == pytest.approx(logged.mean())
    assert exported.prior.mixture.covariance[i, i] == pytest.approx(logged.var(), rel=0.02)


def panel_of(example: Result) -> Any:
    """The panel behind the example, as far as a model's levels need it."""
    import pyarrow as pa

    row = {"product": "p", "region": "north", "week": 1, "adoption": 0.5}
    return pa.Table.from_pylist([row, {**row, "region": "south"}])


def test_the_prior_says_where_it_came_from(exported: Exported, example: Result) -> None:
    told, row = exported.prior.provenance, example.entity_row(ENTITY)
    assert (told.run, told.taught_by, told.entities) == ("0" * 64, (row["fit_key"],), (ENTITY,))
    assert (told.windows[0].first_time, told.windows[0].last_time, told.windows[0].rows) == (1, 52, 52)
    assert exported.prior.source == f"entity: {ENTITY}"
    assert exported.prior.marginals["sigma"].family == "Gamma"
    assert set(exported.prior.marginals) == set(example.draws.columns) - {"entity", "chain", "draw"}


def test_a_flagged_posterior_is_exported_with_a_note_and_a_failed_one_is_not(example: Result) -> None:
    assert "is flagged: R-hat" in export(example, "alpha / south").notes[0]
    with pytest.raises(ResultError, match=r"is failed and has no draws to export: no method gave"):
        export(example, FAILED)
    with pytest.raises(ResultError, match="did you mean"):
        export(example, "alpha / nort")


def test_the_command_writes_a_configuration_that_names_its_prior(
    example: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="0"):
        main(["export", str(example.path), ENTITY, "--out", "alpha.yaml"])
    assert "joint prior in alpha.prior.yaml" in capsys.readouterr().out
    config = load("alpha.yaml")
    assert config.transfer is not None
    assert [(rule.learn, rule.name) for rule in config.transfer.rules] == [(("*",), "alpha.prior.yaml")]
    found = prior_file.load("alpha.prior.yaml", describe(config))
    assert found.entries[0] == "lambda_val_log__"
    with pytest.raises(SystemExit, match="2"):
        main(["export", str(example.path), ENTITY, "--out", "alpha.txt"])


def test_what_a_prior_may_count_for_is_exported_with_it(example: Result) -> None:
    limits = {"robust": 0.3, "max_prior_rows": 5.0}
    assert _limits(from_dict({**SMALL, "transfer": limits})) == limits
    done = replace(export(example, ENTITY), limits=limits)
    assert done.config.transfer is not None
    assert (done.config.transfer.robust, done.config.transfer.max_prior_rows) == (0.3, 5.0)


def test_transforms_and_nested_priors_come_back_on_their_own_scale() -> None:
    from posterity.portfolio.export import _levelled, _unconstrained
    from posterity.portfolio.labels import variables

    config = model_of(
        rate={**prior("Normal", mu=0, sigma=1), "transform": "exp"}, share=prior("Beta", alpha=1, beta=1)
    )
    rng = np.random.default_rng(0)
    columns = {"rate": rng.lognormal(size=50), "share": rng.beta(2, 2, 50), "sigma": rng.lognormal(size=50)}
    found = {v.name: v for v in variables(list(columns))}
    entries, thetas = _unconstrained(_levelled(describe(config), found), found, columns)
    assert entries == ("rate_raw", "share_logodds__", "sigma_log__")
    share = columns["share"]
    wanted = [np.log(columns["rate"]), np.log(share / (1 - share)), np.log(columns["sigma"])]
    np.testing.assert_allclose(thetas, np.stack(wanted, axis=1))


# The old way: a plain configuration with independent priors, loaded and fitted.


@pytest.fixture(scope="module")
def interpreter() -> Iterator[None]:
    """PyTensor's interpreter in place of numba for every structure that is compiled in this module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        yield


SKEWED: dict[str, Any] = {
    **SMALL,
    "model": {
        **SMALL["model"],
        "parameters": {
            "lambda_val": prior("LogNormal", mu=-2, sigma=1),
            "intercept": prior("Uniform", lower=-1, upper=1),
        },
    },
}
"""A structure of its own, so that the interpreted functions are nobody else's."""


@pytest.mark.usefixtures("interpreter")
def test_the_plain_configuration_loads_and_fits_as_a_prior_of_the_same_rows(tmp_path: Path) -> None:
    table = panel(1, 1)
    result = Portfolio(SKEWED).fit(table, out=tmp_path / "first", workers=0)
    (entity,) = result.entities["entity"]
    done = export(result, entity)
    plain = loads(to_yaml(done.plain))
    assert plain == done.plain
    assert plain.transfer is None
    again = Portfolio(plain).fit(table, out=tmp_path / "again", workers=0)
    sds = [r.parameters.set_index("parameter")["sd"] for r in (result, again)]
    means = [r.parameters.set_index("parameter")["mean"] for r in (result, again)]
    # The same rows again: sds shrink towards 1 / sqrt 2, and independent priors cannot say how means go
    # together.
    assert (sds[1] / sds[0]).between(0.5, 0.95).all()
    assert ((means[1] - means[0]).abs() / sds[0]).max() < 1
    lows, highs = np.array(done.prior.mixture.mean), result.entity_table("factors.parquet", entity)
    factor = highs.to_pylist()[0]
    by_name = dict(zip(factor["names"], factor["mean"], strict=True))
    shared = [i for i, name in enumerate(done.prior.entries) if name in by_name]
    assert len(shared) == 3
    for i in shared:
        name = done.prior.entries[i]
        sd = float(np.sqrt(done.prior.mixture.covariance[i, i]))
        assert lows[i] == pytest.approx(by_name[name], abs=0.1 * sd)


def test_an_export_never_fits_another_model(exported: Exported) -> None:
    other = model_of(x=prior("Normal", mu=0, sigma=1))
    with pytest.raises(ConfigError, match="lambda_val is no parameter of the model"):
        prior_file.check_fits(exported.prior, describe(other))
