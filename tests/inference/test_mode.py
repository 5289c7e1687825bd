"""Mode searches on functions whose modes are known."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from posterity.inference.mode import Mode, modes

type Function = Callable[[Any], tuple[float, Any, Any]]


@dataclass
class Surface:
    """Minus a log density with its gradient and Hessian, evaluated as a compiled model is."""

    function: Function
    evaluations: int = 0

    def evaluate(self, theta: Any, inputs: Any) -> tuple[Any, Any, Any]:
        self.evaluations += 1
        with np.errstate(all="ignore"):
            value, gradient, hessian = self.function(theta)
        return np.float64(value), np.asarray(gradient, float), np.asarray(hessian, float)

    def densities(self, thetas: Any, inputs: Any) -> Any:
        with np.errstate(all="ignore"):
            return np.array([-self.function(theta)[0] for theta in thetas])


def search(function: Function, *starts: Any) -> tuple[Mode, ...]:
    return modes(Surface(function), (), np.array(starts, dtype=float))


PRECISION = np.array([[4.0, 1.0], [1.0, 3.0]])
CENTRE = np.array([2.0, -7.0])


def quadratic(theta):
    away = theta - CENTRE
    return 0.5 * away @ PRECISION @ away, PRECISION @ away, PRECISION


def banana(theta):
    x, y = theta
    value = (1 - x) ** 2 + 100 * (y - x**2) ** 2
    gradient = [-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)]
    return value, gradient, [[2 - 400 * (y - 3 * x**2), -400 * x], [-400 * x, 200.0]]


def two(share=0.5):
    """Minus the log of a mixture of Normal(-3, 1) and Normal(3, 1)."""

    def function(theta):
        (x,) = theta
        parts = np.array([share * np.exp(-0.5 * (x + 3) ** 2), (1 - share) * np.exp(-0.5 * (x - 3) ** 2)])
        p = parts.sum()
        first = (parts * [-(x + 3), -(x - 3)]).sum()
        second = (parts * [(x + 3) ** 2 - 1, (x - 3) ** 2 - 1]).sum()
        return -np.log(p), [-first / p], [[(first / p) ** 2 - second / p]]

    return function


def test_quadratic_is_solved_at_once() -> None:
    surface = Surface(quadratic)
    (mode,) = modes(surface, (), np.array([[0.0, 0.0], [3.0, -5.0]]))
    assert mode.converged
    np.testing.assert_allclose(mode.theta, CENTRE, atol=1e-6)
    np.testing.assert_allclose(mode.hessian, PRECISION)
    assert mode.height == pytest.approx(0, abs=1e-9)
    assert surface.evaluations < 12


@pytest.mark.parametrize("start", [(-1.2, 1.0), (0.0, 5.0), (-8.0, -8.0), (5.0, -5.0)])
def test_banana_is_followed_to_its_end(start: tuple[float, float]) -> None:
    (mode,) = search(banana, start)
    assert mode.converged
    np.testing.assert_allclose(mode.theta, [1, 1], atol=2e-3)


def test_two_modes_are_both_found_the_highest_first() -> None:
    found = search(two(0.3), [-4.0], [4.0], [3.1])
    assert [float(np.round(m.theta[0], 2)) for m in found] == [3.0, -3.0]
    assert found[0].height < found[1].height


def test_a_mode_too_low_to_matter_is_left_out() -> None:
    assert len(search(two(1e-4), [-4.0], [4.0])) == 1


def test_saddle_point_is_left() -> None:
    (mode,) = search(two(), [0.01])
    assert abs(mode.theta[0]) == pytest.approx(3, abs=0.01)


RUNAWAY = {
    "flat": lambda t: (0.0, [0.0], [[0.0]]),
    "rising for ever": lambda t: (-t[0], [-1.0], [[0.0]]),
    "ever flatter": lambda t: (-np.log1p(np.exp(-t[0])), [1 / (1 + np.exp(t[0]))], [[-1e-12]]),
}


@pytest.mark.parametrize("name", RUNAWAY)
def test_no_mode_is_a_value_and_not_converged(name: str) -> None:
    (mode,) = search(RUNAWAY[name], [0.0])
    assert not mode.converged


def wall(theta):
    """Quadratic around 1, not defined beyond 0: where a line search overshoots."""
    (x,) = theta
    return np.where(x > 0, x - np.log(x), np.nan), [1 - 1 / x], [[1 / x**2]]


def test_steps_out_of_the_support_are_shortened() -> None:
    (mode,) = search(wall, [20.0])
    assert mode.converged
    assert mode.theta == pytest.approx([1.0], abs=1e-2)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("part", [0, 1, 2])
def test_what_is_not_finite_never_raises(broken: float, part: int) -> None:
    def everywhere(theta):
        found = list(quadratic(theta))
        found[part] = found[part] * broken if part else broken
        return tuple(found)

    def away_from_start(theta):
        return quadratic(theta) if np.abs(theta).max() < 0.5 else everywhere(theta)

    assert search(everywhere, [0.0, 0.0]) == ()
    (mode,) = search(away_from_start, [0.0, 0.0], [9.0, 9.0])
    assert not mode.converged
