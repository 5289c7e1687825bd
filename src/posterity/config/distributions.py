"""The scalar distributions of PyMC, as a table: a configuration is checked without importing PyMC.

A line reads: name, support, arguments in PyMC's order, parameterisations. An argument ends in `+` (positive),
`%` (between 0 and 1) or `#` (a count) where PyMC wants that. Parameterisations, separated by `|`, are the
sets of arguments of which exactly one is given; arguments in none of them have defaults, and an empty one
means that all may be left out. A test holds the table against the installed PyMC.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Support(Enum):
    """Values a distribution can give."""

    REAL = "any number"
    POSITIVE = "positive numbers"
    NONNEGATIVE = "zero and positive numbers"
    UNIT = "numbers between 0 and 1, both excluded"
    COUNT = "counts 0, 1, 2, ..."
    BINARY = "0 and 1"
    BINOMIAL = "counts from 0 to n"
    CIRCULAR = "angles from -pi to pi"
    POSITIVE_COUNT = "counts 1, 2, 3, ..."
    CATEGORY = "numbers of classes 0, 1, 2, ..."
    OTHER = "values that depend on its arguments"


class Domain(Enum):
    """Values an argument of a distribution can take."""

    REAL = "any number"
    POSITIVE = "positive"
    PROBABILITY = "between 0 and 1"
    COUNT = "a whole number, 0 or more"


@dataclass(frozen=True, slots=True)
class Distribution:
    """One scalar distribution of PyMC.

    `parameterisations` are the sets of arguments of which exactly one is given (see `missing`); `location`
    and `scale` name the arguments of families whose errors may depend on each other (`errors: {ar1:
    ...}`)."""

    name: str
    kwargs: tuple[str, ...]
    domains: tuple[Domain, ...]
    parameterisations: tuple[tuple[str, ...], ...]
    support: Support
    discrete: bool
    location: str | None = None
    scale: str | None = None

    @property
    def classifies(self) -> bool:
        """Whether the target is the number of a class."""
        return self.support in (Support.BINARY, Support.CATEGORY)

    @property
    def location_scale(self) -> bool:
        """Whether an observation is location + scale * noise, so that errors can have AR(1) dependence."""
        return self.location is not None

    @property
    def required(self) -> frozenset[str]:
        """Arguments that every parameterisation needs."""
        return frozenset.intersection(*map(frozenset, self.parameterisations))

    def domain(self, kwarg: str) -> Domain:
        """What `kwarg` may be."""
        return self.domains[self.kwargs.index(kwarg)]

    def chosen(self, given: frozenset[str]) -> frozenset[str]:
        """The given arguments that decide the parameterisation."""
        return given & {kwarg for choice in self.parameterisations for kwarg in choice}

    def accepts(self, given: frozenset[str]) -> bool:
        """Whether the given arguments are exactly one parameterisation (others have defaults)."""
        return tuple(k for k in self.kwargs if k in self.chosen(given)) in self.parameterisations


_DISCRETE = {Support.COUNT, Support.BINARY, Support.BINOMIAL, Support.POSITIVE_COUNT, Support.CATEGORY}
_LOCATION_SCALE = {"Normal": "sigma", "StudentT": "sigma", "Laplace": "b", "Logistic": "s"}
_DISCRETE_OTHERS = {
    "DiracDelta",
    "DiscreteUniform",
    "HyperGeometric",
    "OrderedLogistic",
    "OrderedProbit",
}
_MARKS = {"+": Domain.POSITIVE, "%": Domain.PROBABILITY, "#": Domain.COUNT}

_TABLE = """
AsymmetricLaplace             REAL            kappa+ mu b+ q%               kappa mu b | mu b q
Bernoulli                     BINARY          p% logit_p                    p | logit_p
Beta                          UNIT            alpha+ beta+ mu% sigma+ nu+   alpha beta | mu sigma | mu nu
BetaBinomial                  BINOMIAL        alpha+ beta+ n#               alpha beta n
Binomial                      BINOMIAL        n# p% logit_p                 n p | n logit_p
Categorical                   CATEGORY           p% logit_p                    p | logit_p
Cauchy                        REAL            alpha beta+                   alpha beta
ChiSquared                    POSITIVE        nu+                           nu
DiracDelta                    OTHER           c                             c
DiscreteUniform               OTHER           lower upper                   lower upper
DiscreteWeibull               COUNT           q% beta+                      q beta
ExGaussian                    REAL            mu sigma+ nu+                 nu
Exponential                   NONNEGATIVE     lam+ scale+                   lam | scale |
Flat                          REAL            -                             -
Gamma                         POSITIVE        alpha+ beta+ mu+ sigma+       alpha beta | mu sigma
Geometric                     POSITIVE_COUNT  p%                            p
Gumbel                        REAL            mu beta+                      mu beta
HalfCauchy                    NONNEGATIVE     beta+                         beta
HalfFlat                      NONNEGATIVE     -                             -
HalfNormal                    NONNEGATIVE     sigma+ tau+                   sigma | tau |
HalfStudentT                  NONNEGATIVE     nu+ sigma+ lam+               nu | nu sigma | nu lam
HurdleGamma                   NONNEGATIVE     psi% alpha+ beta+ mu+ sigma+  psi alpha beta | psi mu sigma
HurdleLogNormal               NONNEGATIVE     psi% mu sigma+ tau+           psi | psi sigma | psi tau
HurdleNegativeBinomial COUNT psi% mu+ alpha+ p% n+  psi mu alpha | psi mu n | psi alpha p | psi p n
HurdlePoisson                 COUNT           psi% mu+                      psi mu
HyperGeometric                OTHER           N# k# n#                      N k n
Interpolated                  OTHER           x_points pdf_points           x_points pdf_points
InverseGamma                  POSITIVE        alpha+ beta+ mu+ sigma+       alpha | alpha beta | mu sigma
Kumaraswamy                   UNIT            a+ b+                         a b
Laplace                       REAL            mu b+                         mu b
LogNormal                     POSITIVE        mu sigma+ tau+                sigma | tau |
Logistic                      REAL            mu s+                         -
LogitNormal                   UNIT            mu sigma+ tau+                sigma | tau |
Lognormal                     POSITIVE        mu sigma+ tau+                sigma | tau |
Moyal                         REAL            mu sigma+                     -
NegativeBinomial              COUNT           mu+ alpha+ p% n+              mu alpha | mu n | alpha p | p n
Normal                        REAL            mu sigma+ tau+                sigma | tau |
OrderedLogistic               OTHER           eta cutpoints                 eta cutpoints
OrderedProbit                 OTHER           eta cutpoints sigma+          eta cutpoints
Pareto                        POSITIVE        alpha+ m+                     alpha m
Poisson                       COUNT           mu+                           mu
Rice                          POSITIVE        nu+ sigma+ b+                 nu | b | nu sigma | sigma b
SkewNormal                    REAL            alpha mu sigma+ tau+          sigma | tau |
SkewStudentT                  REAL            a+ b+ mu sigma+ lam+          a b | a b sigma | a b lam
StudentT                      REAL            nu+ mu sigma+ lam+            nu | nu sigma | nu lam
Triangular                    OTHER           lower upper c                 -
TruncatedNormal               OTHER           mu sigma+ tau+ lower upper    sigma | tau |
Uniform                       OTHER           lower upper                   -
VonMises                      CIRCULAR        mu kappa+                     -
Wald                          POSITIVE        mu+ lam+ phi+ alpha           mu | mu lam | mu phi | lam phi
Weibull                       POSITIVE        alpha+ beta+                  alpha beta
ZeroInflatedBinomial          BINOMIAL        psi% n# p%                    psi n p
ZeroInflatedNegativeBinomial COUNT psi% mu+ alpha+ p% n+  psi mu alpha | psi mu n | psi alpha p | psi p n
ZeroInflatedPoisson           COUNT           psi% mu+                      psi mu
"""


def _rows() -> Iterator[Distribution]:
    for line in _TABLE.strip().splitlines():
        name, support_name, rest = line.split(None, 2)
        # Columns: two or more spaces part the arguments from the parameterisations.
        words, _, choices = rest.partition("  ")
        marked = [] if words == "-" else words.split()
        kwargs = tuple(word.rstrip("+%#") for word in marked)
        support = Support[support_name]
        yield Distribution(
            name=name,
            kwargs=kwargs,
            domains=tuple(_MARKS.get(word[-1], Domain.REAL) for word in marked),
            parameterisations=tuple(
                tuple(kwarg for kwarg in kwargs if kwarg in choice.split())
                for choice in choices.strip(" ").split("|")
            ),
            support=support,
            discrete=support in _DISCRETE or name in _DISCRETE_OTHERS,
            location="mu" if name in _LOCATION_SCALE else None,
            scale=_LOCATION_SCALE.get(name),
        )


DISTRIBUTIONS: Mapping[str, Distribution] = MappingProxyType({row.name: row for row in _rows()})
"""PyMC name -> what a configuration needs to know of it."""

VECTOR_KWARGS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "Categorical": frozenset({"p", "logit_p"}),
        "Interpolated": frozenset({"x_points", "pdf_points"}),
        "OrderedLogistic": frozenset({"cutpoints"}),
        "OrderedProbit": frozenset({"cutpoints"}),
    }
)
"""Arguments that hold several numbers even where the distribution's value is one number."""

IMPROPER = frozenset({"Flat", "HalfFlat"})
"""Densities that nothing can be drawn from: possible as priors, never as likelihoods."""

_MULTIVARIATE = "its value is a vector; write a scalar distribution with `dims`"
_PROCESS = "it is a process; write the recursion with an `ar1` error or a quantity"
_WRAPPER = "it wraps another distribution, which configurations cannot say"
_CODE = "it takes Python code"

UNSUPPORTED: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(
        "CAR Dirichlet DirichletMultinomial ICAR KroneckerNormal LKJCholeskyCov LKJCorr MatrixNormal "
        "Multinomial MvNormal MvStudentT OrderedMultinomial StickBreakingWeights Wishart "
        "ZeroSumNormal".split(),
        _MULTIVARIATE,
    )
    | dict.fromkeys(
        "AR EulerMaruyama GARCH11 GaussianRandomWalk MvGaussianRandomWalk MvStudentTRandomWalk "
        "RandomWalk".split(),
        _PROCESS,
    )
    | dict.fromkeys("Censored Mixture NormalMixture Truncated".split(), _WRAPPER)
    | dict.fromkeys("CustomDist DensityDist Simulator".split(), _CODE)
    | {"PolyaGamma": "its density needs the package polyagamma, which Posterity does not install"}
)
"""Distributions that PyMC has and configurations refuse, each with the reason."""

TRANSFORMS: tuple[str, ...] = (
    "abs", "cos", "erf", "exp", "expm1", "invlogit", "invprobit", "log", "log1p", "logit", "neg", "probit",
    "reciprocal", "sigmoid", "sin", "softplus", "sqr", "sqrt", "tanh",
)  # fmt: skip
"""Functions that a prior's `transform` may name: elementwise ones of pytensor.tensor and pymc.math."""

POSITIVE_TRANSFORMS = frozenset({"abs", "exp", "softplus", "sqr", "sqrt", "sigmoid", "invlogit", "invprobit"})
"""Transforms whose result is never negative."""

UNIT_TRANSFORMS = frozenset({"sigmoid", "invlogit", "invprobit"})
"""Transforms whose result lies between 0 and 1."""
