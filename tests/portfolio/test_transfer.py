"""Every source of a prior end to end: what the library gives a new entity, from rows to result."""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from posterity.inference import compiled
from posterity.inference.posterior import Failure
from posterity.portfolio import entity, transfer
from posterity.portfolio.population import Population
from posterity.portfolio.portfolio import Portfolio, run
from posterity.portfolio.result import Result
from posterity.portfolio.shard import Report

type Floats = NDArray[np.float64]

PRIOR = ("level", "sigma_log__")
MODEL: dict[str, Any] = {
    "parameters": {"level": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 5}}},
    "likelihood": {
        "dist": "Normal",
        "kwargs": {"mu": "level", "sigma": {"dist": "LogNormal", "kwargs": {"mu": 0, "sigma": 0.5}}},
    },
}
CENTRES = {"north": 2.0, "south": -2.0}


@pytest.fixture(autouse=True, scope="module")
def cheap() -> Iterator[None]:
    """Nothing is compiled, and populations have fewer draws."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        patch.setattr("posterity.portfolio.population.sampling.MOST_DRAWS", 1_000)
        patch.setattr(transfer, "DRAWS", 2_000)
        yield


def config(rules: list[dict[str, Any]] | None = None, model: Any = None, **section: Any) -> dict[str, Any]:
    pool = {"shared": ["sigma"]} | section.pop("pool", {})
    return {
        "name": "shops",
        "data": {"entity": ["shop", "region"], "time": "week", "target": "y"},
        "model": model or MODEL,
        "transfer": {"established": {"min_rows": 12}, "rules": rules or [], "pool": pool} | section,
        "inference": {"method": "auto", "draws": 250},
        "gates": {"ess": 100},
    }


def rows(shop: str, region: str, weeks: int, level: float, first: int = 1, seed: int = 0) -> pd.DataFrame:
    """Weeks of one entity around its level; noise has the sd 1."""
    rng = np.random.default_rng([seed, ord(shop[0]), len(region)])
    y = level + rng.normal(size=weeks)
    return pd.DataFrame({"shop": shop, "region": region, "week": np.arange(first, first + weeks), "y": y})


def panel(regions: tuple[str, ...] = ("north",), teachers: int = 6, spread: float = 0.4) -> pd.DataFrame:
    """Teachers A, B, ... in each region with 16 weeks, new shops X (like them) and Z (not at all) with 3."""
    parts = []
    for region in regions:
        rng = np.random.default_rng(len(region))
        centre = CENTRES[region]
        parts += [rows(shop, region, 16, rng.normal(centre, spread)) for shop in "ABCDEFGH"[:teachers]]
        parts.append(rows("X", region, 3, centre + 0.1))
        parts.append(rows("Z", region, 3, centre + 9))
    return pd.concat(parts, ignore_index=True)


def fitted(given: dict[str, Any], table: pd.DataFrame, out: Path, **options: Any) -> Result:
    return Portfolio(given).fit(table, out=out, workers=0, **options)


def factor(result: Result, entity: str) -> dict[str, Any]:
    (row,) = result.entity_table("factors.parquet", entity).to_pylist()
    return dict(row)


def moments(result: Result, entity: str, what: str = "") -> tuple[Floats, Floats]:
    """Mean and covariance of an entity's posterior, or of its prior."""
    row = factor(result, entity)
    mean = np.array(row[f"{what}mean"])
    return mean, np.reshape(row[f"{what}covariance"], (len(mean), len(mean)))


@pytest.fixture(scope="module")
def north(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Population for X and Z, a child of A with a quarter of its information, declared priors for Y."""
    table = pd.concat([panel(), rows("C2", "north", 3, 2.0), rows("Y", "north", 3, 2.1)], ignore_index=True)
    rules = [
        {"learn": "C2 / north", "from": {"entity": "A / north"}, "discount": 0.25},
        {"learn": "Y / *", "from": "declared"},
    ]
    return fitted(config(rules), table, tmp_path_factory.mktemp("north") / "a")


def test_a_new_entity_learns_from_the_population(north: Result) -> None:
    row, population = north.entity_row("X / north"), north.population
    assert population is not None
    assert (row["role"], row["status"], row["prior"]) == ("new", "ok", "population")
    assert row["parent_fit_key"] is None
    mean, covariance = moments(north, "X / north", "prior_")
    # Nine parts MAP, one part vague with the same mean.
    drawn = population.predictive(None, 40_000, np.random.default_rng(0))
    np.testing.assert_allclose(mean, drawn.mean(axis=0), atol=0.05)
    assert covariance[0, 0] > np.cov(drawn.T)[0, 0]
    assert population.mean.mean() == pytest.approx(2, abs=0.4)
    # It learns: three rows alone leave three times the uncertainty of the noise.
    parameters = north.parameters.set_index(["entity", "parameter"])["sd"]
    assert parameters["X / north", "sigma"] < 0.5 * parameters["Y / north", "sigma"]
    assert parameters["X / north", "level"] < parameters["Y / north", "level"]


def test_the_ledger_has_every_column(north: Result) -> None:
    table = north.entities.set_index("entity")
    learned, declared = (
        table.loc[["X / north", "Z / north", "C2 / north"]],
        table.loc[["A / north", "Y / north"]],
    )
    columns = ["prior_rows", "conflict_p", "vague_weight"]
    assert learned[columns].notna().all(axis=None)
    assert declared[[*columns, "parent_fit_key"]].isna().all(axis=None)
    assert set(declared["prior"]) == {"declared"}
    assert learned["vague_weight"].between(0, 1).all()
    assert list(table.columns).index("vague_weight") == list(table.columns).index("conflict_p") + 1
    assert table.loc["X / north", "prior_rows"] > 1
    rows = factor(north, "A / north")
    assert rows["prior_mean"] is None


def test_an_entity_unlike_its_population_is_told(north: Result) -> None:
    like, unlike = (north.entity_row(f"{shop} / north") for shop in "XZ")
    assert like["conflict_p"] > 0.05
    assert like["vague_weight"] < 0.1
    assert unlike["conflict_p"] < 0.01
    assert unlike["status"] == "flagged"
    assert "unlike the prior from population" in unlike["reason"]
    # The vague part takes over, so the level is its rows' and not the population's.
    assert unlike["vague_weight"] > 0.9
    mean, _ = moments(north, "Z / north")
    assert mean[0] > 8


def test_a_child_takes_over_its_parents_posterior_discounted(north: Result) -> None:
    row, parent = north.entity_row("C2 / north"), north.entity_row("A / north")
    assert row["prior"] == "entity: A / north"
    assert row["parent_fit_key"] == parent["fit_key"]
    assert row["prior_rows"] == 0.25 * 16
    prior = north.prior_of("C2 / north")
    assert prior is not None
    assert prior.provenance.discount == 0.25
    assert prior.provenance.entities == ("A / north",)
    assert prior.provenance.windows[0].rows == 16
    mean, covariance = moments(north, "A / north")
    np.testing.assert_allclose(prior.mixture.means[0], mean, rtol=1e-12)
    np.testing.assert_allclose(prior.mixture.covariances[0], covariance / 0.25, rtol=1e-9)


def test_priors_have_files_and_the_population_too(north: Result) -> None:
    assert set(north.priors) == {"population", "entity: A / north"}
    prior = north.prior_of("X / north")
    assert prior is not None
    assert prior.vague == 0.1
    assert len(prior.mixture.weights) >= 2
    assert set(prior.ess) == {"elir", "moment", "morita"}
    assert prior.provenance.entities == tuple(f"{shop} / north" for shop in "ABCDEF")
    assert north.population is not None
    assert north.population.taught_by == prior.provenance.taught_by
    assert Population.from_dict(north.population.to_dict()).digest == north.population.digest


# -- groups


def test_groups_learn_within_and_one_that_nobody_taught_from_between(tmp_path: Path) -> None:
    table = pd.concat([panel(("north", "south"), 5), rows("X", "west", 3, 0.0)], ignore_index=True)
    result = fitted(config(pool={"within": ["region"]}), table, tmp_path / "a")
    population = result.population
    assert population is not None
    assert population.groups == ("north", "south")
    labels = {e: result.entity_row(e)["prior"] for e in ("X / north", "X / south", "X / west")}
    assert labels == {f"X / {g}": f"population: {g}" for g in ("north", "south", "west")}
    priors = {e: moments(result, e, "prior_") for e in labels}
    for group, centre in CENTRES.items():
        assert priors[f"X / {group}"][0][0] == pytest.approx(centre, abs=0.6)
    west = np.sqrt(priors["X / west"][1][0, 0])
    assert west > 1.5 * np.sqrt(priors["X / north"][1][0, 0])
    nobody = result.prior_of("X / west")
    assert nobody is not None
    assert any("nobody established is in west" in note for note in nobody.provenance.notes)
    assert nobody.rows < result.entity_row("X / north")["prior_rows"]


# -- files, portfolios, earlier results


def test_a_prior_file_is_used_as_it_is(north: Result, tmp_path: Path) -> None:
    file = north.path / north.manifest.extra["priors"]["population"]
    rules = [{"learn": "*", "from": {"file": str(file)}}]
    table = panel().query("shop == 'X' or (shop == 'A' and week > 13)")
    result = fitted(config(rules), table, tmp_path / "a")
    row, there = result.entity_row("X / north"), north.entity_row("X / north")
    assert row["prior"] == f"file: {file}"
    assert row["prior_rows"] == there["prior_rows"]
    for name in ("prior_mean", "prior_covariance"):
        np.testing.assert_array_equal(factor(result, "X / north")[name], factor(north, "X / north")[name])
    # The same rows and the same prior: the same posterior, up to the sampler's noise.
    (a, _), (b, covariance) = moments(result, "X / north"), moments(north, "X / north")
    np.testing.assert_allclose(a, b, atol=0.15 * np.sqrt(covariance[0, 0]))
    # A's own weeks are inside that prior already.
    assert result.entity_row("A / north")["prior"] == "declared"
    assert any("rows up to 16 are in that prior" in notice for notice in result.manifest.extra["notices"])
    table = table.query("shop == 'X'")
    capped = fitted(config([rules[0] | {"discount": 0.5}], max_prior_rows=1), table, tmp_path / "b")
    assert capped.entity_row("X / north")["prior_rows"] <= 1.05


OTHER = {
    "parameters": {
        "height": {"dist": "Normal", "kwargs": {"mu": 1, "sigma": 3}},
        "scale": {"dist": "HalfNormal", "kwargs": {"sigma": 2}},
    },
    "likelihood": {"dist": "Normal", "kwargs": {"mu": "height", "sigma": "scale"}},
}


def test_another_portfolios_posterior_by_matched_names(tmp_path: Path) -> None:
    table = rows("X", "north", 20, 2.0)
    given = config(model=OTHER, pool={"shared": []})
    other = fitted(given, table, tmp_path / "other")
    source = {"portfolio": str(tmp_path / "other")}
    match = {"level": "height"}
    rules = [{"learn": "*", "from": source, "match": match, "discount": 0.5}]
    result = fitted(config(rules), table.iloc[:3], tmp_path / "a")
    row = result.entity_row("X / north")
    assert row["prior"] == f"portfolio: {source['portfolio']}"
    assert row["parent_fit_key"] == other.entity_row("X / north")["fit_key"]
    assert row["prior_rows"] == 10
    prior = result.prior_of("X / north")
    assert prior is not None
    assert prior.entries == ("level",)  # sigma is not matched: it keeps its declared prior
    mean, covariance = moments(other, "X / north")
    np.testing.assert_allclose(prior.mixture.means[0], mean[:1], rtol=1e-12)
    np.testing.assert_allclose(prior.mixture.covariances[0], 2 * covariance[:1, :1], rtol=1e-9)


def test_scales_that_differ_are_a_fallback_with_a_reason(tmp_path: Path) -> None:
    table = rows("X", "north", 20, 2.0)
    fitted(config(model=OTHER, pool={"shared": []}), table, tmp_path / "other")
    rules = [{"learn": "*", "from": {"portfolio": str(tmp_path / "other")}, "match": {"level": "scale"}}]
    result = fitted(config(rules), table.iloc[:3], tmp_path / "a")
    assert result.entity_row("X / north")["prior"] == "declared"
    assert any("cannot learn from scale" in notice for notice in result.manifest.extra["notices"])


def test_a_previous_posterior_goes_on_unless_its_rows_overlap(tmp_path: Path) -> None:
    first, table = tmp_path / "first", rows("X", "north", 24, 2.0)
    table = pd.concat([table, rows("V", "north", 24, 2.0)], ignore_index=True)
    early = table.query("week <= 16 or (shop == 'V' and week <= 20)")
    before = fitted(config(), early, first)
    rules = [{"learn": "*", "from": {"previous": str(first)}}]
    result = fitted(config(rules), table.query("week > 16"), tmp_path / "second")
    row = result.entity_row("X / north")
    assert row["prior"] == "previous"
    assert row["parent_fit_key"] == before.entity_row("X / north")["fit_key"]
    assert row["prior_rows"] == 16
    # Without the vague part it is what all rows at once would give.
    plain = fitted(config(rules, robust=0), table.query("week > 16"), tmp_path / "third")
    whole = fitted(config(), table, tmp_path / "whole")
    (a, small), (b, covariance) = moments(plain, "X / north"), moments(whole, "X / north")
    np.testing.assert_allclose(a, b, atol=0.25 * np.sqrt(np.diag(covariance)).max())
    np.testing.assert_allclose(np.diag(small), np.diag(covariance), rtol=0.3)
    # Weeks 17 to 20 of V are inside its posterior already.
    refused = result.entity_row("V / north")
    assert refused["prior"] == "declared"
    assert refused["parent_fit_key"] is None
    assert any("rows up to 20 are in" in notice for notice in result.manifest.extra["notices"])


# -- how far a prior may carry


def test_a_cap_limits_the_rows_that_a_prior_counts_for(north: Result, tmp_path: Path) -> None:
    result = fitted(config(max_prior_rows=2, robust=0), panel(), tmp_path / "a")
    row = result.entity_row("X / north")
    assert row["prior_rows"] == pytest.approx(2, rel=0.05)
    assert north.entity_row("X / north")["prior_rows"] > 3
    assert north.population is not None
    free = np.cov(north.population.predictive(None, 40_000, np.random.default_rng(0)).T)
    capped = moments(result, "X / north", "prior_")[1]
    assert capped[0, 0] > 1.5 * free[0, 0]
    # The shared noise is no entity's own: it is known as well as before.
    assert capped[1, 1] == pytest.approx(free[1, 1], rel=0.2)
    prior = result.prior_of("X / north")
    assert prior is not None
    assert prior.vague == 0
    assert row["vague_weight"] is None


def test_the_vague_part_has_the_weight_that_was_asked_for(tmp_path: Path) -> None:
    table = panel().query("shop != 'Z'")
    result = fitted(config(robust=0.4), table, tmp_path / "a")
    prior = result.prior_of("X / north")
    assert prior is not None
    assert prior.vague == 0.4
    assert prior.mixture.weights[-1] == pytest.approx(0.4)
    informative = prior.mixture.covariances[:-1, 0, 0].max()
    assert prior.mixture.covariances[-1, 0, 0] > 2 * informative
    assert result.entity_row("X / north")["vague_weight"] < 0.4


# -- what goes wrong


def test_a_parent_that_cannot_be_fitted_or_fails_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.concat([panel(), rows("S", "north", 5, 2.0), rows("T", "north", 5, 2.0)], ignore_index=True)
    table.loc[table["shop"].eq("S") & table["week"].eq(2), "y"] = np.nan
    rules = [
        {"learn": "X / *", "from": {"entity": "S / north"}, "fallback": "population"},
        {"learn": "Z / *", "from": {"entity": "T / north"}},
    ]
    plan = Portfolio(config(rules)).plan(table)
    doomed = next(w.digest for w in plan.work(("T / north",)))
    fit = entity.fit

    def broken(model: Any, inputs: Any, starts: Any, seeds: Any, *rest: Any) -> Any:
        if seeds.nuts.entropy == entity.Seeds.of(plan.config.inference.seed, doomed).nuts.entropy:
            return Failure("it would not")
        return fit(model, inputs, starts, seeds, *rest)

    monkeypatch.setattr(entity, "fit", broken)
    result = run(plan, out=tmp_path / "a", workers=0).result
    table = result.entities.set_index("entity")
    assert table.loc[["S / north", "T / north"], "status"].tolist() == ["failed", "failed"]
    assert table.loc["X / north", "prior"] == "population"
    assert table.loc["Z / north", "prior"] == "declared"
    assert table.loc[["X / north", "Z / north"], "parent_fit_key"].isna().all()
    assert table.loc["Z / north", "status"] != "failed"
    notices = " ".join(result.manifest.extra["notices"])
    assert "'T / north' has no posterior" in notices
    assert "S / north" in notices


def test_too_few_teachers_leave_the_declared_prior(tmp_path: Path) -> None:
    result = fitted(config(), panel(teachers=2), tmp_path / "a")
    assert set(result.entities["prior"]) == {"declared"}
    assert result.population is None
    assert any("a population takes 3" in notice for notice in result.manifest.extra["notices"])


class StopError(Exception):
    pass


@pytest.mark.parametrize("after", [pytest.param(6, marks=pytest.mark.slow), 7])
def test_a_run_stopped_between_waves_goes_on_and_learns_nothing_twice(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, learned = 0, 0
    once = importlib.import_module("posterity.portfolio.learning").learn

    def counted(*given: Any) -> Any:
        nonlocal learned
        learned += 1
        return once(*given)

    def stop(report: Report) -> None:
        nonlocal seen
        seen += sum(report.status.values())
        if seen >= after:
            raise StopError

    monkeypatch.setattr("posterity.portfolio.learning.learn", counted)
    rules = [{"learn": "Z / *", "from": {"entity": "X / north"}, "discount": 0.5}]
    plan = Portfolio(config(rules)).plan(panel())
    with pytest.raises(StopError):
        run(plan, out=tmp_path / "a", workers=0, listen=stop)
    assert learned == (0 if after == 6 else 1)
    done = run(plan, out=tmp_path / "a", workers=0)
    assert done.executed is not None
    assert done.executed.resumed == after
    assert learned == 1
    whole = run(plan, out=tmp_path / "b", workers=0).result
    for name in ("entities", "parameters", "intervals", "draws"):
        left, right = (
            getattr(r, name).drop(columns="seconds", errors="ignore") for r in (done.result, whole)
        )
        pd.testing.assert_frame_equal(left, right, check_exact=True)
    assert done.result.population is not None
    assert whole.population is not None
    assert done.result.population.digest == whole.population.digest
    keys = [{label: prior.key for label, prior in r.priors.items()} for r in (done.result, whole)]
    assert keys[0] == keys[1]


def test_established_entities_can_learn_from_the_population_they_teach(tmp_path: Path) -> None:
    table = panel(teachers=4, spread=0.2)
    alone = fitted(config(pool={"shared": []}), table, tmp_path / "alone")
    pooled = fitted(config(pool={"shared": [], "shrink": True}), table, tmp_path / "pooled")
    levels = {
        name: r.parameters.query("parameter == 'level'").set_index("entity")[["mean", "sd"]]
        for name, r in (("alone", alone), ("pooled", pooled))
    }
    teachers = [f"{shop} / north" for shop in "ABCD"]
    rows = pooled.entities.set_index("entity").loc[teachers]
    assert set(rows["prior"].str.removeprefix("own ")) == {"population"}
    assert set(rows["method"]) == {"pooled"}
    assert rows["conflict_p"].isna().all()  # what it has taught itself it cannot contradict
    one, other = (levels[name].loc[teachers] for name in levels)
    assert other["mean"].std() < 0.95 * one["mean"].std()
    assert (other["sd"] < one["sd"]).all()
    assert pooled.population is not None
    assert alone.population is not None
    assert pooled.population.summary() == alone.population.summary()
