"""The notes' first models: their posteriors by quadrature, and the shipped configurations on shipped rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from posterity import Portfolio, Result
from posterity.config import load, with_overrides

SHOPS = ("S01", "S02", "S03")


@pytest.fixture(scope="module")
def rows(checkout: Path) -> pd.DataFrame:
    return pd.read_parquet(checkout / "data" / "choices.parquet")


@pytest.fixture(scope="module")
def fitted(
    checkout: Path, rows: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Result]:
    found: dict[str, Result] = {}

    def of(name: str) -> Result:
        if name not in found:
            config = with_overrides(load(checkout / "configs" / f"{name}.yaml"), {"data.source": None})
            out = tmp_path_factory.mktemp(name) / "run"
            found[name] = Portfolio(config).fit(rows[rows["shop"].isin(SHOPS)], out=out, workers=0)
        return found[name]

    return of


def moments(result: Result, shop: str, parameter: str) -> tuple[float, float]:
    row = result.parameters.set_index(["entity", "parameter"]).loc[(shop, parameter)]
    return float(row["mean"]), float(row["sd"])


def test_bernoulli_is_the_posterior_by_quadrature(
    fitted: Callable[[str], Result], rows: pd.DataFrame
) -> None:
    result = fitted("bernoulli")
    assert result.counts["ok"] == 3
    theta = np.linspace(-6, 6, 4_001)
    for shop, own in rows[rows["shop"].isin(SHOPS)].groupby("shop"):
        yes, n = int(own["replied"].sum()), len(own)
        log_density = stats.norm.logpdf(theta, 0, 1.5) + yes * theta - n * np.log1p(np.exp(theta))
        weight = np.exp(log_density - log_density.max())
        weight /= weight.sum()
        mean = weight @ theta
        sd = np.sqrt(weight @ (theta - mean) ** 2)
        found = moments(result, str(shop), "theta")
        assert found == (pytest.approx(mean, abs=0.05 * sd), pytest.approx(sd, rel=0.03))
        # What is forecast of a reply is its probability, all of theta's spread in it.
        ahead = result.predict(pd.DataFrame({"shop": [shop], "week": [27]}))
        assert ahead["mean"][0] == pytest.approx(weight @ (1 / (1 + np.exp(-theta))), abs=0.03)


def test_beta_binomial_is_the_posterior_by_quadrature(
    fitted: Callable[[str], Result], rows: pd.DataFrame
) -> None:
    result = fitted("beta_binomial")
    assert result.counts["ok"] == 3
    a, b = (grid.ravel() for grid in np.meshgrid(np.linspace(0.02, 8, 260), np.linspace(0.02, 14, 260)))
    for shop, own in rows[rows["shop"].isin(SHOPS)].groupby("shop"):
        log_density = -a - b
        for k, n in zip(own["buyers"], own["visitors"], strict=True):
            log_density = log_density + stats.betabinom.logpmf(k, n, a, b)
        weight = np.exp(log_density - log_density.max())
        weight /= weight.sum()
        for name, grid in (("alpha", a), ("beta", b)):
            mean = weight @ grid
            sd = np.sqrt(weight @ (grid - mean) ** 2)
            found = moments(result, str(shop), name)
            assert found == (pytest.approx(mean, abs=0.06 * sd), pytest.approx(sd, rel=0.05))


def test_a_missing_number_of_trials_is_told(checkout: Path) -> None:
    """The notes' second mistake."""
    from posterity.config import from_dict, to_dict
    from posterity.errors import ConfigError

    values = to_dict(load(checkout / "configs" / "beta_binomial.yaml"))
    del values["model"]["likelihood"]["kwargs"]["n"]
    with pytest.raises(ConfigError, match="n"):
        from_dict(values)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bernoulli", "beta_binomial"])
def test_all_shops_hold_their_truth(name: str, checkout: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    config = with_overrides(load(checkout / "configs" / f"{name}.yaml"), {"data.source": None})
    result = Portfolio(config).fit(rows, out=tmp_path / "run", workers=2)
    assert result.counts["ok"] == 12
    truth = pd.read_parquet(checkout / "data" / "choices_truth.parquet")
    both = result.parameters.merge(truth, on=["entity", "parameter"])
    inside = (both["lower_90"] <= both["value"]) & (both["value"] <= both["upper_90"])
    assert inside.mean() >= 0.6  # of 12 or 24
