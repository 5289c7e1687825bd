"""Versions, aliases and their moves, in MLflow's registry and its twin."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posterity.errors import TrackingError
from posterity.inference import compiled
from posterity.portfolio.result import Result, open_result
from posterity.tracking import MemoryTracker, NewRun, Tracker, connect
from posterity.tracking.registry import (
    CHALLENGER,
    CHAMPION,
    Registry,
    Version,
    approve,
    at,
    moves,
    open_version,
    promote,
    register,
    registry_of,
    rollback,
)
from posterity.tracking.registry.memory_registry import MemoryRegistry
from posterity.tracking.registry.register import tags
from tests.portfolio.versions import RULES, Versions, fit_versions

NAME = "small"
BY_HAND = RULES.model_copy(update={"approval": True})


@pytest.fixture(scope="module", autouse=True)
def interpreted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        yield


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Versions:
    return fit_versions(tmp_path_factory.mktemp("versions"))


@pytest.fixture
def registry(tracker: Tracker) -> Registry:
    return MemoryRegistry(tracker) if isinstance(tracker, MemoryTracker) else registry_of(tracker)


@pytest.fixture
def real(tmp_path: Path, database: Callable[[Path], str]) -> Registry:
    return registry_of(connect(database(tmp_path / "runs"), "adoption"))


def added(registry: Any, result: Result) -> Version:
    """A run for a result, and its version."""
    return register(registry, result, registry.tracker.open(NewRun("fit")))


def test_a_name_that_is_not_registered_has_no_versions(registry: Registry) -> None:
    assert registry.versions(NAME) == ()
    assert registry.pointed(NAME, CHAMPION) is None
    with pytest.raises(TrackingError, match="there is none"):
        at(registry, NAME, 1)


def test_a_result_becomes_the_challenger_and_no_champion(registry: Registry, versions: Versions) -> None:
    version = added(registry, versions.early)
    assert (version.number, registry.pointed(NAME, CHALLENGER)) == (1, 1)
    assert registry.pointed(NAME, CHAMPION) is None
    assert version.tags["run_key"] == versions.early.manifest.run_key
    assert (version.tags["entities"], version.tags["fit_version"]) == ("6", "1")


def test_a_refit_says_what_it_came_from(versions: Versions) -> None:
    parent = {"run_key": "abc", "path": "runs/small/abc", "version": 2}
    manifest = replace(versions.later.manifest, extra={"version": 3, "parent": parent})
    told = tags(replace(versions.later, manifest=manifest))
    assert (told["fit_version"], told["parent_run_key"]) == ("3", "abc")


def test_the_same_result_is_registered_once(registry: Registry, versions: Versions) -> None:
    first, second, again = (added(registry, r) for r in (versions.early, versions.later, versions.early))
    assert (first.number, second.number, again.number) == (1, 2, 1)
    assert len(registry.versions(NAME)) == 2
    assert registry.pointed(NAME, CHALLENGER) == 2, "a result found again pushed a newer one aside"


def test_a_registration_killed_before_its_alias_is_finished(
    registry: Registry, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(registry), "point", killed)
        with pytest.raises(KeyboardInterrupt):
            added(registry, versions.early)
    assert registry.pointed(NAME, CHALLENGER) is None
    assert added(registry, versions.early).number == 1
    assert registry.pointed(NAME, CHALLENGER) == 1


def test_a_version_gives_its_result_back(registry: Registry, versions: Versions, tmp_path: Path) -> None:
    version = added(registry, versions.early)
    fetched = open_result(registry.result(version, tmp_path / "copy"))
    fetched.verify()
    assert fetched.manifest.run_key == versions.early.manifest.run_key
    assert open_version(registry, version, tmp_path / "unused").path == versions.early.path
    registry.tag(version, {"result": str(tmp_path / "gone")})
    moved = open_version(registry, at(registry, NAME, 1), tmp_path / "again")
    assert moved.manifest.run_key == versions.early.manifest.run_key


def test_first_second_and_a_bad_third(registry: Registry, versions: Versions) -> None:
    added(registry, versions.early)
    first = promote(registry, NAME, versions.rows, RULES)
    assert (first.happened, first.champion) == ("promoted", 1)
    added(registry, versions.later)
    second = promote(registry, NAME, versions.rows, RULES)
    assert (second.happened, second.champion) == ("promoted", 2)
    assert second.verdict is not None
    added(registry, versions.bad)
    third = promote(registry, NAME, versions.rows, RULES)
    assert (third.happened, third.champion) == ("kept", 2)
    assert registry.pointed(NAME, CHAMPION) == 2
    told = at(registry, NAME, 3).tags
    assert told["decision"] == "kept"
    assert "worse" in told["reason"]
    assert told["compared_with"] == "2"
    stored = registry.tracker.artifacts(at(registry, NAME, 3).run_id)  # type: ignore[attr-defined]
    assert {"promotion/entities.csv", "promotion/verdict.json"} <= set(stored)


def test_a_champion_is_not_compared_with_itself(registry: Registry, versions: Versions) -> None:
    added(registry, versions.early)
    promote(registry, NAME, versions.rows, RULES)
    assert "already" in promote(registry, NAME, versions.rows, RULES).reason


def test_no_challenger_says_what_to_do(registry: Registry, versions: Versions) -> None:
    with pytest.raises(TrackingError, match="train flow"):
        promote(registry, NAME, versions.rows, RULES)


def test_a_person_approves(registry: Registry, versions: Versions) -> None:
    added(registry, versions.early)
    assert promote(registry, NAME, versions.rows, BY_HAND).happened == "waiting"
    assert registry.pointed(NAME, CHAMPION) is None
    moved = approve(registry, NAME, 1, "approve", reason="looks right", reviewer="Ada")
    assert (moved.happened, moved.champion) == ("promoted", 1)
    told = at(registry, NAME, 1).tags
    assert (told["reviewer"], told["review"], told["decision"]) == ("Ada", "looks right", "promoted")


def test_a_person_rejects(registry: Registry, versions: Versions) -> None:
    added(registry, versions.early)
    promote(registry, NAME, versions.rows, BY_HAND)
    moved = approve(registry, NAME, 1, "reject", reason="prices were wrong", reviewer="Ada")
    assert (moved.happened, registry.pointed(NAME, CHAMPION)) == ("rejected", None)
    with pytest.raises(TrackingError, match="does not wait"):
        approve(registry, NAME, 1, "approve", reason="after all", reviewer="Bob")


def test_what_was_never_judged_cannot_be_approved(registry: Registry, versions: Versions) -> None:
    added(registry, versions.early)
    with pytest.raises(TrackingError, match="promote flow"):
        approve(registry, NAME, 1, "approve", reason="trust me", reviewer="Ada")


def test_an_approval_is_of_the_comparison_that_was_read(registry: Registry, versions: Versions) -> None:
    for result in (versions.early, versions.later):
        added(registry, result)
    promote(registry, NAME, versions.rows, BY_HAND, version=2)
    promote(registry, NAME, versions.rows, RULES, version=1)
    with pytest.raises(TrackingError, match="which is now 1"):
        approve(registry, NAME, 2, "approve", reason="looks right", reviewer="Ada")


def test_rollback_goes_one_back_and_gates_do_not_undo_it(registry: Registry, versions: Versions) -> None:
    for result in (versions.early, versions.later):
        added(registry, result)
        promote(registry, NAME, versions.rows, RULES)
    moved = rollback(registry, NAME, reason="complaints", leaving=2)
    assert (moved.happened, moved.champion) == ("rolled back", 1)
    assert "complaints" in at(registry, NAME, 2).tags["reason"]
    assert rollback(registry, NAME, reason="complaints", leaving=2).champion == 1, "a rerun went on"
    assert promote(registry, NAME, versions.rows, RULES).happened == "kept"
    assert registry.pointed(NAME, CHAMPION) == 1
    assert rollback(registry, NAME, 2, reason="it was not that").champion == 2


def test_rollback_has_bounds(registry: Registry, versions: Versions) -> None:
    with pytest.raises(TrackingError, match="no champion"):
        rollback(registry, NAME, reason="x")
    added(registry, versions.early)
    promote(registry, NAME, versions.rows, RULES)
    with pytest.raises(TrackingError, match="first champion"):
        rollback(registry, NAME, reason="x")
    added(registry, versions.later)
    with pytest.raises(TrackingError, match="never was champion"):
        rollback(registry, NAME, 2, reason="x")


@pytest.mark.parametrize("act", ["promote", "approve", "rollback"])
def test_killed_before_the_alias_moves_the_same_call_finishes(
    registry: Registry, versions: Versions, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    added(registry, versions.early)
    promote(registry, NAME, versions.rows, RULES)
    added(registry, versions.later)
    if act == "approve":
        promote(registry, NAME, versions.rows, BY_HAND)
    if act == "rollback":
        promote(registry, NAME, versions.rows, RULES)
    calls: dict[str, Callable[[], moves.Move]] = {
        "promote": lambda: promote(registry, NAME, versions.rows, RULES),
        "approve": lambda: approve(registry, NAME, 2, "approve", reason="fine", reviewer="Ada"),
        "rollback": lambda: rollback(registry, NAME, reason="bad", leaving=2),
    }
    before, after = (2, 1) if act == "rollback" else (1, 2)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(registry), "point", killed)
        with pytest.raises(KeyboardInterrupt):
            calls[act]()
    assert registry.pointed(NAME, CHAMPION) == before
    assert calls[act]().champion == after
    assert registry.pointed(NAME, CHAMPION) == after
    assert calls[act]().champion == after


def test_of_two_promotions_at_once_the_second_sees_the_moved_alias(
    registry: Registry, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for result in (versions.early, versions.later):
        added(registry, result)
    judge, nested = moves.judge, []

    def slow(*arguments: Any) -> Any:
        if not nested:  # while version 2 is judged, version 1 becomes champion
            nested.append(True)
            nested.append(promote(registry, NAME, versions.rows, RULES, version=1))
        return judge(*arguments)

    monkeypatch.setattr(moves, "judge", slow)
    second = promote(registry, NAME, versions.rows, RULES, version=2)
    assert nested[1].happened == "promoted"  # type: ignore[attr-defined]
    assert (second.happened, second.champion) == ("kept", 1)
    assert "moved from none to 1" in second.reason
    assert at(registry, NAME, 2).tags["decision"] == "kept"


def test_many_threads_leave_one_version_of_a_result(real: Any, versions: Versions) -> None:
    run = real.tracker.open(NewRun("fit"))
    threads = [threading.Thread(target=register, args=(real, versions.early, run)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [v.number for v in real.versions(NAME)] == [1]
