"""The figure of `models/dose_response.md`: `python docs/made/dose_response.py`, from the checkout's root."""

import io
import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from insert import DOCS
from picture import picture

from posterity import Portfolio
from posterity.config import load, with_overrides

ROOT = DOCS.parent
FEW = ("G0001", "G0002", "G0003", "G0004")
KEPT = 5
"""Doses that those few groups have left, of 24."""
ALONE, POOLED, DOT = "#b8b8b8", "#2b5d97", "#1b1b1b"


def main() -> None:
    """Fit with and without partial pooling and draw four groups of five doses."""
    table = pd.read_parquet(ROOT / "data" / "dose_response.parquet")
    short = table["group"].isin(FEW)
    place = table.groupby("group").cumcount()
    known = table[~short | (place % 5 == 2)]
    pooled = with_overrides(load(ROOT / "configs" / "dose_response.yaml"), {"data.source": None})
    alone = with_overrides(pooled, {"transfer": None})
    grid = pd.DataFrame({"group": np.repeat(FEW, 60), "log_dose": np.tile(np.linspace(-9, -4, 60), len(FEW))})
    with tempfile.TemporaryDirectory() as folder:
        both = [
            Portfolio(config).fit(known, out=Path(folder, name), workers=0).predict(grid)
            for config, name in ((alone, "alone"), (pooled, "pooled"))
        ]
    figure, axes = plt.subplots(1, len(FEW), figsize=(10.5, 2.9), layout="constrained", sharey=True)
    for axis, group in zip(axes, FEW, strict=True):
        for found, colour, label in zip(both, (ALONE, POOLED), ("on its own", "two-stage"), strict=True):
            band(axis, found[found["group"] == group], colour, label)
        own = table[table["group"] == group]
        inside = own.index.isin(known.index)
        axis.plot(
            own["log_dose"][~inside], own["response"][~inside], "o", color=DOT, markersize=3, fillstyle="none"
        )
        axis.plot(own["log_dose"][inside], own["response"][inside], "o", color=DOT, markersize=4)
        axis.set_title(group, fontsize=10, loc="left")
        axis.set_ylim(-0.5, 1.6)
        axis.set_xlabel("log10 dose", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=8)
    axes[0].legend(fontsize=8, frameon=False, loc="upper left")
    found = io.BytesIO()
    figure.savefig(found, format="png", dpi=110)
    picture("dose_response", found.getvalue())


def band(axis: Any, found: pd.DataFrame, colour: str, label: str) -> None:
    """Expected curve with its 90 % interval."""
    x = found["log_dose"].to_numpy()
    axis.fill_between(
        x,
        found["expected_lower_90"],
        found["expected_upper_90"],
        color=colour,
        alpha=0.35,
        linewidth=0,
        label=label,
    )
    axis.plot(x, found["expected_median"], color=colour, linewidth=1.5)


if __name__ == "__main__":
    main()
