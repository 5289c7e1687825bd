"""The figure of `live.md`, from the scores that `benchmarks/live.py --scores` wrote.

python docs/made/live.py scores.parquet
"""

import sys
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from insert import DOCS

SHOWN = ("Chile", "Portugal", "Mongolia", "Cuba", "India", "Israel")
BAND, LINE, DOT = "#c9d8ea", "#2b5d97", "#1b1b1b"


def main() -> None:
    """Draw four-weeks-ahead forecasts of some countries beside what came."""
    scores = pd.read_parquet(sys.argv[1]).query("rule == 'ours'")
    figure, axes = plt.subplots(2, 3, figsize=(10.5, 6.2), sharex=True, layout="constrained")
    for axis, entity in zip(axes.flat, SHOWN, strict=True):
        country(axis, scores[scores["entity"] == entity], entity)
    figure.suptitle(
        "First doses, forecast as if live: each fan is what was said one to four weeks ahead",
        x=0.01,
        ha="left",
        fontsize=11,
    )
    figure.autofmt_xdate(rotation=30)
    figure.savefig(DOCS / "images" / "live.png", dpi=110)


def country(axis: Any, scores: pd.DataFrame, entity: str) -> None:
    """The fans of every fourth origin, which do not overlap, and everything observed."""
    seen = scores.drop_duplicates("time").sort_values("time")
    for origin, fan in scores.groupby("origin"):
        if origin % 4 == 3:
            fan = fan.sort_values("time")
            time = fan["time"].to_numpy()
            axis.fill_between(time, 100 * fan["lower_90"], 100 * fan["upper_90"], color=BAND, linewidth=0)
            axis.plot(time, 100 * fan["median"], color=LINE, linewidth=1.4)
    axis.plot(seen["time"], 100 * seen["observed"], ".", color=DOT, markersize=4)
    inside = np.mean(scores["inside_90"])
    axis.set_title(f"{entity}: {100 * inside:.0f} % in 90 %", fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.set_ylabel("% of people", fontsize=8)


if __name__ == "__main__":
    main()
