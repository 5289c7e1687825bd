"""The transfer section, and what it shares with inference: read, written, and refused where it is wrong."""

from pathlib import Path

import pytest
import yaml

from posterity.config import json_schema, loads, to_yaml, with_overrides
from posterity.errors import ConfigError

BASE = Path(__file__).with_name("base.yaml").read_text(encoding="utf-8")
WHOLE = """
transfer:
  established: {min_rows: 20, entities: "P01 / *"}
  pool:
    within: region
    shrink: true
    shared: sigma
    independent: [start]
    spread: {rate: {dist: HalfNormal, kwargs: {sigma: 1}}}
    covariance: full
  rules:
    - {learn: "P05 / *", from: population}
    - {learn: [P06, P07], from: {entity: "P01 / north"}, discount: 0.5, fallback: population}
    - {learn: "P1*", from: {portfolio: runs/x}, match: {rate: lambda_val}}
    - {learn: a, from: {file: priors/x.yaml}, discount: 0.25}
    - {learn: b, from: previous}
    - {learn: c, from: {previous: runs/y}}
    - {learn: "*", from: declared}
  robust: 0.2
  max_prior_rows: 8
"""


def test_everything_is_read_and_loads_back_equal():
    config = loads(BASE + WHOLE)
    assert loads(to_yaml(config)) == config
    assert hash(config) == hash(loads(to_yaml(config)))
    assert with_overrides(config, {"transfer.robust": 0.3}).transfer.robust == 0.3
    transfer = config.transfer
    assert transfer.established.entities == ("P01 / *",)
    assert transfer.pool.spread["rate"].dist == "HalfNormal"
    assert [(rule.kind, rule.name) for rule in transfer.rules] == [
        ("population", None),
        ("entity", "P01 / north"),
        ("portfolio", "runs/x"),
        ("file", "priors/x.yaml"),
        ("previous", None),
        ("previous", "runs/y"),
        ("declared", None),
    ]
    assert transfer.rules[1].learn == ("P06", "P07")
    assert dict(transfer.rules[2].match) == {"rate": "lambda_val"}


def test_a_section_that_is_not_there_can_be_overridden_at_any_depth():
    assert with_overrides(loads(BASE), {"transfer.pool.shrink": True}).transfer.pool.shrink


def test_defaults():
    transfer = loads(BASE + "\ntransfer: {}\n").transfer
    assert transfer.established.entities == ("*",)
    assert (transfer.pool.covariance, transfer.rules, transfer.max_prior_rows) == ("auto", (), None)
    config = loads(BASE)
    assert (config.gates.conflict, config.inference.pooling, config.inference.steps) == (
        0.01,
        "separate",
        20_000,
    )


def test_the_schema_takes_it_and_refuses_two_sources():
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(json_schema())
    good = yaml.safe_load(BASE + WHOLE)
    assert validator.is_valid(good)
    assert validator.is_valid(yaml.safe_load(to_yaml(loads(BASE + WHOLE))))
    for wrong in ({"entity": "a", "file": "b"}, {}, "popuation", {"entty": "a"}):
        rules = [{"learn": "a", "from": wrong}]
        assert not validator.is_valid(good | {"transfer": {"rules": rules}})


# What the section says, the path complained of, what the message must hold.
POOL = {
    "unknown shared": ("shared: sgma", "pool.shared", ["'sgma' is no parameter", "'sigma'?"]),
    "unknown independent": ("independent: [x]", "pool.independent[0]", ["allowed: rate, start or sigma"]),
    "both": ("shared: [rate], independent: [rate]", "pool.shared[0]", ["independent too"]),
    "all the same": ("shared: [rate, start, sigma]", "pool.shared", ["no parameter is left"]),
    "none learns": ("independent: [rate, start, sigma]", "pool.independent", ["no parameter is left"]),
    "within time": ("within: week", "pool.within", ["no entity column", "product or region"]),
    "within misspelt": ("within: [regoin]", "pool.within[0]", ["'region'?"]),
    "spread of nobody": ("spread: {rte: {dist: HalfNormal}}", "pool.spread.rte", ["'rate'?"]),
    "spread of shared": (
        "shared: [rate], spread: {rate: {dist: HalfNormal}}",
        "pool.spread.rate",
        ["no spread"],
    ),
    "negative spread": ("spread: {rate: {dist: Normal}}", "pool.spread.rate.dist", ["one of HalfNormal"]),
    "unknown spread": ("spread: {rate: {dist: HalfNorml}}", "pool.spread.rate.dist", ["'HalfNormal'?"]),
    "spread's kwarg": (
        "spread: {rate: {dist: HalfNormal, kwargs: {sgma: 1}}}",
        "pool.spread.rate.kwargs.sgma",
        ["'sigma'?"],
    ),
    "spread by name": (
        "spread: {rate: {dist: HalfNormal, kwargs: {sigma: start}}}",
        "pool.spread.rate.kwargs.sigma",
        ["takes numbers"],
    ),
    "spread along dims": ("spread: {rate: {dist: HalfNormal, dims: s}}", "pool.spread.rate.dims", ["leave"]),
    "covariance": ("covariance: ful", "pool.covariance", ["'full'?"]),
}
RULES = {
    "word": ("learn: a, from: popuation", "from", ["population, previous or declared", "'population'?"]),
    "no source": ("learn: a", "from", ["is missing"]),
    "nobody learns": ("learn: [], from: population", "learn", ["at least 1"]),
    "unknown source": ("learn: a, from: {entty: b}", "from.entty", ["allowed: entity, file", "'entity'?"]),
    "two sources": ("learn: a, from: {entity: b, file: c}", "from", ["entity and file found", "one source"]),
    "empty source": ("learn: a, from: {}", "from", ["nothing found"]),
    "itself": ("learn: a, from: {entity: a}", "from.entity", ["cannot learn from itself"]),
    "misspelt key": ("learn: a, form: population", "form", ["allowed: learn, from, discount", "'from'?"]),
    "discount of nothing": ("learn: a, from: previous, discount: 0", "discount", ["more than 0"]),
    "discount in percent": ("learn: a, from: previous, discount: 50", "discount", ["mean 0.5 "]),
    "discount of the population": ("learn: a, from: population, discount: 0.5", "discount", ["no meaning"]),
    "match of an entity": ("learn: a, from: {entity: b}, match: {rate: x}", "match", ["no meaning"]),
    "match of nobody": ("learn: a, from: previous, match: {rte: x}", "match.rte", ["'rate'?"]),
    "fallback": ("learn: a, from: previous, fallback: popul", "fallback", ["'population'?"]),
}
CASES = {f"pool: {k}": (f"{{pool: {{{v[0]}}}}}", *v[1:]) for k, v in POOL.items()}
CASES |= {f"rule: {k}": (f"{{rules: [{{{v[0]}}}]}}", f"rules[0].{v[1]}", v[2]) for k, v in RULES.items()}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_explained_at_its_path(case):
    text, path, fragments = CASES[case]
    with pytest.raises(ConfigError) as caught:
        loads(f"{BASE}\ntransfer: {text}\n")
    about = [str(p) for p in caught.value.problems if f" transfer.{path}: " in str(p)]
    assert about, str(caught.value)
    for fragment in fragments:
        assert any(fragment in message for message in about), about


def test_a_hyperparameter_cannot_keep_its_prior_when_its_only_reader_loses_its_own():
    text = BASE.replace(
        "start: {dist: Normal, kwargs: {mu: 0",
        "top: {dist: Normal}\n    start: {dist: Normal, kwargs: {mu: top",
    )
    text = text.replace("{dist: Normal}", "{dist: Normal, kwargs: {mu: 0, sigma: 1}}")
    assert loads(text + "\ntransfer: {pool: {independent: [top, start]}}\n").transfer
    with pytest.raises(ConfigError, match="'top' is read by the prior of 'start'"):
        loads(text + "\ntransfer: {pool: {independent: [top]}}\n")


INFERENCE = {
    "joint method alone": ("{method: dadvi}", ["dadvi is for joint models", "laplace", "pooling: joint"]),
    "joint by laplace": ("{pooling: joint, method: laplace}", ["one entity at a time", "nuts, pathfinder"]),
    "joint by default": ("{pooling: joint}", ["auto is for one entity at a time"]),
    "minibatch alone": ("{minibatch: 100}", ["minibatches are for advi or fullrank_advi"]),
    "minibatch of nuts": ("{pooling: joint, method: nuts, minibatch: 9}", ["advi or fullrank_advi"]),
}


@pytest.mark.parametrize("case", INFERENCE)
def test_methods_go_with_their_pooling(case):
    text, fragments = INFERENCE[case]
    with pytest.raises(ConfigError) as caught:
        loads(BASE.replace("{method: auto}", text))
    assert all(fragment in str(caught.value) for fragment in fragments), str(caught.value)


@pytest.mark.parametrize(
    ("section", "path"),
    [("{pool: {within: region}}", "pool.within"), ("{rules: [{learn: a, from: declared}]}", "rules")],
)
def test_a_joint_model_has_one_population(section, path):
    text = BASE.replace("{method: auto}", "{pooling: joint, method: nuts}")
    assert loads(f"{text}\ntransfer: {{robust: 0.2}}\n").transfer.robust == 0.2
    with pytest.raises(ConfigError, match=rf"transfer\.{path}: a joint model has one population"):
        loads(f"{text}\ntransfer: {section}\n")


@pytest.mark.parametrize(
    "text", ["{pooling: joint, method: nuts}", "{pooling: joint, method: advi, minibatch: 9}"]
)
def test_joint_models_are_taken(text):
    assert loads(BASE.replace("{method: auto}", text)).inference.pooling == "joint"
