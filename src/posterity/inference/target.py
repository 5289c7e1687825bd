"""What mode searches and importance samplers need of a density."""

from typing import Any, Protocol

from posterity.inference.posterior import Floats


class Target(Protocol):
    """A log density over D unknowns that `inputs` parametrise: a compiled model, one entity given its
    population, or a population itself.
    """

    def evaluate(self, theta: Floats, inputs: Any, /) -> tuple[Any, Floats, Floats]:
        """Minus the log density at θ (D,), its gradient (D,) and its Hessian (D, D)."""
        ...

    def densities(self, thetas: Floats, inputs: Any, /) -> Floats:
        """Log density (S,) at each row of θ (S, D)."""
        ...

    def parameters(self, thetas: Floats, inputs: Any, /) -> Floats:
        """What certificates look at, (S, P): parameters on their own scale, say."""
        ...
