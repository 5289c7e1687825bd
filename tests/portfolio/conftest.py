import pytest

from posterity.portfolio.result import Result, open_result
from tests.portfolio.example import build


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The example result, shared by tests that only read it."""
    return open_result(build(tmp_path_factory.mktemp("example") / "run"))
