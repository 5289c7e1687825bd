"""The figure and the figures of `models/abstain.md`: `python docs/made/abstain.py`, from the checkout's root;
some minutes.
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
from posterity.config import load, with_overrides
from posterity.portfolio.classes import trade_off
from posterity.portfolio.scores import score, summary

ROOT = DOCS.parent
COLORS = {"digits": "#7a9cc6", "digits_network": "#c0562f"}
WORDS = {"digits": "softmax", "digits_network": "network"}
BELOW = 0.9


def main() -> None:
    """Fit both classifiers, print what they are worth, and draw."""
    held_out = pd.read_parquet(ROOT / "data" / "digits_held_out.parquet")
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    with tempfile.TemporaryDirectory() as folder:
        for name in COLORS:
            config = with_overrides(load(ROOT / "configs" / f"{name}.yaml"), {"data.source": None})
            train = pd.read_parquet(ROOT / "data" / "digits.parquet")
            result = Portfolio(config).fit(train, out=Path(folder, name), workers=0)
            print(name, result.entities[["status", "khat", "reason", "seconds"]].to_string())
            scored = score(result, held_out)
            print(summary(scored)[["accuracy", "answered", "accuracy_answered"]].to_string())
            curve(axes[0], name, scored)
            for kind, rows in strangers(held_out).items():
                found = result.predict(rows)
                print(kind, "abstained", found["abstained"].mean(), "median p", found["probability"].median())
            if name == "digits_network":
                sureness(axes[1], result, held_out, scored)
    finish(axes)
    found_png = io.BytesIO()
    figure.savefig(found_png, format="png", dpi=110)
    picture("abstain", found_png.getvalue())


def strangers(held_out: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Pictures of no digit: pixels of any grey, and those of digits in any order."""
    rng = np.random.default_rng(0)
    pixels = [column for column in held_out if column.startswith("pixel_")]
    noise, shuffled = held_out.copy(), held_out.copy()
    noise[pixels] = rng.random((len(held_out), len(pixels)))
    shuffled[pixels] = rng.permuted(held_out[pixels].to_numpy(), axis=1)
    return {"noise": noise, "shuffled": shuffled}


def curve(axis: Any, name: str, scored: pd.DataFrame) -> None:
    """Accuracy against the share answered, the threshold marked."""
    found = trade_off(scored["correct"].to_numpy() > 0, scored["probability"].to_numpy())
    shown = found.answered > 0.05
    axis.plot(
        found.answered[shown], found.accuracy[shown], color=COLORS[name], linewidth=2, label=WORDS[name]
    )
    at = np.flatnonzero(found.threshold >= BELOW)[-1]
    axis.plot(found.answered[at], found.accuracy[at], "o", color=COLORS[name], markersize=7)


def sureness(axis: Any, result: Result, held_out: pd.DataFrame, scored: pd.DataFrame) -> None:
    """How probable the most probable class is, of digits and of noise."""
    bins = np.linspace(0, 1, 41)
    noise = result.predict(strangers(held_out)["noise"])["probability"]
    for values, color, label in (
        (scored["probability"], COLORS["digits_network"], "held-out digits"),
        (noise, "#888888", "random pixels"),
    ):
        axis.hist(values, bins=bins, color=color, alpha=0.55, label=label)
    axis.axvline(BELOW, color="#1b1b1b", linewidth=1)


def finish(axes: Any) -> None:
    """Titles, legends and spines."""
    axes[0].set_title("right among the answered (dots: below 0.9 no answer)", fontsize=10, loc="left")
    axes[0].set_xlabel("share answered, the surest first")
    axes[0].legend(frameon=False, fontsize=9, loc="lower left")
    axes[0].set_xlim(0, 1.01)
    axes[1].set_title("the network: probability of its answer", fontsize=10, loc="left")
    axes[1].set_xlabel("probability of the most probable class")
    axes[1].set_ylabel("pictures")
    axes[1].legend(frameon=False, fontsize=9, loc="upper center")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
