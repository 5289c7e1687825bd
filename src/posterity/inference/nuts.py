"""NUTS through nutpie: compiled once per structure, data and prior numbers swapped in, no xarray on the
way.
"""

from typing import Any

import numpy as np
import nutpie
import pyarrow as pa
from arviz_stats.base import array_stats

from posterity.inference.compiled import CompiledModel, Inputs
from posterity.inference.posterior import Diagnostics, Failure, Floats, Posterior
from posterity.inference.target import Target


def fit(
    model: CompiledModel,
    inputs: Inputs,
    starts: Floats,
    seed: np.random.SeedSequence,
    *,
    draws: int,
    chains: int,
    tune: int,
    target_accept: float,
    thin: int = 1,
) -> Posterior | Failure:
    """Draws from one entity's posterior by the No-U-Turn sampler (Hoffman & Gelman, JMLR 15, 2014).

    Chains begin around `starts` (K, D) in turn, so that where several modes compete R-hat sees them. With
    `thin` the sampler runs that many times longer and every `thin`-th draw is kept.
    """
    data = dict(zip(model.input_names, inputs, strict=True))
    loaded = model.sampler.with_data(**{name: data[name] for name in model.sampler_inputs})
    size: Any = {"draws": draws, "chains": chains, "tune": tune, "target_accept": target_accept}
    return sample(loaded, model, inputs, starts, seed, thin=thin, **size)


def sample(
    loaded: Any,
    target: Target,
    inputs: Any,
    starts: Floats,
    seed: np.random.SeedSequence,
    *,
    draws: int,
    chains: int,
    tune: int,
    target_accept: float,
    thin: int = 1,
) -> Posterior | Failure:
    """The same for any density that nutpie has `loaded` as one over a vector `theta`."""
    turns = min(len(starts), chains)
    parts = []
    for turn, child in enumerate(seed.spawn(turns)):
        try:
            trace = nutpie.sample(
                loaded,
                draws=thin * draws,
                tune=tune,
                chains=len(range(turn, chains, turns)),
                cores=1,
                seed=int(child.generate_state(1)[0]),
                init_mean=starts[turn],
                target_accept=target_accept,
                save_warmup=False,
                progress_bar=False,
                return_raw_trace=True,
            )
        except RuntimeError as error:
            return Failure(f"NUTS could not run: {error}", "nuts")
        parts.append(_arrays(trace, thin * draws, thin))
    unconstrained = np.concatenate([part[0] for part in parts])
    divergences, energy = sum(part[1] for part in parts), np.concatenate([part[2] for part in parts])
    if not np.isfinite(unconstrained).all():
        return Failure("NUTS left the region where the density is finite", "nuts")
    flat = unconstrained.reshape(chains * draws, -1)
    parameters = target.parameters(flat, inputs).reshape(chains, draws, -1)
    return Posterior("nuts", unconstrained, parameters, diagnose(parameters, divergences, energy))


def diagnose(parameters: Floats, divergences: int, energy: Floats) -> Diagnostics:
    """R-hat, bulk and tail ESS (Vehtari et al., Bayesian Analysis 16:667, 2021) of draws (C, S, P); BFMI
    of energies.
    """
    by_parameter = np.moveaxis(parameters, -1, 0)
    return Diagnostics(
        ess_bulk=np.array([array_stats.ess(p, method="bulk") for p in by_parameter], dtype=float),
        ess_tail=np.array(
            [array_stats.ess(p, method="tail", prob=(0.05, 0.95)) for p in by_parameter], dtype=float
        ),
        rhat=np.array([array_stats.rhat(p) for p in by_parameter], dtype=float),
        divergences=divergences,
        bfmi=float(np.min(array_stats.bfmi(energy))),
    )


def _arrays(trace: Any, draws: int, thin: int) -> tuple[Floats, int, Floats]:
    """θ (C, S, D), the number of divergent draws and energies (C, S) from nutpie's Arrow trace, without
    tuning.
    """
    batches, statistics = trace.get_arrow_trace()
    thetas, energies, divergences = [], [], 0
    for batch, stats in zip(batches, statistics, strict=True):
        tuned = batch.num_rows - draws
        keep = slice(tuned, None, thin)
        thetas.append(_column(batch, "theta").reshape(batch.num_rows, -1)[keep])
        energies.append(_column(stats, "energy")[keep])
        divergences += int(np.sum(_column(stats, "diverging")[tuned:]))
    return np.stack(thetas), divergences, np.stack(energies)


def _column(batch: Any, name: str) -> Any:
    column = pa.array(batch.column(name))
    while hasattr(column, "flatten") and pa.types.is_nested(column.type):
        column = column.flatten()
    return column.to_numpy(zero_copy_only=False)
