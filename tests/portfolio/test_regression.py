"""Regressions by a formula, from a configuration to forecasts, refits and transfers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import posterity
from posterity.config import Config, from_dict, load, with_overrides
from posterity.errors import PanelError, PosterityError
from posterity.inference import compiled
from posterity.models import describe
from posterity.models.arrays import arrays
from posterity.portfolio.fixed import fixed
from posterity.portfolio.matching import matched_entries
from posterity.portfolio.plan import make_plan, read_panel
from posterity.portfolio.predictive import _paired

SIGMA = 0.5
FORMULA = "1 + log(price) + deal + kind + center(week)"
NAMES = ["mu_intercept", "mu_log_price", "mu_deal", "mu_kind[b]", "mu_kind[c]", "mu_center_week"]


def normal(mu: float, sigma: float) -> dict[str, Any]:
    return {"dist": "Normal", "kwargs": {"mu": mu, "sigma": sigma}}


PRIORS = {
    "Intercept": normal(3, 2),
    "log(price)": normal(-2, 1),
    "deal": normal(0, 1),
    "kind": normal(0, 0.5),
    "center(week)": normal(0, 0.1),
}


def panel(stores: int = 3, first: int = 0, weeks: int = 40, kinds: str = "abc") -> pd.DataFrame:
    rng = np.random.default_rng([stores, first])
    rows = [(f"s{e}", first + w) for e in range(stores) for w in range(weeks)]
    price, deal = rng.uniform(1, 3, len(rows)), rng.integers(0, 2, len(rows))
    kind = rng.choice(list(kinds), len(rows))
    week = np.array([w for _, w in rows])
    mean = 3 - 2 * np.log(price) + 0.5 * deal + (kind == "b") + 0.02 * (week - 19.5)
    columns = {"price": price, "deal": deal, "kind": kind, "units": mean + rng.normal(0, SIGMA, len(rows))}
    return pd.DataFrame(rows, columns=["store", "week"]).assign(**columns)


def configuration(formula: str = FORMULA, priors: dict[str, Any] | None = None, **quantity: Any) -> Config:
    priors = PRIORS if priors is None else priors
    return from_dict(
        {
            "name": "regression",
            "data": {"entity": "store", "time": "week", "target": "units"},
            "model": {
                "quantities": {"mu": {"formula": formula, "priors": priors} | quantity},
                "likelihood": {"dist": "Normal", "kwargs": {"mu": "mu", "sigma": SIGMA}},
            },
            "inference": {"method": "laplace", "draws": 500, "chains": 4},
            "refit": {"every": 40},
        }
    )


def fit(config: Config, rows: pd.DataFrame, out: Path) -> posterity.Result:
    return posterity.Portfolio(config).fit(rows, out=out, workers=0)


def at(config: Config, rows: pd.DataFrame, entity: str, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (D,) and Hessian (D, D) of an entity's minus log posterior density at θ."""
    plan = make_plan(config, read_panel(config, rows))
    model = compiled.compiled(plan.description)
    own = arrays(plan.description, plan.panel.rows(entity))
    return model.evaluate(theta, compiled.inputs_of(model, {**own, **plan.description.numbers}))[1:]


def closed_form(rows: pd.DataFrame, centre: float, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Conjugate posterior of a straight line with known noise; prior sds are multiplied by `scale`."""
    given = [PRIORS[n]["kwargs"] for n in ("Intercept", "log(price)", "deal", "kind", "kind", "center(week)")]
    mean, sd = np.array([[k["mu"], k["sigma"] * scale] for k in given]).T
    design = np.column_stack(
        [
            np.ones(len(rows)),
            np.log(rows["price"]),
            rows["deal"],
            rows["kind"] == "b",
            rows["kind"] == "c",
            rows["week"] - centre,
        ]
    ).astype(float)
    covariance = np.linalg.inv(design.T @ design / SIGMA**2 + np.diag(1 / sd**2))
    return covariance @ (design.T @ rows["units"] / SIGMA**2 + mean / sd**2), covariance


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> posterity.Result:
    return fit(configuration(), panel(), tmp_path_factory.mktemp("regression") / "r")


def test_the_posterior_is_the_conjugate_one(fitted: posterity.Result) -> None:
    rows = panel()
    assert list(fitted.parameters.query("entity == 's1'")["parameter"]) == NAMES
    own = rows[rows["store"] == "s1"]
    expected, covariance = closed_form(own, rows["week"].mean())
    slope, curvature = at(configuration(), rows, "s1", expected)
    np.testing.assert_allclose(slope, 0, atol=1e-8)
    np.testing.assert_allclose(curvature @ covariance, np.eye(6), atol=1e-8)
    table = fitted.parameters.query("entity == 's1'")
    assert np.abs(table["mean"] - expected).max() < 5 * np.sqrt(covariance.diagonal().max() / 2000)
    # The twin: priors half as wide give another posterior.
    other = closed_form(own, rows["week"].mean(), 0.5)[0]
    assert np.abs(at(configuration(), rows, "s1", other)[0]).max() > 0.1


def test_it_is_the_density_of_the_same_model_by_hand() -> None:
    centre = panel()["week"].mean()
    by_hand = from_dict(
        {
            "name": "hand",
            "data": {"entity": "store", "time": "week", "target": "units"},
            "model": {
                "parameters": {
                    "a": PRIORS["Intercept"],
                    "b": PRIORS["log(price)"],
                    "c": PRIORS["deal"],
                    "d": PRIORS["kind"] | {"dims": ["known"]},
                    "e": PRIORS["center(week)"],
                },
                "coords": {"known": ["b", "c"]},
                "quantities": {
                    "mu": {
                        "expression": "a + b * log(price) + c * deal + d['b'] * is_b + d['c'] * is_c "
                        f"+ e * (week - {centre})"
                    }
                },
                "likelihood": {"dist": "Normal", "kwargs": {"mu": "mu", "sigma": SIGMA}},
            },
            "inference": {"method": "laplace", "draws": 500, "chains": 4},
        }
    )
    rows = panel()
    rows = rows.assign(is_b=(rows["kind"] == "b") * 1.0, is_c=(rows["kind"] == "c") * 1.0)
    for theta in np.random.default_rng(1).normal(size=(3, 6)):
        for mine, theirs in zip(
            at(configuration(), rows, "s2", theta), at(by_hand, rows, "s2", theta), strict=True
        ):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9)


def test_the_configuration_alone_gives_the_columns_back(fitted: posterity.Result) -> None:
    read = load(fitted.path / "config.yaml")
    assert read == fitted.config
    assert read.model.quantities["mu"].design is not None
    later = read_panel(read, panel(first=100))
    mine = arrays(describe(read, later), later.rows("s0"))
    plan = make_plan(configuration(), read_panel(configuration(), panel()))
    theirs = arrays(plan.description, later.rows("s0"))
    assert set(mine) == set(theirs)
    for name, values in mine.items():
        np.testing.assert_array_equal(values, theirs[name])


@pytest.mark.parametrize("told", [None, configuration()], ids=["its own", "as written"])
def test_a_refit_keeps_means_and_levels(
    told: Config | None, fitted: posterity.Result, tmp_path: Path
) -> None:
    """The chunk's weeks are later and have fewer kinds: they would move the centre and drop a level."""
    rows, later = panel(), panel(first=40, kinds="ab")
    again = fitted.refit(later, out=tmp_path / "s", config=told, workers=0)
    design = fitted.config.model.quantities["mu"].design
    assert again.config.model.quantities["mu"].design == design
    both = pd.concat([rows, later])
    expected, covariance = closed_form(both[both["store"] == "s0"], rows["week"].mean())
    np.testing.assert_allclose(at(again.config, both, "s0", expected)[0], 0, atol=1e-7)
    mean = again.parameters.query("entity == 's0'")["mean"]
    assert (np.abs(mean - expected) < 5 * np.sqrt(covariance.diagonal() / 2000)).all()
    # The twin: fitted anew, the same formula means another intercept.
    anew = fixed(configuration(), read_panel(configuration(), both))
    assert anew.model.quantities["mu"].design != design


def test_a_hundred_entities_compile_once(fitted: posterity.Result, tmp_path: Path) -> None:
    assert fitted.counts["ok"] == 3
    before = compiled.compilations
    result = fit(fitted.config, panel(stores=100, weeks=12), tmp_path / "hundred")
    assert len(result.entities) == 100
    assert compiled.compilations == before


def test_rows_with_an_unseen_level_are_told(fitted: posterity.Result, tmp_path: Path) -> None:
    strange = panel(first=50, weeks=2, kinds="q")
    with pytest.raises(PanelError, match=r"'kind' has a level that the formula was not fitted with, 'q'"):
        fitted.predict(strange)
    mixed = panel(first=40, weeks=4)
    mixed.loc[mixed["store"] == "s1", "kind"] = "q"
    again = fitted.refit(mixed, out=tmp_path / "s", workers=0)
    counts = again.entities.set_index("entity")["n_rows"]
    assert counts.to_dict() == {"s0": 44, "s1": 40, "s2": 44}  # one entity's rows wait, the others go on
    assert any("'q'" in notice and "left out" in notice for notice in again.manifest.extra["notices"])


def test_a_value_that_a_term_does_not_have_is_a_reason(tmp_path: Path) -> None:
    rows = panel()
    rows.loc[5, "price"] = 0.0
    plan = make_plan(configuration(), read_panel(configuration(), rows))
    assert list(plan.panel.reasons) == ["s0"]
    assert "the term log(price) has no value in 1 of 40 rows" in plan.panel.reasons["s0"]


def test_unseen_levels_may_have_the_mean(tmp_path: Path) -> None:
    result = fit(configuration(unseen="mean"), panel(), tmp_path / "r")
    row = panel(stores=1, first=50, weeks=1)
    known = pd.concat([row.assign(kind=kind, week=week) for week, kind in enumerate("abc", 50)])
    known["week"] = 50
    means = [result.predict(known.iloc[[i]])["expected_mean"].iloc[0] for i in range(3)]
    unseen = result.predict(row.assign(kind="q", week=50))
    assert unseen["expected_mean"].iloc[0] == pytest.approx(np.mean(means), abs=1e-9)
    assert abs(means[1] - means[0]) > 0.3


def test_new_stores_learn_coefficients_from_established_ones(tmp_path: Path) -> None:
    rows = pd.concat([panel(stores=6), panel(stores=1, weeks=3).assign(store="young")])
    config = with_overrides(configuration(), {"transfer.established.min_rows": 20})
    result = fit(config, rows, tmp_path / "r")
    table = result.parameters.set_index(["entity", "parameter"])
    assert result.entities.set_index("entity").loc["young", "prior"] == "population"
    mean, sd = table.loc[("young", "mu_log_price"), ["mean", "sd"]]
    assert mean == pytest.approx(-2, abs=0.3)
    # The twin: three rows by themselves say less.
    alone = np.sqrt(np.diag(closed_form(rows[rows["store"] == "young"], 20)[1]))
    assert sd < 0.6 * alone[1]


def learning(result: posterity.Result, formula: str = FORMULA) -> Config:
    rules = [{"learn": "*", "from": {"portfolio": str(result.path)}}]
    return with_overrides(configuration(formula, {}), {"transfer.rules": rules, "transfer.robust": 0})


def test_who_learns_from_another_result_takes_its_design(fitted: posterity.Result) -> None:
    later = panel(first=60, weeks=3)
    config = learning(fitted)
    plan = make_plan(config, read_panel(config, later))
    assert plan.config.model.quantities["mu"].design == fitted.config.model.quantities["mu"].design
    # The twin: another formula learns a design of its own, in which the week is centred elsewhere.
    other = learning(fitted, "1 + log(price) + center(week)")
    own, theirs = make_plan(other, read_panel(other, later)).description, plan.description
    assert matched_entries(own, theirs, [("mu_log_price", "mu_log_price")], "fitted")
    with pytest.raises(PosterityError, match="mu_center_week cannot learn from mu_center_week of fitted"):
        matched_entries(own, theirs, [("mu_center_week", "mu_center_week")], "fitted")


def test_default_priors_are_numbers_of_the_first_panel() -> None:
    rows = panel().assign(kind="a")
    config = configuration("log(price) + deal + (deal|store)", priors={})
    plan = make_plan(config, read_panel(config, rows))
    priors = {name: prior.to_dict() for name, prior in plan.config.model.parameters.items()}
    s, d = rows["units"].std(ddof=0), np.log(rows["price"]).std(ddof=0)
    slope = priors["mu_log_price"]["kwargs"]
    assert slope == {"mu": 0.0, "sigma": pytest.approx(2.5 * s / d, rel=0.01)}
    assert priors["mu_deal"]["kwargs"]["sigma"] == pytest.approx(2.5 * s, rel=0.01)  # two values, one apart
    assert priors["mu_intercept"]["kwargs"]["mu"] == pytest.approx(rows["units"].mean(), rel=0.01)
    assert priors["mu_deal_by_store"]["kwargs"]["sigma"]["kwargs"]["sigma"] == pytest.approx(s, rel=0.01)
    assert priors["mu_deal_by_store"]["dims"] == ["mu_deal_by_store_groups"]
    # Where the quantity is no mean of the target, the target does not count.
    logs = with_overrides(config, {"model.likelihood": {"dist": "Poisson", "kwargs": {"mu": "mu"}}})
    counted = fixed(logs, read_panel(logs, rows.assign(units=3))).model.parameters
    assert counted["mu_log_price"].kwargs["sigma"] == pytest.approx(2.5 / d, rel=0.01)
    assert counted["mu_intercept"].kwargs["mu"] == 0


def test_default_priors_are_remembered_with_the_design() -> None:
    config = configuration("log(price) + deal", priors={"deal": normal(0, 1)})
    first = fixed(config, read_panel(config, panel()))
    later = read_panel(config, panel(first=40).assign(units=100.0, price=7.0))
    again = fixed(config, later, (first,))
    assert again.model == first.model
    # The twin: from those rows alone they are others.
    assert fixed(config, read_panel(config, panel(stores=5))).model != first.model


def test_scaled_columns_are_read_on_their_scale(tmp_path: Path) -> None:
    config = with_overrides(configuration("price + deal", {}), {"data.scale": {"price": "standard"}})
    rows = panel()
    plan = make_plan(config, read_panel(config, rows))
    found = arrays(plan.description, plan.panel.rows("s0"))["formula:mu:price"]
    expected = (rows["price"] - rows["price"].mean()) / rows["price"].std(ddof=0)
    np.testing.assert_allclose(found, expected[:40], rtol=1e-4, atol=1e-4)


def test_a_matrix_of_columns_is_paired_with_that_of_the_last_observed_row() -> None:
    """As forecasts of errors that depend on the row before take it."""
    ar1 = {"ar1": {"rho": {"dist": "Beta", "kwargs": {"alpha": 2, "beta": 2}}}}
    config = with_overrides(configuration(), {"model.likelihood.errors": ar1})
    plan = make_plan(config, read_panel(config, panel()))
    rows = plan.panel.rows("s0")
    model = SimpleNamespace(description=plan.description)
    data = arrays(plan.description, rows.after(30))
    paired = _paired(model, rows.after(30), rows.last(1), data)  # type: ignore[arg-type]
    before = arrays(plan.description, rows.last(1))
    for name in ("formula:mu:kind", "formula:mu:log(price)"):
        np.testing.assert_array_equal(paired[name][1::2], data[name])
        np.testing.assert_array_equal(paired[name][::2], np.repeat(before[name], 10, axis=0))


def test_what_formulas_became_is_told() -> None:
    config = configuration(priors={"kind": normal(0, 1)})
    told = make_plan(config, read_panel(config, panel())).panel.notices
    assert (
        "formula mu: the coefficients are mu_intercept, mu_log_price, mu_deal, mu_kind, mu_center_week"
        in told
    )
    (words,) = [n for n in told if "priors by default" in n]
    assert "mu_deal Normal(0, " in words
    assert "mu_kind" not in words


RNG = np.random.default_rng(8)


def juice(stores: int = 2, weeks: int = 30) -> pd.DataFrame:
    """Rows with the columns of the orange juice panel."""
    rows = [(s, "own", w) for s in range(stores) for w in range(weeks)]
    price, deal = RNG.uniform(1, 3, len(rows)), RNG.integers(0, 2, len(rows))
    units = np.exp(5 - 2 * np.log(price) + 0.4 * deal + RNG.normal(0, 0.3, len(rows))).round() + 1
    columns = {"units": units, "price": price, "deal": deal, "feat": 0.5 * deal}
    return pd.DataFrame(rows, columns=["store", "brand", "week"]).assign(**columns)


def test_the_shipped_configuration_runs(checkout: Path, tmp_path: Path) -> None:
    config = with_overrides(load(checkout / "configs" / "formula.yaml"), {"data.source": None})
    result = fit(config, juice(), tmp_path / "r")
    assert result.counts["failed"] == 0
    found = result.parameters.query("parameter == 'mu_log_price'")["mean"]
    assert (np.abs(found + 2) < 0.8).all()


@pytest.mark.slow
def test_all_of_the_orange_juice(checkout: Path, data_dir: Path, tmp_path: Path) -> None:
    config = with_overrides(load(checkout / "configs" / "formula.yaml"), {"data.source": None})
    rows = pd.read_parquet(data_dir / "count_store_brand_weekly" / "orange_juice_weekly.parquet")
    result = posterity.Portfolio(config).fit(rows, out=tmp_path / "r")
    assert result.counts == {"ok": 682, "flagged": 0, "failed": 0}
    slopes = result.parameters.query("parameter == 'mu_log_price'")
    assert (slopes["mean"] < 0).all()
    assert slopes["mean"].median() == pytest.approx(-2.2, abs=0.2)
    assert result.entities["coverage_90"].mean() == pytest.approx(0.9, abs=0.03)
    # Least squares, where priors hardly count: a series whose price varies much.
    own = rows[(rows["store"] == 75) & (rows["brand"] == "tropicana_64")]
    design = np.column_stack([np.ones(len(own)), np.log(own["price"]), own["deal"], own["feat"]])
    least, *_ = np.linalg.lstsq(design, np.log(own["units"]), rcond=None)
    table = result.parameters.query("entity == '75 / tropicana_64'").set_index("parameter")
    names = ["mu_intercept", "mu_log_price", "mu_deal", "mu_feat"]
    assert (np.abs(table.loc[names, "mean"] - least) < table.loc[names, "sd"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nuts", "advi"])
def test_a_joint_model_of_formulas_finds_the_truth(method: str, tmp_path: Path) -> None:
    joint = {"pooling": "joint", "method": method, "draws": 400, "tune": 400, "chains": 2, "steps": 4000}
    if method == "advi":
        joint["minibatch"] = 64
    config = with_overrides(
        configuration("1 + log(price) + deal + kind", {}), {f"inference.{k}": v for k, v in joint.items()}
    )
    result = fit(config, panel(stores=6), tmp_path / "r")
    means = result.parameters.groupby("parameter")["mean"].mean()
    for name, truth in {"mu_log_price": -2, "mu_deal": 0.5, "mu_kind[b]": 1, "mu_kind[c]": 0}.items():
        assert means[name] == pytest.approx(truth, abs=0.25), name


@pytest.mark.slow
def test_groups_share_what_they_have_in_common(tmp_path: Path) -> None:
    """Twelve groups with deviations of sd 0.7: the sd is found, and an unseen group has none."""
    rng = np.random.default_rng(5)
    rows = pd.concat([panel(stores=1, weeks=200).assign(kind="x")])
    group = rng.choice(12, len(rows), p=np.linspace(1, 12, 12) / 78)
    deviation = rng.normal(0, 0.7, 12)
    rows = rows.assign(kind=[f"k{g:02d}" for g in group], units=rows["units"] + deviation[group])
    config = with_overrides(
        configuration("1 + log(price) + deal + (1|kind)", {}, unseen="mean"),
        {"inference.method": "nuts", "gates.ess": 100, "gates.divergences": 20},
    )
    result = fit(config, rows, tmp_path / "r")
    table = result.parameters.set_index("parameter")
    sd = "mu_intercept_by_kind_sigma"
    assert table.loc[sd, "lower_90"] < 0.7 < table.loc[sd, "upper_90"]
    known = result.predict(rows.tail(1))
    unseen = result.predict(rows.tail(1).assign(kind="new"))
    assert np.isfinite(known["mean"].iloc[0])
    plain = table.loc["mu_intercept", "mean"] + table.loc["mu_log_price", "mean"] * np.log(
        rows["price"].iloc[-1]
    )
    plain += table.loc["mu_deal", "mean"] * rows["deal"].iloc[-1]
    assert unseen["expected_mean"].iloc[0] == pytest.approx(plain, abs=1e-6)


def test_levels_are_those_of_the_whole_panel() -> None:
    rows = panel()
    rows = rows[(rows["store"] != "s0") | (rows["kind"] == "a")]
    plan = make_plan(configuration(), read_panel(configuration(), rows), ("s0",))
    assert plan.config.model.coords["mu_kind_entries"] == ("b", "c")
