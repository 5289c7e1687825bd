"""Versions of a result: refits, predictions as of any of them, lineage, accounts of deliveries."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import posterity
from posterity.errors import PanelError, ResultError
from posterity.inference import compiled
from posterity.portfolio.account import account, of_version
from posterity.portfolio.past import added, changes, latest
from tests.portfolio.refitted import Chain, fit_chain, weeks

LATE = "P01 / south"


@pytest.fixture(scope="module", autouse=True)
def interpreted() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        yield


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    return fit_chain(tmp_path_factory.mktemp("chain") / "small")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, chain: Chain) -> Path:
    return tmp_path


def copied(chain: Chain, into: Path) -> posterity.Result:
    """The last version where all folders were copied elsewhere."""
    shutil.copytree(chain.first.path.parent, into)
    return posterity.open(into / "last")


def asked() -> pd.DataFrame:
    return pd.DataFrame({"product": ["P01", "P02"], "region": ["north", "south"], "week": [30, 30]})


def test_a_refit_makes_versions(chain: Chain) -> None:
    assert [chain.first.version, chain.second.version, chain.last.version] == [1, 2, 4]
    assert chain.second.ledger.groupby("entity")["n_rows"].sum().tolist() == [16] * 4
    assert chain.last.history["version"].value_counts().to_dict() == {1: 4, 2: 4, 3: 3, 4: 3}
    assert dict(zip(chain.last.entities["entity"], chain.last.entities["version"], strict=True))[LATE] == 2


def test_as_of_opens_every_version(chain: Chain) -> None:
    assert [chain.last.as_of(n).version for n in (1, 2, 3, 4)] == [1, 2, 3, 4]
    assert chain.last.as_of(4) is chain.last
    assert chain.last.as_of(1).manifest == chain.first.manifest
    assert chain.last.as_of(3).path == chain.last.path / "versions" / "3"


def test_predictions_as_of_a_version_are_those_it_made(chain: Chain) -> None:
    then = chain.last.predict(asked(), as_of=1)
    pd.testing.assert_frame_equal(then, chain.first.predict(asked()))
    now = chain.last.predict(asked())
    assert not np.allclose(now["mean"], then["mean"])


@pytest.mark.parametrize("number", [0, 5, -1])
def test_there_is_no_such_version(chain: Chain, number: int) -> None:
    with pytest.raises(ResultError, match="versions are 1 to 4"):
        chain.last.as_of(number)
    with pytest.raises(ResultError, match="there is that one only"):
        chain.first.as_of(2)


def test_versions_are_found_where_all_folders_were_moved(chain: Chain, folder: Path) -> None:
    there = copied(chain, folder / "moved")
    hidden = chain.first.path.parent.rename(folder / "hidden")
    try:
        assert [there.as_of(n).path.name for n in (3, 2, 1)] == ["3", "second", "first"]
    finally:
        hidden.rename(chain.first.path.parent)


def test_a_version_that_is_gone_is_named(chain: Chain, folder: Path) -> None:
    there = copied(chain, folder / "moved")
    shutil.rmtree(folder / "moved" / "first")
    hidden = chain.first.path.parent.rename(folder / "hidden")
    try:
        assert there.as_of(2).version == 2
        with pytest.raises(ResultError, match=r"version 1 was in .*first and is not there any more") as told:
            there.as_of(1)
        assert chain.first.manifest.run_key[:12] in str(told.value)
        # Another result in its place is not taken for it.
        shutil.copytree(folder / "moved" / "second", folder / "moved" / "first")
        with pytest.raises(ResultError, match="not there any more"):
            there.as_of(1)
    finally:
        hidden.rename(chain.first.path.parent)


def test_lineage_holds_the_whole_chain(chain: Chain) -> None:
    graph = chain.last.lineage("P02 / south")
    fits = {n.attributes["version"]: n for n in graph.nodes if n.kind == "fit"}
    assert sorted(fits) == [1, 2, 3, 4]
    assert [fits[n].attributes["update"] for n in (1, 2)] == ["fit", "exact"]
    led = {(e.source, e.target) for e in graph.edges if e.relation == "updated by"}
    assert led == {(fits[n].id, fits[n + 1].id) for n in (1, 2, 3)}
    assert fits[4].attributes["shift"] >= 0
    # Fits that only the history knows come with the configuration they were made by.
    configured = {e.target: e.source for e in graph.edges if e.relation == "configured"}
    modes = {
        n: graph[configured[fits[n].id]].attributes["values"]["refit"]["mode"]
        for n in fits
        if fits[n].id in configured
    }
    assert modes[1] == "exact"
    assert {n.attributes["version"] for n in chain.last.lineage(LATE).nodes if n.kind == "fit"} == {1, 2}


def test_a_first_fit_has_a_lineage_of_one_version(chain: Chain) -> None:
    graph = chain.first.lineage("P01 / north")
    assert [n.attributes["version"] for n in graph.nodes if n.kind == "fit"] == [1]


def test_changes_of_the_configuration_are_differences(chain: Chain) -> None:
    assert changes(chain.last, "P01 / north") == {3: ('refit.mode: "exact" → "carry"',)}
    assert changes(chain.last, LATE) == {}


def test_the_account_of_a_delivery(chain: Chain) -> None:
    told = account(chain.second, chain.done)
    assert (told.before, told.version, told.rows) == (2, 4, {"new": 24})
    assert (told.updated, told.unchanged, sum(told.updates.values())) == (3, 1, 6)
    assert told.drifts.audits == chain.last.history["shift"].notna().sum() > 0
    assert (told.drifts.max_ratio or 0) >= 1
    assert told.sentence.startswith("version 2 → 4: ")
    _, updates, drifts = of_version(chain.last)
    assert (sum(updates.values()), drifts.audits > 0) == (3, True)
    assert of_version(chain.first)[1] == {"fit": 4}


def test_nothing_new_is_told_and_rows_left_out_have_a_reason(chain: Chain, folder: Path) -> None:
    from posterity.portfolio.refit.run import refit

    nothing = refit(chain.second, weeks(chain.rows, 4, 16), out=folder / "same", workers=0)
    told = account(chain.second, nothing)
    assert (told.version, told.updates, told.rows) == (2, {}, {"repeated": 48})
    assert told.sentence == "nothing new: version 2 stays, 4 unchanged"
    assert added(nothing.result).empty

    spoilt = chain.rows[(chain.rows["week"] > 16) & (chain.rows["week"] <= 20)].copy()
    spoilt.loc[spoilt.index[0], "adoption"] = np.nan
    done = refit(chain.second, spoilt, out=folder / "spoilt", workers=0)
    told = account(chain.second, done)
    assert list(told.left_out) == ["P01 / north"]
    assert told.left_out["P01 / north"].startswith("4 delivered rows left out")
    assert "4 delivered rows left out" in told.left_out["P01 / north"]
    assert told.updates == {"exact": 2}


def test_a_refit_of_nonsense_writes_nothing(chain: Chain, folder: Path) -> None:
    with pytest.raises(PanelError):
        chain.second.refit(asked(), out=folder / "no", workers=0)
    assert not (folder / "no").exists()


def test_latest_is_the_newest_of_a_portfolio(chain: Chain, folder: Path) -> None:
    runs = chain.first.path.parents[1]
    assert latest("small", runs).manifest.run_key == chain.last.manifest.run_key
    with pytest.raises(ResultError, match="no result of 'other' yet"):
        latest("other", folder)
