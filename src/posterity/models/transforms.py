"""Transforms of a formula that remember: what they learn from the first rows, and what they make of any.

The bases are formulae's. Its objects are made anew from plain numbers, never pickled; what they keep is
private to them, so a test compares ours with theirs.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type State = Mapping[str, Any]


def learn(name: str, x: Floats, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a transform has to remember of the first rows' values (n,), in plain numbers.

    Raises ValueError, as formulae does, for settings that do not fit the values."""
    if not len(x):
        raise ValueError("there is no value to learn from")
    if name in ("center", "scale", "standardize"):
        state = {"mean": float(np.mean(x))}
        if name != "center":
            state["sd"] = float(np.std(x))
            if not state["sd"] > 0:
                raise ValueError("all values are the same, so they have no scale")
        return state
    made = _TRANSFORMS[name]()
    made(x, **settings)
    if name == "poly":
        if made.raw:
            return {"degree": made.degree, "raw": True}
        order = range(made.degree)
        norms = [float(made.norms2[k]) for k in range(made.degree + 1)]
        if not np.sqrt(np.abs(norms[-1]) / len(x)) > 1e-10:
            raise ValueError(f"degree {made.degree} needs more than {made.degree} different values")
        return {"degree": made.degree, "alpha": [float(made.alpha[k]) for k in order], "norms": norms}
    state = {"knots": made._knots.tolist()}
    if name == "bs":
        state["degree"] = made._degree
    if made._centering_matrix is not None:
        state["centering"] = made._centering_matrix.tolist()
    return state


def apply(name: str, x: Floats, state: State) -> Floats:
    """The columns (n,) or (n, k) that a transform makes of values (n,)."""
    match name:
        case "center":
            return x - float(state["mean"])
        case "scale" | "standardize":
            return (x - float(state["mean"])) / float(state["sd"])
        case "poly":
            return _polynomial(x, state)
    made = _TRANSFORMS[name]()
    made._center, knots = False, np.array(state["knots"], dtype=np.float64)
    if name == "bs":
        made._knots, made._degree = knots, int(state["degree"])
    else:
        _cubic(made, name, knots)
    basis = np.asarray(made.eval(x), dtype=np.float64)
    if (centering := state.get("centering")) is None:
        return basis
    # Row by row the same sums, whatever rows are beside it; a matrix product does not promise that.
    weights = np.array(centering, dtype=np.float64)
    total = np.zeros((len(x), weights.shape[1]))
    for column, weight in zip(basis.T, weights, strict=True):
        total += column[:, None] * weight
    return total


def width(name: str, state: State) -> int:
    """How many columns a transform makes; 0 stands for one that is no matrix."""
    if name == "poly":
        return int(state["degree"])
    if "knots" not in state:
        return 0
    if "centering" in state:
        return len(state["centering"][0])
    return len(state["knots"]) - {"bs": int(state.get("degree", 0)) + 1, "cr": 0, "cc": 1}[name]


def _polynomial(x: Floats, state: State) -> Floats:
    made = _TRANSFORMS["poly"]()
    made.degree, made.raw = int(state["degree"]), bool(state.get("raw", False))
    made.alpha = dict(enumerate(map(float, state.get("alpha", ()))))
    made.norms2 = dict(enumerate(map(float, state.get("norms", ()))))
    return np.asarray(made.eval(x), dtype=np.float64)


def _cubic(made: Any, name: str, knots: Floats) -> None:
    """The spline behind `cr` (natural) or `cc` (cyclic) over these knots, as formulae makes it."""
    from scipy.interpolate import CubicSpline

    made._lower_bound, made._upper_bound = float(knots[0]), float(knots[-1])
    if name == "cr":
        made._spline = CubicSpline(knots, np.eye(len(knots)), axis=0, bc_type="natural", extrapolate=False)
        return
    free = np.eye(len(knots) - 1)
    made._period = float(knots[-1] - knots[0])
    made._spline = CubicSpline(
        knots, np.vstack((free, free[0])), axis=0, bc_type="periodic", extrapolate="periodic"
    )


def _class(name: str) -> Callable[[], Any]:
    def make() -> Any:
        from formulae import transforms

        return transforms.TRANSFORMS[name]()

    return make


_TRANSFORMS: Mapping[str, Callable[[], Any]] = {name: _class(name) for name in ("poly", "bs", "cr", "cc")}
