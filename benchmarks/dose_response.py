"""A hierarchical four-parameter logistic: in two stages, by joint ADVI, and against joint NUTS.

    python benchmarks/dose_response.py [--groups 3000] [--json] [--skip joint_nuts,joint_advi] [--scaling]

Every fit is `Portfolio(config).fit(path)` in a process of its own with two workers: from the Parquet file
to the published result, imports and compilation included, 1,000 draws a group, 134 rows a group. Peak
memory is the sum of proportional set sizes over the process tree. Agreement is with joint NUTS on at most
300 groups:

- population_mean_sds: the largest shift of a population parameter's posterior mean (means of and sds between
  groups of the unconstrained parameters, the shared log sigma), in sds of the reference (bound: 0.1);
- population_sd_ratio: the ratio of posterior sds that is furthest from 1 (bound: 5 % off);
- entity_share: the share of groups all of whose parameters have posterior means within 0.1 sd (bound: 0.99).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from throughput import watch

from posterity.config import load, with_overrides
from posterity.panel.simulation import dose_response
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.result import Result, open_result

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "dose_response.yaml"
WORKERS = 2
COMPARED = 300
SIZES = (300, 1_000, 3_000, 10_000)
CLOSE = 0.1

TWO_STAGE: Mapping[str, Any] = {"inference.draws": 250, "inference.chains": 4}
PRECISE: Mapping[str, Any] = {"inference.draws": 1_000, "inference.chains": 4, "inference.keep": 1_000}
"""For comparing posterior means to a tenth of an sd, 1,000 draws are too noisy; NUTS has the same."""
JOINT: Mapping[str, Any] = {"inference.pooling": "joint", "inference.centered": True}
ADVI = {**TWO_STAGE, **JOINT, "inference.method": "advi"}
NUTS = {**PRECISE, **JOINT, "inference.method": "nuts"}


def main() -> None:
    """Run what the arguments ask for and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groups", type=int, default=3_000)
    parser.add_argument("--skip", default="", help="joint_nuts, joint_advi or both, separated by commas")
    parser.add_argument("--scaling", action="store_true", help=f"two stages for {SIZES} groups as well")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--fit", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fit:
        fit(*args.fit)
        return
    skip = set(filter(None, args.skip.split(",")))
    if strange := skip - {"joint_nuts", "joint_advi"}:
        parser.error(f"--skip: {', '.join(strange)} is neither joint_nuts nor joint_advi")
    with tempfile.TemporaryDirectory() as folder:
        report = run(args.groups, skip, args.scaling, Path(folder))
    if args.json:
        print(json.dumps(report))


def run(groups: int, skip: set[str], scaling: bool, folder: Path) -> dict[str, Any]:
    """The report: numbers that were skipped are null."""
    two, seconds, peak = measured("two stages", groups, TWO_STAGE, folder)
    report: dict[str, Any] = {"seconds": {"two_stage": seconds, "joint_advi": None}, "peak_gb": peak}
    if "joint_advi" not in skip:
        advi, report["seconds"]["joint_advi"], _ = measured("joint ADVI", groups, ADVI, folder)
        slower = report["seconds"]["joint_advi"] / seconds
        say(f"joint ADVI takes {slower:.1f} times as long; against two stages:")
        compared(population(two), population(advi))
        say(f"  median ratio of the groups' sds {sd_ratio(two, advi):.2f}")
    names = ("population_mean_sds", "population_sd_ratio", "entity_share")
    report["agreement"] = dict.fromkeys(names)
    if "joint_nuts" not in skip:
        report["agreement"] = agreement(min(groups, COMPARED), folder)
    if scaling:
        report["scaling"] = {}
        for size in SIZES:
            _, took, most = measured("two stages", size, TWO_STAGE, folder)
            report["scaling"][str(size)] = {"seconds": took, "peak_gb": most}
    return report


def agreement(groups: int, folder: Path) -> dict[str, float]:
    """How far two stages are from joint NUTS on the same groups."""
    two, _, _ = measured("two stages, precise", groups, PRECISE, folder)
    nuts, _, _ = measured("joint NUTS", groups, NUTS, folder)
    say("two stages against joint NUTS:")
    shift, ratio = compared(population(nuts), population(two))
    share = entity_share(nuts, two)
    say(f"  {share:.1%} of {groups:,} groups have all posterior means within {CLOSE} sd")
    return {"population_mean_sds": shift, "population_sd_ratio": ratio, "entity_share": share}


def measured(
    name: str, groups: int, overrides: Mapping[str, Any], folder: Path
) -> tuple[Result, float, float]:
    """Result, seconds and peak GB of one fit in a fresh process."""
    panel = folder / f"{groups}.parquet"
    if not panel.exists():
        pq.write_table(dose_response(groups)[0], panel, compression="zstd")
    out = folder / f"{name} {groups}".replace(" ", "_").replace(",", "")
    out = out if not out.exists() else Path(tempfile.mkdtemp(dir=folder)) / "result"
    command = [sys.executable, __file__, "--fit", str(panel), str(out), json.dumps(dict(overrides))]
    begin = time.perf_counter()
    with (folder / "log").open("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        peak = watch(process) / 1e9
        seconds = time.perf_counter() - begin
        if process.returncode:
            log.seek(0)
            sys.exit(f"{name} on {groups:,} groups ended with {process.returncode}:\n{log.read()[-3000:]}")
    result = open_result(out)
    statuses = ", ".join(f"{n:,} {status}" for status, n in result.counts.items() if n)
    say(f"{name:20} {groups:6,} groups {seconds:8.1f} s {peak:6.2f} GB   {statuses}")
    return result, seconds, peak


def fit(panel: str, out: str, overrides: str) -> None:
    """What the child process does."""
    config = with_overrides(load(CONFIG), {"data.source": panel, **json.loads(overrides)})
    Portfolio(config).fit(panel, out=out, workers=WORKERS)


def population(result: Result) -> pd.DataFrame:
    """Posterior mean and sd of every population parameter."""
    rows = json.loads(result.text("population.json"))["summary"]
    return pd.DataFrame(rows).set_index(["entry", "quantity"])[["mean", "sd"]]


def compared(reference: pd.DataFrame, other: pd.DataFrame) -> tuple[float, float]:
    """Print a table; the largest shift in sds of the reference, and the ratio of sds furthest from 1."""
    shift = (other["mean"] - reference["mean"]) / reference["sd"]
    ratio = other["sd"] / reference["sd"]
    for key, mean in reference["mean"].items():
        name = " ".join(map(str, key))
        say(
            f"  {name:34} {mean:9.4f} ± {reference['sd'][key]:.4f}  {shift[key]:+6.2f} sd  × {ratio[key]:.3f}"
        )
    return float(shift.abs().max()), float(ratio[(ratio - 1).abs().idxmax()])


def entity_share(reference: Result, other: Result) -> float:
    """Share of groups all of whose posterior means are within `CLOSE` sds of the reference."""
    keys = ["entity", "parameter"]
    one, two = (r.parameters.set_index(keys) for r in (reference, other))
    near = ((two["mean"] - one["mean"]).abs() / one["sd"]) <= CLOSE
    return float(near.groupby("entity").all().mean())


def sd_ratio(reference: Result, other: Result) -> float:
    """Median ratio of the groups' posterior sds."""
    keys = ["entity", "parameter"]
    one, two = (r.parameters.set_index(keys)["sd"] for r in (reference, other))
    return float((two / one).median())


def say(line: str) -> None:
    """Progress for people goes to stderr, the report to stdout."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
