"""Fit keys by recipe: whatever a prior will be made of is in its entity's key, and nothing else."""

from typing import Any

import pyarrow as pa
import pytest

from posterity.portfolio.plan import Plan
from posterity.portfolio.portfolio import Portfolio
from tests.portfolio.small import SMALL, changed, panel

NEW, CHILD = "P03 / south", "P04 / north"
ENTITY = {"learn": CHILD, "from": {"entity": NEW}}


def table() -> pa.Table:
    """P01 and P02 are established, P03 and P04 have five rows."""
    rows = panel(products=4).to_pandas()
    return pa.Table.from_pandas(rows[(rows["product"] < "P03") | (rows["week"] <= 5)], preserve_index=False)


def plan(rows: pa.Table | None = None, sections: dict[str, Any] | None = None, **transfer: Any) -> Plan:
    section = {"transfer": {"rules": [ENTITY]} | transfer}
    return Portfolio(SMALL | section | (sections or {})).plan(table() if rows is None else rows)


def differ(one: Plan, other: Plan) -> set[str]:
    return {entity for entity in one.keys if one.keys[entity] != other.keys[entity]}


LEARNERS = {"P03 / north", NEW, CHILD, "P04 / south"}


def test_declared_entities_have_the_keys_they_have_without_transfer() -> None:
    alone = Portfolio(SMALL).plan(table())
    assert differ(plan(), alone) == LEARNERS
    assert plan(rules=[{"learn": "*", "from": "declared"}]).keys == alone.keys
    assert plan(rules=[{"learn": "*", "from": "declared"}]).run_key == alone.run_key


def test_a_child_knows_its_parent() -> None:
    found = plan()
    assert found.sources[CHILD].parent == found.keys[NEW]
    assert [wave.name for wave in found.waves] == ["established", "new", "children"]


def test_changed_rows_of_a_teacher_change_whoever_learns_from_it() -> None:
    after = plan(changed(table(), ("P01", "north"), "adoption", [0.123]))
    assert differ(plan(), after) == {"P01 / north", *LEARNERS}


def test_changed_rows_of_a_parent_change_its_child() -> None:
    after = plan(changed(table(), ("P03", "south"), "adoption", [0.123]))
    assert differ(plan(), after) == {NEW, CHILD}


def test_a_teacher_more_changes_whoever_learns() -> None:
    assert differ(plan(), plan(established={"entities": ["P01*", "P02 / north"]})) >= LEARNERS


CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "groups": ({"pool": {"within": "region"}}, LEARNERS),
    "shared": ({"pool": {"shared": "sigma"}}, LEARNERS),
    "spread": (
        {"pool": {"spread": {"sigma": {"dist": "HalfNormal", "kwargs": {"sigma": 1}}}}},
        LEARNERS,
    ),
    "robust": ({"robust": 0.2}, LEARNERS),
    "cap": ({"max_prior_rows": 8}, LEARNERS),
    "discount": ({"rules": [ENTITY | {"discount": 0.5}]}, {CHILD}),
    "fallback": ({"rules": [ENTITY | {"fallback": "population"}]}, {CHILD}),
    "another rule for a parent": (
        {"rules": [{"learn": NEW, "from": "declared"}, ENTITY]},
        {NEW, CHILD},
    ),
    "no change": ({"rules": [ENTITY | {"discount": 1.0}]}, set()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_settings_change_the_keys_of_those_they_concern(name: str) -> None:
    section, concerned = CHANGES[name]
    assert differ(plan(), plan(**section)) == concerned


def test_the_gate_for_conflict_concerns_transferred_priors_only() -> None:
    gates = {"gates": SMALL["gates"] | {"conflict": 0.5}}
    assert differ(plan(), plan(sections=gates)) == LEARNERS


def test_settings_of_joint_models_concern_nobody_else() -> None:
    inference = {"inference": SMALL["inference"] | {"centered": True, "steps": 500}}
    assert not differ(plan(), plan(sections=inference))


def test_shrinking_changes_the_teachers() -> None:
    shrunk = plan(pool={"shrink": True})
    assert differ(plan(), shrunk) == {"P01 / north", "P01 / south", "P02 / north", "P02 / south"}


def test_fewer_than_three_teachers_are_no_population() -> None:
    found = plan(rules=[], established={"entities": "P01*"})
    assert {s.kind for s in found.sources.values()} == {"declared"}
    assert any("a population takes 3" in notice for notice in found.panel.notices)
    assert found.keys == Portfolio(SMALL).plan(table()).keys


def test_a_parent_that_cannot_be_fitted_gives_way() -> None:
    broken = changed(table(), ("P03", "south"), "adoption", [float("nan")])
    assert plan(broken).sources[CHILD].kind == "declared"
    found = plan(broken, rules=[ENTITY | {"fallback": "population"}])
    assert found.sources[CHILD].kind == "population"
    assert f"its parent {NEW!r} cannot be fitted" in found.learning.notes[CHILD]
    assert any(CHILD in notice and "population prior instead" in notice for notice in found.panel.notices)


def test_a_joint_model_has_one_wave_and_keys_that_know_everybody() -> None:
    inference = {"inference": {"method": "nuts", "pooling": "joint"}}
    found = plan(sections=inference, rules=[])
    assert [(w.kind, len(w.entities)) for w in found.waves] == [("joint", 8)]
    after = plan(changed(table(), ("P01", "north"), "adoption", [0.123]), sections=inference, rules=[])
    assert differ(found, after) == set(found.keys)


def test_what_check_shows() -> None:
    steps = plan(pool={"within": "region"}).steps()
    assert [(s["wave"], s["entities"]) for s in steps] == [
        ("established", 4),
        ("population", 4),
        ("new", 3),
        ("children", 1),
    ]
    assert steps[1]["from"] == {"north": 2, "south": 2}
    assert steps[2]["from"] == {"population: north": 1, "population: south": 2}
    assert plan().origins() == {"declared": 4, "population": 3, f"entity: {NEW}": 1}
