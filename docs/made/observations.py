"""The figure of `models/observations.md`: `python docs/made/observations.py`, from the checkout's root."""

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
from posterity.config import load, with_overrides

ROOT = DOCS.parent
BAR, NAIVE, TRUTH, GREY = "#2b5d97", "#9a9a9a", "#c0562f", "#555555"
SAMPLE = "A01"


def main() -> None:
    """Fit the readings as they are, and as if what lies below a limit had been read there."""
    table = pd.read_parquet(ROOT / "data" / "assay.parquet")
    truth = pd.read_parquet(ROOT / "data" / "assay_truth.parquet")
    values = truth.pivot(index="entity", columns="parameter", values="value")
    config = with_overrides(load(ROOT / "configs" / "assay.yaml"), {"data.source": None})
    naive = with_overrides(config, {"model.likelihood.censored": None})
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained", width_ratios=(3, 2))
    with tempfile.TemporaryDirectory() as folder:
        results = [
            Portfolio(one).fit(table, out=Path(folder, name), workers=0)
            for name, one in (("censored", config), ("naive", naive))
        ]
        sample(axes[0], results[0], results[1], table[table["sample"] == SAMPLE], values.loc[SAMPLE])
        rates(axes[1], results, values)
    found = io.BytesIO()
    figure.savefig(found, format="png", dpi=110)
    picture("observations", found.getvalue())


def line(result: Result, entity: str, hours: np.ndarray) -> np.ndarray:
    """Quantiles (3, n) of the line."""
    draws = result.entity_table("draws.parquet", entity).to_pandas()
    lines = draws["level"].to_numpy()[:, None] - draws["rate"].to_numpy()[:, None] * hours
    return np.quantile(lines, [0.05, 0.5, 0.95], axis=0)


def sample(axis: Any, result: Result, naive: Result, rows: pd.DataFrame, truth: pd.Series) -> None:
    """One sample: its readings, the line with its band, what is predicted of the hours to come."""
    hours = np.linspace(0.5, 16.5, 100)
    low, middle, high = line(result, SAMPLE, hours)
    axis.fill_between(hours, low, high, color=BAR, alpha=0.2, linewidth=0)
    axis.plot(hours, middle, color=BAR, label="line, 90 %")
    axis.plot(
        hours, line(naive, SAMPLE, hours)[1], color=NAIVE, linestyle="--", label="limits taken for readings"
    )
    axis.plot(hours, truth["level"] - truth["rate"] * hours, color=TRUTH, linewidth=1, label="truth")
    below = rows["log_reading"] <= rows["log_limit"]
    read = rows[~below & rows["log_reading"].notna()]
    axis.errorbar(
        read["hour"], read["log_reading"], 1.645 * read["se"], fmt="o", color=GREY, markersize=4, linewidth=1,
        label="reading ± its error",
    )  # fmt: skip
    axis.plot(
        rows["hour"][below], rows["log_limit"][below], "v", color=GREY, markersize=6, label="below the limit"
    )
    ahead = result.predict()
    ahead = ahead[ahead["sample"] == SAMPLE]
    axis.vlines(ahead["hour"], ahead["lower_90"], ahead["upper_90"], color=TRUTH, linewidth=4, alpha=0.5)
    axis.plot(
        ahead["hour"],
        ahead["median"],
        "o",
        color=TRUTH,
        markerfacecolor="white",
        label="not measured: predicted",
    )
    axis.set_xlabel("hour")
    axis.set_ylabel(f"log reading of {SAMPLE}")
    axis.legend(frameon=False, fontsize=8, loc="lower left")
    axis.spines[["top", "right"]].set_visible(False)


def rates(axis: Any, results: list[Result], truth: pd.DataFrame) -> None:
    """The rate of every sample, both ways."""
    for shift, color, result in ((-0.12, BAR, results[0]), (0.16, NAIVE, results[1])):
        found = result.parameters[result.parameters["parameter"] == "rate"].set_index("entity")
        for i, name in enumerate(truth.index):
            own = found.loc[name]
            axis.plot(
                [own["lower_90"], own["upper_90"]], [i + shift] * 2, color=color, linewidth=3, alpha=0.5,
                solid_capstyle="butt",
            )  # fmt: skip
            axis.plot(own["median"], i + shift, "o", color=color, markersize=4)
    axis.plot(
        truth["rate"], np.arange(len(truth)), "o", markerfacecolor="none", markeredgecolor=TRUTH, markersize=9
    )
    axis.set_yticks(range(len(truth)), truth.index, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("rate, 90 %")
    axis.set_xlim(left=0)
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
