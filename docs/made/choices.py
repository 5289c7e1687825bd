"""The figure of `models/choices.md`: `python docs/made/choices.py`, from the checkout's root."""

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
BAR, RING = "#2b5d97", "#c0562f"


def main() -> None:
    """Fit both configurations and draw what they say of each shop."""
    table = pd.read_parquet(ROOT / "data" / "choices.parquet")
    truth = pd.read_parquet(ROOT / "data" / "choices_truth.parquet")
    values = truth.pivot(index="entity", columns="parameter", values="value")
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained", sharey=True)
    with tempfile.TemporaryDirectory() as folder:
        for axis, name in zip(axes, ("bernoulli", "beta_binomial"), strict=True):
            config = with_overrides(load(ROOT / "configs" / f"{name}.yaml"), {"data.source": None})
            result = Portfolio(config).fit(table, out=Path(folder, name), workers=0)
            bars(axis, result, name, values)
    axes[0].set_xlabel("probability of a reply")
    axes[1].set_xlabel("usual share of buyers")
    axes[0].set_xlim(0, 1)
    axes[1].set_xlim(0, 1)
    found = io.BytesIO()
    figure.savefig(found, format="png", dpi=110)
    picture("choices", found.getvalue())


def bars(axis: Any, result: Result, name: str, truth: pd.DataFrame) -> None:
    """An interval and a ring for every shop."""
    for i, shop in enumerate(truth.index):
        draws = result.entity_table("draws.parquet", shop).to_pandas()
        own = truth.loc[shop]
        if name == "bernoulli":
            share, true = 1 / (1 + np.exp(-draws["theta"])), 1 / (1 + np.exp(-own["theta"]))
        else:
            share, true = (
                draws["alpha"] / (draws["alpha"] + draws["beta"]),
                own["alpha"] / (own["alpha"] + own["beta"]),
            )
        low, middle, high = np.quantile(share, [0.05, 0.5, 0.95])
        axis.plot([low, high], [i, i], color=BAR, linewidth=3, alpha=0.45, solid_capstyle="butt")
        axis.plot(middle, i, "o", color=BAR, markersize=4)
        axis.plot(true, i, "o", markerfacecolor="none", markeredgecolor=RING, markersize=8)
    axis.set_yticks(range(len(truth)), truth.index, fontsize=8)
    axis.invert_yaxis() if name == "bernoulli" else None
    axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
