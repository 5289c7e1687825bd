"""The gates between a challenger and a champion, on rows that neither has seen."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posterity.config.promotion import Promotion
from posterity.errors import ResultError
from posterity.inference import compiled
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.promotion import Gate, Verdict, judge
from posterity.portfolio.scores import score
from posterity.portfolio.unseen import unseen
from tests.entities import prior
from tests.portfolio.small import SMALL
from tests.portfolio.versions import RULES, Versions, fit_versions


@pytest.fixture(scope="module", autouse=True)
def interpreted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        yield


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    return fit_versions(tmp_path_factory.mktemp("versions"))


def gate(verdict: Verdict, name: str) -> Gate:
    (found,) = [g for g in verdict.gates if g.name == name]
    return found


def test_only_rows_after_both_are_scored(versions: Versions) -> None:
    verdict = judge(versions.later, versions.early, versions.rows, RULES)
    assert (verdict.rows, verdict.seen) == (6 * 8, 6 * 20)
    assert verdict.entities["rows"].tolist() == [8] * 6


def test_a_row_is_seen_where_either_has_it(versions: Versions) -> None:
    both = unseen(versions.rows, [versions.early, versions.later])
    assert both.panel is not None
    assert both.panel.table["week"].to_numpy().min() == 21
    assert unseen(versions.rows, [versions.early]).rows == 6 * 16


def test_the_better_fit_is_promoted_and_the_worse_is_not(versions: Versions) -> None:
    forward = judge(versions.later, versions.bad, versions.rows, RULES)
    back = judge(versions.bad, versions.later, versions.rows, RULES)
    assert forward.decision == "promoted"
    assert back.decision == "kept"
    assert gate(forward, "crps").value == pytest.approx(-(gate(back, "crps").value or 0))
    assert "worse" in back.reason


def test_the_difference_is_the_paired_one(versions: Versions) -> None:
    verdict = judge(versions.later, versions.bad, versions.rows, RULES)
    late = versions.rows[versions.rows["week"] > 20]
    ours, theirs = (
        score(r, late, intervals=(0.9,)).groupby("entity")["crps"].mean()
        for r in (versions.later, versions.bad)
    )
    by_hand = ours - theirs
    assert gate(verdict, "crps").value == pytest.approx(by_hand.mean())
    assert gate(verdict, "crps").bound == pytest.approx(by_hand.std(ddof=1) / np.sqrt(6))
    assert verdict.entities.set_index("entity")["difference"].sort_index().tolist() == pytest.approx(
        by_hand.sort_index().tolist()
    )
    assert verdict.entities["difference"].is_monotonic_decreasing


def test_a_version_against_itself_is_no_worse(versions: Versions) -> None:
    found = gate(judge(versions.later, versions.later, versions.rows, RULES), "crps")
    assert (found.value, found.passed) == (0.0, True)


def test_coverage_decides(versions: Versions) -> None:
    rules = replace_rules(RULES, coverage=0.05, standard_errors=0.0)
    found = gate(judge(versions.bad, None, versions.rows, rules), "coverage")
    assert found.value is not None
    assert found.value < 0.5
    assert not found.passed


def test_flagged_entities_decide(versions: Versions) -> None:
    entities = versions.later.entities.assign(status=["flagged"] * 2 + ["ok"] * 4)
    worse = stand_in(versions.later, entities=entities)
    found = gate(judge(worse, None, versions.rows, replace_rules(RULES, max_flagged=0.3)), "flagged")
    assert (found.value, found.passed) == (pytest.approx(1 / 3), False)
    assert gate(judge(worse, None, versions.rows, replace_rules(RULES, max_flagged=0.4)), "flagged").passed


def test_an_entity_that_the_challenger_lost_is_no_way_to_win(versions: Versions) -> None:
    entities = versions.later.entities.copy()
    entities.loc[0, "method"] = None
    verdict = judge(stand_in(versions.later, entities=entities), versions.early, versions.rows, RULES)
    found = gate(verdict, "lost")
    assert not found.passed
    assert entities.loc[0, "entity"] in found.sentence
    assert verdict.decision == "kept"


def test_without_unseen_rows_nothing_is_promoted_over_a_champion(versions: Versions) -> None:
    old = versions.rows[versions.rows["week"] <= 20]
    verdict = judge(versions.later, versions.early, old, RULES)
    assert (verdict.decision, verdict.rows, verdict.seen) == ("kept", 0, 120)
    assert [g.name for g in verdict.gates] == ["flagged", "lost", "rows"]


def test_the_first_version_needs_its_own_gates_only(versions: Versions) -> None:
    old = versions.rows[versions.rows["week"] <= 20]
    assert judge(versions.later, None, old, RULES).decision == "promoted"
    assert "no champion" in gate(judge(versions.later, None, old, RULES), "rows").sentence


def test_approval_makes_it_wait_but_does_not_save_it(versions: Versions) -> None:
    rules = replace_rules(RULES, approval=True)
    assert judge(versions.later, versions.bad, versions.rows, rules).decision == "waiting"
    assert judge(versions.bad, versions.later, versions.rows, rules).decision == "kept"


def test_one_entity_has_no_standard_error_and_must_not_be_worse(versions: Versions) -> None:
    first = versions.rows[(versions.rows["product"] == "P01") & (versions.rows["region"] == "north")]
    assert gate(judge(versions.later, versions.bad, first, RULES), "crps").passed
    assert not gate(judge(versions.bad, versions.later, first, RULES), "crps").passed


def test_results_of_other_columns_cannot_be_compared(versions: Versions) -> None:
    data = versions.later.config.data.model_copy(update={"target": "sales"})
    config = versions.later.config.model_copy(update={"data": data})
    with pytest.raises(ResultError, match="sales"):
        judge(stand_in(versions.later, config=config), versions.early, versions.rows, RULES)


def test_every_gate_is_a_sentence_with_its_numbers(versions: Versions) -> None:
    verdict = judge(versions.bad, versions.later, versions.rows, Promotion())
    for row in verdict.table():
        assert set(row) == {"gate", "passed", "found", "bound", "means"}
        assert any(character.isdigit() for character in row["means"])
    assert verdict.to_dict()["decision"] == "kept"
    assert len(verdict.worst) == 6


def test_without_a_time_equal_rows_are_left_out_as_often_as_they_are_known(tmp_path: Path) -> None:
    model = {
        "parameters": {"a": prior("Normal", mu=0, sigma=3)},
        "quantities": {"m": {"expression": "a * x"}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "m", "sigma": prior("HalfNormal", sigma=1)}},
    }
    config = SMALL | {"data": {"entity": "shop", "target": "y"}, "model": model}
    known = pd.DataFrame({"shop": "s", "x": [1.0, 1.0, 2.0, 3.0, 4.0], "y": [2.0, 2.0, 4.1, 6.0, 8.1]})
    result = Portfolio(config).fit(known, out=tmp_path / "r", workers=0)
    given = pd.concat([known, known.head(1), pd.DataFrame({"shop": "s", "x": [5.0], "y": [10.0]})])
    found = unseen(given, [result])
    assert (found.rows, found.seen) == (2, 5)


def replace_rules(rules: Promotion, **changes: Any) -> Promotion:
    return rules.model_copy(update=changes)


def stand_in(result: Any, **changes: Any) -> Any:
    """The result with other tables: what a fit that went differently would say."""
    names = ("config", "entities", "intervals", "path", "manifest", "counts", "graph")
    methods = ("table", "entity_table", "entity_row", "has", "text")
    values = {name: getattr(result, name) for name in (*names, *methods)}
    return SimpleNamespace(**(values | changes))


def test_a_verdict_is_frozen(versions: Versions) -> None:
    verdict = judge(versions.later, None, versions.rows, RULES)
    assert replace(verdict, rows=1).rows == 1
    with pytest.raises(AttributeError):
        verdict.rows = 2  # type: ignore[misc]
