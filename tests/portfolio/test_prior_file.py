"""Prior files: exact round trip, refusals that teach, and priors of other models."""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posterity.config import from_dict
from posterity.errors import ConfigError, ResultError
from posterity.inference.mixture import Mixture
from posterity.models import Description, describe
from posterity.portfolio import prior_file
from posterity.portfolio.prior import Marginal, Prior, Provenance, Window
from posterity.portfolio.structure import Structure, Unknown
from tests.entities import configuration, prior

MIXTURE = Mixture(
    np.array([0.9, 0.1]),
    np.array([[0.1, -2.5], [0.0, 1 / 3]]),
    np.array([[[0.04, 0.01], [0.01, 0.09]], [[1.0, 0.0], [0.0, 1e-7]]]),
)
PRIOR = Prior(
    source="entity: P01 / north",
    entries=("rate_log__", "theta[3]"),
    mixture=MIXTURE,
    vague=0.1,
    rows=7.25,
    model="c" * 64,
    ess={"elir": 7.25, "moment": 6.0, "morita": 9.5},
    provenance=Provenance(
        "run", "config", ("f" * 64,), ("P01 / north",), (Window("2025-01-06", 7, 52),), ("a note: #1",), 0.5
    ),
    structure=Structure("c" * 64, "rest", {"rate": Unknown("Gamma", "positive")}),
    marginals={"theta[3]": Marginal(1.0, 0.1, 0.8, 1.0, 1.2, "Normal", {"mu": 1.0, "sigma": 0.1})},
)
TEXT = prior_file.dumps(PRIOR)

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
floats = st.floats(-1e100, 1e100, allow_subnormal=False)


def contents(one: Prior) -> dict[str, Any]:
    """Everything in a prior as values that == compares, floats to the last bit."""
    values = {name: getattr(one, name) for name in Prior.__dataclass_fields__ if name != "mixture"}
    structure = None if one.structure is None else asdict(one.structure)
    return {**values, "structure": structure, "mixture": one.mixture.to_dict()}


@st.composite
def priors(draw: st.DrawFn) -> Prior:
    size = draw(st.integers(1, 3))
    members = draw(st.integers(1, 3))
    roots = draw(
        st.lists(st.lists(st.floats(-3, 3), min_size=size**2, max_size=size**2), min_size=members, max_size=3)
    )[:members]
    factors = np.array(roots).reshape(members, size, size)
    covariances = factors @ np.swapaxes(factors, 1, 2) + draw(st.floats(1e-3, 1e3)) * np.eye(size)
    shares = np.array(draw(st.lists(st.floats(0.01, 1), min_size=members, max_size=members)))
    means = [draw(st.lists(floats, min_size=size, max_size=size)) for _ in range(members)]
    entries = draw(st.lists(names, min_size=size, max_size=size, unique=True))
    return Prior(
        source=draw(names),
        entries=tuple(entries),
        mixture=Mixture(
            shares / shares.sum(), np.array(means), (covariances + covariances.swapaxes(1, 2)) / 2
        ),
        vague=draw(st.floats(0, 1)),
        rows=draw(st.floats(0, 1e6)),
        model=draw(names),
        ess=draw(st.dictionaries(names, floats, max_size=3)),
        provenance=Provenance(
            taught_by=tuple(draw(st.lists(names, max_size=3))),
            windows=(Window(draw(st.none() | floats | names), draw(names), draw(st.integers(0, 99))),),
        ),
    )


@given(priors())
@settings(max_examples=60, deadline=None)
def test_a_prior_comes_back_to_the_last_bit(one: Prior) -> None:
    again = prior_file.loads(prior_file.dumps(one))
    assert contents(again) == contents(one)
    assert again.key == one.key


def test_everything_comes_back_from_a_file(tmp_path: Path) -> None:
    path = prior_file.save(PRIOR, tmp_path / "priors" / "x.yaml")
    assert contents(prior_file.load(path)) == contents(PRIOR)


@pytest.mark.parametrize(
    ("old", "new"),
    [("-2.5", "-2.6"), ("vague: 0.1", "vague: 0.2"), ("positive", "real"), ("theta[3]'", "z'")],
)
def test_a_file_edited_by_hand_is_told(old: str, new: str) -> None:
    with pytest.raises(ConfigError, match=r"<text>:\d+:\d+ digest: .* edited by hand"):
        prior_file.loads(TEXT.replace(old, new))


def test_marginals_and_notes_are_for_people_and_may_be_edited() -> None:
    assert prior_file.loads(TEXT.replace("a note", "another note")).key == PRIOR.key


def test_all_problems_are_reported_together() -> None:
    broken = TEXT.replace("vague: 0.1", "vague: 2").replace("rows: 7.25", "rows: many")
    broken = broken.replace("source:", "sauce:").replace("weights: [0.9, 0.1]", "weights: [0.9, 0.9]")
    with pytest.raises(ConfigError) as caught:
        prior_file.loads(broken, "x.yaml")
    message = str(caught.value)
    assert "vague: 2 found; it should be less than or equal to 1" in message
    assert "rows: 'many' found; it should be a valid number" in message
    assert "did you mean 'source'?" in message
    assert "source: is missing" in message
    assert "add up to 1" in message
    assert all(str(problem.where).startswith("x.yaml:") for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "a prior file is a mapping"),
        ("a: &x 1\nb: *x", "aliases are not read"),
        (TEXT.replace("-2.5", ".nan"), "finite"),
        (TEXT.replace("-2.5", "1e999"), "finite"),
        (TEXT.replace("format: 1", "format: 2"), "upgrade posterity"),
        (TEXT.replace("[0.04, 0.01]", "[0.04, 0.9]"), "symmetric"),
        (TEXT.replace("[rate_log__,", "[rate_log__, more,"), "but 3 entries"),
        ("#" * 1_000_001, "1,000,001 bytes"),
        ("!!python/object:os.system x", "tag"),
    ],
)
def test_untrusted_text_is_refused_with_a_sentence(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        prior_file.loads(text)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none.yaml", tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigError, match="give the path of a prior file"):
            prior_file.load(path)


def test_what_could_not_be_read_is_not_written() -> None:
    with pytest.raises(ResultError, match="rows"):
        prior_file.dumps(replace(PRIOR, rows=float("inf")))
    large = Mixture.gaussian(np.zeros(450), np.eye(450))
    with pytest.raises(ResultError, match="450 entries"):
        prior_file.dumps(replace(PRIOR, mixture=large, entries=tuple(map(str, range(450)))))


def model(expression: str = "top * rate", **changed: Any) -> Description:
    parameters = {"rate": prior("HalfNormal", sigma=1), "top": prior("Normal", mu=0, sigma=1)} | changed
    likelihood = {"dist": "Normal", "kwargs": {"mu": "m", "sigma": prior("HalfNormal", sigma=1)}}
    return describe(configuration(likelihood, parameters, {"m": {"expression": expression}}))


def test_a_prior_fits_models_of_its_structure_whatever_their_families_and_numbers() -> None:
    made = replace(PRIOR, model=model().key, structure=Structure.of(model()))
    assert prior_file.loads(prior_file.dumps(made)).structure == made.structure
    for other in (model(), model(rate=prior("Gamma", alpha=2, beta=3)), model().with_transfer(["rate"])):
        prior_file.check_fits(made, other)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (
            model(rate=prior("Normal", mu=0, sigma=1)),
            "rate is on the scale 'positive' .* 'real' in the model",
        ),
        (model("top * rate + slope", slope=prior("Normal", mu=0, sigma=1)), "the prior lacks slope"),
        (model("top * exp(-rate)"), "curve, likelihood or inputs differ"),
        (model(top={**prior("Normal", mu=0, sigma=1), "centered": False}), "top is on the scale 'real'"),
    ],
)
def test_a_prior_of_another_model_is_refused_with_the_parameters_that_differ(
    other: Description, sentence: str, tmp_path: Path
) -> None:
    made = replace(PRIOR, model=model().key, structure=Structure.of(model()))
    path = prior_file.save(made, tmp_path / "x.yaml")
    with pytest.raises(ConfigError, match=sentence):
        prior_file.load(path, other)


def test_bounds_are_part_of_the_scale_although_they_are_numbers() -> None:
    narrow, wide = (model(top=prior("Uniform", lower=0, upper=u)) for u in (1, 2))
    assert narrow.key == wide.key
    made = replace(PRIOR, model=narrow.key, structure=Structure.of(narrow))
    prior_file.check_fits(made, narrow)
    with pytest.raises(ConfigError, match=r"interval from 0\.0 to 1\.0"):
        prior_file.check_fits(made, wide)


def test_a_prior_that_knows_only_its_key_fits_that_key_alone() -> None:
    bare = replace(PRIOR, structure=None)
    prior_file.check_fits(bare, PRIOR.model)
    with pytest.raises(ConfigError, match="another model"):
        prior_file.check_fits(bare, model())


def test_configurations_stay_unchanged_by_a_round_trip_of_labels() -> None:
    config = from_dict(
        {
            "name": "x",
            "data": {"entity": "shop", "target": "y"},
            "model": {
                "parameters": {"z": {**prior("Normal", mu=0, sigma=1), "dims": "k"}},
                "quantities": {"m": {"expression": "z[0]"}},
                "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": 1}},
                "coords": {"k": [0, 1]},
            },
        }
    )
    made = replace(PRIOR, model=describe(config).key, structure=Structure.of(describe(config)))
    prior_file.check_fits(prior_file.loads(prior_file.dumps(made)), describe(config))
