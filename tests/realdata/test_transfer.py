"""Late starters: `configs/late_starters.yaml` on countries cut to their first weeks, where the panel is
present.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scoringrules
from scipy import stats

from benchmarks import transfer
from benchmarks.scores import LEVELS, MASSES, Mean, crps, folds, summary
from posterity import Portfolio
from posterity.config import Config, load


@pytest.fixture(scope="module")
def panel(data_dir: Path) -> pd.DataFrame:
    return pd.read_parquet(data_dir / "adoption_countries" / "adoption_countries.parquet")


@pytest.fixture(scope="module")
def config(checkout: Path) -> Config:
    return load(checkout / "configs" / "late_starters.yaml")


def predicted(means: np.ndarray, sd: float) -> pd.DataFrame:
    """What `Result.predict` gives for normal predictive distributions."""
    columns = {}
    for mass in MASSES:
        name = f"{100 * mass:.6g}".replace(".", "_")
        columns[f"lower_{name}"] = stats.norm.ppf((1 - mass) / 2, means, sd)
        columns[f"upper_{name}"] = stats.norm.ppf((1 + mass) / 2, means, sd)
    return pd.DataFrame(columns)


def test_quantiles_score_as_their_distribution_does() -> None:
    observed = np.linspace(-2, 2, 41)
    table = predicted(np.zeros(41), 1.5).assign(y=observed)
    exact = scoringrules.crps_normal(observed, 0, 1.5)
    assert len(MASSES) == LEVELS / 2
    assert np.abs(crps(table, "y") - exact).max() < 0.005
    # The twin: a distribution of another width scores otherwise.
    assert np.abs(crps(predicted(np.zeros(41), 1.0).assign(y=observed), "y") - exact).max() > 0.05


def test_scores_are_means_over_entities_and_differences_are_paired() -> None:
    ours = pd.DataFrame({"e": ["a", "a", "a", "b"], "crps": [1.0, 2, 3, 4], "inside": [1.0, 1, 0, 1]})
    theirs = ours.assign(crps=ours["crps"] + 1)
    found = summary({"ours": ours, "theirs": theirs}, "e", against="ours")
    assert found["crps"]["ours"] == Mean(3.0, 1.0, 2)  # not 2.5, the mean over rows
    assert found["gain"]["theirs"] == Mean(-1.0, 0.0, 2)  # paired: no noise where all differ alike
    assert found["coverage"]["ours"].value == pytest.approx((2 / 3 + 1) / 2)


def test_every_entity_learns_once_from_entities_that_it_did_not_teach() -> None:
    names = [f"c{i}" for i in range(23)]
    parts = folds(names, 5, 1)
    assert sorted(name for part in parts for name in part) == sorted(names)
    assert folds(names[::-1], 5, 1) == parts  # the panel's order does not matter
    assert {len(part) for part in parts} == {4, 5}


def test_whole_countries_teach_and_cut_ones_learn(panel: pd.DataFrame, config: Config) -> None:
    key = config.data.entity[-1]
    late = set(panel[key].unique()[::4])
    known = panel[~panel[key].isin(late) | (panel["week"] < 8)]
    plan = Portfolio(config).plan(known)
    rows = known.groupby(key).size()
    teachers = {name.split(" / ")[-1] for name in plan.teachers}
    assert teachers == set(rows[rows >= transfer.FEWEST].index)
    assert not teachers & late
    assert {source.kind for entity, source in plan.sources.items() if entity not in plan.teachers} == {
        "population"
    }


@pytest.mark.slow
def test_early_countries_help_late_ones(panel: pd.DataFrame, config: Config) -> None:
    tables = transfer.forecasts(config, panel, cuts=(4, 8), number=2)
    for cut, by_rule in tables.items():
        found = transfer.report(by_rule)
        score, share = found["crps"], found["coverage"]["transfer"]
        assert found["entities"] == 87
        # Declared priors that know these curves leave little to learn: no worse than they are.
        assert found["gain"]["none"] < 2 * found["gain_se"]["none"], (cut, found)
        assert score["transfer"] < score["old_rule"], (cut, found)
        assert 0.8 < share < 0.96, (cut, found)
        # The old rule takes an entity's own uncertainty for the spread between entities.
        assert found["coverage"]["old_rule"] < share - 0.1, (cut, found)
