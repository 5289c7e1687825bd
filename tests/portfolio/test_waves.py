"""Waves one after another: each learns from those before, and a run goes on wherever it was stopped.

What priors are made of is tested elsewhere; here they are made by hand.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from posterity.errors import RunnerError
from posterity.inference import compiled
from posterity.inference.mixture import Mixture
from posterity.portfolio import entity, transfer
from posterity.portfolio.dispatch import by_structure
from posterity.portfolio.parts import Parts
from posterity.portfolio.plan import Plan, Work
from posterity.portfolio.portfolio import Portfolio, run
from posterity.portfolio.prior import Prior, Provenance
from posterity.portfolio.resolved import Resolved, load, save
from posterity.portfolio.result import Result
from posterity.portfolio.runners import Inline, Processes, Runner, WorkerDied
from posterity.portfolio.shard import Report, Shard
from posterity.portfolio.waves import Wave
from tests.portfolio.items import Number, squared

MODEL: dict[str, Any] = {
    "parameters": {"ceiling": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 10}}},
    "quantities": {"curve": {"expression": "ceiling * week / 12"}},
    "likelihood": {
        "dist": "Normal",
        "kwargs": {"mu": "curve", "sigma": {"dist": "HalfNormal", "kwargs": {"sigma": 2}}},
    },
}
RULES = [
    {"learn": "shop 6", "from": {"entity": "shop 5"}, "discount": 0.5},
    {"learn": "shop 7", "from": {"entity": "shop 6"}},
]
ENTRIES = ("ceiling", "sigma_log__")


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Densities run by the interpreter: nothing to compile."""
    monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)


def panel() -> pd.DataFrame:
    """Shops 0 to 4 have eight rows and teach, the others four."""
    rng = np.random.default_rng(0)
    shops = [(f"shop {i}", week) for i in range(8) for week in range(1, 9 if i < 5 else 5)]
    frame = pd.DataFrame(shops, columns=["shop", "week"])
    return frame.assign(y=frame["week"] / 10 + rng.normal(size=len(frame)))


def planned(**changes: Any) -> Plan:
    data = {"entity": "shop", "time": "week", "target": "y"}
    section = {"established": {"min_rows": 8}, "rules": RULES} | changes
    inference = {"draws": 100, "chains": 4, "method": "laplace"}
    gates = {"khat": 1, "ess": 1}
    config = {"name": "waves", "data": data, "model": MODEL, "inference": inference, "gates": gates}
    return Portfolio(config | {"transfer": section}).plan(panel())


@dataclass
class Teaching:
    """Stands for `transfer.resolve`: the prior of an entity is centred at its parent's posterior mean."""

    calls: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    entries: tuple[str, ...] = ENTRIES

    def __call__(self, plan: Plan, wave: Wave, parts: Parts, runner: Runner) -> Resolved:
        self.calls.append((wave.name, wave.entities))
        means = {r["fit_key"]: r["factor_mean"] for t in parts.tables() for r in t.to_pylist()}
        priors: dict[str, Prior] = {}
        of: dict[str, str] = {}
        notes: dict[str, str] = {}
        for name in wave.entities:
            source = plan.sources[name]
            taught = [plan.keys[e] for e in plan.teachers] if source.kind == "population" else [source.parent]
            if any(means[key] is None for key in taught):
                of[name], notes[name] = "", "declared instead of its parent, which failed"
                continue
            centre = np.mean([means[key] for key in taught], axis=0)[: len(self.entries)]
            mixture = Mixture.gaussian(centre, np.eye(len(self.entries)))
            provenance = Provenance(run=plan.run_key, taught_by=tuple(taught), discount=source.discount)
            prior = Prior(
                source.label, self.entries, mixture, 0.0, 5.0, plan.description.key, provenance=provenance
            )
            priors[prior.key], of[name] = prior, prior.key
        return Resolved(priors, of, notes)


@pytest.fixture
def teaching(monkeypatch: pytest.MonkeyPatch) -> Teaching:
    fake = Teaching()
    monkeypatch.setattr(transfer, "resolve", fake)
    return fake


def fitted(plan: Plan, out: Path, **options: Any) -> Result:
    return run(plan, out=out, workers=0, **options).result


def same(a: Result, b: Result) -> None:
    """Every table but times is equal."""
    for name in ("entities", "parameters", "intervals", "draws"):
        left, right = (getattr(r, name).drop(columns="seconds", errors="ignore") for r in (a, b))
        pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert a.priors.keys() == b.priors.keys()


def test_every_wave_learns_from_those_before(teaching: Teaching, tmp_path: Path) -> None:
    plan = planned()
    done = run(plan, out=tmp_path / "a", workers=0)
    assert teaching.calls == [
        ("new", ("shop 5",)),
        ("children", ("shop 6",)),
        ("children 2", ("shop 7",)),
    ]
    assert done.executed is not None
    assert [(s.name, s.entities, sum(s.status.values())) for s in done.executed.stages] == [
        ("established", 5, 5),
        ("new", 1, 1),
        ("children", 1, 1),
        ("children 2", 1, 1),
    ]
    table = done.result.entities.set_index("entity")
    assert list(table["prior"]) == ["declared"] * 5 + ["population", "entity: shop 5", "entity: shop 6"]
    assert table.loc["shop 7", "parent_fit_key"] == table.loc["shop 6", "fit_key"]
    assert pd.isna(table.loc["shop 5", "parent_fit_key"])
    assert table["prior_rows"].dropna().eq(5).all()
    assert table["conflict_p"].notna().tolist() == [False] * 5 + [True] * 3
    assert list(table["role"]) == ["established"] * 5 + ["new"] * 3


def test_priors_are_kept_in_files_draws_and_factors(teaching: Teaching, tmp_path: Path) -> None:
    result = fitted(planned(), tmp_path / "a")
    assert set(result.priors) == {"population", "entity: shop 5", "entity: shop 6"}
    prior = result.prior_of("shop 6")
    assert prior is not None
    assert prior.provenance.discount == 0.5
    assert prior.marginals["sigma"].p5 > 0
    assert result.prior_of("shop 1") is None
    drawn = result.transferred_draws
    assert drawn is not None
    assert drawn.groupby("prior").size().to_dict() == dict.fromkeys(result.priors, 1_000)
    assert abs(drawn.query("prior == 'entity: shop 5'")["ceiling"].mean() - prior.mixture.mean[0]) < 0.15
    rows = result.table("factors.parquet").to_pylist()
    assert rows[0]["prior_mean"] is None
    np.testing.assert_array_equal(rows[6]["prior_mean"], prior.mixture.mean)
    np.testing.assert_array_equal(np.reshape(rows[6]["prior_covariance"], (2, 2)), np.eye(2))
    result.verify()


def test_the_lineage_says_who_taught_whom(teaching: Teaching, tmp_path: Path) -> None:
    result = fitted(planned(), tmp_path / "a")
    keys = result.entities.set_index("entity")["fit_key"]
    came_from = {n.id for n in result.lineage("shop 7").nodes if n.kind == "fit"}
    assert came_from == {f"fit:{key}" for key in keys}  # grandparent, population, and all of its teachers
    prior = result.prior_of("shop 6")
    assert prior is not None
    graph = result.graph
    assert [e.source for e in graph.parents(f"prior:{prior.key}")] == [f"fit:{keys['shop 5']}"]
    relations = {e.relation: e.source for e in graph.parents(f"fit:{keys['shop 6']}")}
    assert relations["prior of"] == f"prior:{prior.key}"  # nothing of the declared prior is left
    alone = {n.id for n in result.lineage("shop 1").nodes if n.kind == "fit"}
    assert alone == {f"fit:{keys['shop 1']}"}


class StopError(Exception):
    pass


@pytest.mark.parametrize("after", [1, 3, 5, 6, 7])
def test_a_run_that_stops_anywhere_goes_on_there(after: int, teaching: Teaching, tmp_path: Path) -> None:
    seen = 0

    def stop(report: Report) -> None:
        nonlocal seen
        seen += sum(report.status.values())
        if seen >= after:
            raise StopError

    plan = planned()
    with pytest.raises(StopError):
        fitted(plan, tmp_path / "a", listen=stop)
    before = len(teaching.calls)
    done = run(plan, out=tmp_path / "a", workers=0)
    assert done.executed is not None
    assert done.executed.resumed == after
    # Waves whose entities are all there are passed over.
    assert len(teaching.calls) - before == 3 - max(0, after - 5)
    same(done.result, fitted(plan, tmp_path / "b"))


def test_a_failed_parent_means_the_fallback_and_never_a_crash(
    teaching: Teaching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = entity.fit

    def broken(model: Any, inputs: Any, starts: Any, seeds: Any, *rest: Any) -> Any:
        if seeds.nuts.entropy == entity.Seeds.of(2023, doomed).nuts.entropy:
            raise ZeroDivisionError("shop 5")
        return fit(model, inputs, starts, seeds, *rest)

    plan = planned()
    doomed = next(w.digest for w in plan.work(("shop 5",)))
    monkeypatch.setattr(entity, "fit", broken)
    result = fitted(plan, tmp_path / "a")
    table = result.entities.set_index("entity")
    assert table.loc["shop 5", "status"] == "failed"
    assert table.loc["shop 6", ["status", "prior"]].tolist()[1] == "declared"
    assert table.loc["shop 6", "status"] != "failed"
    assert pd.isna(table.loc["shop 6", "parent_fit_key"])
    assert table.loc["shop 7", "prior"] == "entity: shop 6"
    assert any("shop 6: declared instead of its parent" in n for n in result.manifest.extra["notices"])
    node = next(n for n in result.graph.nodes if n.attributes.get("entity") == "shop 6")
    assert "which failed" in node.attributes["note"]


def test_broken_code_stops_at_the_first_wave(
    teaching: Teaching, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise NameError("name 'oops' is not defined")

    monkeypatch.setattr(entity, "fit", broken)
    with pytest.raises(RunnerError, match="all 5 entities failed"):
        fitted(planned(), tmp_path / "a")
    assert not teaching.calls


def test_work_is_cut_by_structure_and_some_parameters_may_keep_their_prior(
    teaching: Teaching, tmp_path: Path
) -> None:
    teaching.entries = ("ceiling",)
    result = fitted(planned(pool={"independent": "sigma"}), tmp_path / "a")
    assert result.entities["status"].ne("failed").all()
    row = result.table("factors.parquet").to_pylist()[6]
    assert row["prior_mean"][1] is None
    assert [v is None for v in row["prior_covariance"]] == [False, True, True, True]
    plan = planned()
    mixture = Mixture.gaussian([0.0], [[1.0]])
    prior = Prior("population", ("ceiling",), mixture, 0.0, 1.0, plan.description.key)
    (work, *_) = plan.work()
    mixed = [work, Work("x", "k", "d", work.rows, prior.key), work]
    found = by_structure(plan.description, mixed, {prior.key: prior})
    assert [(d.transferred, len(w)) for d, w in found] == [((), 2), (("ceiling",), 1)]


def test_two_priors_of_one_name_are_told_apart(teaching: Teaching, tmp_path: Path) -> None:
    rules = [
        {"learn": "shop 6", "from": {"entity": "shop 1"}},
        {"learn": "shop 7", "from": {"entity": "shop 1"}, "discount": 0.5},
    ]
    plan = planned(rules=rules)
    resolve = teaching.__call__

    def wider(*given: Any) -> Resolved:
        found = resolve(*given)
        key = found.of.get("shop 7")
        if key is None:
            return found
        old = found.priors[key]
        new = Prior(old.source, old.entries, old.mixture.spread(2.0), 0.0, 2.0, old.model)
        return Resolved({**found.priors, new.key: new}, {**found.of, "shop 7": new.key}, {})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transfer, "resolve", wider)
        result = fitted(plan, tmp_path / "a")
    six, seven = (result.prior_of(name) for name in ("shop 6", "shop 7"))
    assert six is not None
    assert seven is not None
    assert six.key != seven.key
    assert result.entity_row("shop 7")["prior"].startswith("entity: shop 1 #")


def test_what_was_resolved_is_kept_to_the_last_bit(tmp_path: Path) -> None:
    mixture = Mixture.gaussian([1 / 3, 2.0], [[0.1, 0.01], [0.01, 0.7]]).joined(0.1, np.zeros(2), np.eye(2))
    told = Provenance("run", "config", ("a", "b"), ("x", "y"), (), ("note",), 0.5)
    prior = Prior("entity: x", ENTRIES, mixture, 0.1, 1 / 7, "model", {"elir": 2 / 3}, told)
    save(tmp_path, "one", Resolved({prior.key: prior}, {"e": prior.key}, {"f": "why"}))
    save(tmp_path, "two", Resolved({}, {}, {"g": "why too"}))
    found = load(tmp_path)
    again = found.priors[prior.key]
    assert again.exact == prior.exact
    assert (again.source, again.vague, again.rows, again.ess) == ("entity: x", 0.1, 1 / 7, {"elir": 2 / 3})
    assert again.provenance == told
    assert found.notes == {"f": "why", "g": "why too"}


@pytest.mark.parametrize("runner", [Inline(), Processes(1)], ids=["inline", "processes"])
def test_runners_map_any_function_and_keep_their_pool(runner: Runner) -> None:
    for _ in range(2):
        found = {item.value: outcome for item, outcome in runner.run(squared, [Number(2), Number(3)])}
        assert found == {2: 4, 3: 9}
    assert list(runner.run(squared, [])) == []
    runner.close()
    runner.close()


def test_an_entity_that_kills_its_worker_is_nobodys_parent(teaching: Teaching, tmp_path: Path) -> None:
    class Dying(Inline):
        def run(
            self, function: Callable[[Any], Any], items: Sequence[Any]
        ) -> Iterator[tuple[Any, Any | WorkerDied]]:
            for shard in items:
                assert isinstance(shard, Shard)
                if shard.work[0].entity == "shop 5":
                    shard.part.with_suffix(".at").write_bytes(bytes(8))
                    yield shard, WorkerDied("gone")
                else:
                    yield from super().run(function, [shard])

    done = run(planned(), out=tmp_path / "a", workers=0, runner=Dying())
    table = done.result.entities.set_index("entity")
    assert "died twice" in table.loc["shop 5", "reason"]
    assert table.loc["shop 6", "prior"] == "declared"
