"""Which parameters of a model are transferred, and which entries of θ are theirs."""

import pytest

from posterity.errors import ModelError
from posterity.models import build, describe
from tests.entities import configuration, described, prior

NESTED = prior("Normal", mu=prior("Normal", mu=0, sigma=1), sigma=prior("HalfNormal", sigma=1))
CONFIG = configuration(
    {"dist": "Normal", "kwargs": {"mu": "m", "sigma": prior("HalfNormal", sigma=1)}},
    {"a": NESTED | {"dims": "s", "centered": False}, "a_b": prior("Beta", alpha=2, beta=2)},
    {"m": {"expression": "a[s] + a_b * x"}},
    coords={"s": ["u", "v"]},
)
DECLARED = describe(CONFIG)


def test_transferring_nothing_is_the_declared_structure() -> None:
    again = DECLARED.with_transfer(["a"]).with_transfer([])
    assert again == DECLARED
    assert again.key == DECLARED.key


def test_what_is_transferred_is_structure_in_declared_order() -> None:
    both = DECLARED.with_transfer(["sigma", "a"])
    assert both.transferred == ("a", "sigma")
    assert both.key == DECLARED.with_transfer(["a", "sigma"]).key
    keys = {DECLARED.with_transfer(some).key for some in ([], ["a"], ["sigma"], ["a", "sigma"])}
    assert len(keys) == 4
    assert both.columns == DECLARED.columns
    assert both.numbers == DECLARED.numbers


def test_a_name_that_is_no_parameter_is_refused() -> None:
    with pytest.raises(ModelError, match=r"'m' is no parameter .* the model has a, a_b, sigma"):
        DECLARED.with_transfer(["a", "m"])


def test_every_entry_has_the_parameter_whose_prior_made_it() -> None:
    """Means, scales and offsets inside a prior are its parameter's, also where another name begins alike."""
    model = described(CONFIG)
    owners = dict(zip(model.unconstrained_names, model.owners, strict=True))
    assert owners == {
        "a_mu": "a",
        "a_sigma_log__": "a",
        "a_offset[0]": "a",
        "a_offset[1]": "a",
        "a_b_logodds__": "a_b",
        "sigma_log__": "sigma",
    }
    assert set(build(DECLARED).owners.values()) == {"a", "a_b", "sigma"}


def test_transferred_entries_are_positions_in_order() -> None:
    def labels(*parameters: str) -> list[str]:
        model = described(CONFIG, transferred=parameters)
        return [model.unconstrained_names[i] for i in model.transferred]

    assert labels() == []
    assert labels("sigma", "a_b") == ["a_b_logodds__", "sigma_log__"]
    assert set(labels("a")) == {"a_mu", "a_sigma_log__", "a_offset[0]", "a_offset[1]"}
    assert len(labels("a", "a_b", "sigma")) == 6
