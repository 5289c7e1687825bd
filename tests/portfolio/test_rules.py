"""Who teaches, who learns, and from whom: rules as pure functions of names and counts of rows."""

from typing import Any

import pytest

from posterity.config.transfer import Transfer
from posterity.errors import ConfigError
from posterity.portfolio.rules import Source, Sources, assign, without_population
from posterity.portfolio.waves import check_parents, generations, in_waves

ROWS = {"P01 / north": 52, "P01 / south": 52, "P02 / north": 52, "P02 / south": 4, "P03 / north": 4}


def assigned(rows: dict[str, int] | None = None, unfit: tuple[str, ...] = (), **section: Any) -> Sources:
    counts = rows or ROWS
    groups = {entity: (entity.rpartition(" / ")[2],) for entity in counts}
    return assign(Transfer.model_validate(section), counts, groups, unfit)


def learn(who: str, whom: Any, **more: Any) -> dict[str, Any]:
    return {"learn": who, "from": whom, **more}


def labels(sources: Sources) -> dict[str, str]:
    return {entity: source.label for entity, source in sources.of.items()}


def test_without_the_section_everybody_keeps_the_declared_prior() -> None:
    found = assign(None, ROWS, dict.fromkeys(ROWS, ()))
    assert set(labels(found).values()) == {"declared"}
    assert list(found.roles.values()) == ["established"] * 3 + ["new"] * 2
    assert in_waves(found, ROWS)[0].name == "declared"


def test_without_rules_new_entities_learn_from_the_population_of_their_group() -> None:
    found = assigned()
    assert found.teachers == ("P01 / north", "P01 / south", "P02 / north")
    assert labels(found)["P02 / south"] == "population: south"
    assert labels(found)["P01 / north"] == "declared"


def test_patterns_say_who_may_teach() -> None:
    found = assigned(established={"entities": ["P01*", "P02 / north"]}, rules=[])
    assert found.teachers == ("P01 / north", "P01 / south", "P02 / north")
    assert assigned(established={"entities": ["P01*"]}).roles["P02 / north"] == "new"


def test_the_first_rule_that_matches_holds() -> None:
    rules = [
        learn("P02 / south", {"entity": "P01 / south"}, discount=0.5, fallback="population"),
        learn("P0[23] / *", {"file": "x.yaml"}),
        learn("*", "declared"),
    ]
    found = assigned(rules=rules)
    assert labels(found) == {
        "P01 / north": "declared",
        "P01 / south": "declared",
        "P02 / north": "file: x.yaml",
        "P02 / south": "entity: P01 / south",
        "P03 / north": "file: x.yaml",
    }
    assert found.of["P02 / south"].discount == 0.5
    assert found.roles["P02 / north"] == "new"  # who learns from elsewhere does not teach


def test_a_rule_never_makes_a_parent_learn_from_itself() -> None:
    found = assigned(rules=[learn("*", {"entity": "P01 / north"})])
    assert found.teachers == ("P01 / north",)
    assert labels(found)["P01 / south"] == "entity: P01 / north"


def test_learning_from_the_population_leaves_a_teacher_a_teacher() -> None:
    found = assigned(rules=[learn("*", "population")])
    assert len(found.teachers) == 3
    assert labels(found)["P01 / north"] == "declared"
    assert not found.notices


def test_entities_that_cannot_be_fitted_do_not_teach() -> None:
    assert assigned(unfit=("P01 / north",)).teachers == ("P01 / south", "P02 / north")


def test_shrinking_pools_the_teachers_except_those_that_say_no() -> None:
    found = assigned(pool={"shrink": True}, rules=[learn("P01 / south", "declared")])
    assert found.pooled == {"P01 / north", "P02 / north"}
    assert labels(found)["P01 / north"] == "population: north"
    waves = in_waves(found, ROWS)
    assert [(w.name, w.kind, len(w.entities), w.needs_population) for w in waves] == [
        ("established", "fit", 1, False),
        ("pooled", "pooled", 2, True),
        ("new", "fit", 2, True),
    ]


def test_a_rule_for_nobody_is_told() -> None:
    assert "rules[1]" in assigned(rules=[learn("*", "population"), learn("P03*", "declared")]).notices[0]


def test_names_are_patterns_only_where_they_are_meant_to_be() -> None:
    rows = {"a[1]": 4, "a1": 4}
    found = assign(
        Transfer.model_validate({"rules": [learn("a[1]", "declared")]}), rows, dict.fromkeys(rows, ())
    )
    assert [s.kind for s in found.of.values()] == ["declared", "declared"]  # itself, and as a pattern
    assert assigned(rules=[learn("p03*", "declared")]).of["P03 / north"].kind == "population"  # case matters


def test_too_few_teachers_leave_the_declared_prior_and_say_so() -> None:
    found = without_population(assigned(unfit=("P01 / north",)))
    assert set(labels(found).values()) == {"declared"}
    assert "2 entities are established, and a population takes 3" in found.notices[0]
    assert found.notes.keys() == {"P02 / south", "P03 / north"}
    fine = assigned(rules=[learn("*", "declared")])
    assert without_population(fine) is fine


def test_waves_follow_the_generations() -> None:
    rules = [
        learn("P03 / north", {"entity": "P02 / south"}),
        learn("P02 / south", {"entity": "P01 / south"}),
    ]
    waves = in_waves(assigned(rules=rules), ROWS)
    assert [(w.name, w.entities) for w in waves] == [
        ("established", ("P01 / north", "P01 / south", "P02 / north")),
        ("children", ("P02 / south",)),
        ("children 2", ("P03 / north",)),
    ]
    assert not any(w.needs_population for w in waves)


def test_generations_of_a_long_line_and_of_a_broad_one() -> None:
    line = {f"e{i}": f"e{i - 1}" for i in range(5_000, 0, -1)}
    assert generations(line)["e5000"] == 5_000
    assert set(generations({f"c{i}": "root" for i in range(1_000)}).values()) == {1}


def test_circles_are_named_in_full() -> None:
    with pytest.raises(ConfigError) as caught:
        generations({"A": "B", "B": "A", "C": "A", "D": "E", "E": "F", "F": "D", "G": "H"})
    text = str(caught.value)
    assert "A → B → A" in text
    assert "D → E → F → D" in text
    assert len(caught.value.problems) == 2


def test_missing_parents_teach() -> None:
    of = {"child": Source("entity", "P01 / nort", rule=3), "other": Source("entity", "P02 / north", rule=4)}
    with pytest.raises(ConfigError) as caught:
        check_parents(of, ["P01 / north", "P02 / north", "child", "other"])
    first, second = (str(problem) for problem in caught.value.problems)
    assert first.startswith("transfer.rules[3].from.entity: no entity 'P01 / nort'")
    assert "did you mean 'P01 / north'?" in first
    assert "not among the chosen entities" in second
