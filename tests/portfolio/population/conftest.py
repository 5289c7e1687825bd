import pytest

from posterity.inference import compiled


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Populations of many small models: evaluated without being compiled."""
    monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A population takes a second for its 4,000 draws; a quarter of them will do."""
    monkeypatch.setattr("posterity.portfolio.population.sampling.MOST_DRAWS", 1_000)
