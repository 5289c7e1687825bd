"""Digests of plain values."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posterity.lineage import ENGINE_VERSION, digest, fit_key

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def tuples(value):
    """The same value with tuples for lists, and mappings the other way round."""
    if isinstance(value, list):
        return tuple(tuples(v) for v in value)
    if isinstance(value, dict):
        return {k: tuples(value[k]) for k in reversed(value)}
    return value


@given(PLAIN)
def test_equal_values_have_one_digest(value):
    assert digest(value) == digest(tuples(value))


@given(PLAIN, PLAIN)
def test_different_values_have_different_digests(one, two):
    if digest(one) == digest(two):
        assert one == two  # Python's 1 == 1.0 is ours too


def test_equal_numbers_are_equal_but_true_is_not_one():
    assert digest(1) == digest(1.0)
    assert digest(0.0) == digest(-0.0)
    assert digest(True) != digest(1)
    assert digest(0.1) != digest(0.1 + 2**-56)
    assert digest("1") != digest(1)
    assert digest(None) != digest("null")
    assert digest([1, [2]]) != digest([[1], 2])
    assert digest(np.float64(0.5)) == digest(0.5)


def test_a_digest_is_the_same_in_every_process():
    value = {"b": [1.5, "é", None], "a": {"y": True, "x": 1e-300}}
    code = f"from posterity.lineage import digest; print(digest({value!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(value)
    assert digest(value) == "7174b3fe889d6c2f25873b50dc20a6c8f81a45ada219c003981fcc70053ca3ff"


@pytest.mark.parametrize(
    ("value", "error", "fragments"),
    [
        ({"a": [1.0, float("nan")]}, ValueError, ["value.a[1] is nan"]),
        (float("inf"), ValueError, ["value is inf", "replace it by None"]),
        ({"a": {1, 2}}, TypeError, ["value.a is a builtins.set", "sort it into a list"]),
        ({"a": np.arange(2)}, TypeError, ["numpy.ndarray", ".tolist()"]),
        (np.int64(1), TypeError, ["numpy.int64", ".item()"]),
        (b"bytes", TypeError, ["builtins.bytes", "allowed are None"]),
        ({"a": {1: 2}}, TypeError, ["value.a has the key 1 of type int"]),
        (object(), TypeError, ["builtins.object"]),
    ],
)
def test_what_has_no_digest_is_refused_with_its_place(value, error, fragments):
    with pytest.raises(error) as caught:
        digest(value)
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_a_value_that_contains_itself_is_refused():
    value: list[object] = []
    value.append(value)
    with pytest.raises(ValueError, match="deeper than 100 levels"):
        digest(value)


def test_every_part_of_a_fit_is_in_its_key():
    parts = {"model": {"dist": "Normal"}, "prior": "p", "data": "d", "inference": {"seed": 1}}
    base = fit_key(**parts)
    assert base == fit_key(**parts, engine=ENGINE_VERSION)
    changed = [fit_key(**{**parts, name: "other"}) for name in parts]
    changed.append(fit_key(**parts, engine=ENGINE_VERSION + 1))
    assert len({base, *changed}) == 6
    assert fit_key(model=1, prior=2, data=3, inference=4) != fit_key(model=2, prior=1, data=3, inference=4)
