"""The figure of `models/regression.md`: `POSTERITY_ORANGE_JUICE=... python docs/made/regression.py`, from the
checkout's root. All 682 series are fitted, in about a minute.
"""

import io
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from insert import DOCS
from picture import picture

from posterity import Portfolio, Result

ROOT = DOCS.parent
BAR, RING = "#2b5d97", "#c0562f"
SERIES = "75 / tropicana_64"


def main() -> None:
    """Fit the configuration, draw every elasticity and the demand of one series."""
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 3.9), layout="constrained", width_ratios=(1, 1.25)
    )
    with tempfile.TemporaryDirectory() as folder:
        result = Portfolio(ROOT / "configs" / "formula.yaml").fit(out=Path(folder, "formula"))
        elasticities(left, result)
        demand(right, result)
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    found = io.BytesIO()
    figure.savefig(found, format="png", dpi=110)
    picture("regression", found.getvalue())


def elasticities(axis: Any, result: Result) -> None:
    """A dot for every store, in a row for every brand; the bar is the brands' middle 90 % of stores."""
    table = result.parameters.query("parameter == 'mu_log_price'")
    brands = table["entity"].str.rpartition(" / ")[2]
    order = table["mean"].groupby(brands).median().sort_values().index
    rng = np.random.default_rng(0)
    for i, brand in enumerate(order):
        means = table["mean"][brands == brand].to_numpy()
        low, high = np.quantile(means, [0.05, 0.95])
        axis.plot([low, high], [i, i], color=BAR, linewidth=7, alpha=0.18, solid_capstyle="butt")
        axis.plot(means, i + rng.uniform(-0.16, 0.16, len(means)), "o", color=BAR, markersize=2, alpha=0.6)
        axis.plot(np.median(means), i, "|", color=RING, markersize=11, markeredgewidth=2)
    axis.set_yticks(range(len(order)), [b.replace("_", " ") for b in order], fontsize=8)
    axis.axvline(0, color="grey", linewidth=0.7)
    axis.set_xlabel("elasticity: coefficient of log(price), one dot a store")


def demand(axis: Any, result: Result) -> None:
    """Packs of one series by price, with what the regression expects of other prices."""
    rows = result.intervals.query("entity == @SERIES")
    store, brand = SERIES.split(" / ")
    prices = np.linspace(rows["price"].min(), rows["price"].max(), 60)
    for deal, colour in ((0.0, BAR), (1.0, RING)):
        asked = {"store": store, "brand": brand, "week": np.arange(60), "price": prices}
        band = result.predict(pd.DataFrame({**asked, "deal": deal, "feat": deal}), interval=0.9)
        axis.fill_between(prices, band["lower_90"], band["upper_90"], color=colour, alpha=0.15, linewidth=0)
        what = "deal and feature" if deal else "neither"
        axis.plot(prices, band["expected_median"], color=colour, linewidth=1.6, label=what)
    for low, high, colour in ((-1, 0.5, BAR), (0.5, 2, RING)):
        own = rows[(rows["feat"] > low) & (rows["feat"] <= high)]
        axis.plot(own["price"], own["observed"], "o", color=colour, markersize=3.5, alpha=0.7)
    axis.set_yscale("log")
    axis.set_xlabel(f"price of {brand.replace('_', ' ')} in store {store}, dollars")
    axis.set_ylabel("packs a week")
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    main()
