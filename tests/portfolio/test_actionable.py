"""Entities decided or in need of more data: which width counts, and that a rule alone fits nothing again."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posterity import Portfolio
from posterity.config import from_dict, with_overrides
from posterity.errors import ConfigError
from posterity.portfolio.account import account
from posterity.portfolio.actionable import counted
from posterity.portfolio.portfolio import run
from posterity.portfolio.refit.run import refit
from posterity.portfolio.result import Result
from tests.portfolio.chained import FIRST, panels

SIZES = {"i000": 3, "i001": 12, "i002": 48}
BASE: dict[str, Any] = {
    "name": "levels",
    "data": {"entity": "item", "time": "t", "target": "y"},
    "model": {
        "parameters": {
            "level": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 3}, "dims": "kind"},
            "drift": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}},
        },
        "quantities": {"line": {"expression": "level[kind] + drift * t"}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "line", "sigma": 1}},
    },
}


def table() -> pd.DataFrame:
    """Three items with more and more rows, and one that cannot be fitted."""
    rng = np.random.default_rng(3)
    rows = [
        (item, kind, (i + (kind == "b") / 2) / n, 2.0 + (kind == "b") + rng.normal())
        for item, n in SIZES.items()
        for i in range(n)
        for kind in ("a", "b")
    ]
    rows += [("i009", "a", 0.0, np.inf), ("i009", "b", 1.0, 0.0)]
    return pd.DataFrame(rows, columns=["item", "kind", "t", "y"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fitted(quantity: str, max_width: float = 1.0, **more: Any) -> Result:
    rule = {"quantity": quantity, "max_width": max_width} | more
    return run(Portfolio(BASE | {"actionable": rule}).plan(table()), workers=0).result


def test_widths_of_parameters_entries_and_quantities(here: Path) -> None:
    """Everything after the first run is marked anew, not fitted again."""
    result = fitted("drift", 1.2)
    entities = result.entities.set_index("entity")
    own = result.parameters.set_index(["entity", "parameter"])
    width = own["upper_90"] - own["lower_90"]
    assert entities.loc["i009", "status"] == "failed"
    assert entities.loc["i009", ["actionable", "actionable_width"]].isna().all()
    fine = entities.drop("i009")
    np.testing.assert_allclose(fine["actionable_width"], width.xs("drift", level="parameter"))
    assert fine["actionable"].tolist() == ["needs data", "needs data", "decided"]
    marks = counted(result)
    assert marks is not None
    assert marks.sentence == "1 decided, 2 need more data (90 % interval of drift at most 1.2 wide)"

    def again(*rule: Any, **more: Any) -> pd.DataFrame:
        found = fitted(*rule, **more)
        assert found.table("draws.parquet").equals(result.table("draws.parquet"))
        return found.entities.set_index("entity").drop("i009")

    half = own["upper_50"] - own["lower_50"]
    np.testing.assert_allclose(
        again("level[b]", interval=0.5)["actionable_width"], half.xs("level[b]", level=1)
    )
    widest = np.maximum(width.xs("level[a]", level=1), width.xs("level[b]", level=1))
    np.testing.assert_allclose(again("level")["actionable_width"], widest)
    share = width / own["median"].abs()
    relative = again("level[a]", 0.5, relative=True)["actionable_width"]
    np.testing.assert_allclose(relative, share.xs("level[a]", level=1))
    line = again("line")["actionable_width"]
    rows = result.intervals
    expected = (rows["expected_upper_90"] - rows["expected_lower_90"]).groupby(rows["entity"]).max()
    np.testing.assert_allclose(line, expected.loc[line.index], rtol=0.06)  # other draws of the same posterior
    assert len(list((here / "runs" / "levels").glob("*/manifest.json"))) == 5


def test_another_rule_in_a_refit_marks_without_fitting(here: Path) -> None:
    before = fitted("drift", 0.001)
    assert set(before.entities["actionable"].dropna()) == {"needs data"}
    config = with_overrides(before.config, {"actionable.max_width": 100.0})
    after = before.refit(table(), config=config, workers=0)
    assert set(after.entities["actionable"].dropna()) == {"decided"}
    assert after.version == before.version
    assert after.table("draws.parquet").equals(before.table("draws.parquet"))
    # New rows of one item: everybody is marked, also those that stay as they are.
    more = pd.DataFrame({"item": "i000", "kind": ["a", "b"], "t": [1.5, 1.6], "y": [2.0, 3.0]})
    done = refit(after, more, workers=0)
    later = done.result
    assert later.version == 2
    assert account(after, done).decided.startswith("3 decided, 0 need more data")
    old, new = (r.entities.set_index("entity") for r in (after, later))
    assert new.loc["i000", "actionable_width"] < old.loc["i000", "actionable_width"]
    assert new.loc["i002", "actionable_width"] == old.loc["i002", "actionable_width"]
    assert new["actionable"].dropna().tolist() == ["decided"] * 3


def test_neither_rule_nor_assumptions_are_part_of_a_fit() -> None:
    plain = {k: v for k, v in FIRST.items() if k not in ("assumptions", "actionable")}
    panel = panels(3)[0]
    bare, full = (Portfolio(config).plan(panel) for config in (plain, FIRST))
    assert bare.keys == full.keys
    assert bare.run_key != full.run_key
    assert bare.said == {}


@pytest.mark.parametrize(
    ("rule", "fragment"),
    [
        (
            {"quantity": "drfit"},
            "'drfit' is no parameter and no quantity; allowed: level, drift or line",
        ),
        ({"quantity": "drift[a]"}, "'drift' has no entries; write drift"),
        ({"quantity": "drift", "interval": 0.8}, "0.8 found; allowed: one of those in intervals, 0.5 or 0.9"),
        ({"quantity": "drift", "max_width": 0}, "0 found; allowed: a number more than 0"),
        ({"quantity": "drift", "width": 1}, "not a known key"),
    ],
)
def test_rules_that_cannot_be_are_refused(rule: dict[str, Any], fragment: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(BASE | {"actionable": {"max_width": 1.0} | rule})
    assert fragment in str(caught.value)


def test_an_entry_that_is_not_there_is_told_once_the_panel_is_known() -> None:
    config = BASE | {"actionable": {"quantity": "level[c]", "max_width": 1.0}}
    with pytest.raises(
        ConfigError, match=r"allowed: level for the widest of all, or level\[a\]|'level\[a\]'"
    ):
        Portfolio(config).plan(table())
