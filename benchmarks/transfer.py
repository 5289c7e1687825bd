"""Do countries that started early help to forecast those that start? CRPS with transfer and without.

    python benchmarks/transfer.py [--data PANEL ...] [--cuts 4 8] [--folds 3] [--json]

Entities with at least 30 weeks take turns: in each of several folds the others, whole, teach those of the
fold, which are cut to their first weeks, so every one is once a learner that taught nobody. Weeks 9 to 20
(counted from 1) are then forecast with the population's prior, with the declared one, and with what the old
wrapper would have made of the same teachers. Scores are means over entities, of each entity's mean over its
weeks; standard errors are over entities.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.old_rule import old_rule
from benchmarks.scores import MASSES, Mean, crps, folds, inside, summary
from posterity import Portfolio, Result
from posterity.config import Config, load, with_overrides

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "late_starters.yaml"
SCORED = range(8, 20)
"""Values of the time column, which counts from 0: weeks 9 to 20."""
FOLDS = 3
FEWEST = 30
RULES = ("transfer", "none", "old_rule")
SEED = 2021


def main() -> None:
    """Score what the arguments ask for and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", type=Path, help="panels with the columns of adoption_countries")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--cuts", nargs="+", type=int, default=[4, 8], help="first weeks that are known")
    parser.add_argument("--folds", type=int, default=FOLDS)
    parser.add_argument("--workers", type=int, help="processes (default: one a core; 0: this one)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    panels = {}
    for path in args.data or [shared_panel()]:
        tables = forecasts(load(args.config), pd.read_parquet(path), args.cuts, args.folds, args.workers)
        panels[path.stem] = {str(cut): report(tables[cut]) for cut in args.cuts}
        print(readable(path.stem, panels[path.stem]), file=sys.stderr, flush=True)
    if args.json:
        print(json.dumps({"panels": panels}))


def shared_panel() -> Path:
    """The countries, where they are: $POSTERITY_VACCINATION, or `shared/data` above the checkout."""
    if named := os.environ.get("POSTERITY_VACCINATION"):
        return Path(named)
    name = Path("shared", "data", "adoption_countries", "adoption_countries.parquet")
    for parent in ROOT.parents:
        if (parent / name).exists():
            return parent / name
    sys.exit("no panel here: name one with --data, or in POSTERITY_VACCINATION (docs/vaccination.md)")


def forecasts(
    config: Config, panel: pd.DataFrame, cuts: Sequence[int], number: int, workers: int | None = None
) -> dict[int, dict[str, pd.DataFrame]]:
    """Scored forecasts of every learner's weeks by cut and rule."""
    time, target = str(config.data.time), config.data.target
    key = config.data.entity[-1]
    weeks = panel.groupby(key)[time].transform("size")
    panel = panel[weeks >= FEWEST]
    found: dict[int, dict[str, list[pd.DataFrame]]] = {cut: {rule: [] for rule in RULES} for cut in cuts}
    for learners in folds(list(panel[key].unique()), number, SEED):
        learns = panel[key].isin(learners)
        starts = {cut: panel[learns & (panel[time] < cut)] for cut in cuts}
        named = [rows.assign(**{key: rows[key] + f" {cut}"}) for cut, rows in starts.items()]
        with tempfile.TemporaryDirectory() as folder:
            results = fitted(config, panel[~learns], pd.concat(named), Path(folder), workers)
            for cut in cuts:
                asked = panel[learns & panel[time].isin(SCORED) & panel[key].isin(set(starts[cut][key]))]
                asked = asked.assign(learner=asked[key], **{key: asked[key] + f" {cut}"})
                for rule, result in results.items():
                    found[cut][rule].append(scored(result, asked, time, target))
    return {
        cut: {rule: pd.concat(tables) for rule, tables in by_rule.items()} for cut, by_rule in found.items()
    }


def fitted(
    config: Config, teachers: pd.DataFrame, learners: pd.DataFrame, folder: Path, workers: int | None
) -> dict[str, Result]:
    """The learners' posteriors by rule."""
    both = pd.concat([teachers, learners])
    transfer = Portfolio(config).fit(both, out=folder / "transfer", workers=workers)
    established = transfer.entities.query("role == 'established'")["entity"]
    old = old_rule(transfer, config, list(established))
    plain = with_overrides(config, {"transfer": None})
    return {
        "transfer": transfer,
        "none": Portfolio(plain).fit(learners, out=folder / "none", workers=workers),
        "old_rule": Portfolio(old).fit(learners, out=folder / "old", workers=workers),
    }


def scored(result: Result, rows: pd.DataFrame, time: str, target: str) -> pd.DataFrame:
    """Forecasts of rows with their scores; learners without a posterior would be missing and stop this."""
    columns = [*result.config.data.entity, time]
    asked = rows[columns].sort_values(columns)
    table = result.predict(asked, interval=(*MASSES, 0.9))
    table = table.merge(rows[[*columns, target, "learner"]], on=columns)
    assert len(table) == len(rows)
    return table.assign(crps=crps(table, target), inside=inside(table, target))[
        ["learner", time, "crps", "inside", "median", "lower_90", "upper_90", target, "status"]
    ]


def report(tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """The JSON of one panel and cut."""
    found = summary(tables, "learner", against="transfer")

    def values(means: dict[str, Mean], what: str) -> dict[str, float]:
        return {rule: getattr(mean, what) for rule, mean in means.items()}

    return {
        "entities": found["crps"]["transfer"].number,
        "crps": values(found["crps"], "value"),
        "crps_se": values(found["crps"], "se"),
        "gain": values(found["gain"], "value"),
        "gain_se": values(found["gain"], "se"),
        "coverage": values(found["coverage"], "value"),
        "coverage_se": values(found["coverage"], "se"),
    }


def readable(panel: str, cuts: dict[str, Any]) -> str:
    """A table for people."""
    lines = [f"{panel}: CRPS of weeks 9 to 20 in points of adoption (1 point = 0.01), 90 % intervals"]
    head = ("weeks known", "entities", "prior", "CRPS", "transfer is", "in 90 %")
    lines.append("{:>11} {:>9} {:9} {:>14} {:>16} {:>8}".format(*head))
    for cut, found in cuts.items():
        for rule in RULES:
            score = f"{100 * found['crps'][rule]:.2f} ± {100 * found['crps_se'][rule]:.2f}"
            gain = ""
            if rule != "transfer":
                gain = f"{100 * found['gain'][rule]:+.2f} ± {100 * found['gain_se'][rule]:.2f}"
            share = f"{100 * found['coverage'][rule]:.1f}"
            lines.append(f"{cut:>11} {found['entities']:>9} {rule:9} {score:>14} {gain:>16} {share:>8}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
