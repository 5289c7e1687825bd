"""Are the forecasts honest? A panel replayed as if live, refitted every week, scored on the next four.

    python -m benchmarks.live --data adoption_countries.parquet [--config configs/rollout.yaml] [--json]

At the first origin everything known by then is fitted; at each later one the rows that have arrived since are
taken in by `Result.refit`. Rows of the next steps are forecast from what was known at the origin and scored
against what came. A step is the panel's own spacing, a week in both panels; inputs such as prices are taken
as known. The baselines are those of `posterity.backtest`: the last value (`naive`) and the last value with
the changes that used to follow (`drift`), with the spread of past changes. Scores are means over entities of
each entity's mean; every rule is scored on the same rows.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from posterity import Portfolio, Result
from posterity.config import Config, load
from posterity.portfolio.backtest.design import Design, design
from posterity.portfolio.backtest.rivals import scored_rivals
from posterity.portfolio.scores import compare, score, summary

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "rollout.yaml"
OURS = "ours"
KEYS = ["origin", "horizon", "entity", "time"]


def main() -> None:
    """Replay the panel that the arguments name and print its scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the panel")
    parser.add_argument("--config", type=Path, default=CONFIG, help="its configuration")
    parser.add_argument("--weeks", type=int, default=20, help="how many origins")
    parser.add_argument("--horizon", type=int, default=4, help="steps ahead")
    parser.add_argument(
        "--mode", choices=("exact", "carry", "reweight"), default="exact", help="of the refits"
    )
    parser.add_argument("--part", default="1/1", help="which entities: 2/3 takes the second of every three")
    parser.add_argument("--workers", type=int, help="processes (default: one a core; 0: this one)")
    parser.add_argument("--scores", type=Path, help="write every score to this Parquet file")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    config = load(args.config)
    panel = part_of(pd.read_parquet(args.data), config, args.part)
    plan = design(config, panel, horizon=args.horizon, origins=args.weeks)
    with tempfile.TemporaryDirectory() as scratch:
        versions = replayed(config, plan, Path(scratch), args.mode, args.workers)
        ours, lost = live(plan, versions)
    scores = side_by_side(ours, baselines(plan))
    if args.scores:
        scores.to_parquet(args.scores)
    found = report(scores, lost)
    print(readable(found), file=sys.stderr)
    if args.json:
        print(json.dumps(found))


def part_of(panel: pd.DataFrame, config: Config, part: str) -> pd.DataFrame:
    """The rows of every n-th entity, for `k/n`, counted along the sorted names from the k-th on."""
    first, every = map(int, part.split("/"))
    names = panel[list(config.data.entity)].astype(str).agg(" / ".join, axis=1)
    chosen = sorted(names.unique())[first - 1 :: every]
    return panel[names.isin(chosen)]


def replayed(
    config: Config, plan: Design, folder: Path, mode: str, workers: int | None
) -> Iterator[tuple[int, Result]]:
    """The result as it was at every origin, by the origin's number."""
    timeline, result, known = plan.lead, None, np.zeros(0, dtype=bool)
    rows = timeline.panel.table.to_pandas()
    for number, origin in enumerate(plan.origins):
        inside = timeline.times <= origin
        out = folder / str(number)
        if result is None:
            result = Portfolio(config).fit(rows[inside], out=out, workers=workers)
        else:
            result = result.refit(rows[inside & ~known], out=out, mode=mode, workers=workers)
        known = inside
        print(f"origin {origin}: {result.counts}", file=sys.stderr, flush=True)
        yield number, result


def live(plan: Design, versions: Iterator[tuple[int, Result]]) -> tuple[pd.DataFrame, list[str]]:
    """Scores of all forecasts, one row each, and entities known at an origin that had no posterior then."""
    timeline, tables, lost = plan.lead, [], set()
    rows = timeline.panel.table.to_pandas()
    names = np.repeat(np.array(timeline.panel.entities, dtype=object), timeline.panel.counts)
    for number, result in versions:
        origin = plan.origins[number]
        ahead = plan.steps.ahead(origin, timeline.times)
        future = (ahead >= 1) & (ahead <= plan.horizon) & np.isfinite(timeline.target)
        there = set(names[timeline.times <= origin])
        fitted = set(result.entities.query("status != 'failed'")["entity"])
        lost |= there - fitted
        scored = score(result, rows[future & np.isin(names, list(fitted))], intervals=plan.intervals)
        place = pd.DataFrame(
            {"entity": names[future], "time": timeline.times[future], "horizon": ahead[future]}
        )
        tables.append(scored.merge(place, on=["entity", "time"], validate="1:1").assign(origin=number))
    return pd.concat(tables, ignore_index=True), sorted(lost)


def baselines(plan: Design) -> dict[str, pd.DataFrame]:
    """Scores of the baselines by name, with the same keys."""
    timeline = plan.lead
    names = np.repeat(np.array(timeline.panel.entities, dtype=object), timeline.panel.counts)
    found = {}
    for rule, table in scored_rivals(plan).items():
        place, origin = table["place"].to_numpy(), table["origin"].to_numpy()
        ahead = np.stack([plan.steps.ahead(o, timeline.times) for o in plan.origins])
        keys = {"entity": names[place], "time": timeline.times[place], "horizon": ahead[origin, place]}
        found[rule] = table.drop(columns="place").assign(**keys, observed=timeline.target[place])
    return found


def side_by_side(ours: pd.DataFrame, rivals: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """All scores in one table, a column `rule` before them, of the rows that every rule has forecast."""
    rules = {OURS: ours, **rivals}
    common = ours[KEYS]
    for table in rivals.values():
        common = common.merge(table[KEYS], on=KEYS)
    return pd.concat([table.merge(common, on=KEYS).assign(rule=rule) for rule, table in rules.items()])


def report(scores: pd.DataFrame, lost: Sequence[str]) -> dict[str, Any]:
    """Coverage by horizon, CRPS in all and by horizon, and how much better ours is than each baseline."""
    by_rule = {str(rule): table for rule, table in scores.groupby("rule", sort=False)}
    ours = by_rule[OURS]
    near = summary(ours, by=["horizon"]).set_index("horizon")
    whole = {rule: summary(table).iloc[0] for rule, table in by_rule.items()}
    steps = {rule: summary(t, by=["horizon"]).set_index("horizon") for rule, t in by_rule.items()}
    pairs = {rule: compare(ours, table) for rule, table in by_rule.items() if rule != OURS}
    return {
        "entities": int(ours["entity"].nunique()),
        "rows": len(ours),
        "origins": int(ours["origin"].nunique()),
        "lost": list(lost),
        "coverage": {
            "90": {str(h): float(x) for h, x in near["coverage_90"].items()},
            "90_se": {str(h): float(x) for h, x in near["coverage_90_se"].items()},
            "90_of_rows": {str(h): float(t["inside_90"].mean()) for h, t in ours.groupby("horizon")},
        },
        "crps": {rule: float(x["crps"]) for rule, x in whole.items()},
        "crps_se": {rule: float(x["crps_se"]) for rule, x in whole.items()},
        "crps_by_horizon": {
            rule: {str(h): float(x) for h, x in table["crps"].items()} for rule, table in steps.items()
        },
        "gain": {rule: pair.difference for rule, pair in pairs.items()},
        "gain_se": {rule: pair.se for rule, pair in pairs.items()},
    }


def readable(found: dict[str, Any]) -> str:
    """A table for people."""
    counts = f"{found['entities']} entities, {found['origins']} origins, {found['rows']:,} forecasts"
    lines = [f"{counts}; lost: {', '.join(found['lost']) or 'none'}"]
    horizons = list(found["coverage"]["90"])
    lines.append(f"{'steps ahead':14}" + "".join(f"{h:>16}" for h in horizons) + f"{'all':>22}")
    shares = [(found["coverage"]["90"][h], found["coverage"]["90_se"][h]) for h in horizons]
    lines.append(f"{'in 90 %':14}" + "".join(f"{f'{100 * x:.1f} ± {100 * se:.1f}':>16}" for x, se in shares))
    rows = (found["coverage"]["90_of_rows"][h] for h in horizons)
    lines.append(f"{'of all rows':14}" + "".join(f"{100 * x:>16.1f}" for x in rows))
    for rule, mean in found["crps"].items():
        near = "".join(f"{found['crps_by_horizon'][rule][h]:>16.5g}" for h in horizons)
        lines.append(f"{'CRPS ' + rule:14}{near}{f'{mean:.5g} ± {found["crps_se"][rule]:.2g}':>22}")
    gains = (f"{rule}: {found['gain'][rule]:+.4g} ± {found['gain_se'][rule]:.2g}" for rule in found["gain"])
    lines.append(f"ours less {'; less '.join(gains)}")
    return "\n".join(lines)


if __name__ == "__main__":
    # The shipped configurations name their panel by a variable; the panel is given here.
    for name in ("POSTERITY_VACCINATION", "POSTERITY_ORANGE_JUICE"):
        os.environ.setdefault(name, "given by --data")
    main()
