"""Two panels of the same compounds with known truth: the second curve has parameters of the first."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

UNSEEN = 2
"""The last compounds, which nobody has put through the first assay."""

FEW = 6
"""Wells of every third compound in the first assay."""


def potency(compounds: int = 40, wells: int = 24, seed: int = 2026) -> tuple[pa.Table, pa.Table]:
    """Binding of compounds, one row a well, and the truth behind it.

    The response at log₁₀ dose x is bottom + (top - bottom) / (1 + 10^(-slope * (x - log_ec50))) plus normal
    noise of standard deviation 0.08. A compound has `wells` doses, evenly from -9 to -4, every third one
    `FEW` of them; the last `UNSEEN` compounds are not in the panel.

    The first table has the columns compound (text), log_dose and response (float64); the second entity,
    compound, parameter (bottom, top, log_ec50, slope, sigma) and value.
    """
    shared, rng = _shared(compounds, seed), np.random.default_rng([seed, 1])
    size = compounds - UNSEEN
    bottom, top, sigma = rng.normal(0, 0.05, compounds), rng.normal(1, 0.1, compounds), 0.08
    names, doses, responses = [], [], []
    for i, name in enumerate(_names(compounds)[:size]):
        x = np.round(np.linspace(-9, -4, FEW if i % 3 == 2 else wells), 6)
        curve = bottom[i] + (top - bottom)[i] * _bound(x, shared["log_ec50"][i], shared["slope"][i])
        names += [name] * len(x)
        doses.append(x)
        responses.append(np.round(curve + rng.normal(0, sigma, len(x)), 6))
    panel = {"compound": names, "log_dose": np.concatenate(doses), "response": np.concatenate(responses)}
    truth = {"bottom": bottom, "top": top, **shared, "sigma": np.full(compounds, sigma)}
    return pa.table(panel), _truth(_names(compounds)[:size], truth)


def toxicity(compounds: int = 40, wells: int = 8, seed: int = 2026) -> tuple[pa.Table, pa.Table]:
    """Cells that survive the same compounds, one row a well, and the truth behind it.

    Of `control` cells on average a share of efficacy / (1 + 10^(-slope * (x - log_ec50))) is lost at log₁₀
    concentration x, with the log_ec50 and slope of the first assay; the count is Poisson. The concentrations
    run from -8 to -6, below most compounds' EC50: alone they hardly tell a potent compound from an
    efficacious one.

    The first table has the columns compound (text), log_conc (float64) and cells (int64); the second entity,
    compound, parameter (log_ec50, slope, control, efficacy) and value.
    """
    shared, rng = _shared(compounds, seed), np.random.default_rng([seed, 2])
    control, efficacy = np.exp(rng.normal(np.log(300), 0.3, compounds)), rng.beta(6, 3, compounds)
    x = np.round(np.linspace(-8, -6, wells), 6)
    bound = _bound(x, shared["log_ec50"][:, None], shared["slope"][:, None])
    cells = rng.poisson(control[:, None] * (1 - efficacy[:, None] * bound))
    names = _names(compounds)
    panel = {
        "compound": np.repeat(names, wells).tolist(),
        "log_conc": np.tile(x, compounds),
        "cells": cells.ravel().astype(np.int64),
    }
    return pa.table(panel), _truth(names, {**shared, "control": control, "efficacy": efficacy})


def _shared(compounds: int, seed: int) -> dict[str, Floats]:
    """What both assays have in common."""
    rng = np.random.default_rng([seed, 0])
    return {"log_ec50": rng.normal(-6.4, 0.5, compounds), "slope": np.exp(rng.normal(0, 0.25, compounds))}


def _bound(x: Floats, log_ec50: Floats, slope: Floats) -> Floats:
    """Share of the target that is bound (Hill)."""
    bound: Floats = 1 / (1 + np.exp(-np.log(10) * slope * (x - log_ec50)))
    return bound


def _names(compounds: int) -> list[str]:
    return [f"C{i:0{max(2, len(str(compounds)))}d}" for i in range(1, compounds + 1)]


def _truth(names: list[str], parameters: Mapping[str, Floats]) -> pa.Table:
    owners = np.repeat(names, len(parameters)).tolist()
    values = np.column_stack([value[: len(names)] for value in parameters.values()])
    kinds = list(parameters) * len(names)
    return pa.table({"entity": owners, "compound": owners, "parameter": kinds, "value": values.ravel()})
