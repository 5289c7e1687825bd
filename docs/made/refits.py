"""Tables and animation of `refits.md`: `python docs/made/refits.py [SEEDS]`, from the checkout's root.

The story of the page is followed once for the picture and the table of months; drift over twenty seeds takes
some minutes. `POSTERITY_DRIFT=steps.parquet` keeps or reuses what was measured there.
"""

import os
import sys
import tempfile
from pathlib import Path

import pandas as pd
from insert import DOCS, rewrite

from benchmarks import drift
from posterity import Portfolio, Result
from posterity.config import load, with_overrides
from posterity.panel.simulation import adoption
from posterity.portfolio.export import export
from posterity.portfolio.scores import score, summary
from posterity.report.animation import animation, write
from posterity.report.frames import versions

PAGE = DOCS / "refits.md"
ENTITY = "P06 / north"
SEEDS = 20


def main() -> None:
    """Measure, draw, and write both into the page."""
    with tempfile.TemporaryDirectory() as scratch:
        result, scores = story(Path(scratch))
        rewrite(PAGE, "months", months(scores))
        write(animation(versions(result), ENTITY), DOCS / "images" / "refits.gif")
    with tempfile.TemporaryDirectory() as scratch:
        seeds = int(sys.argv[1]) if len(sys.argv) > 1 else SEEDS
        rewrite(PAGE, "drift", drifts(measured(seeds, Path(scratch))))


def story(folder: Path) -> tuple[Result, pd.DataFrame]:
    """The page's commands: the last version of the new product, and the scores of its months."""
    panel = adoption(6, 1, drift.WEEKS)[0].to_pandas()
    established, new = panel[panel["product"] <= "P05"], panel[panel["product"] == "P06"]
    config = with_overrides(load(DOCS.parent / "configs" / "adoption.yaml"), {"data.source": None})
    learned = Portfolio(config).fit(established, out=folder / "established", workers=0)
    trained, _ = export(learned, "P03 / north").write(folder / "trained.yaml")
    capped = with_overrides(load(trained), {"transfer.max_prior_rows": drift.MOST_PRIOR_ROWS})
    result = Portfolio(capped).fit(drift.chunk(new, 0), out=folder / "1", workers=0)
    scores = []
    for number in range(1, drift.WEEKS // drift.CHUNK):
        coming = drift.chunk(new, number)
        scores.append(score(result, coming).assign(month=number + 1))
        result = result.refit(coming, mode="carry", out=folder / str(number + 1), workers=0)
        row = result.entity_row(ENTITY)
        scores[-1]["update"] = row["update"]
    return result, pd.concat(scores)


def months(scores: pd.DataFrame) -> str:
    """A row a month: what its forecast was worth, and how it was taken in."""
    table = summary(scores, by=["month"])
    updates = scores.groupby("month")["update"].first()
    widths = (scores["upper_90"] - scores["lower_90"]).groupby(scores["month"]).mean()
    lines = [
        "| month | CRPS | in 50 % | in 90 % | width of 90 % | taken in by |",
        "|--:|--:|--:|--:|--:|:--|",
    ]
    for row in table.itertuples():
        month = int(row.month)
        lines.append(
            f"| {month} | {row.crps:.4f} | {100 * row.coverage_50:.0f} % | {100 * row.coverage_90:.0f} % "
            f"| {widths[month]:.3f} | {updates[month]} |"
        )
    whole = summary(scores).iloc[0]
    lines.append(
        f"| all | {whole['crps']:.4f} | {100 * whole['coverage_50']:.0f} % "
        f"| {100 * whole['coverage_90']:.0f} % | {widths.mean():.3f} | |"
    )
    return "\n".join(lines)


def measured(seeds: int, folder: Path) -> pd.DataFrame:
    """Drift and scores of every seed, chunk and mode."""
    kept = os.environ.get("POSTERITY_DRIFT")
    if kept and Path(kept).exists():
        return pd.read_parquet(kept)
    steps, _ = drift.followed(range(seeds), folder)
    if kept:
        steps.to_parquet(kept)
    return steps


def drifts(steps: pd.DataFrame) -> str:
    """A row a mode: drift after the last chunk over seeds, and scores of all chunks."""
    found = drift.report(steps)
    lines = [
        "| mode | shift, median | largest | sd ratio | exact instead | CRPS | in 50 % | in 90 % |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for mode, row in found.iterrows():
        own = mode != "exact"
        about = (
            f"{row['shift']:.2f} | {row['largest shift']:.2f} | {row['smallest ratio']:.2f} to "
            f"{row['largest ratio']:.2f} | {100 * row['exact instead']:.0f} %"
            if own
            else " | | | "
        )
        lines.append(
            f"| `{mode}` | {about} | {row['crps']:.4f} | {100 * row['inside_50']:.0f} % "
            f"| {100 * row['inside_90']:.0f} % |"
        )
    seeds, chunks = steps["entity"].nunique(), int(steps["chunks"].max())
    lines += ["", f"{seeds} products, {chunks} chunks of {drift.CHUNK} weeks."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
