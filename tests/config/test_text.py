"""Untrusted text: limits, YAML's traps, and nothing but a Config or a ConfigError ever."""

import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from posterity.config import Config, from_dict, load, loads, to_yaml
from posterity.config.positions import read
from posterity.errors import ConfigError

BASE = Path(__file__).with_name("base.yaml").read_text(encoding="utf-8")


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loads(text, "f.yaml")
    return str(caught.value)


BAD_TEXTS = {
    "empty": ("", "f.yaml:1:1 nothing found; a configuration is a mapping"),
    "a word": ("hello", "'hello' found; a configuration is a mapping"),
    "a list": ("- 1\n- 2\n", "[1, 2] found"),
    "alias": ("a: &x 1\nb: *x\n", "f.yaml:1:4 a: '&x' names a part"),
    "alias alone": ("b: *x\n", "f.yaml:1:4 b: '*x' repeats another part"),
    "python tag": ("a: !!python/object/apply:os.system [ls]\n", "f.yaml:1:4 a: the tag"),
    "merge key": ("a:\n  <<: {b: 1}\n", "a: not a known key"),
    "two documents": ("a: 1\n---\nb: 2\n", "f.yaml:2:1 a second document"),
    "duplicate key": (BASE + "name: again\n", "f.yaml:20:1 name: this key is already at line 1, column 1"),
    "duplicate in flow": (BASE.replace("mu: 0", "mu: 0, mu: 1"), "already at line 10, column 36"),
    "list as key": ("? [a]\n: 1\n", "f.yaml:1:3 a list or mapping cannot be a key"),
    "tab": ("a:\n\tb: 1\n", "f.yaml:2:1 this is not valid YAML"),
    "colon": ("a: b: c\n", "f.yaml:1:5 this is not valid YAML"),
    "open bracket": ("a: [1, 2\nb: 3\n", "f.yaml:2:2 this is not valid YAML"),
    "infinity": (
        BASE.replace("mu: 0", "mu: .inf"),
        "f.yaml:10:40 model.parameters.start.kwargs.mu: .inf is not",
    ),
    "not a number": (BASE.replace("mu: 0", "mu: .nan"), "not a finite number"),
    "overflow": (BASE.replace("mu: 0", "mu: 1e999"), "too large for a number"),
    "many digits": (BASE.replace("mu: 0", "mu: " + "9" * 5000), "beyond 64 bits"),
    "control character": ("a: \x01\n", "may not stand in YAML text"),
    "surrogate": ('a: "\\ud800"\n', "is not valid Unicode text"),
    "surrogate as key": ('"\\ud800": 1\n', "is not valid Unicode text"),
    "bad escape": ('a: "\\U7fffffff"\n', "not valid YAML"),
    "bad directive": ("%YAML 9" + "9" * 5000 + ".1\n---\na: 1\n", "not valid YAML"),
    "deep flow": ("a: " + "[" * 100_000, "nested deeper than 32 levels"),
    "deep block": ("".join(" " * i + "a:\n" for i in range(200)), "nested deeper than 32 levels"),
    "deep sequences": ("- " * 5000, "nested deeper than 32 levels"),
    "too long": ("# " + "x" * 1_000_000, "at most 1,000,000"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_text_is_one_error(case):
    text, fragment = BAD_TEXTS[case]
    assert fragment in refusal(text)


@pytest.mark.parametrize(
    "word", ["no", "on", "yes", "off", "y", "1:30", "2020-01-01", "010", "1_000", "0x10", "="]
)
def test_words_that_yaml_1_1_would_change_stay_text(word):
    config = loads(BASE.replace("target: y", f"target: {word}"))
    assert config.data.target == word
    assert loads(to_yaml(config)) == config


def test_keys_are_always_text():
    assert read("no: 1\n1: 2\nnull: 3\n").value == {"no": 1, "1": 2, "null": 3}


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("1.", 1.0), (".5", 0.5), ("-3", -3), ("~", None)]
)
def test_numbers_follow_yaml_1_2(text, value):
    assert read(f"a: {text}").value == {"a": value}


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"key{i}: {i}" for i in range(6_000)),
        "model:\n  parameters:\n" + "\n".join(f"    a{i}: {{dist: Norml{i}}}" for i in range(3_000)),
        "model:\n  quantities:\n" + "\n".join(f"    a{i}: {{expression: a{i + 1}}}" for i in range(2_000)),
        "model: {coords: {a: [" + "1, " * 15_000 + "]}}",
    ],
    ids=["keys", "parameters", "quantities", "labels"],
)
def test_large_texts_take_no_quadratic_time(text):
    start = time.process_time()
    with pytest.raises(ConfigError) as caught:
        loads(text)
    assert time.process_time() - start < 20  # about a second on a quiet machine
    assert len(caught.value.problems) < 2_000


@given(st.text(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_text_is_a_config_or_a_config_error(text):
    with suppress(ConfigError):
        assert isinstance(loads(text), Config)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_config_is_a_config_or_a_config_error(data):
    text = BASE
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.integers(0, 8))
        piece = data.draw(
            st.sampled_from([*"{}[]:,-?&*!|>%@`'\"#\n \t~<=\x00\x85", "é", "1e9", "- ", "--- ", "\ufeff"])
        )
        text = text[:start] + piece + text[end:]
    with suppress(ConfigError):
        config = loads(text)
        assert loads(to_yaml(config)) == config


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["name", "data", "model", "inference", "gates", "intervals", "refit", "transfer"]), PLAIN
)
@settings(max_examples=100, deadline=None)
def test_any_section_is_a_config_or_a_config_error(section, value):
    with suppress(ConfigError):
        from_dict({**yaml.safe_load(BASE), section: value})


@given(st.sampled_from(["parameters", "quantities", "likelihood", "coords"]), PLAIN)
@settings(max_examples=100, deadline=None)
def test_any_model_is_a_config_or_a_config_error(section, value):
    values = yaml.safe_load(BASE)
    values["model"][section] = value
    with suppress(ConfigError):
        from_dict(values)


def test_dictionaries_have_the_same_limits():
    circle: dict = {}
    circle["a"] = [circle, circle]
    for bad in (
        {"a": circle},
        {"name": float("nan")},
        {"name": 2**70},
        {"name": object()},
        {"name": "\ud800"},
    ):
        with pytest.raises(ConfigError):
            from_dict(bad)


def test_files(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + BASE.encode())
    assert load(path).name == "demo"
    path.write_bytes(b"name: demo\nx: \xff\n")
    with pytest.raises(ConfigError, match=r"a\.yaml:2: .*0xff is not UTF-8"):
        load(path)
    path.write_bytes(b"#" * 2_000_000)
    with pytest.raises(ConfigError, match="1,000,000 bytes"):
        load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "missing.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
