"""A table of problems in words, each with its log density written out by hand."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats
from scipy.special import expit

type Values = Mapping[str, Any]

norm = stats.norm.logpdf
half_normal = stats.halfnorm.logpdf
N, SCHOOLS = 24, 4
SCHOOL = np.arange(N) % SCHOOLS


@dataclass(frozen=True)
class Stated:
    """A problem: its words, its rows (the target among them), and the log density of parameters `p` given the
    rows `d`, on the parameters' own scale. `tolerance` is that of a solver.
    """

    name: str
    words: str
    rows: Callable[[np.random.Generator], Mapping[str, Any]]
    density: Callable[[Values, Values], float]
    time: str | None = None
    tolerance: float = 1e-8
    truth: Mapping[str, float] = field(default_factory=dict)


def total(*terms: Any) -> float:
    return float(sum(np.sum(term) for term in terms))


def linear(rng: np.random.Generator) -> Values:
    x, z = rng.normal(size=(2, N))
    return {"x": x, "z": z, "y": 1 + 2 * x - z + rng.normal(0, 0.5, N)}


def logistic(rng: np.random.Generator) -> Values:
    x = rng.normal(size=N)
    return {"x": x, "y": (rng.random(N) < expit(0.5 + 2 * x)).astype(float)}


def counts(rng: np.random.Generator) -> Values:
    x, exposure = rng.normal(size=N), rng.uniform(1, 5, N)
    return {"x": x, "exposure": exposure, "y": rng.poisson(exposure * np.exp(0.3 + 0.5 * x)).astype(float)}


def schools(rng: np.random.Generator) -> Values:
    x, level, slope = rng.normal(size=N), rng.normal(1, 0.7, SCHOOLS), rng.normal(2, 0.5, SCHOOLS)
    school = [f"s{i}" for i in SCHOOL]
    return {"school": school, "x": x, "y": level[SCHOOL] + slope[SCHOOL] * x + rng.normal(0, 0.4, N)}


def series(rng: np.random.Generator) -> Values:
    y = [2.0]
    for _ in range(N - 1):
        y.append(1 + 0.6 * (y[-1] - 1) + rng.normal(0, 0.5))
    return {"t": np.arange(N), "y": np.array(y)}


def shocks(rng: np.random.Generator) -> Values:
    y, h = [0.5], 1.0
    for _ in range(N - 1):
        h = 0.3 + 0.3 * y[-1] ** 2 + 0.4 * h
        y.append(rng.normal(0, np.sqrt(h)))
    return {"t": np.arange(N), "y": np.array(y)}


def two_levels(rng: np.random.Generator) -> Values:
    return {"y": np.where(rng.random(N) < 0.4, 4.0, 0.0) + rng.normal(0, 0.6, N)}


def compartments(rng: np.random.Generator) -> Values:
    t = np.arange(1, 17) * 0.5
    k, e = 1.0, 0.4
    return {"t": t, "y": k / (e - k) * (np.exp(-k * t) - np.exp(-e * t)) + rng.normal(0, 0.05, len(t))}


def garch(p: Values, d: Values) -> float:
    h, found = p["w"] / (1 - p["b"]), 0.0
    for y in d["y"]:
        found += norm(y, 0, np.sqrt(h))
        h = p["w"] + p["a"] * y**2 + p["b"] * h
    return total(found, half_normal(p["w"]), *(stats.beta.logpdf(p[n], 2, 2) for n in "ab"))


def decay(p: Values, d: Values) -> float:
    k, e, t = p["k"], p["e"], d["t"]
    curve = k / (e - k) * (np.exp(-k * t) - np.exp(-e * t))
    priors = [stats.lognorm.logpdf(p[n], 1, scale=np.exp(-1)) for n in "ke"]
    return total(norm(d["y"], curve, p["s"]), half_normal(p["s"]), *priors)


def autoregression(p: Values, d: Values) -> float:
    y = d["y"]
    before = np.concatenate([[p["level"]], y[:-1]])
    rows = norm(y, p["level"] + p["phi"] * (before - p["level"]), p["s"])
    return total(rows, norm(p["level"], 0, 5), stats.beta.logpdf(p["phi"], 2, 2), half_normal(p["s"]))


def mixture(p: Values, d: Values) -> float:
    parts = [
        np.log1p(-p["share"]) + norm(d["y"], p["low"], p["s"]),
        np.log(p["share"]) + norm(d["y"], p["low"] + p["step"], p["s"]),
    ]
    priors = norm(p["low"], 0, 5), half_normal(p["step"], scale=5), half_normal(p["s"])
    return total(np.logaddexp(*parts), *priors)


def varying(p: Values, d: Values) -> float:
    """Levels by school."""
    priors = norm(p["mu"], 0, 5), half_normal(p["tau"], scale=2), norm(p["b"], 0, 5), half_normal(p["s"])
    return total(
        norm(d["y"], p["a"][SCHOOL] + p["b"] * d["x"], p["s"]), norm(p["a"], p["mu"], p["tau"]), *priors
    )


def sloping(p: Values, d: Values) -> float:
    """Slopes by school."""
    priors = norm(p["mu"], 0, 5), half_normal(p["tau"], scale=2), norm(p["a"], 0, 5), half_normal(p["s"])
    return total(
        norm(d["y"], p["a"] + p["b"][SCHOOL] * d["x"], p["s"]), norm(p["b"], p["mu"], p["tau"]), *priors
    )


LEVELS = """
    mu ~ normal(0, 5)
    tau ~ half_normal(2)
    a[school] ~ normal(mu, tau){how}
    b ~ normal(0, 5)
    s ~ half_normal(1)
    y ~ normal(a[school] + b * x, s)
"""
SLOPES = """
    a ~ normal(0, 5)
    mu ~ normal(0, 5)
    tau ~ half_normal(2)
    b[school] ~ normal(mu, tau){how}
    s ~ half_normal(1)
    y ~ normal(a + b[school] * x, s)
"""
OFFSETS = ", standardised"

STATED = (
    Stated(
        "linear regression",
        """
        a ~ normal(0, 5)
        b ~ normal(0, 5)
        c ~ student_t(3, 0, 2.5)
        s ~ half_cauchy(1)
        y ~ normal(a + b * x + c * z, s)
        """,
        linear,
        lambda p, d: total(
            norm(d["y"], p["a"] + p["b"] * d["x"] + p["c"] * d["z"], p["s"]),
            norm(p["a"], 0, 5),
            norm(p["b"], 0, 5),
            stats.t.logpdf(p["c"], 3, 0, 2.5),
            stats.halfcauchy.logpdf(p["s"]),
        ),
        truth={"a": 1, "b": 2, "c": -1, "s": 0.5},
    ),
    Stated(
        "logistic regression",
        """
        a ~ normal(0, 2.5)
        b ~ normal(0, 2.5)
        y ~ bernoulli_logit(a + b * x)
        """,
        logistic,
        lambda p, d: total(
            stats.bernoulli.logpmf(d["y"], expit(p["a"] + p["b"] * d["x"])),
            norm(p["a"], 0, 2.5),
            norm(p["b"], 0, 2.5),
        ),
        truth={"a": 0.5, "b": 2},
    ),
    Stated(
        "poisson regression with exposure",
        """
        a ~ normal(0, 2)
        b ~ normal(0, 2)
        y ~ poisson(exposure * exp(a + b * x))
        """,
        counts,
        lambda p, d: total(
            stats.poisson.logpmf(d["y"], d["exposure"] * np.exp(p["a"] + p["b"] * d["x"])),
            norm(p["a"], 0, 2),
            norm(p["b"], 0, 2),
        ),
        truth={"a": 0.3, "b": 0.5},
    ),
    Stated("levels by school, centred", LEVELS.format(how=""), schools, varying),
    Stated("levels by school, offsets", LEVELS.format(how=OFFSETS), schools, varying),
    Stated("slopes by school, centred", SLOPES.format(how=""), schools, sloping),
    Stated("slopes by school, offsets", SLOPES.format(how=OFFSETS), schools, sloping),
    Stated(
        "autoregression",
        """
        level ~ normal(0, 5)
        phi ~ beta(2, 2)
        s ~ half_normal(1)
        y ~ posterity.models.examples:autoregression(level, phi, s), given all rows before
        """,
        series,
        autoregression,
        time="t",
        truth={"level": 1, "phi": 0.6, "s": 0.5},
    ),
    Stated(
        "GARCH(1, 1)",
        """
        w ~ half_normal(1)
        a ~ beta(2, 2)
        b ~ beta(2, 2)
        y ~ posterity.models.examples:garch(w, a, b), given all rows before
        """,
        shocks,
        garch,
        time="t",
        truth={"w": 0.3, "a": 0.3, "b": 0.4},
    ),
    Stated(
        "two compartments",
        """
        k ~ lognormal(-1, 1)
        e ~ lognormal(-1, 1)
        s ~ half_normal(1)
        y ~ posterity.models.examples:decay(k, e, s)
        """,
        compartments,
        decay,
        time="t",
        tolerance=0.02,
        truth={"k": 1, "e": 0.4, "s": 0.05},
    ),
    Stated(
        "mixture of two normals",
        """
        low ~ normal(0, 5)
        step ~ half_normal(5)
        share ~ beta(1, 1)
        s ~ half_normal(1)
        y ~ tests.models.own_models:mixture(low, step, share, s)
        """,
        two_levels,
        mixture,
        truth={"low": 0, "step": 4, "share": 0.4, "s": 0.6},
    ),
)

POSTERIORDB = {
    "kidscore_momiq": """
        intercept ~ flat
        slope ~ flat
        sigma ~ half_cauchy(2.5)
        kid_score ~ normal(intercept + slope * mom_iq, sigma)
        """,
    "nes1980": """
        older = 30-44 | 45-64 | 65 up
        intercept ~ flat
        ideology ~ flat
        race ~ flat
        age[older] ~ flat
        education ~ flat
        sex ~ flat
        wealth ~ flat
        sigma ~ half_flat
        partyid7 ~ normal("""
    "intercept + ideology * real_ideo + race * race_adj + age['30-44'] * (age_discrete == 2) "
    "+ age['45-64'] * (age_discrete == 3) + age['65 up'] * (age_discrete == 4) "
    "+ education * educ1 + sex * gender + wealth * income, sigma)",
    "sblrc": """
        predictor = x1 | x2 | x3 | x4 | x5
        beta[predictor] ~ normal(0, 10)
        sigma ~ half_normal(10)
        y ~ normal("""
    "beta['x1'] * x1 + beta['x2'] * x2 + beta['x3'] * x3 + beta['x4'] * x4 + beta['x5'] * x5, sigma)",
    "eight_schools": """
        mu ~ normal(0, 5)
        tau ~ half_cauchy(5)
        theta[school] ~ normal(mu, tau), standardised
        estimate ~ normal(theta[school], standard_error)
        """,
}
"""posteriordb's four, in the words of its models."""
