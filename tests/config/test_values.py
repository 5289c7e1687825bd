"""Configurations are values: equal, hashable, picklable, unchangeable, and YAML that loads back equal."""

import copy
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from posterity.config import Config, from_dict, json_schema, load, loads, percent, to_yaml, with_overrides
from posterity.errors import ConfigError

CHECKOUT = Path(__file__).parents[2]
CONFIGS = sorted((CHECKOUT / "configs").glob("*.yaml"))
BASE = Path(__file__).with_name("base.yaml").read_text(encoding="utf-8")
RICH = """\
name: rich
data: {entity: store, time: day, target: sold}
model:
  parameters:
    effect:
      dist: Normal
      kwargs: {mu: {dist: Normal, kwargs: {mu: 0, sigma: 2.5}}, sigma: {dist: HalfNormal}}
      dims: brand
      centered: false
    slope: {dist: Normal, kwargs: {mu: [0.0, 1.0], sigma: 1}, dims: [kind], transform: exp}
    base: {dist: StudentT, params: {nu: 4, mu: 0, sigma: 1e-1}}
  coords: {kind: ['1', no]}
  quantities:
    log_mu: {expression: "base + effect[brand] + slope['no'] * price"}
    mu: {expression: exp(log_mu)}
  likelihood:
    dist: Normal
    kwargs: {mu: mu, sigma: {dist: Exponential, kwargs: {lam: 1}}}
    errors: {ar1: {rho: {dist: Beta, kwargs: {alpha: 2, beta: 2}}}}
transfer: {established: {min_rows: 30}, pool: {within: store}, max_prior_rows: 8}
refit: {every: 4W, mode: carry}
intervals: [0.995, 0.5]
"""
FOR_PYYAML = RICH.replace("no]", "'no']").replace("1e-1", "0.1")


@pytest.mark.parametrize("text", [BASE, RICH, *(path.read_text() for path in CONFIGS)])
def test_what_is_written_loads_back_equal(text):
    config = loads(text)
    written = to_yaml(config)
    assert loads(written) == config
    assert to_yaml(loads(written)) == written
    assert from_dict(yaml.safe_load(written)) == config
    assert json.dumps(config.model_dump(mode="json")) == json.dumps(loads(written).model_dump(mode="json"))


@pytest.mark.parametrize("text", [BASE, RICH])
def test_values(text):
    config = loads(text)
    assert pickle.loads(pickle.dumps(config)) == config
    assert copy.deepcopy(config) == config
    assert hash(config) == hash(loads(text))
    with pytest.raises(ValidationError):
        config.name = "other"
    with pytest.raises(TypeError, match="with_overrides"):
        config.model.parameters["more"] = 1
    with pytest.raises(TypeError):
        config.model.likelihood.kwargs.update(mu=1)


def test_what_is_read():
    config = loads(RICH)
    assert config.data.entity == ("store",)
    assert config.intervals == (0.5, 0.995)
    assert [percent(mass) for mass in config.intervals] == ["50", "99_5"]
    effect = config.model.parameters["effect"]
    assert effect.dims == ("brand",)
    assert not effect.centered
    assert effect.kwargs["mu"].kwargs == {"mu": 0, "sigma": 2.5}
    assert config.model.parameters["slope"].kwargs["mu"] == (0.0, 1.0)
    assert config.model.parameters["base"].to_dict() == {
        "dist": "StudentT", "kwargs": {"nu": 4, "mu": 0, "sigma": 0.1},
    }  # fmt: skip
    assert config.model.coords == {"kind": ("1", "no")}
    assert config.model.likelihood.errors.rho.dist == "Beta"
    assert list(config.model.likelihood.nested) == ["sigma", "rho"]
    assert config.transfer.pool.within == ("store",)
    assert config.refit.every == "4W"
    assert loads(BASE).transfer is None


def test_priors_are_those_of_pymc_extras():
    prior = pytest.importorskip("pymc_extras.prior")
    for name, spec in loads(RICH).model.parameters.items():
        assert prior.Prior.from_dict(spec.to_dict()).to_dict()["dist"] == spec.dist, name


def test_the_callers_dictionary_stays_as_it_is():
    values = yaml.safe_load(FOR_PYYAML)
    before = copy.deepcopy(values)
    config = from_dict(values)
    assert values == before
    values["model"]["parameters"]["base"]["params"]["nu"] = 99
    assert config.model.parameters["base"].kwargs["nu"] == 4


def test_overrides():
    config = loads(BASE)
    other = with_overrides(
        config,
        {"inference.method": "nuts", "data.source": "x.csv", "transfer.robust": 0.2, "intervals": (0.8,)},
    )
    assert (other.inference.method, other.data.source, other.transfer.robust) == ("nuts", "x.csv", 0.2)
    assert config.inference.method == "auto"
    deep = with_overrides(config, {"model.parameters.rate.kwargs.sigma": 2})
    assert deep.model.parameters["rate"].kwargs["sigma"] == 2
    for bad, fragment in {
        "inferense.method": "did you mean 'inference'?",
        "inference.methud": "did you mean 'method'?",
        "name.x": "holds nothing to override",
    }.items():
        with pytest.raises(ConfigError) as caught:
            with_overrides(config, {bad: "x"})
        assert fragment in str(caught.value)


NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)


@given(NAMES, NAMES, st.floats(1e-300, 1e300), st.integers(0, 2**40))
@settings(max_examples=150, deadline=None)
def test_any_name_and_number_survives_yaml(target, source, number, seed):
    try:
        config = with_overrides(
            loads(BASE),
            {
                "data.target": target,
                "data.source": source,
                "model.parameters.rate.kwargs.sigma": number,
                "inference.seed": seed,
            },
        )
    except ConfigError:
        return
    assert loads(to_yaml(config)) == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_load_and_name_the_schema(path):
    assert isinstance(load(path), Config)
    assert "# yaml-language-server: $schema=schema.json" in path.read_text()


def test_the_shipped_schema_is_current():
    shipped = json.loads((CHECKOUT / "configs" / "schema.json").read_text(encoding="utf-8"))
    assert shipped == json_schema(), "write it anew: posterity schema > configs/schema.json"


@pytest.mark.parametrize("text", [BASE, FOR_PYYAML, *(path.read_text() for path in CONFIGS)])
def test_the_schema_takes_good_configs(text):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(text), schema)
    jsonschema.validate(yaml.safe_load(to_yaml(loads(text))), schema)
    for wrong in ({"nme": 1}, {"intervals": [90]}, {"inference": {"method": "nutz"}}):
        assert not jsonschema.Draft202012Validator(schema).is_valid(yaml.safe_load(text) | wrong)


def test_importing_needs_no_heavy_library():
    code = (
        "import sys; import posterity.config; "
        "print(*{'pymc', 'numpy', 'pandas', 'pyarrow', 'mlflow', 'prefect'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
