"""Scikit-learn's own suite of checks, with its counts."""

import os
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from sklearn.utils.estimator_checks import check_estimator

from posterity import BayesianClassifier, BayesianRegressor
from posterity.estimators import FlaggedWarning

EXEMPTIONS: Mapping[str, Mapping[str, str]] = {"BayesianRegressor": {}, "BayesianClassifier": {}}
"""Checks that are expected to fail, each with the reason. There is none."""

ALL_OF_THEM = """
from sklearn.utils.estimator_checks import check_estimator
from posterity import BayesianClassifier, BayesianRegressor

for estimator in (BayesianRegressor(), BayesianClassifier()):
    found = check_estimator(estimator, on_skip=None)
    print(type(estimator).__name__, len(found), {one["status"] for one in found})
"""


def counted(estimator: Any) -> tuple[str, Counter[str]]:
    """Run every check; a line with the counts and what did not pass."""
    name = type(estimator).__name__
    with warnings.catch_warnings():
        # The suite fits tiny and separated data, where a posterior may well be flagged.
        warnings.simplefilter("ignore", FlaggedWarning)
        found = check_estimator(
            estimator, on_fail=None, on_skip=None, expected_failed_checks=dict(EXEMPTIONS[name])
        )
    counts = Counter(one["status"] for one in found)
    told = ", ".join(f"{counts[status]} {status}" for status in ("passed", "failed", "skipped", "xfail"))
    others = [f"\n  {r['status']}: {r['check_name']}: {r['exception']}" for r in found if r["exception"]]
    return f"check_estimator({estimator}): {told}{''.join(others)}", counts


@pytest.mark.parametrize(
    "estimator",
    [
        pytest.param(BayesianRegressor(), id="regressor"),
        # Separated classes send `auto` on to nuts, which takes longer than all checks together.
        pytest.param(BayesianClassifier(method="laplace"), id="classifier"),
    ],
)
def test_scikit_learns_checks_pass(estimator: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told, counts = counted(estimator)
    with capsys.disabled():
        print(f"\n{told}", file=sys.stderr)  # which workers of pytest-xdist pass on
    assert counts["failed"] == 0
    assert counts["xfail"] == len(EXEMPTIONS[type(estimator).__name__])
    assert counts["skipped"] <= 1  # that of the array API needs SCIPY_ARRAY_API=1 before SciPy is imported
    assert counts["passed"] >= 50


def test_an_estimator_that_breaks_a_rule_fails_a_check() -> None:
    class Forgetful(BayesianRegressor):  # type: ignore[misc, unused-ignore]
        def predict(self, X: Any, **kwargs: Any) -> Any:  # noqa: N803
            return super().predict(X, **kwargs) + len(X)

    EXEMPTIONS_OF_ITS_OWN = {"Forgetful": {}}  # noqa: N806
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "EXEMPTIONS", EXEMPTIONS_OF_ITS_OWN)
        told, counts = counted(Forgetful())
    assert counts["failed"] > 0
    assert "check_methods_subset_invariance" in told


@pytest.mark.slow
def test_every_check_passes_with_the_default_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ALL_OF_THEM],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with capsys.disabled():
        print(f"\n{done.stdout}")
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 2
    assert all(line.endswith("{'passed'}") for line in lines)
