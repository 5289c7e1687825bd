"""Two linear Gaussian portfolios, the second of which has two of the first one's parameters, with truth."""

from typing import Any

import numpy as np
import pandas as pd

FIRST: dict[str, Any] = {
    "name": "first",
    "assumptions": ["straight lines", "errors of size one"],
    "data": {"entity": "item", "target": "y"},
    "model": {
        "parameters": {name: {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}} for name in ("a", "b")},
        "quantities": {"line": {"expression": "a + b * x"}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "line", "sigma": 1}},
    },
    "actionable": {"quantity": "b", "max_width": 1.2},
}
SECOND: dict[str, Any] = {
    "name": "second",
    "assumptions": "a and b are the same in both",
    "data": {"entity": "item", "target": "v"},
    "model": {
        "parameters": {name: {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 1}} for name in ("c", "b", "a")},
        "quantities": {"plane": {"expression": "a + b * z + c * w"}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "plane", "sigma": 0.5}},
    },
    "transfer": {
        "robust": 0,
        "rules": [{"learn": "*", "from": {"portfolio": "first"}, "match": {"a": "a", "b": "b"}}],
    },
}
X = np.array([1.0, 1.5, 2.0, 2.5, 3.0])
Z, W = np.array([1.0, 1.2, 0.8, 1.4]), np.array([1.0, 1.3, 0.7, 1.2])
"""Columns of the second panel that look alike: what a and b are decides what c is."""


def panels(items: int, seed: int = 7) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Both panels and the truth, drawn from the declared priors: an interval holds it as often as it says."""
    rng = np.random.default_rng(seed)
    names = [f"i{i:03d}" for i in range(items)]
    a, b, c = rng.normal(size=(3, items))
    y = a[:, None] + b[:, None] * X + rng.normal(size=(items, len(X)))
    v = a[:, None] + b[:, None] * Z + c[:, None] * W + 0.5 * rng.normal(size=(items, len(Z)))
    first = pd.DataFrame({"item": np.repeat(names, len(X)), "x": np.tile(X, items), "y": y.ravel()})
    second = pd.DataFrame(
        {"item": np.repeat(names, len(Z)), "z": np.tile(Z, items), "w": np.tile(W, items), "v": v.ravel()}
    )
    return first, second, pd.DataFrame({"a": a, "b": b, "c": c}, index=names)


def updated(mean: Any, covariance: Any, design: Any, target: Any, sigma: float) -> tuple[Any, Any]:
    """Posterior mean and covariance of a linear model with known noise under a Gaussian prior (Bishop, PRML,
    eq. 3.50).
    """
    before = np.linalg.inv(covariance)
    after = np.linalg.inv(before + design.T @ design / sigma**2)
    return after @ (before @ mean + design.T @ target / sigma**2), after


def first_design() -> Any:
    """Rows of the first model: a, b."""
    return np.column_stack([np.ones_like(X), X])


def second_design() -> Any:
    """Rows of the second model: c, b, a."""
    return np.column_stack([W, Z, np.ones_like(Z)])
