"""Panels with known truth, the same bytes at every call with the same arguments."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from posterity.panel.panel import SEPARATOR

REGIONS = ("north", "south", "east", "west", "centre")


def adoption(
    products: int = 24, regions: int = 5, weeks: int = 52, seed: int = 2026
) -> tuple[pa.Table, pa.Table]:
    """A panel of adoption curves, one per product and region, and the truth behind it.

    Adoption in week t = 1 .. `weeks` is 1 - intercept - (1 - intercept) * exp(-lambda_val * t) + sigma *
    noise, with standard normal noise. On the scales log lambda_val, intercept and log sigma an entity is a
    population mean plus effects of its product and its region plus its own deviation. Nearly all of that
    population lies where the priors HalfNormal(1), Normal(0, 1) and HalfNormal(1) of the demo portfolio are
    wide, so that intervals of single fits should hold the truth at their nominal rate.

    The first table has the columns product, region (text), week (int64) and adoption (float64), one row per
    entity and week; the second has entity ("P01 / north"), product, region, parameter and value, three rows
    per entity.
    """
    rng = np.random.default_rng(seed)
    names = [f"P{i:0{max(2, len(str(products)))}d}" for i in range(1, products + 1)]
    places = [REGIONS[i] if i < len(REGIONS) else f"region{i + 1}" for i in range(regions)]

    def effects(centre: float, of_product: float, of_region: float, own: float) -> NDArray[np.float64]:
        """Shape (products, regions)."""
        by_product = rng.normal(0.0, of_product, size=(products, 1))
        by_region = rng.normal(0.0, of_region, size=(1, regions))
        return centre + by_product + by_region + rng.normal(0.0, own, size=(products, regions))

    rate = np.exp(effects(np.log(0.08), 0.4, 0.2, 0.15)).ravel()
    intercept = effects(0.02, 0.03, 0.01, 0.02).ravel()
    sigma = np.exp(effects(np.log(0.025), 0.25, 0.1, 0.1)).ravel()
    week = np.arange(1, weeks + 1)
    curve = 1 - intercept[:, None] - (1 - intercept[:, None]) * np.exp(-rate[:, None] * week)
    observed = curve + sigma[:, None] * rng.normal(size=curve.shape)

    product, region = np.repeat(names, regions), np.tile(places, products)
    panel = pa.table(
        {
            "product": pa.array(np.repeat(product, weeks).tolist(), pa.string()),
            "region": pa.array(np.repeat(region, weeks).tolist(), pa.string()),
            "week": pa.array(np.tile(week, len(product)), pa.int64()),
            # Six decimals: more than any report has, and the file is a third smaller.
            "adoption": pa.array(np.round(observed, 6).ravel()),
        }
    )
    parameters = {"lambda_val": rate, "intercept": intercept, "sigma": sigma}
    truth = pa.table(
        {
            "entity": pa.array(
                [SEPARATOR.join(p) for p in zip(product, region, strict=True) for _ in parameters]
            ),
            "product": pa.array(np.repeat(product, 3).tolist(), pa.string()),
            "region": pa.array(np.repeat(region, 3).tolist(), pa.string()),
            "parameter": pa.array(list(parameters) * len(product), pa.string()),
            "value": pa.array(np.column_stack(list(parameters.values())).ravel()),
        }
    )
    return panel, truth


def dose_response(groups: int = 3_000, rows: int = 134, seed: int = 2026) -> tuple[pa.Table, pa.Table]:
    """A panel of dose-response curves, one per group, from one population, and the truth behind it.

    Response at log₁₀ dose x is bottom + (top - bottom) / (1 + 10^(-slope * (x - log_ec50))) + sigma * noise,
    with standard normal noise; every group has the same `rows` doses, evenly from -9 to -4. Groups are drawn
    from bottom ~ N(0, 0.05), top ~ N(1, 0.1), log_ec50 ~ N(-6.5, 0.5) and log slope ~ N(0, 0.2); sigma is
    0.05 for all of them.

    The first table has the columns group (text), log_dose and response (float64); the second has entity
    (the same as group), group, parameter (bottom, top, log_ec50, slope, sigma) and value, five rows a group.
    """
    rng = np.random.default_rng(seed)
    names = pa.array([f"G{i:0{max(4, len(str(groups)))}d}" for i in range(1, groups + 1)], pa.string())
    dose = np.round(np.linspace(-9, -4, rows), 6)
    bottom, top = rng.normal(0, 0.05, groups), rng.normal(1, 0.1, groups)
    log_ec50, slope = rng.normal(-6.5, 0.5, groups), np.exp(rng.normal(0, 0.2, groups))
    sigma = 0.05
    # In place: at 10,000 groups every copy of the panel is another 11 MB.
    response = rng.normal(0, sigma, (groups, rows))
    hill = np.log(10) * slope[:, None] * (dose - log_ec50[:, None])
    response += bottom[:, None] + (top - bottom)[:, None] / (1 + np.exp(-hill))
    panel = pa.table(
        {
            "group": names.take(pa.array(np.repeat(np.arange(groups), rows))),
            "log_dose": np.tile(dose, groups),
            "response": np.round(response, 6, out=response).ravel(),
        }
    )
    parameters = {"bottom": bottom, "top": top, "log_ec50": log_ec50, "slope": slope}
    parameters["sigma"] = np.full(groups, sigma)
    return panel, _truth("group", names, parameters)


def choices(shops: int = 12, weeks: int = 26, seed: int = 2026) -> tuple[pa.Table, pa.Table]:
    """A panel of yes and no, one row a shop and week, and the truth behind it.

    Of `visitors` (Poisson around 40) `buyers` buy: a share of its own each week, Beta(alpha, beta), and a
    binomial of that. One customer is asked each week and `replied` (1) or not (0), with the logit `theta`.
    Shops are drawn from theta ~ N(0.5, 1), alpha ~ Gamma(4, 2) and beta ~ Gamma(8, 2), shape and rate.

    The first table has the columns shop (text), week, visitors, buyers and replied (int64); the second has
    entity (the same as shop), shop, parameter (theta, alpha, beta) and value, three rows a shop.
    """
    rng = np.random.default_rng(seed)
    names = [f"S{i:0{max(2, len(str(shops)))}d}" for i in range(1, shops + 1)]
    theta, alpha, beta = rng.normal(0.5, 1, shops), rng.gamma(4, 1 / 2, shops), rng.gamma(8, 1 / 2, shops)
    visitors = rng.poisson(40, (shops, weeks))
    buyers = rng.binomial(visitors, rng.beta(alpha[:, None], beta[:, None], (shops, weeks)))
    replied = rng.random((shops, weeks)) < 1 / (1 + np.exp(-theta[:, None]))
    panel = pa.table(
        {
            "shop": pa.array(np.repeat(names, weeks).tolist(), pa.string()),
            "week": pa.array(np.tile(np.arange(1, weeks + 1), shops), pa.int64()),
            "visitors": pa.array(visitors.ravel(), pa.int64()),
            "buyers": pa.array(buyers.ravel(), pa.int64()),
            "replied": pa.array(replied.ravel().astype(np.int64), pa.int64()),
        }
    )
    parameters = {"theta": theta, "alpha": alpha, "beta": beta}
    return panel, _truth("shop", pa.array(names, pa.string()), parameters)


def assay(samples: int = 8, hours: int = 16, seed: int = 2026) -> tuple[pa.Table, pa.Table]:
    """A panel of concentrations that decay, read by two instruments, and the truth behind it.

    The logarithm of a sample's concentration at hour t = 1 .. `hours` is level - rate * t, and its reading
    scatters around it with the standard deviation sqrt(se² + 0.1²): `se` is the reading's own, known standard
    error, that of the instrument. Instruments have limits of detection; a reading below is recorded as the
    limit, `log_limit`. The last two hours have not been measured yet: their readings are missing. Samples are
    drawn from level ~ N(1, 0.3) and log rate ~ N(log 0.3, 0.2).

    The first table has the columns sample (text), hour (int64), log_limit, se and log_reading (float64); the
    second has entity (the same as sample), sample, parameter (level, rate, scatter) and value, three rows a
    sample.
    """
    rng = np.random.default_rng(seed)
    names = [f"A{i:0{max(2, len(str(samples)))}d}" for i in range(1, samples + 1)]
    level, rate = rng.normal(1, 0.3, samples), np.exp(rng.normal(np.log(0.3), 0.2, samples))
    scatter, hour = 0.1, np.arange(1, hours + 1)
    fine = (np.arange(samples)[:, None] + hour) % 2 == 0
    se, limit = np.where(fine, 0.05, 0.2), np.where(fine, np.log(0.15), np.log(0.4))
    reading = level[:, None] - rate[:, None] * hour
    reading = reading + np.hypot(se, scatter) * rng.normal(size=reading.shape)
    reading = np.maximum(np.round(reading, 6), np.round(limit, 6))
    measured = np.broadcast_to(hour <= hours - 2, reading.shape)
    panel = pa.table(
        {
            "sample": pa.array(np.repeat(names, hours).tolist(), pa.string()),
            "hour": pa.array(np.tile(hour, samples), pa.int64()),
            "log_limit": np.round(limit, 6).ravel(),
            "se": se.ravel(),
            "log_reading": pa.array(reading.ravel(), mask=~measured.ravel()),
        }
    )
    parameters = {"level": level, "rate": rate, "scatter": np.full(samples, scatter)}
    return panel, _truth("sample", pa.array(names, pa.string()), parameters)


def visits(shops: int = 3, rows: int = 4_000, seed: int = 2026) -> tuple[pa.Table, pa.Table]:
    """A panel of visits to web shops, one row a visit, and the truth behind it.

    A visitor who sees the price (relative to the usual one, 0.5 to 1.5), a deal or none (1 or 0) and was
    there `seen` times before (Poisson around 2) buys (1) or not (0) with the logit intercept + price_effect *
    (price - 1) + deal_effect * deal + seen_effect * seen. Shops differ: effects are normal around -2, -1.5,
    0.8 and 0.3 with sds of a fifth of that.

    The first table has the columns shop (text), price (float64), deal, seen and bought (int64); the second
    has entity (the same as shop), shop, parameter (intercept, price_effect, deal_effect, seen_effect) and
    value.
    """
    rng = np.random.default_rng(seed)
    names = [f"W{i:0{max(2, len(str(shops)))}d}" for i in range(1, shops + 1)]
    centres = {"intercept": -2.0, "price_effect": -1.5, "deal_effect": 0.8, "seen_effect": 0.3}
    truth = {name: rng.normal(centre, abs(centre) / 5, (shops, 1)) for name, centre in centres.items()}
    price = np.round(rng.uniform(0.5, 1.5, (shops, rows)), 2)
    deal = (rng.random((shops, rows)) < 0.3).astype(np.int64)
    seen = rng.poisson(2, (shops, rows))
    logit = truth["intercept"] + truth["price_effect"] * (price - 1) + truth["deal_effect"] * deal
    bought = rng.random((shops, rows)) < 1 / (1 + np.exp(-(logit + truth["seen_effect"] * seen)))
    panel = pa.table(
        {
            "shop": pa.array(np.repeat(names, rows).tolist(), pa.string()),
            "price": price.ravel(),
            "deal": pa.array(deal.ravel(), pa.int64()),
            "seen": pa.array(seen.ravel(), pa.int64()),
            "bought": pa.array(bought.ravel().astype(np.int64), pa.int64()),
        }
    )
    values = {name: value[:, 0] for name, value in truth.items()}
    return panel, _truth("shop", pa.array(names, pa.string()), values)


def trends(sites: int = 6, weeks: int = 104, ahead: int = 12, seed: int = 2026) -> tuple[pa.Table, pa.Table]:
    """A panel of smooth trends with noise, one row a site and week, and the truth behind it.

    In week t = 0 .. `weeks` - 1 a site's reading is level + f(t) + 0.3 noise, with standard normal noise and
    level ~ N(10, 1). f is a Gaussian process of sd 1 with the kernel exp(-d² / 2 ℓ²) between weeks d apart,
    where ℓ = 15, of which half the variance is common to all sites.

    The first table has the columns site (text), week (int64) and reading (float64); the second has site, week
    and value, level + f(t), for `ahead` weeks more.
    """
    rng = np.random.default_rng(seed)
    names = [f"S{i:0{max(2, len(str(sites)))}d}" for i in range(1, sites + 1)]
    week = np.arange(weeks + ahead)
    kernel = np.exp(-((week[:, None] - week) ** 2) / (2 * 15**2))
    lower = np.linalg.cholesky(kernel + 1e-9 * np.eye(len(week)))
    common, own = lower @ rng.normal(size=len(week)), rng.normal(size=(sites, len(week))) @ lower.T
    value = rng.normal(10, 1, (sites, 1)) + np.sqrt(0.5) * (common + own)
    observed = value[:, :weeks] + 0.3 * rng.normal(size=(sites, weeks))
    panel = pa.table(
        {
            "site": pa.array(np.repeat(names, weeks).tolist(), pa.string()),
            "week": pa.array(np.tile(week[:weeks], sites), pa.int64()),
            "reading": np.round(observed, 4).ravel(),
        }
    )
    truth = pa.table(
        {
            "site": pa.array(np.repeat(names, len(week)).tolist(), pa.string()),
            "week": pa.array(np.tile(week, sites), pa.int64()),
            "value": np.round(value, 4).ravel(),
        }
    )
    return panel, truth


def _truth(column: str, names: pa.Array, parameters: Mapping[str, NDArray[np.float64]]) -> pa.Table:
    """A row an entity and parameter, of entities that one column names."""
    owner = names.take(pa.array(np.repeat(np.arange(len(names)), len(parameters))))
    return pa.table(
        {
            "entity": owner,
            column: owner,
            "parameter": pa.array(list(parameters) * len(names), pa.string()),
            "value": np.column_stack(list(parameters.values())).ravel(),
        }
    )
