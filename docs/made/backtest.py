"""The figure and the numbers of `backtest.md`: `python docs/made/backtest.py`, from the root of the checkout.

The demo's panel, forecast by the model that made it and by a straight line.
"""

from pathlib import Path
from typing import Any

import yaml
from insert import DOCS, rewrite
from picture import picture

import posterity
from posterity.report.backtest import backtest_png
from posterity.tracking.backtest import markdown

ORIGINS = range(8, 45, 4)
HORIZON = 8


def line(config: dict[str, Any]) -> dict[str, Any]:
    """The same portfolio with a straight line for a curve."""
    slope = {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 0.1}}
    level = {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}}
    model = config["model"] | {
        "parameters": {"level": level, "slope": slope},
        "quantities": {"curve": {"expression": "level + slope * week"}},
    }
    return config | {"name": "line", "model": model}


if __name__ == "__main__":
    curve = yaml.safe_load(Path("configs/adoption.yaml").read_text(encoding="utf-8"))
    found = posterity.backtest({"curve": curve, "line": line(curve)}, horizon=HORIZON, origins=list(ORIGINS))
    picture("backtest", backtest_png(found) or b"")
    gain = found.compare("curve", "drift")
    told = (
        f"{markdown(found)}\n\nCurve less drift: {gain.difference:.4f} ± {gain.se:.4f} in CRPS, over "
        f"{gain.entities} entities."
    )
    rewrite(DOCS / "backtest.md", "scores", told)
