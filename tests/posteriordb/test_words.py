"""What the language can say: problems in words become configurations with exactly their log density."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from posterity import Portfolio
from posterity.config import from_dict, load
from posterity.config.distributions import DISTRIBUTIONS, Support
from posterity.inference import compiled
from posterity.inference.compiled import CompiledModel, inputs_of
from posterity.models.arrays import arrays
from posterity.panel import Panel
from posterity.portfolio.plan import read_panel
from tests.entities import described
from tests.posteriordb.problems import PROBLEMS, Problem
from tests.posteriordb.stated import POSTERIORDB, STATED, Stated
from tests.posteriordb.words import configuration


def log_jacobian(model: CompiledModel, values: Mapping[str, Any]) -> float:
    """log |d value / d θ|, from the supports of the priors; offsets move with their sd."""
    found = 0.0
    for name, spec in model.description.priors.items():
        x = np.asarray(values[name])
        match DISTRIBUTIONS[spec.dist].support:
            case Support.POSITIVE | Support.NONNEGATIVE:
                found += np.log(x).sum()
            case Support.UNIT:
                found += np.log(x * (1 - x)).sum()
        if not spec.centered:
            found += x.size * np.log(values[str(spec.kwargs["sigma"])])
    return float(found)


def by_name(labels: tuple[str, ...], row: np.ndarray) -> dict[str, Any]:
    """Scalars, and vectors of the labels `a[s0]`, `a[s1]`, ..."""
    found: dict[str, Any] = {}
    for label, value in zip(labels, row, strict=True):
        name, bracket, _ = label.partition("[")
        found[name] = np.append(found.get(name, []), value) if bracket else value
    return found


def points(model: CompiledModel, panel: Panel, number: int = 5) -> tuple[np.ndarray, np.ndarray, Any]:
    """Places θ (S, D) around 0, the log densities (S,) there, and the model's inputs."""
    data = arrays(model.description, panel.rows(panel.entities[0]))
    inputs = inputs_of(model, {**data, **model.description.numbers})
    thetas = np.random.default_rng(1).normal(0, 0.5, (number, model.dimension))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)  # a few numbers are not worth machine code
        return thetas, model.densities(thetas, inputs), inputs


def differences(problem: Stated) -> np.ndarray:
    """How far the configuration's log densities are from those by hand, at some places."""
    rows = problem.rows(np.random.default_rng(0))
    table = pa.table({"study": ["one"] * len(rows["y"]), **rows})
    config = from_dict(configuration("stated", problem.words, time=problem.time))
    panel = read_panel(config, table)
    model = described(config, panel)
    thetas, densities, inputs = points(model, panel)
    found = []
    for values, density in zip(model.parameters(thetas, inputs), densities, strict=True):
        named = by_name(model.parameter_names, values)
        found.append(density - problem.density(named, rows) - log_jacobian(model, named))
    return np.abs(found)


@pytest.mark.parametrize("problem", STATED, ids=lambda problem: problem.name)
def test_the_configuration_has_the_density_of_the_words(problem: Stated) -> None:
    assert differences(problem).max() < problem.tolerance


def test_another_prior_is_told_apart() -> None:
    (problem, *_) = STATED
    assert differences(problem).max() < 1e-8
    wrong = Stated(**{**vars(problem), "words": problem.words.replace("normal(0, 5)", "normal(0, 4)", 1)})
    assert differences(wrong).max() > 1e-3


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.config)
def test_posteriordbs_own_are_the_shipped_configurations(
    problem: Problem, data_dir: Path, tmp_path: Path
) -> None:
    """Equal log densities, whose posteriors `test_references` compares with posteriordb's."""
    source = problem.write(data_dir / "posteriordb", tmp_path)
    stated = from_dict(configuration(problem.config, POSTERIORDB[problem.config]))
    shipped = load(Path(__file__).parents[2] / "configs" / "posteriordb" / f"{problem.config}.yaml")
    found = []
    for config in (stated, shipped):
        panel = read_panel(config, str(source))
        model = described(config, panel)
        found.append((model.parameter_names, points(model, panel)[1]))
    assert found[0][0] == found[1][0]
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("problem", [p for p in STATED if p.truth], ids=lambda problem: problem.name)
def test_the_posterior_is_around_the_truth(problem: Stated, tmp_path: Path) -> None:
    rows = problem.rows(np.random.default_rng(0))
    table = pa.table({"study": ["one"] * len(rows["y"]), **rows})
    values = configuration("stated", problem.words, time=problem.time)
    result = Portfolio(values).fit(table, out=tmp_path / "r", workers=0)
    found = result.parameters.set_index("parameter")
    print(result.entities[["status", "method", "khat"]], found[["mean", "sd"]])
    assert result.counts["failed"] == 0
    for name, truth in problem.truth.items():
        assert abs(found.loc[name, "mean"] - truth) < 4 * found.loc[name, "sd"], name
