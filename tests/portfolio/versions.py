"""Three fits of one small portfolio, for what compares versions: an early one, a later one, and a bad one."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from posterity.config.promotion import Promotion
from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.result import Result
from tests.portfolio.small import SMALL, panel

WEEKS = 28
RULES = Promotion(max_flagged=1.0, coverage=0.5)
"""Gates that few draws of a quick fit can pass."""

QUICK = SMALL | {
    "inference": {"method": "laplace", "draws": 50, "chains": 4},
    "gates": {"ess": 40, "khat": 1.0},
}


@dataclass(frozen=True)
class Versions:
    """`rows` is the whole panel, of which `early` knows 12 weeks and the others 20."""

    early: Result
    later: Result
    bad: Result
    rows: pd.DataFrame


def fit_versions(folder: Path) -> Versions:
    """Six entities; the bad fit saw every adoption halved."""
    rows = panel(weeks=WEEKS).to_pandas()

    def fit(weeks: int, factor: float, name: str) -> Result:
        known = rows[rows["week"] <= weeks]
        known = known.assign(adoption=known["adoption"] * factor)
        table = pa.Table.from_pandas(known, preserve_index=False)
        return Portfolio(QUICK).fit(table, out=folder / name, workers=0)

    return Versions(fit(12, 1.0, "early"), fit(20, 1.0, "later"), fit(20, 0.5, "bad"), rows)
