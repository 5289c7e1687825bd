"""How far refits come from the exact posterior: a new product from an exported one, 13 chunks of four weeks.

    python benchmarks/drift.py [--seeds 20] [--json]

In every seed five established products are learned and one of them is exported; a sixth starts from its
prior and is refitted chunk by chunk, three times side by side: exact, carried and reweighted, without audits.
Drift is the largest shift of a mean, in exact posterior sds, and the worst ratio of sds, on the unconstrained
scale.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from posterity import Portfolio, Result
from posterity.config import Config, from_dict
from posterity.panel.simulation import adoption
from posterity.portfolio.export import export
from posterity.portfolio.refit.drift import drift
from posterity.portfolio.refit.run import refit
from posterity.portfolio.scores import score

WEEKS, CHUNK = 52, 4
MODES = ("exact", "carry", "reweight")
EXPORTED, STARTED = "P03", "P06"
MOST_PRIOR_ROWS = 1
"""One product's posterior is far narrower than products differ: it may count for no more rows than this."""
MODEL: dict[str, Any] = {
    "parameters": {
        "lambda_val": {"dist": "HalfNormal", "kwargs": {"sigma": 1}},
        "intercept": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}},
    },
    "quantities": {"curve": {"function": "negative_exponential"}},
    "likelihood": {
        "dist": "Normal",
        "kwargs": {"mu": "curve", "sigma": {"dist": "HalfNormal", "kwargs": {"sigma": 1}}},
    },
}


def main() -> None:
    """Follow as many seeds as the arguments ask for and print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="how many new products")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        steps, _ = followed(range(args.seeds), Path(folder))
    print(readable(report(steps)), file=sys.stderr)
    if args.json:
        print(report(steps).T.to_json())


def panel(seeds: Sequence[int]) -> pd.DataFrame:
    """Six products a seed, each of 52 weeks: the simulated adoption curves of `posterity simulate`."""
    tables = [adoption(6, 1, WEEKS, 1_000 + s)[0].to_pandas().assign(seed=f"S{s:02}") for s in seeds]
    return pd.concat(tables, ignore_index=True).drop(columns="region")


def configuration(**sections: Any) -> Config:
    """The seed curve; `sections` replace or add sections."""
    data = {"entity": ["seed", "product"], "time": "week", "target": "adoption"}
    refits = {"every": CHUNK, "audit": None}
    return from_dict({"name": "shelf", "data": data, "model": MODEL, "refit": refits} | sections)


def followed(seeds: Sequence[int], folder: Path, **sections: Any) -> tuple[pd.DataFrame, dict[str, Result]]:
    """One row a seed, chunk and mode: drift, how the posterior came about, and scores of the chunk forecast
    before it was taken in; and the last results by mode.
    """
    table = panel(seeds)
    rules, config = [], configuration(**sections)
    learned = Portfolio(config).fit(table[table["product"] < STARTED], out=folder / "learned", workers=0)
    for name in table["seed"].unique():
        _, prior = export(learned, f"{name} / {EXPORTED}").write(folder / f"{name}.yaml")
        rules.append({"learn": f"{name} / *", "from": {"file": str(prior)}})
    transfer = {"rules": rules, "robust": 0.1, "max_prior_rows": MOST_PRIOR_ROWS}
    rows = table[table["product"] == STARTED]
    config = configuration(**{"transfer": transfer, **sections})
    first = Portfolio(config).fit(chunk(rows, 0), out=folder / "first", workers=0)
    results, found = dict.fromkeys(MODES, first), []
    for number in range(1, WEEKS // CHUNK):
        coming = chunk(rows, number)
        scores = {mode: score(result, coming) for mode, result in results.items()}
        for mode, result in results.items():
            out = folder / f"{mode}-{number + 1}"
            results[mode] = refit(result, coming, mode=mode, out=out, workers=0).result
        found += list(_rows(results, scores, number + 1))
    return pd.DataFrame(found), results


def chunk(rows: pd.DataFrame, number: int) -> pd.DataFrame:
    """The rows of a chunk, from 0."""
    return rows[(rows["week"] - 1) // CHUNK == number]


def moments(result: Result, entity: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (D,) and covariance (D, D) of a posterior on the unconstrained scale."""
    row = result.entity_table("factors.parquet", entity).to_pylist()[0]
    mean = np.array(row["mean"])
    return mean, np.array(row["covariance"]).reshape(len(mean), len(mean))


def _rows(
    results: dict[str, Result], scores: dict[str, pd.DataFrame], chunks: int
) -> Iterator[dict[str, Any]]:
    for mode, result in results.items():
        about = result.entities.set_index("entity")
        for entity, scored in scores[mode].groupby("entity"):
            exact, own = (moments(r, str(entity)) for r in (results["exact"], result))
            apart = drift(own, exact)
            yield {
                "entity": entity, "mode": mode, "chunks": chunks,
                "update": about.loc[entity, "update"], "status": about.loc[entity, "status"],
                "shift": apart.shift, "ratio": apart.ratio ** (1 if apart.wider else -1),
                "crps": scored["crps"].mean(), "inside_50": scored["inside_50"].mean(),
                "inside_90": scored["inside_90"].mean(),
            }  # fmt: skip


def report(steps: pd.DataFrame) -> pd.DataFrame:
    """A row a mode: shifts and sd ratios after the last chunk, over seeds, and scores over all chunks."""
    last = steps[steps["chunks"] == steps["chunks"].max()]
    found = {}
    for mode in MODES:
        end, every = last[last["mode"] == mode], steps[steps["mode"] == mode]
        found[mode] = {
            "shift": end["shift"].median(),
            "largest shift": end["shift"].max(),
            "smallest ratio": end["ratio"].min(),
            "largest ratio": end["ratio"].max(),
            "largest shift at any chunk": every["shift"].max(),
            "exact instead": (every["update"] == "exact").mean() if mode != "exact" else np.nan,
            "crps": every["crps"].mean(),
            "inside_50": every["inside_50"].mean(),
            "inside_90": every["inside_90"].mean(),
        }
    return pd.DataFrame(found).T


def readable(found: pd.DataFrame) -> str:
    """A table for people."""
    return str(found.round(4).to_string())


if __name__ == "__main__":
    main()
