"""A second curve that depends on the first: uncertainty goes along, and only what changed is fitted again."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import posterity
from posterity import Portfolio
from posterity.config import load, with_overrides
from posterity.errors import ConfigError
from posterity.inference import compiled
from posterity.portfolio.portfolio import Run, run
from posterity.portfolio.result import Result
from posterity.portfolio.upstream import steps
from tests.portfolio.chained import FIRST, SECOND, first_design, panels, second_design, updated

Z90 = 1.6448536269514722
ITEMS = 160


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Interpreted functions: models as small as these are fitted before they would be compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        yield


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Result, Result]]:
    """Both results, in the default places of a folder in which the tests below run."""
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("chain"))
    first, second, _ = panels(ITEMS)
    one = Portfolio(FIRST).fit(first, workers=0)
    yield one, Portfolio(SECOND).fit(second, workers=0)
    os.chdir(before)


def moments(result: Result, entity: str) -> tuple[Any, Any, list[str]]:
    row = result.entity_table("factors.parquet", entity).to_pylist()[0]
    size = len(row["mean"])
    return np.array(row["mean"]), np.reshape(row["covariance"], (size, size)), row["names"]


def test_the_second_posterior_is_the_closed_form_given_the_first(chain: tuple[Result, Result]) -> None:
    first, second, _ = panels(ITEMS)
    for entity in ("i000", "i017", "i159"):
        own = [table[table["item"] == entity] for table in (first, second)]
        mean, covariance = updated(np.zeros(2), np.eye(2), first_design(), own[0]["y"], 1.0)
        assert abs(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])) > 0.7
        centre, prior = np.zeros(3), np.eye(3)  # c, b, a
        centre[[2, 1]] = mean
        prior[np.ix_([2, 1], [2, 1])] = covariance
        right, spread = updated(centre, prior, second_design(), own[1]["v"], 0.5)
        found, around, names = moments(chain[1], entity)
        assert names == ["c", "b", "a"]
        sd = np.sqrt(np.diag(spread))
        # 4,000 draws of each: the first's moments are as noisy as the second's own.
        np.testing.assert_allclose(found / sd, right / sd, atol=0.12)
        np.testing.assert_allclose(around / np.outer(sd, sd), spread / np.outer(sd, sd), atol=0.12)
        # The twin: the same without the correlation of the first posterior is another answer.
        prior[1, 2] = prior[2, 1] = 0
        _, wide = updated(centre, prior, second_design(), own[1]["v"], 0.5)
        assert np.abs(wide / np.outer(sd, sd) - spread / np.outer(sd, sd)).max() > 0.3


def test_intervals_hold_the_truth_as_often_as_they_say(chain: tuple[Result, Result]) -> None:
    """And intervals that take the first curve's means for the truth do not."""
    first, second, truth = panels(ITEMS)
    table = chain[1].parameters.set_index(["entity", "parameter"])
    share = {}
    for name in "abc":
        own = table.xs(name, level="parameter").loc[truth.index]
        share[name] = float(((own["lower_90"] <= truth[name]) & (truth[name] <= own["upper_90"])).mean())
    print(f"chained: 90 % intervals hold {share}")
    assert all(0.84 <= value <= 0.96 for value in share.values())
    inside = []
    for entity in truth.index:
        own = [t[t["item"] == entity] for t in (first, second)]
        mean, _ = updated(np.zeros(2), np.eye(2), first_design(), own[0]["y"], 1.0)
        rest = own[1]["v"] - second_design()[:, [2, 1]] @ mean
        centre, spread = updated(np.zeros(1), np.eye(1), second_design()[:, :1], rest, 0.5)
        inside.append(abs(centre[0] - truth.loc[entity, "c"]) <= Z90 * np.sqrt(spread[0, 0]))
    print(f"plugged in: {np.mean(inside):.3f}")
    assert np.mean(inside) < 0.7


def test_parameters_without_a_match_keep_their_declared_prior(chain: tuple[Result, Result]) -> None:
    prior = chain[1].prior_of("i000")
    assert prior is not None
    assert prior.entries == ("b", "a")
    own = chain[1].entity_table("factors.parquet", "i000").to_pylist()[0]
    assert own["prior_mean"][0] is None
    assert None not in own["prior_mean"][1:]
    assert set(chain[1].entities["parent_fit_key"]) == set(chain[0].entities["fit_key"])


def test_the_lineage_names_the_upstream_and_what_every_step_assumed(chain: tuple[Result, Result]) -> None:
    graph = chain[1].lineage("i003")
    (node,) = [n for n in graph.nodes if n.kind == "upstream"]
    assert node.attributes["folder"] == str(chain[0].path)
    assert node.attributes["run_key"] == chain[0].manifest.run_key
    assert node.attributes["asked"] == "first"
    assert node.attributes["assumptions"] == FIRST["assumptions"]
    parent = chain[0].entity_row("i003")["fit_key"]
    assert [e.target for e in graph.edges if e.source == node.id] == [f"fit:{parent}"]
    (config,) = [n for n in graph.nodes if n.kind == "config"]
    assert config.attributes["assumptions"] == [SECOND["assumptions"]]
    assert steps(chain[1]) == [("first", FIRST["assumptions"]), ("second", [SECOND["assumptions"]])]


def test_an_entity_that_took_nothing_from_upstream_assumes_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second, _ = panels(3)
    fit(FIRST, first[first["item"] != "i002"])
    below = fit(SECOND, second).result
    own = ("second", [SECOND["assumptions"]])
    assert steps(below, "i001") == [("first", FIRST["assumptions"]), own]
    assert steps(below, "i002") == [own]


def test_only_entities_whose_parent_changed_are_fitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second, _ = panels(6)
    fit(FIRST, first)
    below = fit(SECOND, second).result
    assert not below.stale()
    assert below.stale().sentences == ()
    # Another rule marks upstream's fits anew, and nothing below has to be done.
    marked = FIRST | {"actionable": {"quantity": "b", "max_width": 0.1}}
    remarked = fit(marked, first)
    assert remarked.counts["unchanged"] == 6
    assert not below.stale()
    assert "no parent has another posterior" in below.stale().sentences[0]
    assert fit(SECOND, second).counts == {"ok": 0, "flagged": 0, "failed": 0, "unchanged": 6}
    # One item's rows change, and one goes.
    changed = first[first["item"] != "i005"].copy()
    changed.loc[changed["item"] == "i002", "y"] += 0.5
    above = fit(marked, changed)
    assert above.counts == {"ok": 1, "flagged": 0, "failed": 0, "unchanged": 4}
    stale = below.stale()
    (upstream,) = stale.upstreams
    assert stale
    assert (upstream.changed, upstream.gone, upstream.appeared) == (("i002",), ("i005",), ())
    assert upstream.now == str(above.result.path)
    assert upstream.used_run != upstream.now_run == above.result.manifest.run_key
    assert "1 with another posterior, 1 without one any more: fit again" in stale.sentences[0]
    assert stale.about("i001") is None
    assert "another posterior now" in str(stale.about("i002"))
    again = fit(SECOND, second)
    assert again.counts == {"ok": 2, "flagged": 0, "failed": 0, "unchanged": 4}
    assert not again.result.stale()
    old, new = (r.entities.set_index("entity")["fit_key"] for r in (below, again.result))
    assert set(old.index[old != new]) == {"i002", "i005"}
    # And it comes back.
    fit(marked, first)
    assert again.result.stale().upstreams[0].appeared == ("i005",)


def fit(config: Any, panel: pd.DataFrame) -> Run:
    return run(Portfolio(config).plan(panel), workers=0)


def test_fits_that_are_taken_over_are_the_same_as_fresh_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second, _ = panels(4)
    fit(FIRST, first)
    before = fit(SECOND, second).result
    after = fit(SECOND | {"assumptions": ["something else"]}, second)
    assert after.counts["unchanged"] == 4
    assert after.result.path != before.path
    assert after.result.settings["assumptions"] == ["something else"]
    for name in ("entities", "parameters", "intervals", "draws", "factors", "transferred_draws"):
        assert after.result.table(f"{name}.parquet").equals(before.table(f"{name}.parquet")), name
    assert after.result.manifest.extra["priors"] == before.manifest.extra["priors"]
    mine, theirs = (
        {(n.id, n.kind) for n in r.graph.nodes if n.kind != "config"} for r in (before, after.result)
    )
    assert mine == theirs
    # A folder elsewhere is for comparisons: there everything is fitted.
    elsewhere = run(Portfolio(SECOND).plan(second), out=tmp_path / "elsewhere", workers=0)
    assert elsewhere.counts["ok"] == 4


def test_a_third_step_knows_both_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second, _ = panels(2)
    one, two = fit(FIRST, first).result, fit(SECOND, second).result
    transfer = {"robust": 0, "rules": [{"learn": "*", "from": {"portfolio": "second"}}]}
    third = fit(SECOND | {"name": "third", "assumptions": ["c too"], "transfer": transfer}, second).result
    graph = third.lineage("i001")
    nodes = {n.attributes["portfolio"]: n for n in graph.nodes if n.kind == "upstream"}
    assert {k: n.attributes["folder"] for k, n in nodes.items()} == {
        "first": str(one.path),
        "second": str(two.path),
    }
    assert (nodes["first"].id, nodes["second"].id) in {(e.source, e.target) for e in graph.edges}
    assert steps(third) == [
        ("first", FIRST["assumptions"]),
        ("second", [SECOND["assumptions"]]),
        ("third", ["c too"]),
    ]


def test_a_refit_downstream_keeps_its_upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old entities keep the prior they began with; a newcomer has that of today."""
    monkeypatch.chdir(tmp_path)
    first, second, _ = panels(3)
    fit(FIRST, first)
    old = second[second["item"] < "i002"]
    below = fit(SECOND | {"data": {**SECOND["data"], "time": "t"}}, timed(old)).result
    changed = first.copy()
    changed.loc[changed["item"] == "i000", "y"] += 0.5
    fit(FIRST, changed)
    more = pd.concat(
        [timed(old).groupby("item").tail(1).assign(t=9), timed(second[second["item"] == "i002"])]
    )
    after = below.refit(more, workers=0)
    assert after.version > 1
    (upstream,) = after.stale().upstreams
    assert (upstream.changed, upstream.appeared, upstream.gone) == (("i000",), (), ())
    assert len([n for n in after.graph.nodes if n.kind == "upstream"]) == 2
    kinds = [n.kind for n in after.lineage("i000").nodes]
    assert kinds.count("upstream") == 1


def timed(table: pd.DataFrame) -> pd.DataFrame:
    """The same with a column of time."""
    return table.assign(t=table.groupby("item").cumcount())


def test_a_damaged_result_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, _, _ = panels(3)
    before = fit(FIRST, first).result
    (before.path / "draws.parquet").write_bytes(b"gone")
    after = fit(FIRST | {"assumptions": []}, first)
    assert after.counts == {"ok": 3, "flagged": 0, "failed": 0, "unchanged": 0}
    assert after.result.draws["b"].notna().all()


@pytest.mark.parametrize("place", ["first", "runs/first", "{folder}"])
def test_a_portfolio_is_named_or_a_folder_of_results_or_one_result(
    place: str, chain: tuple[Result, Result]
) -> None:
    config = {**SECOND, "transfer": {"rules": [rule(place.format(folder=chain[0].path))]}}
    plan = Portfolio(config).plan(panels(ITEMS)[1])
    assert {s.name for s in plan.sources.values()} == {str(chain[0].path)}


def test_a_portfolio_that_was_never_fitted_is_told_so(chain: tuple[Result, Result]) -> None:
    config = {**SECOND, "transfer": {"rules": [rule("frist")]}}
    with pytest.raises(ConfigError, match=r"\[0\]\.from\.portfolio: frist: no finished result"):
        Portfolio(config).plan(panels(2)[1])


def rule(place: str) -> dict[str, Any]:
    return {"learn": "*", "from": {"portfolio": place}, "match": {"a": "a", "b": "b"}}


def test_a_result_finds_its_upstream_from_elsewhere(
    chain: tuple[Result, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = chain[1].path.resolve()
    monkeypatch.chdir(tmp_path)
    (upstream,) = posterity.open(folder).stale().upstreams
    assert upstream.now_run == upstream.used_run
    (folder.parents[1] / "first").rename(tmp_path / "away")
    (lost,) = posterity.open(folder).stale().upstreams
    (tmp_path / "away").rename(folder.parents[1] / "first")
    assert lost.now is None
    assert "there is no result any more" in lost.sentence


@pytest.mark.slow
def test_the_shipped_chain_holds_its_truth(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Potency and toxicity: uncertainty is worth having, as efficacy alone is known half as well."""
    monkeypatch.chdir(tmp_path)
    results = {}
    for name in ("potency", "toxicity"):
        source = str(checkout / "data" / f"{name}.parquet")
        config = with_overrides(load(checkout / "configs" / f"{name}.yaml"), {"data.source": source})
        results[name] = Portfolio(config).fit(workers=0)
        truth = pd.read_parquet(checkout / "data" / f"{name}_truth.parquet")
        both = results[name].parameters.merge(truth, on=["entity", "parameter"], validate="one_to_one")
        inside = ((both["lower_90"] <= both["value"]) & (both["value"] <= both["upper_90"])).mean()
        print(f"{name}: 90 % intervals hold {100 * inside:.1f} % of {len(both)} values")
        assert 0.85 <= inside <= 0.96
    alone = with_overrides(results["toxicity"].config, {"transfer": None, "name": "alone"})
    wide, narrow = (
        r.entities.set_index("entity")["actionable_width"].drop(["C39", "C40"])
        for r in (Portfolio(alone).fit(workers=0), results["toxicity"])
    )
    print(f"width of efficacy: {wide.median():.2f} alone, {narrow.median():.2f} in the chain")
    assert narrow.median() < 0.8 * wide.median()
