"""The edge that the tests of the area share."""

from collections.abc import Iterator

import pytest

from tests.support.edges import Front, front


@pytest.fixture(scope="session")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with front(tmp_path_factory.mktemp("edge")) as running:
        yield running


@pytest.fixture
def edge(_running: Front) -> Iterator[Front]:
    """nginx before a service whose answers a test may set; afterwards it has its own again."""
    _running.behind.requests.clear()
    otherwise = _running.behind.otherwise
    yield _running
    _running.behind.routes.clear()
    _running.behind.otherwise = otherwise
