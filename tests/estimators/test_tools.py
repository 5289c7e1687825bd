"""The estimators inside scikit-learn's tools: clones, pipelines, cross-validation, searches, pickles."""

# ruff: noqa: N806  (X is scikit-learn's name)
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

from posterity import BayesianClassifier, BayesianRegressor
from tests.estimators.test_classifier import table as labelled
from tests.estimators.test_regressor import CURVE, curve, table


def prior(sigma: float) -> dict[str, Any]:
    return {"coef": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": sigma}}}


def test_a_clone_fits_the_same() -> None:
    X, y = table(30, 3)
    first = BayesianRegressor(priors=prior(1.0), random_state=7).fit(X, y)
    second = clone(first)
    assert second.get_params() == first.get_params()
    with pytest.raises(NotFittedError):
        second.predict(X)
    np.testing.assert_array_equal(second.fit(X, y).posterior_["coef"], first.posterior_["coef"])
    third = clone(first).set_params(random_state=8).fit(X, y)
    assert (third.posterior_["coef"] != first.posterior_["coef"]).any()


def test_a_random_state_without_an_end_differs() -> None:
    X, y = table(30, 1)
    state = np.random.RandomState(0)
    a, b = (BayesianRegressor(random_state=state).fit(X, y).coef_ for _ in range(2))
    assert (a != b).any()


def test_a_pipeline_is_cross_validated() -> None:
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (80, 1))
    y = X[:, 0] ** 2 + rng.normal(0, 0.2, 80)
    bent = make_pipeline(PolynomialFeatures(2, include_bias=False), BayesianRegressor())
    assert cross_val_score(bent, X, y, cv=4).mean() > 0.9
    assert cross_val_score(BayesianRegressor(), X, y, cv=4).mean() < 0.3
    mean, bounds = bent.fit(X, y).predict(X, interval=0.9)
    assert mean.shape == (80,)
    assert ((bounds[:, 0] < y) & (y < bounds[:, 1])).mean() > 0.8
    X, y = labelled(80, 2)
    proba = cross_val_predict(BayesianClassifier(), X, y, cv=3, method="predict_proba")
    assert proba.shape == (80, 2)


def test_a_search_finds_the_prior() -> None:
    # Few rows and many features without effect: a narrow prior predicts better.
    rng = np.random.default_rng(4)
    X = rng.normal(size=(30, 20))
    y = rng.normal(size=30)
    search = GridSearchCV(BayesianRegressor(), {"priors": [prior(2.5), prior(0.05)]}, cv=3).fit(X, y)
    assert search.best_params_ == {"priors": prior(0.05)}


READ = """
import pickle, sys
import numpy as np
fitted = pickle.load(open(sys.argv[1], "rb"))
np.savez(sys.argv[2], **{
    f"{i}_{j}": part
    for i, (one, X, asked) in enumerate(fitted)
    for j, part in enumerate(one.predict(X, interval=0.9) if asked else [one.predict_proba(X)])
})
"""


def test_a_pickle_predicts_in_another_process(tmp_path: Path) -> None:
    X, y = table(30, 3)
    weeks, adoption = curve()
    Z, labels = labelled(60, 2)
    fitted = [
        (BayesianRegressor().fit(X, y), X, True),
        (BayesianRegressor(CURVE).fit(weeks, adoption), weeks, True),
        (BayesianClassifier().fit(Z, labels), Z, False),
    ]
    (tmp_path / "fitted.pickle").write_bytes(pickle.dumps(fitted))
    subprocess.run(
        [sys.executable, "-c", READ, tmp_path / "fitted.pickle", tmp_path / "out.npz"],
        check=True,
        cwd=tmp_path,
    )
    found = np.load(tmp_path / "out.npz")
    for i, (one, rows, asked) in enumerate(fitted):
        parts = one.predict(rows, interval=0.9) if asked else [one.predict_proba(rows)]
        for j, part in enumerate(parts):
            np.testing.assert_allclose(found[f"{i}_{j}"], part, rtol=1e-9)


def test_a_pickle_is_small() -> None:
    X, y = curve()
    assert len(pickle.dumps(BayesianRegressor(CURVE).fit(X, y))) < 500_000


def test_a_second_fit_forgets_the_first() -> None:
    X, y = curve()
    found = BayesianRegressor().fit(X, y)
    assert hasattr(found, "coef_")
    found.set_params(model=CURVE).fit(X, y)
    assert not hasattr(found, "coef_")
    assert set(found.posterior_) == {"lambda_val", "intercept", "sigma"}
    found.set_params(model=None).fit(X, y)
    assert found.predict(X).shape == y.shape


def test_a_frame_gives_its_names() -> None:
    X, y = table(30, 2)
    frame = pd.DataFrame(X, columns=["price", "age of shop"])
    found = BayesianRegressor().fit(frame, y)
    assert found.feature_names_in_.tolist() == ["price", "age of shop"]
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame.rename(columns={"price": "cost"}))
