import numpy as np
import pytest

from posterity.report.scales import Scale, scales


def test_entries_find_the_parameters_that_one_function_gives() -> None:
    entries = (
        "rate_log__",
        "share_logodds__",
        "z[0]",
        "z[1]",
        "w_simplex__[0]",
        "u_interval__",
        "h_offset[0]",
    )
    parameters = ("rate", "share", "z[north]", "z[south]", "w[a]", "w[b]", "u", "h[a]")
    found = scales(entries, parameters)
    assert [s.parameter for s in found] == ["rate", "share", "z[north]", "z[south]", None, None, None]
    assert [s.transform for s in found[:3]] == ["log", "logit", ""]
    assert found[4].label == "w_simplex__[0]"
    # Fewer entries than labels are something else than the parameter itself.
    assert scales(("w[0]",), ("w[a]", "w[b]"))[0].parameter is None


@pytest.mark.parametrize("transform", ["", "log", "logit"])
def test_densities_on_the_own_scale_hold_all_mass_and_the_right_moments(transform: str) -> None:
    scale = Scale("x", "x", transform)
    weights, means, sds = np.array([0.7, 0.3]), np.array([-1.0, -0.5]), np.array([0.01, 0.6])
    shape = scale.normal_mixture(weights, means, sds)
    rng = np.random.default_rng(0)
    which = rng.choice(2, 200_000, p=weights)
    draws = scale.own(means[which] + sds[which] * rng.standard_normal(200_000))
    assert np.trapezoid(shape.y, shape.x) == pytest.approx(1, abs=2e-3)
    assert np.trapezoid(shape.y * shape.x, shape.x) == pytest.approx(draws.mean(), rel=0.02)
    # The twin: without the transform's slope the mass is another one.
    if transform:
        plain = Scale("x", "x").normal_mixture(weights, means, sds)
        assert abs(np.trapezoid(plain.y, scale.own(plain.x)) - 1) > 0.1
