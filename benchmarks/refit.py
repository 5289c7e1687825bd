"""What taking in a chunk costs: many entities, one chunk of four weeks, by mode and length of history.

    python benchmarks/refit.py [--entities 1000] [--portfolio 10000] [--workers N] [--json]

Portfolios of `posterity simulate adoption` with 13 and with 130 chunks of history are fitted once; then every
mode takes in one chunk, several times into folders of their own, in one process with the same workers. The
first call warms what is compiled; the quickest of the others counts. Times are of the whole call: reading,
comparing, updating, writing the result. `growth` is the time with 130 chunks over that with 13. `--portfolio`
adds a portfolio of which 50 entities have new rows, against one of 50 that all have.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from posterity import Portfolio, Result
from posterity.config import Config, load, with_overrides
from posterity.panel.simulation import REGIONS, adoption
from posterity.portfolio.refit.run import refit
from posterity.portfolio.runners import Runner, cores, runner_for

CONFIG = Path(__file__).parents[1] / "configs" / "adoption.yaml"
WEEKS = 4
SHORT, LONG = 13, 130
MODES = ("exact", "carry", "reweight")
CHANGED = 50
CALLS = 3
"""Of which the first warms."""


def main() -> None:
    """Measure what the arguments ask for and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entities", type=int, default=1_000)
    parser.add_argument("--portfolio", type=int, default=0, help="entities of which 50 change (0: none)")
    parser.add_argument("--workers", type=int, help="processes (default: one a core; 0: this one)")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    workers = cores() if args.workers is None else args.workers
    hands = runner_for(workers)
    found: dict[str, Any] = {"entities": args.entities, "workers": workers}
    try:
        with tempfile.TemporaryDirectory() as scratch:
            found |= modes(args.entities, Path(scratch), hands, workers)
        if args.portfolio:
            with tempfile.TemporaryDirectory() as scratch:
                found["portfolio"] = part(args.portfolio, Path(scratch), hands, workers)
    finally:
        hands.close()
    if args.json:
        print(json.dumps(found))


def modes(entities: int, folder: Path, hands: Runner, workers: int) -> dict[str, Any]:
    """Seconds of one chunk by mode, with a short and with a long history, and how they grow."""
    seconds: dict[int, dict[str, float]] = {}
    for chunks in (SHORT, LONG):
        base, coming = history(entities, chunks, folder / str(chunks), workers)
        seconds[chunks] = {}
        for mode in MODES:
            took = measured(base, coming, mode, folder / f"{chunks}-{mode}", hands, workers)
            seconds[chunks][mode] = took
            say(f"{entities:,} entities, {chunks:3} chunks of history, {mode:8} {took:8.2f} s")
    growth = {mode: seconds[LONG][mode] / seconds[SHORT][mode] for mode in MODES}
    say("growth: " + ", ".join(f"{mode} {ratio:.2f}" for mode, ratio in growth.items()))
    return {"seconds": seconds[SHORT], "seconds_long": seconds[LONG], "growth": growth}


def part(entities: int, folder: Path, hands: Runner, workers: int) -> dict[str, Any]:
    """Seconds of one chunk for 50 entities of a large portfolio, and for 50 of 50, by mode."""
    found: dict[str, Any] = {}
    bases = {n: history(n, SHORT, folder / f"base{n}", workers) for n in (CHANGED, entities)}
    names = set(bases[CHANGED][1]["product"])
    for mode in MODES:
        took = {
            n: measured(
                base, coming[coming["product"].isin(names)], mode, folder / f"{mode}{n}", hands, workers
            )
            for n, (base, coming) in bases.items()
        }
        ratio = took[entities] / took[CHANGED]
        found[mode] = {"alone": took[CHANGED], "among": took[entities], "ratio": ratio}
        say(
            f"{CHANGED} of {entities:,} entities, {mode:8} {took[entities]:.2f} s; "
            f"{CHANGED} of {CHANGED} {took[CHANGED]:.2f} s: {ratio:.2f} times"
        )
    return found


def history(entities: int, chunks: int, folder: Path, workers: int) -> tuple[Result, pd.DataFrame]:
    """A portfolio fitted on so many chunks, and the chunk that comes next. Names of the first entities are
    the same in every size.
    """
    last = chunks * WEEKS
    products = -(-entities // len(REGIONS))
    table = adoption(products, len(REGIONS), last + WEEKS)[0].to_pandas()
    number = table["product"].str.removeprefix("P").astype(int)
    table["product"] = "P" + number.astype(str).str.zfill(6)
    known, coming = table[table["week"] <= last], table[table["week"] > last]
    return Portfolio(config()).fit(known, out=folder, workers=workers), coming


def config() -> Config:
    """The demo's, with as many draws stored as a large portfolio stores."""
    return with_overrides(load(CONFIG), {"inference.keep": 1_000, "data.source": None})


def measured(base: Result, rows: pd.DataFrame, mode: str, folder: Path, hands: Runner, workers: int) -> float:
    """Seconds of the quickest call after a first one."""
    seconds = []
    for call in range(CALLS):
        begin = time.perf_counter()
        done = refit(base, rows, mode=mode, out=folder / str(call), workers=workers, runner=hands)
        seconds.append(time.perf_counter() - begin)
    updates = done.result.entities["update"].value_counts().to_dict()
    status = dict(done.result.counts)
    say(f"  {mode}: {updates}, {status}")
    return min(seconds[1:])


def say(line: str) -> None:
    """Progress for people, apart from the JSON."""
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
