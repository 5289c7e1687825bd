"""The figure of `models/chain.md`: `python docs/made/chain.py`, from the checkout's root."""

import io
import os
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

DATA, CONFIGS = DOCS.parent / "data", DOCS.parent / "configs"
SHOWN = {"C13": "C13, 24 wells before", "C18": "C18, 6 wells before", "C40": "C40, none before"}
ALONE, CHAINED, DOT, RING, GREY = "#a9a9a9", "#2b5d97", "#1b1b1b", "#c0562f", "#5c6570"


def main() -> None:
    """Fit the chain, and the second curve without it, and draw three compounds and what is decided."""
    results = fitted()
    truth = pd.read_parquet(DATA / "toxicity_truth.parquet")
    figure = plt.figure(figsize=(10.5, 5.4), layout="constrained")
    grid = figure.add_gridspec(2, 4, width_ratios=[1, 1, 1, 1.25])
    for column, (compound, title) in enumerate(SHOWN.items()):
        above, below = figure.add_subplot(grid[0, column]), figure.add_subplot(grid[1, column])
        first(above, results["potency"], compound, title)
        second(below, results, compound)
        if column == 0:
            above.set_ylabel("first curve: binding", fontsize=9)
            below.set_ylabel("second curve: cells", fontsize=9)
            below.legend(fontsize=8, frameon=False, loc="lower left")
    efficacies(figure.add_subplot(grid[:, 3]), results, truth)
    found = io.BytesIO()
    figure.savefig(found, format="png", dpi=110)
    picture("chain", found.getvalue())


def fitted() -> dict[str, Result]:
    """Results by name; a portfolio finds the other by its name, under `runs/` of where it is fitted."""
    home, found = Path.cwd(), {}
    os.chdir(tempfile.mkdtemp())
    for name in ("potency", "toxicity", "alone"):
        config = load(CONFIGS / f"{'toxicity' if name == 'alone' else name}.yaml")
        source = str(DATA / f"{'potency' if name == 'potency' else 'toxicity'}.parquet")
        more = {"transfer": None, "name": name} if name == "alone" else {}
        result = Portfolio(with_overrides(config, {"data.source": source, **more})).fit(workers=0)
        found[name] = Result(result.path.resolve(), result.manifest)
    os.chdir(home)
    return found


def first(axis: Any, result: Result, compound: str, title: str) -> None:
    """The first curve with its rows."""
    tidy(axis)
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_xlim(-9.2, -3.8)
    axis.set_ylim(-0.35, 1.45)
    axis.tick_params(labelbottom=True)
    axis.set_xlabel("log10 dose", fontsize=8)
    if compound not in set(result.entities["entity"]):
        axis.text(0.5, 0.5, "not measured", transform=axis.transAxes, ha="center", color=GREY, fontsize=9)
        return
    x = np.linspace(-9, -4, 80)
    curve = result.predict(pd.DataFrame({"compound": compound, "log_dose": x}))
    band(axis, x, curve, CHAINED, "")
    rows = result.intervals[result.intervals["entity"] == compound]
    axis.plot(rows["log_dose"], rows["observed"], "o", color=DOT, markersize=3.5)


def second(axis: Any, results: dict[str, Result], compound: str) -> None:
    """The second curve with its rows, alone and given the first."""
    tidy(axis)
    x = np.linspace(-8.4, -4, 80)
    grid = pd.DataFrame({"compound": compound, "log_conc": x})
    for name, colour, label in (("alone", ALONE, "alone"), ("toxicity", CHAINED, "given the first")):
        band(axis, x, results[name].predict(grid), colour, label)
    rows = results["toxicity"].intervals
    rows = rows[rows["entity"] == compound]
    axis.plot(rows["log_conc"], rows["observed"], "o", color=DOT, markersize=3.5)
    axis.set_ylim(0, None)
    axis.set_xlabel("log10 concentration", fontsize=8)


def efficacies(axis: Any, results: dict[str, Result], truth: pd.DataFrame) -> None:
    """Intervals of all compounds' efficacy, decided ones darker, with the truth."""
    true = truth[truth["parameter"] == "efficacy"].set_index("entity")["value"]
    tables = {
        name: r.parameters.query("parameter == 'efficacy'").set_index("entity") for name, r in results.items()
    }
    marks = results["toxicity"].entities.set_index("entity")["actionable"]
    width = results["toxicity"].entities.set_index("entity")["actionable_width"]
    order = list(width.sort_values().index)
    for place, compound in enumerate(order):
        wide, own = tables["alone"].loc[compound], tables["toxicity"].loc[compound]
        decided = marks[compound] == "decided"
        axis.plot([wide["lower_90"], wide["upper_90"]], [place] * 2, color="#dddddd", linewidth=4.5)
        colour = CHAINED if decided else "#9db8d6"
        axis.plot([own["lower_90"], own["upper_90"]], [place] * 2, color=colour, linewidth=2.6)
        axis.plot(true[compound], place, "o", markerfacecolor="white", markeredgecolor=RING, markersize=4)
    edge = int((marks == "decided").sum()) - 0.5
    axis.axhline(edge, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    axis.text(0.01, edge - 0.2, "decided", fontsize=8, va="bottom", color=GREY)
    axis.text(0.01, edge + 0.2, "needs data", fontsize=8, va="top", color=GREY)
    axis.set_xlim(0, 1)
    axis.set_ylim(len(order) - 0.3, -0.7)
    axis.set_yticks(range(len(order)), order, fontsize=6)
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", labelsize=8)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.set_xlabel("efficacy: share of cells lost", fontsize=8)
    axis.set_title("90 %: alone (grey), chained", fontsize=10, loc="left")


def band(axis: Any, x: Any, found: pd.DataFrame, colour: str, label: str) -> None:
    """Expected curve with its 90 % interval."""
    lower, upper = found["expected_lower_90"], found["expected_upper_90"]
    axis.fill_between(x, lower, upper, color=colour, alpha=0.35, linewidth=0, label=label or None)
    axis.plot(x, found["expected_median"], color=colour, linewidth=1.5)


def tidy(axis: Any) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)


if __name__ == "__main__":
    main()
