"""The figure of `models/smooth.md`: `python docs/made/smooth.py`, from the checkout's root."""

import io
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from insert import DOCS
from numpy.typing import NDArray
from picture import picture

from posterity import Portfolio, Result
from posterity.config import load, with_overrides

ROOT = DOCS.parent
SITES = ("S01", "S02", "S03")
BAND, ROWS, TRUTH, EXACT = "#2b5d97", "#5f6b76", "#c0562f", "#1d1d1d"
WEEKS = np.arange(128)


def main() -> None:
    """Fit three sites, and draw bands to the edge with the truth and the exact process's bounds."""
    table = pd.read_parquet(ROOT / "data" / "trends.parquet")
    truth = pd.read_parquet(ROOT / "data" / "trends_truth.parquet")
    config = with_overrides(load(ROOT / "configs" / "smooth.yaml"), {"data.source": None})
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained", sharey=True)
    with tempfile.TemporaryDirectory() as folder:
        rows = table[table["site"].isin(SITES)]
        result = Portfolio(config).fit(rows, out=Path(folder, "smooth"), workers=0)
        for axis, site in zip(axes, SITES, strict=True):
            draw(axis, result, site, *(t[t["site"] == site] for t in (table, truth)))
        print(result.entities[["entity", "status", "method", "rhat", "ess_bulk", "divergences", "seconds"]])
    axes[0].set_ylabel("reading")
    axes[1].legend(loc="lower left", frameon=False, fontsize=8)
    found = io.BytesIO()
    figure.savefig(found, format="png", dpi=110)
    picture("smooth", found.getvalue())


def draw(axis: Any, result: Result, site: str, rows: pd.DataFrame, truth: pd.DataFrame) -> None:
    """One site: rows, band of the curve, truth, and the exact process's 90 % bounds."""
    found = result.predict(pd.DataFrame({"site": site, "week": WEEKS}))
    low, high = found["expected_lower_90"], found["expected_upper_90"]
    axis.axvspan(115, WEEKS[-1], color="#f0efec", linewidth=0)
    axis.plot(rows["week"], rows["reading"], ".", color=ROWS, markersize=3, alpha=0.7, label="readings")
    axis.fill_between(WEEKS, low, high, color=BAND, alpha=0.3, linewidth=0, label="90 % band")
    axis.plot(WEEKS, found["expected_mean"], color=BAND, linewidth=1.5)
    axis.plot(truth["week"], truth["value"], color=TRUTH, linewidth=1.2, label="truth")
    draws = result.entity_table("draws.parquet", site).to_pandas()
    mean, sd = exact(draws.iloc[:: max(1, len(draws) // 100)], rows)
    for sign, label in ((-1, "exact process"), (1, None)):
        axis.plot(WEEKS, mean + sign * 1.645 * sd, color=EXACT, linewidth=0.8, linestyle="--", label=label)
    axis.set_title(site, loc="left", fontsize=10)
    axis.set_xlabel("week")
    axis.set_xlim(0, WEEKS[-1])
    axis.spines[["top", "right"]].set_visible(False)
    ratio = (high - low) / (2 * 1.645 * sd)
    for name, at in (("rows", slice(0, 104)), ("to high", slice(104, 116)), ("beyond", slice(116, 128))):
        away = np.abs((found["expected_mean"][at] - mean[at]) / sd[at]).max()
        print(f"{site} {name}: {away:.2f} sd away, width {ratio[at].min():.2f} to {ratio[at].max():.2f}")


def exact(draws: pd.DataFrame, rows: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and sd of level plus function at `WEEKS`, by the Gaussian process without a basis, over the draws
    of its amplitude, length scale and noise; the level is integrated out.
    """
    week, reading = rows["week"].to_numpy(float), rows["reading"].to_numpy()
    means, variances = [], []
    for one in draws.itertuples():
        amplitude, scale, sigma = one.trend_amplitude, one.trend_lengthscale, one.sigma

        def kernel(a: Any, b: Any, amplitude: float = amplitude, scale: float = scale) -> Any:
            return 4 + amplitude**2 * np.exp(-((a[:, None] - b) ** 2) / (2 * scale**2))

        noisy = kernel(week, week) + sigma**2 * np.eye(len(week))
        gain = np.linalg.solve(noisy, kernel(week, WEEKS)).T
        means.append(10 + gain @ (reading - 10))
        variances.append(4 + amplitude**2 - np.einsum("ij,ij->i", gain, kernel(WEEKS, week)))
    mean = np.mean(means, axis=0)
    return mean, np.sqrt(np.mean(variances, axis=0) + np.var(means, axis=0))


if __name__ == "__main__":
    main()
