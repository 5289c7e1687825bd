"""The closed-form marginal of Gaussian factors under a population, compiled by numba.

One function does all levels. Factors exp(c + η'a − ½ a'Qa) and a ~ N(μ, LL') give, integrated over a,
exp(c' + h'μ − ½ μ'Gμ): again a factor, of μ. So entities add up to factors of their group's mean, groups to a
factor of the population's mean, and that one is integrated against its prior. Everything is written in terms
of L, never of its inverse, so that a spread of zero is an ordinary point.
"""

import numba as nb
import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]


@nb.njit(cache=True)
def _cholesky(a: Floats) -> bool:
    """Replace the lower triangle of `a` by its Cholesky factor; False where there is none."""
    n = a.shape[0]
    for j in range(n):
        d = a[j, j]
        for k in range(j):
            d -= a[j, k] * a[j, k]
        if not d > 0.0:
            return False
        d = np.sqrt(d)
        a[j, j] = d
        for i in range(j + 1, n):
            s = a[i, j]
            for k in range(j):
                s -= a[i, k] * a[j, k]
            a[i, j] = s / d
    return True


@nb.njit(cache=True)
def _integrate(  # noqa: C901 - loops, which numba compiles and NumPy's calls would slow down
    q: Floats, eta: Floats, lower: Floats, m: Floats, a: Floats, y: Floats, g: Floats, h: Floats
) -> float:
    """One factor (q, eta) integrated over N(·, LL'): its G into `g`, h into `h`; returns the constant.

    Leaves C = chol(I + L'QL) in `a`, X = C⁻¹(QL)' in `m` and y = C⁻¹L'η in `y`; −inf without a C.
    """
    n = eta.shape[0]
    for i in range(n):  # m = (Q L)', rows are columns of QL
        for j in range(n):
            s = 0.0
            for k in range(j, n):
                s += q[i, k] * lower[k, j]
            m[j, i] = s
    for i in range(n):
        for j in range(i + 1):
            s = 1.0 if i == j else 0.0
            for k in range(i, n):
                s += lower[k, i] * m[j, k]
            a[i, j] = s
        s = 0.0
        for k in range(i, n):
            s += lower[k, i] * eta[k]
        y[i] = s
    if not _cholesky(a):
        return -np.inf
    constant = 0.0
    for i in range(n):
        for k in range(i):
            y[i] -= a[i, k] * y[k]
            for j in range(n):
                m[i, j] -= a[i, k] * m[k, j]
        d = a[i, i]
        y[i] /= d
        for j in range(n):
            m[i, j] /= d
        constant += 0.5 * y[i] * y[i] - np.log(d)
    for i in range(n):
        s = eta[i]
        for k in range(n):
            s -= m[k, i] * y[k]
        h[i] = s
        for j in range(n):
            s = q[i, j]
            for k in range(n):
                s -= m[k, i] * m[k, j]
            g[i, j] = s
    return constant


@nb.njit(cache=True)
def _at(coefficients: Floats, delta: Floats, out: Floats) -> None:
    """The factor (c, η, Q, flattened) of one entity where the shared parameters are `delta` away."""
    k, size = delta.shape[0], out.shape[0]
    out[:] = coefficients[0]
    row = 1 + k
    for j in range(k):
        for v in range(size):
            out[v] += delta[j] * coefficients[1 + j, v]
        for i in range(j + 1):
            weight = delta[j] * delta[i] * (0.5 if j == i else 1.0)
            for v in range(size):
                out[v] += weight * coefficients[row, v]
            row += 1


@nb.njit(cache=True, nogil=True)
def log_marginals(
    coefficients: Floats, group: NDArray[np.int64], lowers: Floats, between: Floats, deltas: Floats
) -> Floats:
    """Log marginal (S,) of all factors for S populations, the mean integrated over N(0, I).

    `coefficients` (E, B, 1 + p + p²) are Taylor coefficients of every entity's factor in the k shared
    parameters (B = 1 + k + k(k + 1)/2); `group` (E,) holds group numbers; `lowers` (S, p, p) Cholesky factors
    of the spread between entities, `between` (S, p) sds of the spread between groups (p = 0 columns: one
    population), `deltas` (S, k) the shared parameters.
    """
    count, entities = lowers.shape[0], coefficients.shape[0]
    p = lowers.shape[1]
    groups = group.max() + 1
    out = np.empty(count)
    factor = np.empty(1 + p + p * p)
    m, a, g, y, h = np.empty((p, p)), np.empty((p, p)), np.empty((p, p)), np.empty(p), np.empty(p)
    diagonal = np.zeros((p, p))
    for s in range(count):
        gs, hs, total = np.zeros((groups, p, p)), np.zeros((groups, p)), 0.0
        for e in range(entities):
            _at(coefficients[e], deltas[s], factor)
            total += factor[0] + _integrate(
                factor[1 + p :].reshape(p, p), factor[1 : 1 + p], lowers[s], m, a, y, g, h
            )
            gs[group[e]] += g
            hs[group[e]] += h
        if between.shape[1]:
            gt, ht = np.zeros((p, p)), np.zeros(p)
            for i in range(p):
                diagonal[i, i] = between[s, i]
            for j in range(groups):
                total += _integrate(gs[j], hs[j], diagonal, m, a, y, g, h)
                gt += g
                ht += h
        else:
            gt, ht = gs[0], hs[0]
        out[s] = total + _integrate(gt, ht, np.eye(p), m, a, y, g, h)
    return out


@nb.njit(cache=True, nogil=True)
def totals(
    coefficients: Floats, group: NDArray[np.int64], lower: Floats, delta: Floats, groups: int
) -> tuple[Floats, Floats]:
    """G (groups, p, p) and h (groups, p) of every group's mean for one population."""
    p = lower.shape[0]
    gs, hs = np.zeros((groups, p, p)), np.zeros((groups, p))
    factor = np.empty(1 + p + p * p)
    m, a, g, y, h = np.empty((p, p)), np.empty((p, p)), np.empty((p, p)), np.empty(p), np.empty(p)
    for e in range(coefficients.shape[0]):
        _at(coefficients[e], delta, factor)
        _integrate(factor[1 + p :].reshape(p, p), factor[1 : 1 + p], lower, m, a, y, g, h)
        gs[group[e]] += g
        hs[group[e]] += h
    return gs, hs


@nb.njit(cache=True)
def scores(
    coefficients: Floats,
    group: NDArray[np.int64],
    lower: Floats,
    delta: Floats,
    means: Floats,
    covariances: Floats,
) -> tuple[Floats, Floats]:
    """Gradients of the log marginal in L (p, p) and in the shared parameters (k,).

    By Fisher's identity they are posterior expectations of the complete-data score; `means` (groups, p) and
    `covariances` (groups, p, p) are those of the groups' means given all data. With a = μ + Lz and
    z ~ N(0, I) the score in L is (η − Qa)z', which needs no inverse of L.
    """
    p, k = lower.shape[0], delta.shape[0]
    by_lower, by_delta = np.zeros((p, p)), np.zeros(k)
    factor, slope = np.empty(1 + p + p * p), np.empty(1 + p + p * p)
    for e in range(coefficients.shape[0]):
        _at(coefficients[e], delta, factor)
        eta, q = factor[1 : 1 + p], factor[1 + p :].copy().reshape(p, p)
        mean, covariance = means[group[e]], covariances[group[e]]
        ql = q @ lower
        inverse = np.linalg.inv(np.eye(p) + lower.T @ ql)
        gain = inverse @ ql.T  # z = A⁻¹L'(η − Qμ) + noise
        z = inverse @ (lower.T @ eta) - gain @ mean
        zz = inverse + np.outer(z, z) + gain @ covariance @ gain.T
        muz = np.outer(mean, z) - covariance @ gain.T
        by_lower += np.outer(eta, z) - q @ muz - ql @ zz
        if k:
            at = mean + lower @ z
            crossed = muz @ lower.T
            second = np.outer(mean, mean) + covariance + crossed + crossed.T + lower @ zz @ lower.T
            row = 1 + k
            for j in range(k):
                slope[:] = coefficients[e, 1 + j]
                row = 1 + k
                for i in range(k):
                    for other in range(i + 1):
                        if i == j:
                            slope += delta[other] * coefficients[e, row]
                        elif other == j:
                            slope += delta[i] * coefficients[e, row]
                        row += 1
                by_delta[j] += slope[0]
                for i in range(p):
                    by_delta[j] += slope[1 + i] * at[i]
                    for other in range(p):
                        by_delta[j] -= 0.5 * slope[1 + p + i * p + other] * second[i, other]
    return by_lower, by_delta


@nb.njit(cache=True)
def at_each(coefficients: Floats, deltas: Floats) -> Floats:
    """One entity's factor (S, 1 + p + p²) where the shared parameters are each of `deltas` (S, k) away."""
    out = np.empty((deltas.shape[0], coefficients.shape[1]))
    for s in range(deltas.shape[0]):
        _at(coefficients, deltas[s], out[s])
    return out
