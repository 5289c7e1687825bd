"""The figure of `models/svi.md`: `python docs/made/svi.py`, from the checkout's root; about a minute."""

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
SHOP = "W01"
FIELD, NUTS, CURVE = "#2b5d97", "#c0562f", "#2b5d97"
NAMES = {
    "intercept": "intercept",
    "price_effect": "price",
    "deal_effect": "deal",
    "seen_effect": "visits before",
}


def main() -> None:
    """Fit one shop by mean-field and by NUTS, print what they say, and draw."""
    rows = pd.read_parquet(ROOT / "data" / "visits.parquet")
    config = with_overrides(load(ROOT / "configs" / "svi.yaml"), {"data.source": None})
    with tempfile.TemporaryDirectory() as folder:
        field = Portfolio(config).fit(rows, out=Path(folder, "advi"), workers=0)
        exact = with_overrides(config, {"inference.method": "nuts", "inference.minibatch": None})
        sampled = Portfolio(exact).fit(rows, out=Path(folder, "nuts"), workers=0, entities=(SHOP,))
        print(field.entities[["entity", "status", "khat", "reason", "seconds"]].to_string())
        print(pd.concat({"advi": marginals(field), "nuts": marginals(sampled)}, axis=1).to_string())
        draw(field, sampled)


def marginals(result: Result) -> pd.DataFrame:
    """Means and sds of the shop's parameters."""
    table = result.parameters
    return table[table["entity"] == SHOP].set_index("parameter")[["mean", "sd"]]


def draw(field: Result, sampled: Result) -> None:
    """The bound on the left, marginals on the right."""
    figure, axes = plt.subplots(
        1, 5, figsize=(10, 3.1), layout="constrained", gridspec_kw={"width_ratios": [2.2, 1, 1, 1, 1]}
    )
    assert field.elbo is not None
    curve = field.elbo[field.elbo["entity"] == SHOP]
    axes[0].plot(curve["step"], curve["elbo"], color=CURVE, linewidth=1)
    last = curve["elbo"].iloc[-20:].mean()
    spread = curve["elbo"].iloc[20:].std()
    axes[0].set_ylim(last - 12 * spread, last + 6 * spread)
    axes[0].set_title(
        f"ELBO of {SHOP}, means of {int(curve['step'].diff().median())} steps", fontsize=9, loc="left"
    )
    axes[0].set_xlabel("step", fontsize=9)
    for axis, (name, words) in zip(axes[1:], NAMES.items(), strict=True):
        for result, color, label in ((sampled, NUTS, "NUTS"), (field, FIELD, "mean-field")):
            marginal(axis, result, name, color, label)
        axis.set_title(words, fontsize=9, loc="left")
        axis.set_yticks([])
        axis.spines["left"].set_visible(False)
        axis.locator_params(axis="x", nbins=3)
    axes[1].legend(fontsize=8, frameon=False, loc="upper left", handlelength=1.2, borderpad=0)
    for axis in axes[1:]:
        axis.set_ylim(0, axis.get_ylim()[1] * (1.3 if axis is axes[1] else 1.0))
    for axis in axes:
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    found = io.BytesIO()
    figure.savefig(found, format="png", dpi=110)
    picture("svi", found.getvalue())


def marginal(axis: Any, result: Result, name: str, color: str, label: str) -> None:
    """A density of the draws."""
    values = result.entity_table("draws.parquet", SHOP)[name].to_numpy()
    heights, edges = np.histogram(values, bins=40, density=True)
    centres = (edges[1:] + edges[:-1]) / 2
    axis.fill_between(centres, heights, color=color, alpha=0.25, linewidth=0)
    axis.plot(centres, heights, color=color, linewidth=1.2, label=label)


if __name__ == "__main__":
    main()
