"""What a plan knows before anything is fitted: who, with which key, and what speaks against whom."""

import math

import pyarrow as pa
import pytest

from posterity.config import from_dict
from posterity.errors import ConfigError, ModelError, PanelError
from posterity.portfolio.dispatch import LARGEST_SHARD, MOST_SHARDS, Dispatch
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import KEPT, Plan, kept
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.runners import Inline
from tests.portfolio.small import SMALL, changed, panel

NAN = math.nan


def plan(table: pa.Table | None = None, **sections) -> Plan:
    return Portfolio(SMALL | sections).plan(panel() if table is None else table)


def test_every_entity_has_rows_a_role_and_a_key() -> None:
    found = plan()
    assert found.summary() == {
        "entities": 6,
        "rows": 120,
        "established": 6,
        "new": 0,
        "cannot be fitted": 0,
    }
    work = list(found.work())
    assert [w.entity for w in work] == list(found.panel.entities) == sorted(found.panel.entities)
    assert len({w.key for w in work}) == 6
    assert all(w.rows.n == 20 for w in work)


def test_few_rows_make_an_entity_new() -> None:
    table = panel().filter(
        pa.compute.or_(pa.compute.less(panel()["week"], 9), pa.compute.equal(panel()["product"], "P02"))
    )
    found = plan(table)
    assert found.roles["P01 / north"] == "new"
    assert found.roles["P02 / north"] == "established"
    assert plan(table, transfer={"established": {"min_rows": 8}}).roles["P01 / north"] == "established"


CHANGES = {
    "seed": {"inference": SMALL["inference"] | {"seed": 1}},
    "draws": {"inference": SMALL["inference"] | {"draws": 251}},
    "method": {"inference": SMALL["inference"] | {"method": "auto"}},
    "kept draws": {"inference": SMALL["inference"] | {"keep": 100}},
    "gates": {"gates": {"ess": 100}},
    "intervals": {"intervals": [0.8]},
    "structure": {
        "model": SMALL["model"] | {"quantities": {"curve": {"expression": "intercept + lambda_val * week"}}}
    },
    "a number in a prior": {
        "model": SMALL["model"]
        | {
            "parameters": SMALL["model"]["parameters"]
            | {"intercept": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 2}}}
        }
    },
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_changes_a_fit_changes_every_key(name: str) -> None:
    before, after = plan(), plan(**CHANGES[name])
    assert all(before.keys[e] != after.keys[e] for e in before.keys)
    assert before.run_key != after.run_key


@pytest.mark.parametrize("sections", [{"tracking": {"traces": "none"}}, {"execution": {"workers": 3}}])
def test_what_changes_no_fit_changes_no_key(sections: dict[str, object]) -> None:
    assert plan().run_key == plan(**sections).run_key


def test_changed_rows_change_the_key_of_their_entity_only() -> None:
    before, after = plan(), plan(changed(panel(), ("P02", "south"), "adoption", [0.123]))
    assert {e for e in before.keys if before.keys[e] != after.keys[e]} == {"P02 / south"}


def test_entities_that_cannot_be_fitted_are_there_with_their_reason() -> None:
    table = changed(panel(), ("P02", "south"), "adoption", [NAN, NAN])
    found = plan(table)
    assert found.summary()["cannot be fitted"] == 1
    assert "missing in 2 of 20 rows" in found.panel.reasons["P02 / south"]
    assert "P02 / south" not in found.fittable
    assert len(found.fittable) == 5


def test_unknown_entities_are_an_error_with_the_nearest_name() -> None:
    with pytest.raises(PanelError, match="P02 / south"):
        Portfolio(SMALL).plan(panel(), entities=("P02 / suoth",))


def test_methods_for_joint_models_are_refused_before_anything_starts() -> None:
    with pytest.raises(ConfigError, match="dadvi is for joint models"):
        plan(inference={"method": "dadvi"})


def test_a_model_that_cannot_be_built_is_refused_before_anything_starts() -> None:
    quantities = {"curve": {"function": "math:no_such_curve", "arguments": {"x": "week"}}}
    with pytest.raises(ModelError, match="has nothing called 'no_such_curve'"):
        plan(model=SMALL["model"] | {"quantities": quantities})


def test_no_source_anywhere_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"data\.source is not given"):
        Portfolio(SMALL).plan()


def test_stored_draws() -> None:
    def keep(value: object, entities: int) -> int:
        return kept(from_dict(SMALL | {"inference": {"draws": 1_000, "chains": 4, "keep": value}}), entities)

    assert keep("auto", 200) == 4_000
    assert keep("auto", 201) == KEPT
    assert keep("all", 100_000) == 4_000
    assert keep(500, 10) == 500


@pytest.mark.parametrize(("entities", "workers"), [(1, 8), (7, 2), (120, 2), (1_000, 4)])
def test_shards_hold_everybody_once_and_are_few(entities: int, workers: int, tmp_path) -> None:
    found = plan()
    (work, *_) = found.work()
    shards = Dispatch(found, Parts(tmp_path), Inline(), workers).cut([work] * entities)
    assert sum(len(shard.work) for shard in shards) == entities
    assert len(shards) <= MOST_SHARDS
    assert max(len(shard.work) for shard in shards) <= LARGEST_SHARD
    assert len(shards) >= min(entities, workers)
