"""Debuts from careers: `configs/batting.yaml` on baseball seasons, where the panel is present."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats

from benchmarks import batting
from posterity import Portfolio
from posterity.config import Config, load


@pytest.fixture(scope="module")
def players(data_dir: Path) -> pd.DataFrame:
    return batting.with_kind(pd.read_parquet(data_dir / "binomial_batting" / "batting_2012_2021.parquet"))


@pytest.fixture(scope="module")
def config(checkout: Path) -> Config:
    return load(checkout / "configs" / "batting.yaml")


def test_the_predictive_distribution_is_the_beta_binomial_mixture() -> None:
    skill, worth, at_bats = np.array([-1.2, -1.8]), np.log([50.0, 200.0]), 30
    cdf = batting.predictive(skill, worth, at_bats)
    share = 1 / (1 + np.exp(-skill))

    def chance(p: float) -> float:
        beta = stats.beta.pdf(p, share * np.exp(worth), (1 - share) * np.exp(worth)).mean()
        return float(stats.binom.cdf(7, at_bats, p) * beta)

    assert cdf[7] == pytest.approx(integrate.quad(chance, 0, 1, epsabs=1e-10)[0], abs=1e-7)
    assert cdf[-1] == pytest.approx(1)


def test_one_season_learns_from_two_of_its_kind(players: pd.DataFrame, config: Config) -> None:
    known = players[players["season"] <= 2015]
    plan = Portfolio(config).plan(known)
    seasons = known.groupby(["kind", "player"]).size()
    assert len(plan.teachers) == (seasons >= 2).sum()
    newcomer = next(e for e in plan.panel.entities if e.startswith("pitcher") and e not in plan.teachers)
    assert plan.sources[newcomer].label == "population: pitcher"


@pytest.mark.slow
def test_a_few_careers_teach_what_pitchers_and_hitters_are(
    players: pd.DataFrame, config: Config, tmp_path: Path
) -> None:
    known = players[players["season"] <= 2015]
    some = sorted(known["player"].unique())[::12]
    result = Portfolio(config).fit(known[known["player"].isin(some)], out=tmp_path / "few", workers=0)
    assert result.counts.get("failed", 0) == 0
    population = result.population
    assert population is not None
    means = dict(zip(population.groups, population.group_means.mean(axis=0)[:, 0], strict=True))
    assert 1 / (1 + np.exp(-means["pitcher"])) == pytest.approx(0.13, abs=0.02)
    assert 1 / (1 + np.exp(-means["hitter"])) == pytest.approx(0.25, abs=0.02)
    learned = result.entities.query("role == 'new'")
    assert learned["prior_rows"].notna().all()
    assert learned["conflict_p"].between(0, 1).all()


@pytest.mark.slow
def test_careers_help_debuts(players: pd.DataFrame, config: Config) -> None:
    table = pd.concat([batting.forecasts(config, players, year) for year in batting.YEARS])
    found = batting.report(table)
    assert found["gain"]["none"] + 2 * found["gain_se"]["none"] < 0, found
    assert found["gain"]["old_rule"] + 2 * found["gain_se"]["old_rule"] < 0, found
    assert 0.87 < found["coverage"]["transfer"] < 0.93, found
