"""The old wrapper's own example: its dictionary, its curve, its rows; and traces made by hand."""

from pathlib import Path
from typing import Any

import arviz_base as az
import numpy as np
import pandas as pd

from posterity.compat import PymcModel

CONFIG: dict[str, Any] = {
    "independent_vars": ["week"],
    "variable_params": {
        "lambda_val": {"params": {"name": "lambda_val", "sigma": 1}, "dist": "HalfNormal"},
        "intercept": {"params": {"name": "intercept", "mu": 0, "sigma": 1}, "dist": "Normal"},
    },
    "sample_params": {"draws": 1000},
}
LINE: dict[str, Any] = {
    "independent_vars": ["week"],
    "variable_params": {
        "level": {"dist": "Normal", "params": {"mu": 0, "sigma": 1}},
        "slope": {"dist": "Normal", "params": {"mu": 0, "sigma": 1}},
    },
}


def curve(week, lambda_val, intercept):
    return 1 - intercept - (1 - intercept) * np.exp(-lambda_val * week)


def line(week, level, slope):
    return level + slope * week


def rows(n: int = 40, seed: int = 1) -> tuple[pd.DataFrame, pd.Series]:
    """n weeks of one product: λ = 0.08, intercept 0.1, noise 0.02."""
    week = np.arange(1, n + 1)
    noise = np.random.default_rng(seed).normal(0, 0.02, n)
    return pd.DataFrame({"week": week}), pd.Series(curve(week, 0.08, 0.1) + noise, name="adoption")


def draws_in(path: Path, **posterior: Any) -> Path:
    """A trace with these draws, (chain, draw) each, as another program may have written it."""
    shape = next(np.shape(v) for v in posterior.values() if np.ndim(v))
    values = {name: np.broadcast_to(v, shape).copy() for name, v in posterior.items()}
    az.from_dict({"posterior": values}).to_netcdf(path, engine="h5netcdf")
    return path


def loaded(path: Path, config: dict[str, Any], function: Any = None, **posterior: Any) -> PymcModel:
    """A model whose posterior is known: these draws, and hardly any noise."""
    model = PymcModel(config, function)
    model.load_trace(draws_in(path / "trace.nc", **({"sigma": 1e-9} | posterior)))
    return model
