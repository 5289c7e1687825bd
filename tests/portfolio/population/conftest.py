import pytest

from posterity.inference import compiled


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Populations of many small models: evaluated without being compiled."""
    monkeypatch.setattr(compiled, "NUMBA", compiled.VECTORS)
