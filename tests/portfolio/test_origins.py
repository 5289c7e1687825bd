"""Sources outside a run: opened when it is planned, refused with a sentence, given up where rows overlap."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from posterity.errors import ConfigError
from posterity.inference.mixture import Mixture
from posterity.portfolio import prior_file
from posterity.portfolio.plan import Plan
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.prior import Prior
from posterity.portfolio.structure import Structure
from tests.portfolio.example import FAILED, build

MODEL: dict[str, Any] = {
    "parameters": {"ceiling": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 2}}},
    "quantities": {"curve": {"expression": "ceiling * week / 11"}},
    "likelihood": {"dist": "Normal", "kwargs": {"mu": "curve", "sigma": 1}},
}
CONFIG: dict[str, Any] = {
    "name": "example",
    "data": {"entity": ["product", "region"], "time": "week", "target": "y"},
    "model": MODEL,
}
NAMES = (("alpha", "north"), ("alpha", "south"), ("failed", "north"), ("omega", "north"))


def rows(first: int = 53, weeks: int = 4) -> pd.DataFrame:
    """The weeks after those of the example, whose results have weeks 1 to 52."""
    return pd.DataFrame(
        [(*name, first + i, 0.1 * i) for name in NAMES for i in range(weeks)],
        columns=["product", "region", "week", "y"],
    )


def planned(source: Any, panel: pd.DataFrame | None = None, **rule: Any) -> Plan:
    transfer = {"rules": [{"learn": "*", "from": source} | rule]}
    return Portfolio(CONFIG | {"transfer": transfer}).plan(rows() if panel is None else panel)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def other(here: Path) -> Path:
    """A published result whose parameters are lambda_val, intercept, sigma, z and theta."""
    return build(here / "other")


def test_another_portfolios_posterior_of_the_same_entity(other: Path) -> None:
    plan = planned({"portfolio": "other"}, match={"ceiling": "lambda_val"}, discount=0.5)
    source = plan.sources["alpha / north"]
    assert (source.label, source.match, source.digest) == (
        "portfolio: other",
        (("ceiling", "lambda_val"),),
        "0" * 64,
    )
    assert len(source.parent) == 64
    assert plan.sources["omega / north"].kind == plan.sources[FAILED].kind == "declared"
    assert plan.learning.notes[FAILED] == "declared instead of portfolio: other: it failed in other"
    assert "other does not have it" in plan.learning.notes["omega / north"]
    assert sum("have the declared" in n or "has the declared" in n for n in plan.panel.notices) == 2


@pytest.mark.parametrize(
    ("match", "fragment"),
    [({}, "no parameter of the same name"), ({"ceiling": "lambda"}, "has no parameter 'lambda'")],
)
def test_parameters_that_do_not_match_are_refused(match: dict[str, str], fragment: str, other: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        planned({"portfolio": "other"}, match=match)
    assert fragment in str(caught.value)
    assert "it has intercept, lambda_val, sigma" in str(caught.value)


@pytest.mark.parametrize("kind", ["portfolio", "previous", "file"])
def test_what_is_not_there_is_refused(kind: str, here: Path) -> None:
    with pytest.raises(ConfigError, match=rf"rules\[0\]\.from\.{kind}: nowhere"):
        planned({kind: "nowhere"})


def test_a_previous_posterior_is_taken_only_where_its_rows_lie_before(other: Path) -> None:
    match = {"ceiling": "lambda_val"}
    after = planned({"previous": "other"}, match=match)
    assert after.sources["alpha / north"].kind == "previous"
    assert after.sources["alpha / north"].label == "previous"
    during = planned({"previous": "other"}, rows(first=52), match=match)
    assert {s.kind for s in during.sources.values()} == {"declared"}
    assert (
        "rows up to 52 are in other already, and here they begin at 52"
        in during.learning.notes["alpha / north"]
    )
    config = CONFIG | {"data": {"entity": ["product", "region"], "target": "y"}}
    config["transfer"] = {"rules": [{"learn": "*", "from": {"previous": "other"}, "match": match}]}
    unordered = Portfolio(config).plan(rows())
    assert "without a time column" in unordered.learning.notes["alpha / north"]


def test_the_word_previous_takes_the_newest_result_that_lies_before(here: Path) -> None:
    assert "no earlier result in runs/example" in planned("previous").learning.notes["alpha / north"]
    build(here / "runs" / "example" / "older")
    match = {"ceiling": "lambda_val"}
    plan = planned("previous", match=match)
    assert plan.sources["alpha / north"].name == "runs/example/older"
    # A newer result with rows of its own must not take its place when the same command is run again.
    build(here / "runs" / "example" / "zz", weeks=60)
    again = planned("previous", match=match)
    assert again.keys == plan.keys
    assert planned("previous", rows(first=61), match=match).sources["alpha / north"].name.endswith("zz")


def test_a_prior_file_is_known_by_its_content(here: Path) -> None:
    description = Portfolio(CONFIG).plan(rows()).description
    prior = Prior("file", ("ceiling",), Mixture.gaussian([1.0], [[0.1]]), 0.0, 3.0, description.key)
    for file, shift in (("a.yaml", 0.0), ("b.yaml", 0.5)):
        moved = Prior(
            "file",
            prior.entries,
            Mixture.gaussian([1.0 + shift], [[0.1]]),
            0.0,
            3.0,
            description.key,
            structure=Structure.of(description),
        )
        prior_file.save(moved, here / file)
    (here / "c.yaml").write_bytes((here / "a.yaml").read_bytes())
    a, b, c = (planned({"file": f"{name}.yaml"}) for name in "abc")
    assert len(a.sources["alpha / north"].digest) == 64
    assert a.keys["alpha / north"] == c.keys["alpha / north"] != b.keys["alpha / north"]


def test_a_prior_of_another_model_is_refused(here: Path) -> None:
    other = MODEL | {"quantities": {"curve": {"expression": "ceiling * week * week"}}}
    description = Portfolio(CONFIG | {"model": other}).plan(rows()).description
    prior = Prior(
        "x",
        ("ceiling",),
        Mixture.gaussian([1.0], [[0.1]]),
        0.0,
        3.0,
        description.key,
        structure=Structure.of(description),
    )
    prior_file.save(prior, here / "a.yaml")
    with pytest.raises(ConfigError, match=r"from\.file: .*does not fit this model"):
        planned({"file": "a.yaml"})
