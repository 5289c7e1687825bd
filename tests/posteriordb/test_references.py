"""Reference posteriors of posteriordb (long runs of Stan), matched by configurations alone."""

from pathlib import Path

import numpy as np
import pytest

from posterity import Portfolio
from posterity.config import load, with_overrides
from posterity.portfolio.result import Result
from tests.posteriordb.problems import PROBLEMS, Problem

BY_NAME = {problem.config: problem for problem in PROBLEMS}
SD_TOLERANCE = 0.04


def fitted(
    problem: Problem, method: str, data_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Result:
    problem.write(data_dir / "posteriordb", folder)
    monkeypatch.setenv("POSTERITY_POSTERIORDB", str(folder))
    config = load(Path(__file__).parents[2] / "configs" / "posteriordb" / f"{problem.config}.yaml")
    # Draws that make the sampler's own error of an sd small against the 4 % that are allowed.
    draws = 10_000 if method == "nuts" else 4_000
    config = with_overrides(config, {"inference.method": method, "inference.draws": draws})
    return Portfolio(config).fit(out=folder / "result", workers=0)


def judge(result: Result, answers: dict[str, dict[str, float]]) -> list[str]:
    """What is further from the reference than statistics.md allows."""
    ours = result.parameters.set_index("parameter")
    wrong = []
    for name, reference in answers.items():
        row = ours.loc[name]
        error = np.hypot(row["sd"] / np.sqrt(row["ess_bulk"]), reference["mcse_mean"])
        z, ratio = (row["mean"] - reference["mean"]) / error, row["sd"] / reference["sd"]
        print(f"{name:12} z {z:5.2f}  sd ratio {ratio:.3f}")
        if abs(z) > 4 or abs(ratio - 1) > SD_TOLERANCE:
            wrong.append(f"{name}: z {z:.1f}, sd ratio {ratio:.3f}")
    return wrong


DEFAULT = [("kidscore_momiq", "auto"), ("eight_schools", "auto")]
LONG = [(p.config, m) for p in PROBLEMS for m in ("auto", "nuts") if (p.config, m) not in DEFAULT]


@pytest.mark.parametrize(
    ("name", "method"), [*DEFAULT, *(pytest.param(*case, marks=pytest.mark.slow) for case in LONG)]
)
def test_reference(
    name: str, method: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = BY_NAME[name]
    result = fitted(problem, method, data_dir, tmp_path, monkeypatch)
    answers = problem.answers(data_dir / "posteriordb")
    assert result.entities["status"].item() != "failed"
    assert judge(result, answers) == []
    # The twin: a reference whose means are moved by half an sd must be told apart.
    moved = {name: {**a, "mean": a["mean"] + 0.5 * a["sd"]} for name, a in answers.items()}
    assert len(judge(result, moved)) == len(answers)
