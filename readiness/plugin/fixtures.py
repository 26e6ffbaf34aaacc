"""The fixtures of every check."""

import pytest

from readiness.config.models import Config
from readiness.evidence import Evidence
from readiness.plugin.running import EVIDENCE
from readiness.plugin.state import KEY


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """Collects what the check measured: `evidence.judge(measurement, limit)`."""
    return request.node.stash[EVIDENCE]  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> Config:
    """The whole configuration of the target."""
    return pytestconfig.stash[KEY].loaded.config
