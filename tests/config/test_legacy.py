"""The old wrapper's YAML."""

import copy

import pytest

from posterity.config import from_dict, loads
from posterity.config.legacy import translate
from posterity.errors import ConfigError

OLD = {
    "independent_vars": ["week"],
    "variable_params": {
        "lambda_val": {"dist": "HalfNormal", "params": {"sigma": 1}},
        "intercept": {"dist": "Normal", "params": {"mu": 0, "sigma": 1}},
    },
    "sample_params": {"draws": 500, "chains": 2, "tune": 700, "target_accept": 0.9, "progressbar": False},
}
HERE = {"name": "old", "data": {"entity": "product", "target": "adoption"}}


def test_translation():
    values = {**copy.deepcopy(OLD), **HERE}
    before = copy.deepcopy(values)
    config = from_dict(translate(values, "negative_exponential"))
    assert values == before
    assert config.model.parameters["lambda_val"].kwargs == {"sigma": 1}
    assert config.model.quantities["curve"].arguments == {"x": "week"}
    assert config.model.likelihood.kwargs["mu"] == "curve"
    assert config.model.likelihood.kwargs["sigma"].dist == "HalfNormal"
    assert (config.inference.draws, config.inference.chains, config.inference.tune) == (500, 2, 700)
    assert config.inference.target_accept == 0.9


def test_a_name_that_repeats_the_parameters_is_left_out():
    old = copy.deepcopy(OLD) | HERE | {"function": "negative_exponential"}
    old["variable_params"]["lambda_val"]["params"]["name"] = "lambda_val"
    assert from_dict(old).model.parameters["lambda_val"].kwargs == {"sigma": 1}
    old["variable_params"]["lambda_val"]["params"]["name"] = "other"
    with pytest.raises(ConfigError, match="name"):
        from_dict(old)


def test_sample_params_may_be_missing_and_sigma_may_be_declared():
    old = copy.deepcopy(OLD) | HERE | {"function": "my.curves:adoption"}
    del old["sample_params"]
    old["variable_params"]["sigma"] = {"dist": "HalfCauchy", "params": {"beta": 1}}
    config = from_dict(old)
    assert config.model.likelihood.kwargs["sigma"] == "sigma"
    assert config.model.quantities["curve"].function == "my.curves:adoption"
    assert config.inference.draws == 1000


def test_what_it_could_not_say_is_asked_for():
    with pytest.raises(ConfigError) as caught:
        from_dict(OLD)
    text = str(caught.value)
    assert "write `function: negative_exponential` beside variable_params" in text
    assert "name: is missing" in text
    assert "data: is missing" in text


def test_problems_are_named_in_the_old_words_and_places():
    text = """\
name: old
data: {entity: product, target: adoption}
function: negative_exponential
independent_vars: [week]
variable_params:
  lambda_val: {dist: HalfNorm, params: {sigma: 1}}
  intercept: {dist: Normal, params: {mu: 0, sd: 1}}
sample_params: {draws: many, drawz: 1}
"""
    with pytest.raises(ConfigError) as caught:
        loads(text, "old.yaml")
    message = str(caught.value)
    assert "old.yaml:6:22 variable_params.lambda_val.dist: no distribution 'HalfNorm'" in message
    assert "old.yaml:7:45 variable_params.intercept.params.sd: Normal has no argument" in message
    assert "old.yaml:8:24 sample_params.draws: 'many' found" in message
    assert "old.yaml:8:30 sample_params.drawz: has no counterpart here" in message
    assert "did you mean 'draws'?" in message


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"model": {}}, "model: stands beside the old wrapper's"),
        ({"independent_vars": 3}, "independent_vars: 3 found"),
        ({"independent_vars": ["a", "b"]}, "takes one column, its x"),
        ({"variable_params": [1]}, "variable_params: [1] found"),
        ({"sample_params": "many"}, "sample_params: 'many' found"),
        ({"function": 3}, "3 found; allowed: text"),
    ],
)
def test_broken_old_words(change, fragment):
    with pytest.raises(ConfigError) as caught:
        from_dict({**OLD, **HERE, "function": "negative_exponential", **change})
    assert fragment in str(caught.value)


def test_translate_raises_what_it_cannot_say():
    with pytest.raises(ConfigError, match="function: is missing"):
        translate(OLD)
