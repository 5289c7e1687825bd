"""The first user's story: learn five products, export one, start a new one from it, take in its months."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks import drift as study
from posterity import Portfolio, Result
from posterity.config import load, with_overrides
from posterity.inference import compiled
from posterity.panel.simulation import adoption
from posterity.portfolio.export import export
from posterity.portfolio.refit.drift import drift
from posterity.portfolio.refit.run import refit
from posterity.portfolio.scores import score
from tests.portfolio.small import SMALL

CHUNKS = 13
REWEIGHTED_FROM = 7
SHIFT, RATIO = 0.5, 1.25
NEW = "P06 / north"
DATA = {"entity": ["product", "region"], "time": "week", "target": "adoption"}


def months() -> list[pd.DataFrame]:
    """The new product's rows, four weeks at a time."""
    rows = adoption(6, 1, 52)[0].to_pandas().query("product == 'P06'")
    return [rows[(rows["week"] - 1) // 4 == number] for number in range(CHUNKS)]


@dataclass(frozen=True)
class Story:
    """Results by mode, oldest version first, and the scores of each chunk before it was taken in."""

    folder: Path
    chunks: list[pd.DataFrame]
    learned: Result
    results: dict[str, list[Result]]
    scores: pd.DataFrame

    def apart(self, mode: str, number: int) -> Any:
        own, exact = (study.moments(self.results[m][number], NEW) for m in (mode, "exact"))
        return drift(own, exact)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder, chunks = tmp_path_factory.mktemp("story"), months()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        established = adoption(6, 1, 52)[0].to_pandas().query("product < 'P06'")
        config = {**SMALL, "name": "shelf", "data": DATA, "inference": {}, "gates": {}}
        learned = Portfolio(config).fit(established, out=folder / "learned", workers=0)
        trained, _ = export(learned, f"{study.EXPORTED} / north").write(folder / "trained.yaml")
        capped = with_overrides(load(trained), {"transfer.max_prior_rows": study.MOST_PRIOR_ROWS})
        first = Portfolio(capped).fit(chunks[0], out=folder / "first", workers=0)
        results, scores = {mode: [first] for mode in study.MODES}, []
        for number, coming in enumerate(chunks[1:], 2):
            scores.append(score(results["carry"][-1], coming).assign(chunk=number))
            for mode, versions in results.items():
                if mode == "reweight" and number <= REWEIGHTED_FROM:  # before, exact took its place anyway
                    versions.append(results["exact"][-1])
                    continue
                out = folder / f"{mode}{number}"
                versions.append(refit(versions[-1], coming, mode=mode, out=out, workers=0).result)
        yield Story(folder, chunks, learned, results, pd.concat(scores))


def test_it_starts_from_what_was_exported(story: Story) -> None:
    row = story.results["carry"][0].entity_row(NEW)
    assert row["prior"].startswith("file: ")
    assert 0 < row["prior_rows"] <= study.MOST_PRIOR_ROWS + 1e-6
    assert set(story.learned.entities["status"]) == {"ok"}


def test_every_chunk_is_a_version_with_its_rows(story: Story) -> None:
    for mode, versions in story.results.items():
        assert [r.version for r in versions] == list(range(1, CHUNKS + 1))
        assert [r.entity_row(NEW)["n_rows"] for r in versions] == [4 * n for n in range(1, CHUNKS + 1)]
        history = versions[-1].table("history.parquet").to_pandas()
        assert history["new_rows"].tolist() == [4] * CHUNKS, mode


def test_it_settles(story: Story) -> None:
    """What is known of the curve grows, and forecasts hold what their intervals promise."""
    sds = [r.parameters.set_index("parameter")["sd"] for r in story.results["carry"]]
    assert (sds[-1] < 0.5 * sds[0]).all()
    assert len(story.scores) == 48
    assert story.scores["inside_90"].mean() > 0.75
    assert 0.2 < story.scores["inside_50"].mean() < 0.8
    by_chunk = story.scores.groupby("chunk")["crps"].mean()
    noise = story.results["exact"][-1].parameters.set_index("parameter").loc["sigma", "mean"]
    # The CRPS of a perfect forecast of normal noise is 0.56 of its sd; twice that is far off.
    assert by_chunk.iloc[-6:].mean() < 2 * 0.56 * noise


def test_carried_posteriors_stay_by_the_exact_ones(story: Story) -> None:
    found = [story.apart("carry", number) for number in range(1, CHUNKS)]
    assert max(f.shift for f in found) < SHIFT
    assert max(f.ratio for f in found) < RATIO


def test_reweighted_posteriors_are_the_exact_ones_up_to_their_draws(story: Story) -> None:
    kept = 0
    for ours, exact in zip(story.results["reweight"], story.results["exact"], strict=True):
        tables = [r.parameters.set_index("parameter") for r in (ours, exact)]
        kept += ours.entity_row(NEW)["update"] == "reweight"
        error = np.sqrt(sum(t["sd"] ** 2 / t["ess_bulk"] for t in tables))
        assert ((tables[0]["mean"] - tables[1]["mean"]).abs() < 4.5 * error).all()
    assert kept >= 3


def test_rows_that_are_inside_are_not_counted_again(story: Story) -> None:
    last = story.results["carry"][-1]
    again = refit(last, story.chunks[-1], out=story.folder / "again", workers=0)
    assert again.result.version == last.version
    assert again.rows["repeated"] == 4
    assert again.result.table("draws.parquet").equals(last.table("draws.parquet"))


def test_cumulative_rows_change_nothing_but_the_new_ones(story: Story) -> None:
    before, after = story.results["carry"][-2:]
    done = refit(before, pd.concat(story.chunks), out=story.folder / "cumulative", workers=0)
    assert done.rows["repeated"] == 48
    assert done.rows["new"] == 4
    assert done.result.table("draws.parquet").equals(after.table("draws.parquet"))


def test_counting_rows_twice_would_be_seen(story: Story) -> None:
    """The twin: a posterior taken for the prior of the rows that it is made of."""
    last = story.results["exact"][-1]
    trained, _ = export(last, NEW).write(story.folder / "twice.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        rows = pd.concat(story.chunks)
        plain = with_overrides(load(trained), {"transfer.robust": 0})
        twice = Portfolio(plain).fit(rows, out=story.folder / "twice", workers=0)
    found = drift(study.moments(twice, NEW), study.moments(last, NEW))
    assert found.ratio > RATIO
    assert not found.wider


@pytest.mark.slow
def test_twenty_new_products(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table of drift: reweighted posteriors within Monte Carlo error of exact, carried ones close by."""
    steps, _ = study.followed(range(20), tmp_path)
    found = study.report(steps)
    with capsys.disabled():
        print("\n" + study.readable(found))
    assert found.loc["carry", "largest shift"] < SHIFT
    assert found.loc["carry", "smallest ratio"] > 0.8
    assert found.loc["carry", "largest ratio"] < RATIO
    assert found.loc["reweight", "largest shift"] < 0.2
    assert 0.8 < found.loc["carry", "inside_90"] < 0.97
