"""Does a career teach a debut? Hits of the season after the first, forecast with transfer and without.

    python benchmarks/batting.py --data batting_2012_2021.parquet [--years 2014 ... 2020] [--json]

For each year on its own: players who came before it, with their seasons up to and including that year, teach
those whose first season it is; the next season that a debutant played is forecast, given its at-bats.
Nothing from after the year is used. Predictive distributions are exact sums over draws of the posterior, so
no hits are simulated. Coverage of the 90 % interval is that of the randomised probability integral
transform (Czado et al., Biometrics 65:1254, 2009): with few at-bats a closed interval of whole hits holds
more than it says.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import betabinom

from benchmarks.old_rule import old_rule
from posterity import Portfolio, Result
from posterity.config import Config, load, with_overrides

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "batting.yaml"
YEARS = range(2014, 2021)
RULES = ("transfer", "none", "old_rule")
DRAWS = 400
"""Draws of a posterior that a predictive distribution is summed over."""


def main() -> None:
    """Score the years that the arguments name and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the panel of players and seasons")
    parser.add_argument("--years", nargs="+", type=int, default=list(YEARS))
    parser.add_argument("--workers", type=int, help="processes (default: one a core; 0: this one)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    config, players = load(CONFIG), with_kind(pd.read_parquet(args.data))
    tables = []
    for year in args.years:
        tables.append(forecasts(config, players, year, args.workers))
        print(readable(report(tables[-1]), str(year)), file=sys.stderr, flush=True)
    found = report(pd.concat(tables))
    print(readable(found, "all years"), file=sys.stderr)
    if args.json:
        print(json.dumps(found))


def with_kind(players: pd.DataFrame) -> pd.DataFrame:
    """The panel with the entity column `kind`, which the season itself tells."""
    return players.assign(kind=np.where(players["position"] == "P", "pitcher", "hitter"))


def forecasts(config: Config, players: pd.DataFrame, year: int, workers: int | None = None) -> pd.DataFrame:
    """One row a debutant of the year and rule: CRPS, randomised PIT and whether the closed interval held."""
    debuts = players[(players["season"] == year) & (players["first_season"] == year)]
    later = players[(players["season"] > year) & players["player"].isin(debuts["player"])]
    following = later.sort_values("season").groupby("player").first()
    debuts = debuts[debuts["player"].isin(following.index)]
    veterans = players[(players["season"] <= year) & (players["first_season"] < year)]
    assert config.transfer is not None
    seasons = veterans.groupby(["kind", "player"])["season"].transform("size")
    veterans = veterans[seasons >= config.transfer.established.min_rows]
    names = dict(zip(debuts["player"], debuts["kind"] + " / " + debuts["player"], strict=True))
    following = following.rename(index=names)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        both = pd.concat([veterans, debuts])
        transfer = Portfolio(config).fit(both, out=folder / "transfer", workers=workers)
        teachers = transfer.entities.query("role == 'established'")["entity"]
        old = old_rule(transfer, config, list(teachers))
        plain = with_overrides(config, {"transfer": None})
        results = {
            "transfer": transfer,
            "none": Portfolio(plain).fit(debuts, out=folder / "none", workers=workers),
            "old_rule": Portfolio(old).fit(debuts, out=folder / "old", workers=workers),
        }
        scores = [scored(result, following).assign(rule=rule) for rule, result in results.items()]
    return pd.concat(scores).assign(year=year)


def scored(result: Result, following: pd.DataFrame) -> pd.DataFrame:
    """Scores of the following season of every debutant."""
    rng = np.random.default_rng(2021)
    rows = []
    for entity, season in following.iterrows():
        draws = result.entity_table("draws.parquet", str(entity))
        kept = np.linspace(0, draws.num_rows - 1, DRAWS).astype(int)
        skill, log_concentration = (draws[name].to_numpy()[kept] for name in ("skill", "log_concentration"))
        at_bats, hits = int(season["at_bats"]), int(season["hits"])
        cdf = predictive(skill, log_concentration, at_bats)
        below = cdf[hits - 1] if hits else 0.0
        lower, upper = np.searchsorted(cdf, [0.05, 0.95])
        rows.append(
            {
                "entity": entity,
                "at_bats": at_bats,
                "crps": float(((cdf - (np.arange(at_bats + 1) >= hits)) ** 2).sum()),
                "pit": below + rng.uniform() * (cdf[hits] - below),
                "closed": float(lower <= hits <= upper),
            }
        )
    return pd.DataFrame(rows)


def predictive(
    skill: NDArray[np.float64], log_concentration: NDArray[np.float64], at_bats: int
) -> NDArray[np.float64]:
    """Distribution function of hits at 0, ..., at_bats."""
    share, worth = 1 / (1 + np.exp(-skill)), np.exp(log_concentration)
    masses = betabinom.pmf(
        np.arange(at_bats + 1), at_bats, (share * worth)[:, None], ((1 - share) * worth)[:, None]
    )
    return np.asarray(masses.mean(axis=0).cumsum())


def report(table: pd.DataFrame) -> dict[str, Any]:
    """Means over debutants with standard errors, and paired differences to transfer (negative:
    it is better).
    """
    by_rule = {rule: table[table["rule"] == rule].set_index(["entity", "year"]) for rule in RULES}
    scores = {rule: rows["crps"] for rule, rows in by_rule.items()}
    gains = {rule: scores["transfer"] - scores[rule] for rule in RULES[1:]}
    held = {rule: rows["pit"].between(0.05, 0.95).astype(float) for rule, rows in by_rule.items()}
    return {
        "entities": len(scores["transfer"]),
        "crps": {rule: float(x.mean()) for rule, x in scores.items()},
        "crps_se": {rule: standard_error(x) for rule, x in scores.items()},
        "gain": {rule: float(x.mean()) for rule, x in gains.items()},
        "gain_se": {rule: standard_error(x) for rule, x in gains.items()},
        "coverage": {rule: float(x.mean()) for rule, x in held.items()},
        "coverage_se": {rule: standard_error(x) for rule, x in held.items()},
        "coverage_closed": {rule: float(rows["closed"].mean()) for rule, rows in by_rule.items()},
    }


def standard_error(values: "pd.Series[float]") -> float:
    """Of a mean."""
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def readable(found: dict[str, Any], title: str) -> str:
    """A table for people."""
    lines = [f"{title}: {found['entities']} debutants, CRPS of hits in the following season, 90 % intervals"]
    lines.append(f"{'prior':9} {'CRPS':>14} {'transfer is':>14} {'in 90 %':>14} {'closed':>8}")
    for rule in RULES:
        score = f"{found['crps'][rule]:.3f} ± {found['crps_se'][rule]:.3f}"
        gain = "" if rule == "transfer" else f"{found['gain'][rule]:+.3f} ± {found['gain_se'][rule]:.3f}"
        share = f"{100 * found['coverage'][rule]:.1f} ± {100 * found['coverage_se'][rule]:.1f}"
        closed = f"{100 * found['coverage_closed'][rule]:.1f}"
        lines.append(f"{rule:9} {score:>14} {gain:>14} {share:>14} {closed:>8}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
