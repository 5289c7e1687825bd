import pytest

from posterity.portfolio.result import Result, open_result
from tests.portfolio.example import build
from tests.portfolio.learned_example import build_learned


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The example, where nobody learned from anybody."""
    return open_result(build(tmp_path_factory.mktemp("plain") / "run", weeks=12, draws=25))


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The example, with transferred priors of every kind."""
    return build_learned(tmp_path_factory.mktemp("learned"), weeks=12, draws=25)
