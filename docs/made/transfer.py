"""Tables and the figure of `transfer.md`.

    POSTERITY_VACCINATION=... POSTERITY_BATTING=... POSTERITY_CELL_GROWTH=... python docs/made/transfer.py

Each part is made where its panel is named. Countries and players are fitted anew, for half an hour; the cell
growth result is kept in `runs/`.
"""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from insert import DOCS, rewrite

from benchmarks import batting, transfer
from posterity import Portfolio, Result
from posterity.config import load

PAGE = DOCS / "transfer.md"
CONFIGS = DOCS.parent / "configs"
NAMES = {"transfer": "population", "none": "declared", "old_rule": "old rule"}
FLAT = 0.1
"""A sample is flat where its responses at the two highest doses and those below the three highest differ by
less, in medians."""
STEEP = 0.4


def main() -> None:
    """Whatever the environment names a panel for."""
    if path := os.environ.get("POSTERITY_VACCINATION"):
        rewrite(PAGE, "countries", countries(pd.read_parquet(path)))
    if path := os.environ.get("POSTERITY_BATTING"):
        rewrite(PAGE, "batting", debuts(pd.read_parquet(path)))
    if path := os.environ.get("POSTERITY_CELL_GROWTH"):
        rewrite(PAGE, "cells", cells(Path(path)))


def countries(panel: pd.DataFrame) -> str:
    """Scores of late starters by weeks known."""
    tables = transfer.forecasts(load(transfer.CONFIG), panel, (4, 8), transfer.FOLDS)
    reports = {f"{cut} weeks": transfer.report(by_rule) for cut, by_rule in tables.items()}
    number = next(iter(reports.values()))["entities"]
    lines = ["| known | prior | CRPS | transfer is | in 90 % |", "|:--|:--|--:|--:|--:|"]
    lines += [row for known, found in reports.items() for row in scores(known, found, 100, 2)]
    lines += ["", f"{number} countries, {transfer.FOLDS} folds; CRPS in points of adoption (1 point = 0.01)."]
    return "\n".join(lines)


def debuts(panel: pd.DataFrame) -> str:
    """Scores of debutants, all years together and each kind apart."""
    config, players = load(batting.CONFIG), batting.with_kind(panel)
    table = pd.concat([batting.forecasts(config, players, year) for year in batting.YEARS])
    pitcher = table["entity"].str.startswith("pitcher")
    parts = {"all": table, "pitchers": table[pitcher], "hitters": table[~pitcher]}
    lines = ["| debutants | prior | CRPS | transfer is | in 90 % |", "|:--|:--|--:|--:|--:|"]
    for name, part in parts.items():
        found = batting.report(part)
        lines += scores(f"{name} ({found['entities']})", found, 1, 2)
    years = f"{batting.YEARS[0]} to {batting.YEARS[-1]}"
    lines += ["", f"Debuts of {years}; CRPS in hits."]
    return "\n".join(lines)


def scores(label: str, found: Mapping[str, Any], unit: float, digits: int) -> Iterator[str]:
    """One row a prior."""
    for rule, name in NAMES.items():
        crps = f"{unit * found['crps'][rule]:.{digits}f} ± {unit * found['crps_se'][rule]:.{digits}f}"
        gain = "" if rule == "transfer" else f"{pm(found, rule, unit, digits)}"
        share = f"{100 * found['coverage'][rule]:.0f} ± {100 * found['coverage_se'][rule]:.0f} %"
        yield f"| {label} | {name} | {crps} | {gain} | {share} |"


def pm(found: Mapping[str, Any], rule: str, unit: float, digits: int) -> str:
    """The paired difference to transfer, as how much lower its CRPS is."""
    value, se = -unit * found["gain"][rule], unit * found["gain_se"][rule]
    return f"{value:.{digits}f} ± {se:.{digits}f} better"


def cells(path: Path) -> str:
    """What came of flat samples and steep ones."""
    begin = time.perf_counter()
    result = Portfolio(load(CONFIGS / "cell_growth.yaml")).fit(str(path))
    seconds = time.perf_counter() - begin
    table = shrunk(result, pd.read_parquet(path))
    lines = [
        "| samples | number | ok | flagged | sd of log EC50 | that over the population's | change seen |",
        "|:--|--:|--:|--:|--:|--:|--:|",
    ]
    for name, part in table.groupby("shape", sort=False):
        lines.append(
            f"| {name} | {len(part):,} | {(part['status'] == 'ok').sum():,} "
            f"| {(part['status'] == 'flagged').sum():,} | {part['sd'].median():.2f} "
            f"| {part['share'].median():.2f} | {part['change'].median():+.2f} |"
        )
    reasons = result.entities.query("status != 'ok'")["reason"].str.replace(r"[\d.,]+", "…", regex=True)
    counts = ", ".join(f"{reason} ({n})" for reason, n in reasons.value_counts().head(4).items())
    lines += ["", f"Medians of samples. Flagged: {counts}. Reading, fitting and writing: {seconds:,.0f} s."]
    return "\n".join(lines)


def shrunk(result: Result, rows: pd.DataFrame) -> pd.DataFrame:
    """One row a sample: its shape in the data, its posterior sd of the log EC50 and that relative to the sd
    between samples, and the change of its median curve from the lowest dose to the highest one.
    """
    dose = rows.groupby("sample")["conc_uM"].rank(method="dense", ascending=False)
    high = rows[dose <= 2].groupby("sample")["response"].median()
    step = high - rows[dose > 3].groupby("sample")["response"].median()
    shape = np.where(step.abs() < FLAT, "flat", np.where(step.abs() > STEEP, "steep", "between"))
    parameters = result.parameters.query("parameter == 'log_ec50'").set_index("entity")
    population = result.population
    assert population is not None
    between = population.sds[:, [population.entries[i] for i in population.partial].index("log_ec50")].mean()
    curves = result.intervals.sort_values(["entity", "conc_uM"]).groupby("entity")["expected_median"]
    found = pd.DataFrame(
        {
            "shape": pd.Series(shape, step.index),
            "step": step,
            "sd": parameters["sd"],
            "share": parameters["sd"] / between,
            "change": curves.last() - curves.first(),
            "status": result.entities.set_index("entity")["status"],
        }
    )
    found["shape"] = pd.Categorical(found["shape"], ["flat", "between", "steep"], ordered=True)
    return found.sort_values("shape")


if __name__ == "__main__":
    main()
