"""The figure of `models/own.md`: `python docs/made/own.py`, from the checkout's root; about a minute."""

import io
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from picture import picture

from posterity import Portfolio

DAYS, AHEAD = 160, 40
CONFIG = {
    "name": "returns",
    "data": {"entity": "share", "time": "day", "target": "y"},
    "model": {
        "parameters": {
            "w": {"dist": "HalfNormal", "kwargs": {"sigma": 0.2}},
            "a": {"dist": "Beta", "kwargs": {"alpha": 2, "beta": 8}},
            "b": {"dist": "Beta", "kwargs": {"alpha": 8, "beta": 4}},
        },
        "build": {"function": "posterity.models.examples:garch", "lookback": "all"},
    },
    "inference": {"method": "laplace", "draws": 250},
}


def main() -> None:
    """Simulate, fit, forecast and draw."""
    rng, h, values = np.random.default_rng(7), 0.5, []
    for _ in range(DAYS):
        values.append(np.sqrt(h) * rng.normal())
        h = 0.05 + 0.25 * values[-1] ** 2 + 0.65 * h
    rows = pd.DataFrame({"share": "a", "day": np.arange(DAYS), "y": values})
    with tempfile.TemporaryDirectory() as folder:
        result = Portfolio(CONFIG).fit(rows, out=Path(folder, "run"), workers=0)
        seen = result.intervals
        later = result.predict(pd.DataFrame({"share": "a", "day": np.arange(DAYS, DAYS + AHEAD)}))
    figure, axes = plt.subplots(figsize=(9, 3.4), layout="constrained")
    axes.fill_between(seen["time"], seen["lower_90"], seen["upper_90"], color="#c9d8ea", linewidth=0)
    axes.fill_between(later["day"], later["lower_90"], later["upper_90"], color="#f3d9c4", linewidth=0)
    axes.plot(rows["day"], rows["y"], ".", color="#1b1b1b", markersize=4)
    axes.axvline(DAYS - 0.5, color="#888888", linewidth=0.8)
    axes.text(DAYS + 0.5, axes.get_ylim()[1] * 0.92, "forecast", fontsize=9, color="#666666")
    axes.set_xlabel("day")
    axes.set_ylabel("return")
    axes.spines[["top", "right"]].set_visible(False)
    held = ((seen["lower_90"] <= seen["observed"]) & (seen["observed"] <= seen["upper_90"])).mean()
    axes.set_title(f"GARCH(1, 1) on simulated returns: {100 * held:.0f} % in 90 %", loc="left", fontsize=11)
    found = io.BytesIO()
    figure.savefig(found, format="png", dpi=110)
    picture("own", found.getvalue())


if __name__ == "__main__":
    main()
