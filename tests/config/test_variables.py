"""Environment variables in `data.source`: those meant for it, and none that could carry a secret away."""

from pathlib import Path

import pytest

from posterity.config import load, loads, to_yaml
from posterity.config.variables import resolved
from posterity.errors import ConfigError
from posterity.portfolio.plan import read_panel

BASE = Path(__file__).with_name("base.yaml").read_text(encoding="utf-8")


def with_source(source: str) -> str:
    return BASE.replace("source: panel.parquet", f"source: '{source}'")


def test_variables_stand_for_their_values():
    known = {"POSTERITY_PANELS": "/there", "POSTERITY_DAY": "2024-01-31"}
    assert resolved("${POSTERITY_PANELS}/a ${POSTERITY_DAY}.csv", known) == "/there/a 2024-01-31.csv"
    assert resolved("s3://bucket/$HOME/{x}/*.parquet", {}) == "s3://bucket/$HOME/{x}/*.parquet"


def test_values_are_not_looked_at_again():
    assert resolved("${POSTERITY_A}", {"POSTERITY_A": "${POSTERITY_B}"}) == "${POSTERITY_B}"


@pytest.mark.parametrize("environment", [{}, {"POSTERITY_A": ""}])
def test_a_variable_that_is_not_set_is_told_with_the_way_out(environment: dict[str, str]):
    with pytest.raises(ConfigError, match=r"POSTERITY_A is not set; set it to .* or give .* --data"):
        resolved("${POSTERITY_A}/x.csv", environment)


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "HOME", "", "POSTERITY_", "posterity_a", "POSTERITY_A:-x"]
)
def test_other_variables_are_refused_when_the_configuration_is_loaded(name: str):
    with pytest.raises(ConfigError) as caught:
        loads(with_source(f"https://example.org/${{{name}}}"), "f.yaml")
    assert [str(p).split(":")[1] for p in caught.value.problems] == ["3"]
    assert f"data.source: '${{{name}}}' found; allowed: variables whose names begin with POSTERITY_" in str(
        caught.value
    )


def test_an_override_cannot_smuggle_one_in():
    with pytest.raises(ConfigError, match="allowed: variables"):
        resolved("${SECRET}", {"SECRET": "x"})


def test_the_resolved_configuration_keeps_the_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POSTERITY_A", "/there")
    config = loads(with_source("${POSTERITY_A}/x.csv"))
    assert config.data.source == "${POSTERITY_A}/x.csv"
    assert loads(to_yaml(config)) == config


def test_the_panel_is_read_from_where_the_variable_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checkout: Path
):
    text = (checkout / "configs" / "adoption.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("data/adoption.parquet", "${POSTERITY_HERE}/adoption.parquet"))
    config = load(path)
    monkeypatch.delenv("POSTERITY_HERE", raising=False)
    with pytest.raises(ConfigError, match="POSTERITY_HERE is not set"):
        read_panel(config)
    monkeypatch.setenv("POSTERITY_HERE", str(checkout / "data"))
    assert len(read_panel(config).entities) == 120
