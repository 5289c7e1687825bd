"""A result with transferred priors in memory and in MLflow: who taught whom can be followed run by run."""

from collections.abc import Callable

import pytest

from posterity.portfolio.result import Result, open_result
from posterity.tracking import MemoryTracker, Run, Tracker, connect, track
from posterity.tracking.learning import metrics
from posterity.tracking.selection import choose
from posterity.tracking.tracker import NOTE
from tests.portfolio.example import LONG
from tests.portfolio.learned_example import (
    CHILD,
    FROM_FILE,
    PARENT,
    POOLED,
    POPULATION,
    TEACHERS,
    build_learned,
)

FIGURES = {f"figures/{name}.png" for name in ("population", "transfer", "shrinkage", "conflict")}


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return build_learned(tmp_path_factory.mktemp("learned"), weeks=12, draws=25)


@pytest.fixture(scope="module", params=["memory", "mlflow"])
def tracker(
    request: pytest.FixtureRequest,
    learned: Result,
    tmp_path_factory: pytest.TempPathFactory,
    database: Callable[..., str],
) -> Tracker:
    """Where the result was recorded, by either tracker."""
    if request.param == "memory":
        found: Tracker = MemoryTracker("example")
    else:
        found = connect(database(tmp_path_factory.mktemp("runs")), "example")
    tracked = track(settled(learned, traces="none"), tracker=found)
    assert tracked.troubled == 0
    return found


def settled(result: Result, **tracking: object) -> Result:
    """The result with other tracking settings; the cached property is where an opened result keeps them."""
    copy = open_result(result.path)
    copy.__dict__["settings"] = {**result.settings, "tracking": tracking}
    return copy


@pytest.fixture
def runs(tracker: Tracker) -> dict[str, Run]:
    """The parent under "", children by entity."""
    return {run.tags.get("entity", ""): run for run in tracker.find()}


def test_an_entity_of_a_population_links_to_the_portfolio(runs: dict[str, Run]) -> None:
    run, parent = runs[POPULATION], runs[""]
    assert (run.tags["prior"], run.tags["prior_source"]) == ("population: north", "population")
    assert run.params["prior"] == "population: north"
    assert run.tags["taught_by"] == parent.run_id
    assert (run.tags["taught_by_count"], run.tags["taught_by_artifact"]) == ("8", "population.json")
    assert run.tags["prior_file"] == "priors/population-north.yaml"
    assert run.tags["prior_hash"] == run.tags["prior_key"]
    assert parent.run_id in run.tags[NOTE]
    assert {"prior_rows", "conflict_p", "vague_weight"} <= set(run.metrics)


def test_a_child_links_to_the_run_of_its_parent(runs: dict[str, Run]) -> None:
    run = runs[CHILD]
    assert run.tags["taught_by"] == runs[PARENT].run_id
    assert run.tags["taught_by_entity"] == PARENT
    assert run.tags["parent_fit_key"] == runs[PARENT].tags["fit_key"]
    assert runs[PARENT].run_id in run.tags[NOTE]
    # What was said of the status stays, and the prior is told once.
    assert run.tags[NOTE].startswith("**flagged**")
    assert run.tags[NOTE].count("Prior:") == 1


def test_others_link_to_nothing(runs: dict[str, Run]) -> None:
    file = runs[FROM_FILE]
    assert (file.tags["prior_source"], file.tags["prior_file"]) == ("file", "priors/file.yaml")
    assert "taught_by" not in file.tags
    declared = next(run for name, run in runs.items() if LONG[:20] in name)
    assert not {"prior_source", "prior_key", "taught_by"} & set(declared.tags)
    assert "prior_rows" not in declared.metrics
    assert NOTE not in declared.tags


def test_pooled_entities_have_no_conflict_with_themselves(runs: dict[str, Run]) -> None:
    for entity in POOLED:
        assert runs[entity].tags["prior_source"] == "population"
        assert not {"conflict_p", "vague_weight"} & set(runs[entity].metrics)


def test_the_portfolio_sums_up(runs: dict[str, Run], tracker: Tracker, learned: Result) -> None:
    values, population = runs[""].metrics, learned.population
    assert population is not None
    sds = population.sds.mean(axis=0)
    assert values["population_sd/lambda_val_log__"] == pytest.approx(sds[0], rel=1e-5)
    assert values["population_sd/intercept"] == pytest.approx(sds[1], rel=1e-5)
    assert (values["population_teachers"], values["population_sweeps"]) == (len(TEACHERS), 5)
    assert values["population_khat"] == 0.1
    assert (values["entities_learned"], values["conflicts"], values["conflict_p"]) == (7, 1, 0.004)
    assert (values["prior_rows"], values["vague_weight"]) == (2.7, 0.05)
    assert "**1** in conflict with their prior" in runs[""].tags[NOTE]
    files = set(tracker.artifacts(runs[""].run_id))
    assert {*FIGURES, "population.json", "priors/population-north.yaml", "tables/factors.parquet"} <= files


def test_a_portfolio_that_learned_nothing_says_nothing_of_it(result: Result) -> None:
    assert metrics(result) == {}
    memory = MemoryTracker()
    run_id = track(settled(result, entity_runs="none"), tracker=memory).run_id
    assert not FIGURES & set(memory.artifacts(run_id))
    assert "learned from others" not in memory.get(run_id).tags[NOTE]


def test_recording_again_keeps_the_links(learned: Result) -> None:
    memory = MemoryTracker()
    enough = next(n for n in range(1, 13) if {CHILD, PARENT} <= set(choose(learned, n)))
    few = settled(learned, traces="none", entity_runs=enough)
    first = track(few, tracker=memory)
    child = next(run for run in memory.runs.values() if run.tags.get("entity") == CHILD)
    assert child.tags["taught_by"] in memory.runs
    memory.drop(child.run_id)
    track(few, tracker=memory, run_id=first.run_id)
    again = next(run for run in memory.runs.values() if run.tags.get("entity") == CHILD)
    assert again.run_id != child.run_id
    assert again.tags["taught_by"] == child.tags["taught_by"]


def test_a_parent_without_a_run_is_named_only(learned: Result) -> None:
    memory = MemoryTracker()
    few = next(n for n in range(1, 12) if CHILD in (c := choose(learned, n)) and PARENT not in c)
    track(settled(learned, traces="none", entity_runs=few), tracker=memory)
    chosen = {run.tags.get("entity"): run for run in memory.runs.values()}
    assert PARENT not in chosen
    assert chosen[CHILD].tags["taught_by_entity"] == PARENT
    assert "taught_by" not in chosen[CHILD].tags
