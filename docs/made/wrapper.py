"""The figure and the numbers of `models/wrapper.md`: `python docs/made/wrapper.py`, from the checkout's root.

One product of the demo in three steps: all of its weeks; and its first 20 weeks handed on as priors for weeks
21 to 24, by what the old wrapper exported and by what is exported now.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from insert import DOCS, rewrite
from picture import picture

from posterity.compat import PymcModel, load_config_from_file
from posterity.report import style

WEEKS = np.arange(1, 53)
KNOWN, CHUNK = 20, 24
WIDTH, HEIGHT = 3.1, 2.35


def old_export(model: PymcModel) -> dict[str, Any]:
    """What the old wrapper wrote for a HalfNormal and a Normal; the scale of the noise was not in it."""
    posterior = model.trace["posterior"]
    mean = {name: float(draws.mean()) for name, draws in posterior.data_vars.items()}
    spread = {"mu": mean["intercept"], "sigma": float(posterior["intercept"].std())}
    return {
        **{key: value for key, value in model.model_config.items() if key != "variable_params"},
        "variable_params": {
            "lambda_val": {"dist": "HalfNormal", "params": {"sigma": mean["lambda_val"]}},
            "intercept": {"dist": "Normal", "params": spread},
        },
    }


def told(model: PymcModel, inside: slice, later: slice, y: np.ndarray) -> dict[str, float]:
    """Posterior of λ, and the forecast's interval of 90 %."""
    draws = model.trace["posterior"]["lambda_val"]
    lower, centre, upper = model.predict(WEEKS[later], alpha=0.9)
    return {
        "mean of λ": float(draws.mean()),
        "sd of λ": float(draws.std()),
        "width": float((upper - lower).mean()),
        "error": float(np.abs(centre - y[later]).mean()),
    }


def panel(
    figure: Any, i: int, title: str, model: PymcModel, y: np.ndarray, taught: slice, own: slice
) -> None:
    """Data and predict(..., alpha=0.9), the rows that the model was fitted to filled."""
    left = 0.55 + i * (WIDTH + 0.45)
    axes = style.place(figure, left, 1.2, WIDTH, HEIGHT)
    style.write(figure, left, 0.94, title, 9.5, fontweight="bold")
    lower, centre, upper = model.predict(WEEKS, alpha=0.9)
    axes.fill_between(WEEKS, lower, upper, color=style.BLUE, alpha=0.22, linewidth=0, zorder=2)
    axes.plot(WEEKS, centre, color=style.BLUE, linewidth=1.8, zorder=4)
    rest = np.ones(len(WEEKS), dtype=bool)
    for part, colour in ((taught, style.ORANGE), (own, style.INK)):
        rest[part] = False
        axes.plot(
            WEEKS[part], y[part], "o", color=colour, markersize=4.2, markeredgecolor="white",
            markeredgewidth=0.5, zorder=5,
        )  # fmt: skip
    axes.plot(WEEKS[rest], y[rest], "o", color="white", markersize=3.6, markeredgecolor=style.MUTED,
              markeredgewidth=0.8, zorder=5)  # fmt: skip
    style.value_axis(axes)
    axes.set_xlim(0, 53)
    axes.set_ylim(-0.1, 1.15)
    axes.set_xticks([1, 13, 26, 39, 52])
    if i:
        axes.set_yticklabels([])


def legend(figure: Any, left: float) -> None:
    """What the dots are, in one line."""
    axes = style.place(figure, left, 3.92, 9.6, 0.25)
    axes.axis("off")
    axes.set_xlim(0, 9.6)
    axes.set_ylim(0, 1)
    edge = {"markersize": 4.5, "markeredgewidth": 0.6}
    for x, face, colour, text in (
        (0.05, style.INK, "white", "rows of the fit"),
        (1.55, style.ORANGE, "white", "rows inside the priors it was given"),
        (4.35, "white", style.MUTED, "rows it never saw"),
    ):
        axes.plot([x], [0.5], "o", color=face, markeredgecolor=colour, **edge)
        style.label(axes, x + 0.12, 0.5, text, 8.5, va="center", transform=axes.transData)


if __name__ == "__main__":
    panel_data = pd.read_parquet("data/adoption.parquet").query("product == 'P06' and region == 'south'")
    x, y = panel_data[["week"]].reset_index(drop=True), panel_data["adoption"].to_numpy()
    config = load_config_from_file("configs/wrapper/adoption.yaml")
    first, chunk, nothing, later = slice(0, KNOWN), slice(KNOWN, CHUNK), slice(0, 0), slice(CHUNK, None)
    whole = PymcModel(config).fit(x, y)
    start = PymcModel(config).fit(x[first], y[first])
    with tempfile.TemporaryDirectory() as folder:
        start.export_trained_config(Path(folder) / "trained.yaml")
        now = PymcModel(load_config_from_file(Path(folder) / "trained.yaml")).fit(x[chunk], y[chunk])
    before = PymcModel(old_export(start)).fit(x[chunk], y[chunk])
    exact = PymcModel(config).fit(x[:CHUNK], y[:CHUNK])

    figure = style.canvas(0.55 + 3 * (WIDTH + 0.45), 4.3)
    style.write(figure, 0.3, 0.2, "One product of the demo, through PymcModel", 13, fontweight="bold")
    style.write(
        figure,
        0.3,
        0.5,
        "share that has adopted, by week; predict(X, alpha=0.9): median and bounds",
        9,
        style.MUTED,
    )
    panel(figure, 0, "fitted to all 52 weeks", whole, y, nothing, slice(0, 52))
    panel(figure, 1, "old export of 20 weeks, then 4 more", before, y, first, chunk)
    panel(figure, 2, "export of 20 weeks, then 4 more", now, y, first, chunk)
    legend(figure, 0.55)
    picture("wrapper", style.png(figure))

    rows = {"old export": before, "export": now, "weeks 1 to 24 at once": exact}
    lines = ["| priors from | λ | 90 % interval, weeks 25 to 52 | error there |", "| :-- | --: | --: | --: |"]
    for name, model in rows.items():
        found = told(model, chunk, later, y)
        lines.append(
            f"| {name} | {found['mean of λ']:.4f} ± {found['sd of λ']:.4f} | {found['width']:.3f} wide | "
            f"{found['error']:.3f} |"
        )
    rewrite(DOCS / "models" / "wrapper.md", "numbers", "\n".join(lines))
