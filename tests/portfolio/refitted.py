"""A small portfolio in four versions: a fit of 12 weeks, 4 more exactly, and 8 carried and audited."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from posterity.portfolio.portfolio import Portfolio
from posterity.portfolio.refit import carried, updates
from posterity.portfolio.refit.run import Refitted, refit
from posterity.portfolio.result import Result
from tests.portfolio.small import SMALL, panel

CONFIG: dict[str, Any] = SMALL | {"refit": {"every": 4, "audit": 1}}


@dataclass(frozen=True)
class Chain:
    """`second` is version 2 and `last` version 4, whose delivery of two chunks is `done`; P01 / south has no
    rows after week 16.
    """

    first: Result
    second: Result
    last: Result
    done: Refitted
    rows: pd.DataFrame


def weeks(rows: pd.DataFrame, after: int, until: int) -> pa.Table:
    """The rows of some weeks as a delivery."""
    chosen = rows[(rows["week"] > after) & (rows["week"] <= until)]
    return pa.Table.from_pandas(chosen, preserve_index=False)


def carry_everything(patch: pytest.MonkeyPatch) -> None:
    """Posteriors are carried whatever their shape: those of small tests are young."""
    patch.setattr(updates, "BULK", 0)
    for name in ("SKEWED", "PEAKED", "FAR"):
        patch.setattr(carried, name, np.inf)


def fit_chain(folder: Path) -> Chain:
    """Fit and refit in `folder`, each version in a folder of its own."""
    rows = panel(products=2, weeks=24).to_pandas()
    rows = rows[(rows["product"] != "P01") | (rows["region"] != "south") | (rows["week"] <= 16)]
    first = Portfolio(CONFIG).fit(weeks(rows, 0, 12), out=folder / "first", workers=0)
    second = first.refit(weeks(rows, 0, 16), out=folder / "second", workers=0)
    with pytest.MonkeyPatch.context() as patch:
        carry_everything(patch)
        done = refit(second, weeks(rows, 16, 24), out=folder / "last", mode="carry", workers=0)
    return Chain(first, second, done.result, done, rows)
