"""The demo's model with few draws, for portfolios that tests fit whole: one structure, compiled once a
process.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from posterity.panel.simulation import adoption
from posterity.portfolio.portfolio import Portfolio

SMALL: dict[str, Any] = {
    "name": "small",
    "data": {"entity": ["product", "region"], "time": "week", "target": "adoption"},
    "model": {
        "parameters": {
            "lambda_val": {"dist": "HalfNormal", "kwargs": {"sigma": 1}},
            "intercept": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}},
        },
        "quantities": {"curve": {"function": "negative_exponential"}},
        "likelihood": {
            "dist": "Normal",
            "kwargs": {"mu": "curve", "sigma": {"dist": "HalfNormal", "kwargs": {"sigma": 1}}},
        },
    },
    "inference": {"method": "laplace", "draws": 250, "chains": 4},
    "gates": {"ess": 200},
}
"""Laplace, 1,000 draws an entity."""


def panel(products: int = 3, regions: int = 2, weeks: int = 20, seed: int = 5) -> pa.Table:
    return adoption(products, regions, weeks, seed)[0]


def changed(panel: pa.Table, entity: tuple[str, str], column: str, values: Any) -> pa.Table:
    """The panel with the first values of an entity's column replaced."""
    frame = panel.to_pandas()
    rows = frame.index[(frame["product"] == entity[0]) & (frame["region"] == entity[1])][: len(values)]
    frame.loc[rows, column] = values
    return pa.Table.from_pandas(frame, preserve_index=False)


def fitted_draws(
    config: Mapping[str, Any], table: pa.Table, out: Path, *, workers: int = 0, **options: Any
) -> dict[str, np.ndarray]:
    """Stored draws by entity, (draws, parameters)."""
    result = Portfolio(config).fit(table, out=out, workers=workers, **options)
    names = ["lambda_val", "intercept", "sigma"]
    return {entity: group[names].to_numpy() for entity, group in result.draws.groupby("entity")}
