"""Frames and GIF of an entity's versions."""

import io
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from posterity import Portfolio, Result
from posterity.errors import ResultError
from posterity.inference import compiled
from posterity.portfolio.refit.run import refit
from posterity.report.animation import HELD, STEP, animation, gif, write, y_limits
from posterity.report.frames import frames, versions
from tests.portfolio.refitted import carry_everything

CONFIG = {
    "name": "line",
    "data": {"entity": "shop", "time": "week", "target": "sold"},
    "model": {
        "parameters": {"slope": {"dist": "Normal", "kwargs": {"mu": 0, "sigma": 5}}},
        "quantities": {"line": {"expression": "slope * week / 10"}},
        "likelihood": {"dist": "Normal", "kwargs": {"mu": "line", "sigma": 0.3}},
    },
    "inference": {"method": "laplace", "draws": 250},
    "gates": {"ess": 100},
}


def panel() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    week = np.tile(np.arange(1, 13), 2)
    sold = week / 10 + 0.3 * rng.normal(size=24)
    return pd.DataFrame({"shop": np.repeat(["a", "b"], 12), "week": week, "sold": sold})


@pytest.fixture(scope="module")
def last(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Result]:
    """Three versions; shop b has no rows in the second chunk."""
    folder, rows = tmp_path_factory.mktemp("animation"), panel()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "NUMBA", compiled.VECTORS)
        first = Portfolio(CONFIG).fit(rows[rows["week"] <= 4], out=folder / "1", workers=0)
        second = rows[rows["week"].between(5, 8) & rows["shop"].eq("a")]
        carry_everything(patch)
        result = refit(first, second, mode="carry", out=folder / "2", workers=0).result
        yield refit(result, rows[rows["week"] > 8], mode="exact", out=folder / "3", workers=0).result


def test_versions_follow_their_parents(last: Result) -> None:
    assert [result.version for result in versions(last)] == [1, 2, 3]


def test_frames_say_what_was_inside(last: Result) -> None:
    found = frames(versions(last), "a")
    assert [f.n_rows for f in found] == [4, 8, 12]
    assert [f.update for f in found] == ["fit", "carry", "exact"]
    assert all(len(f.x) == 12 and f.x_label == "week" and f.y_label == "sold" for f in found)
    assert found[1].inside.tolist() == [True] * 8 + [False] * 4


def test_the_band_tightens(last: Result) -> None:
    widths = [float((f.bands[-1].upper - f.bands[-1].lower)[-1]) for f in frames(versions(last), "a")]
    assert widths[0] > 1.2 * widths[-1]
    assert widths == sorted(widths, reverse=True)


def test_a_version_that_left_the_entity_alone_has_no_frame(last: Result) -> None:
    assert [f.version for f in frames(versions(last), "b")] == [1, 3]


def test_frames_of_one_size_on_the_same_axes(last: Result) -> None:
    found = frames(versions(last), "a")
    low, high = y_limits(found)
    assert low <= min(f.observed.min() for f in found)
    assert high >= max(f.bands[0].upper.max() for f in found[1:])
    images = [Image.open(io.BytesIO(png)) for png in animation(versions(last), "a")]
    assert len({image.size for image in images}) == 1
    pixels = [np.asarray(image) for image in images]
    assert not any(np.array_equal(a, b) for a, b in pairwise(pixels))


def test_the_gif_loops_and_holds_its_last_frame(last: Result, tmp_path: Path) -> None:
    pngs = animation(versions(last), "a")
    path = write(pngs, tmp_path / "a.gif", tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01.png", "02.png", "03.png", "a.gif"]
    assert (tmp_path / "02.png").read_bytes() == pngs[1]
    with Image.open(path) as image:
        assert image.n_frames == 3
        assert image.info["loop"] == 0
        durations = []
        for number in range(3):
            image.seek(number)
            durations.append(image.info["duration"])
        assert durations == [STEP, STEP, HELD]


def test_what_cannot_be_animated_is_said(last: Result) -> None:
    with pytest.raises(ResultError, match="no entity 'z'"):
        frames(versions(last), "z")
    with pytest.raises(ResultError, match="at least one result"):
        frames((), "a")
    with pytest.raises(ResultError, match="no frames"):
        gif(())


def test_mlflow_gets_it_for_what_a_refit_updated(last: Result, tmp_path: Path) -> None:
    from posterity.tracking.rendering import rendering

    for number, result in enumerate((last, last.as_of(2), last.as_of(1))):
        folder = tmp_path / str(number)
        with rendering(result, ["a", "b"], folder, traces=False, workers=0) as rendered:
            found = {files.entity: (files.folder / "animation.gif").exists() for files in rendered}
        # Shop b had no rows in the second chunk, and a first fit has nothing to move.
        assert found == [{"a": True, "b": True}, {"a": True, "b": False}, {"a": False, "b": False}][number]
