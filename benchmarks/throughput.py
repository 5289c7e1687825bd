"""How fast a portfolio is fitted: against a warm `pm.sample` loop, and as a whole flow.

    python benchmarks/throughput.py [--entities 200] [--peers 200] [--flow 1000] [--json]

Peers and ours fit the same entities (52 rows, three parameters) in one run on the same cores, both warm: the
peer is a loop over `pm.set_data` and `pm.sample` with every core (PyMC picks nutpie where it is installed, as
here), ours the compiled model in one process a core. Times are of posterior draws, ours with diagnostics;
summaries and files, which the peer has none of, are left out. The flow is `flows/train.py` in a process of
its own, everything included.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import loky
import numpy as np
import psutil
import pyarrow.parquet as pq

from posterity.config import Config, load, with_overrides
from posterity.inference.compiled import compiled, inputs_of
from posterity.inference.fit import STARTS, TUNE, Seeds, fit
from posterity.inference.posterior import Posterior
from posterity.models import Description
from posterity.models.arrays import arrays
from posterity.panel.simulation import adoption
from posterity.portfolio.plan import Plan, Work
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.runners import cores, one_thread

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "adoption.yaml"


@dataclass(frozen=True)
class Batch:
    """Some entities of a plan, for one worker."""

    description: Description
    config: Config
    work: tuple[Work, ...]

    @classmethod
    def of(cls, plan: Plan, work: tuple[Work, ...]) -> "Batch":
        """A batch of a plan, without the panel."""
        return cls(plan.description, plan.config, work)


def main() -> None:
    """Run what the arguments ask for and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entities", type=int, default=200, help="entities that ours fits")
    parser.add_argument(
        "--peers", type=int, default=200, help="entities that the pm.sample loop fits (0: none)"
    )
    parser.add_argument("--flow", type=int, default=1_000, help="entities of the whole flow (0: none)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    report: dict[str, Any] = {"cores": cores(), "entities": args.entities, "peers": args.peers}
    report["seconds"], report["ratios"] = {}, {}
    table, _ = adoption(products=math.ceil(args.entities / 5), regions=5)
    plans = {
        m: Portfolio(with_overrides(load(CONFIG), {"inference.method": m})).plan(table)
        for m in ("nuts", "auto")
    }
    ours = {method: measure(plan, args.entities) for method, plan in plans.items()}
    for method, (seconds, ess) in ours.items():
        report["seconds"][f"{method}_entity"] = seconds / args.entities
        report[f"smallest_ess_{method}"] = ess
        say(f"{method:5} {1e3 * seconds / args.entities:8.2f} ms an entity, smallest ESS {ess:,.0f}")
    if args.peers:
        seconds = peer(plans["nuts"], args.peers)
        report["seconds"]["pm_sample_entity"] = seconds / args.peers
        say(f"pm.sample {1e3 * seconds / args.peers:6.0f} ms an entity")
        for method, (own, _) in ours.items():
            ratio = (seconds / args.peers) / (own / args.entities)
            report["ratios"][method] = ratio
            say(f"{method:5} is {ratio:,.0f} times as fast as a warm pm.sample loop")
    if args.flow:
        flow = whole_flow(args.flow)
        report["seconds"][f"flow_{args.flow}"] = flow["wall"]
        report["seconds"]["flow_parts"] = flow["parts"]
        report["peak_gb"] = flow["peak_gb"]
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in flow["parts"].items())
        say(f"flow of {args.flow:,} entities: {flow['wall']:.1f} s ({parts}), peak {flow['peak_gb']:.2f} GB")
    if args.json:
        print(json.dumps(report))


def measure(plan: Plan, entities: int) -> tuple[float, float]:
    """Seconds that warm workers take for the entities, and the smallest ESS among them."""
    work = tuple(plan.work())[:entities]
    size = math.ceil(len(work) / (4 * cores()))
    batches = [Batch.of(plan, work[i : i + size]) for i in range(0, len(work), size)]
    pool = loky.ProcessPoolExecutor(max_workers=cores())
    try:
        # Enough warming batches at once that every worker gets one and compiles.
        warm = [pool.submit(one_thread, warm_up, Batch.of(plan, work[:2])) for _ in range(2 * cores())]
        [future.result() for future in warm]
        begin = time.perf_counter()
        smallest = list(pool.map(fit_batch, batches))
        return time.perf_counter() - begin, min(smallest)
    finally:
        pool.shutdown(kill_workers=True)


def warm_up(batch: Batch) -> None:
    """Compile, and stay long enough that no other warming call comes to the same worker."""
    fit_batch(batch)
    time.sleep(2)


def fit_batch(batch: Batch) -> float:
    """Posterior draws and diagnostics of a batch; the smallest ESS of any parameter."""
    description, config = batch.description, batch.config
    model, ess = compiled(description), []
    for work in batch.work:
        inputs = inputs_of(model, {**arrays(description, work.rows), **description.numbers})
        starts = model.starts(inputs, config.inference.seed, STARTS)
        seeds = Seeds.of(config.inference.seed, work.digest)
        outcome = fit(model, inputs, starts, seeds, config.inference, config.gates)
        assert isinstance(outcome, Posterior)
        ess.append(min(outcome.diagnostics.ess_bulk.min(), outcome.diagnostics.ess_tail.min()))
    return float(min(ess))


def peer(plan: Plan, entities: int) -> float:
    """Seconds of a warm loop of `pm.set_data` and `pm.sample` with the same draws, tuning and chains."""
    import pymc as pm

    inference = plan.config.inference
    options: dict[str, Any] = {
        "draws": inference.draws,
        "tune": TUNE,
        "chains": inference.chains,
        "cores": cores(),
        "progressbar": False,
        "compute_convergence_checks": False,
    }

    def sample_all(works: Sequence[Work]) -> None:
        for work in works:
            with model:
                pm.set_data({"week": work.rows.columns["week"], "adoption": work.rows.target})
                pm.sample(random_seed=1, **options)

    with pm.Model() as model:
        week, adoption_ = pm.Data("week", np.arange(1.0, 53)), pm.Data("adoption", np.zeros(52))
        rate, intercept = pm.HalfNormal("lambda_val", 1), pm.Normal("intercept", 0, 1)
        curve = 1 - intercept - (1 - intercept) * pm.math.exp(-rate * week)
        pm.Normal("observed", curve, pm.HalfNormal("sigma", 1), observed=adoption_)
    works = tuple(plan.work())[:entities]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sample_all(works[:2])
        return clocked(lambda: sample_all(works))


def clocked(action: Callable[[], None]) -> float:
    """Seconds that an action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def whole_flow(entities: int) -> dict[str, Any]:
    """Wall time, its parts and the peak memory (proportional set size of the process tree) of the train
    flow.
    """
    with tempfile.TemporaryDirectory() as folder:
        panel = Path(folder) / "panel.parquet"
        table, _ = adoption(products=math.ceil(entities / 5), regions=5)
        pq.write_table(table, panel)
        environment = os.environ | {
            "PREFECT_HOME": f"{folder}/prefect",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
            "MPLBACKEND": "Agg",
        }
        command = [
            sys.executable,
            str(ROOT / "flows" / "train.py"),
            str(CONFIG),
            "--data",
            str(panel),
            "--json",
        ]
        begin = time.perf_counter()
        with (Path(folder) / "log").open("w+") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log
            )
            peak = watch(process)
            wall = time.perf_counter() - begin
            assert process.stdout is not None
            lines = process.stdout.read().decode().strip().splitlines()
            if process.returncode:
                log.seek(0)
                sys.exit(f"the flow failed with status {process.returncode}:\n{log.read()[-3000:]}")
        return {"wall": wall, "parts": json.loads(lines[-1])["seconds"], "peak_gb": peak / 1e9}


def watch(process: "subprocess.Popen[bytes]") -> int:
    """The largest sum of proportional set sizes over the process and its descendants until it ends, in
    bytes.
    """
    peak = 0
    root = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        for member in (root, *descendants(root)):
            try:
                total += member.memory_full_info().pss
            except psutil.Error:
                continue
        peak = max(peak, total)
        time.sleep(0.5)
    return peak


def descendants(root: psutil.Process) -> list[psutil.Process]:
    """Living descendants; none where the root is gone."""
    try:
        return root.children(recursive=True)
    except psutil.Error:
        return []


def say(line: str) -> None:
    """Progress for people, apart from the JSON."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
