"""The posterior of a log-concave density in closed form: Laplace with its certificate, then NUTS.

The ladder is that of `inference.fit`, on a density that NumPy evaluates. Adaptive importance sampling is left
out, as it suits few dimensions and NUTS costs no compilation here; NUTS runs on the scale on which the
posterior's Gaussian at the mode is a standard one, so that its steps are long.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nutpie.compiled_pyfunc import from_pyfunc
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from posterity.config.schema import Gates, Inference
from posterity.estimators.softmax import Softmax
from posterity.inference import laplace, nuts
from posterity.inference.fit import CAREFUL_ACCEPT, CAREFUL_THIN, CAREFUL_TUNE, TUNE, Seeds
from posterity.inference.gates import khat_bound, open_gates
from posterity.inference.mode import Mode, modes
from posterity.inference.posterior import Diagnostics, Failure, Posterior

type Floats = NDArray[np.float64]

METHODS = ("auto", "laplace", "nuts")
MOST_WORK = 200_000
"""Rows × columns × classes beyond which `auto` leaves NUTS out. 35,000 take some 20 s; on digits, 1.2 million
and 585 unknowns, a quarter of an hour did not suffice."""

PLAIN = (
    "the draws are those of the Gaussian at the mode: its means may be right, its spreads are not certified"
)


def fit(target: Softmax, seeds: Seeds, inference: Inference, gates: Gates) -> Posterior | Failure:
    """Draws by the configured method, one of `METHODS`; `auto` takes the first whose gates are all closed."""
    # L-BFGS needs no Hessian, whose eigenvalues a Newton step asks for; a few of those end the search.
    begin = minimize(_descent, target.centre, (target,), "L-BFGS-B", jac=True, options={"maxiter": 500}).x
    found = modes(target, (), begin[None])
    if not found or not found[0].converged:
        return Failure(
            "no mode was found: are the features or the priors out of any range?", inference.method
        )
    rungs: dict[str, tuple[str, ...]] = {"laplace": ("laplace",), "nuts": ("nuts",)}
    work = target.design.size * target.classes
    every = ("laplace", "nuts", "careful") if work <= MOST_WORK else ("laplace",)
    tried: list[str] = []
    last: Posterior | Failure = Failure("nothing was tried")
    for rung in rungs.get(inference.method, every):
        if rung == "laplace":
            outcome = _laplace(target, found[0], seeds, inference, gates)
        else:
            outcome = _nuts(target, found[0], seeds, inference, careful=rung == "careful")
        reasons = (outcome.reason,) if isinstance(outcome, Failure) else open_gates(outcome, gates)
        if isinstance(outcome, Posterior) or isinstance(last, Failure):
            last = outcome
        if not reasons:
            break
        tried.append(f"{outcome.method}: {'; '.join(reasons)}")
    return replace(last, tried=tuple(tried))


def _descent(theta: Floats, target: Softmax) -> tuple[float, Floats]:
    value, gradient = target.slope(theta)
    return -value, -gradient


def _laplace(
    target: Softmax, mode: Mode, seeds: Seeds, inference: Inference, gates: Gates
) -> Posterior | Failure:
    """By importance sampling around the mode. Where k̂ refuses that, which it does in many dimensions however
    good the Gaussian is, a resample would be a few draws over and over: the Gaussian's own draws, flagged.
    """
    rng = np.random.default_rng(seeds.laplace)
    draws, chains = inference.draws, inference.chains
    found = laplace.fit(target, (), (mode,), rng, draws=draws, chains=chains)
    if isinstance(found, Posterior) and found.diagnostics.khat <= khat_bound(draws * chains, gates.khat):
        return found
    thetas = Whitened.around(target, mode).thetas(rng.standard_normal((draws * chains, target.dimension)))
    parameters = target.parameters(thetas)
    size, width = np.full(parameters.shape[1], float(len(thetas))), parameters.shape[1]
    khat = found.diagnostics.khat if isinstance(found, Posterior) else np.inf
    khat = np.inf if np.isnan(khat) else khat
    return Posterior(
        method="laplace",
        unconstrained=thetas.reshape(chains, draws, -1),
        draws=parameters.reshape(chains, draws, -1),
        diagnostics=Diagnostics(size, size, np.full(width, np.nan), khat),
        reasons=(PLAIN,),
    )


def _nuts(
    target: Softmax, mode: Mode, seeds: Seeds, inference: Inference, *, careful: bool
) -> Posterior | Failure:
    tune = TUNE if inference.tune == "auto" else inference.tune
    settings: dict[str, Any] = {"tune": tune, "target_accept": inference.target_accept}
    if careful:
        accept = max(CAREFUL_ACCEPT, inference.target_accept)
        settings = {"tune": CAREFUL_TUNE * tune, "target_accept": accept, "thin": CAREFUL_THIN}
    white = Whitened.around(target, mode)
    found = nuts.sample(
        white.loaded,
        white,
        None,
        np.zeros((1, target.dimension)),
        seeds.careful if careful else seeds.nuts,
        draws=inference.draws,
        chains=inference.chains,
        **settings,
    )
    if isinstance(found, Failure):
        return found
    flat = white.thetas(found.unconstrained.reshape(-1, target.dimension))
    return replace(found, unconstrained=flat.reshape(found.unconstrained.shape))


@dataclass(frozen=True, eq=False)
class Whitened:
    """The same density over u (D,), θ = mode + A u, where A Aᵀ is the inverse of the Hessian at the mode."""

    target: Softmax
    mode: Floats
    root: Floats

    @classmethod
    def around(cls, target: Softmax, mode: Mode) -> "Whitened":
        """At this mode; its Hessian is positive definite, as the prior's precision is in it."""
        lower = np.linalg.cholesky(mode.hessian)
        root = solve_triangular(lower, np.eye(len(lower)), lower=True).T
        return cls(target, mode.theta, np.ascontiguousarray(root))

    def thetas(self, whites: Floats) -> Floats:
        """θ (S, D) of u (S, D)."""
        return self.mode + whites @ self.root.T

    def evaluate(self, white: Floats, inputs: Any = None) -> tuple[float, Floats, Floats]:
        """As the target's, over u."""
        value, gradient, hessian = self.target.evaluate(self.thetas(white), inputs)
        return value, gradient @ self.root, self.root.T @ hessian @ self.root

    def densities(self, whites: Floats, inputs: Any = None) -> Floats:
        """As the target's, over u."""
        return self.target.densities(self.thetas(whites), inputs)

    def parameters(self, whites: Floats, inputs: Any = None) -> Floats:
        """As the target's, of u."""
        return self.target.parameters(self.thetas(whites), inputs)

    def slope(self, white: Floats) -> tuple[float, Floats]:
        """Log density at u (D,) and its gradient (D,)."""
        value, gradient = self.target.slope(self.thetas(white))
        return value, gradient @ self.root

    @property
    def loaded(self) -> Any:
        """What nutpie samples."""
        size = len(self.mode)
        return from_pyfunc(
            size,
            lambda: self.slope,
            lambda *_: lambda white: {"theta": white},
            [np.dtype(np.float64)],
            [(size,)],
            ["theta"],
        )
