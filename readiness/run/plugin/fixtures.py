"""The fixtures of every check."""

from pathlib import Path

import pytest

from readiness.config.base.tables import Config
from readiness.model.evidence import Evidence
from readiness.model.record import TargetFacts
from readiness.run.plugin.running import EVIDENCE
from readiness.run.plugin.state import KEY


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """Collects the measurements of the check: `evidence.judge(key, measurement, limit)`."""
    return request.node.stash[EVIDENCE]  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> Config:
    """The whole configuration of the target."""
    return pytestconfig.stash[KEY].loaded.config


@pytest.fixture(scope="session")
def target_facts(pytestconfig: pytest.Config) -> TargetFacts:
    """The target with its fingerprint and the environment that it reports."""
    return pytestconfig.stash[KEY].target


@pytest.fixture(scope="session")
def config_asked(pytestconfig: pytest.Config) -> str:
    """SHA-256 of what the file asks for, without its sign-offs."""
    return pytestconfig.stash[KEY].loaded.asked_sha256


@pytest.fixture(scope="session")
def config_path(pytestconfig: pytest.Config) -> Path:
    """The file that the configuration comes from."""
    return pytestconfig.stash[KEY].loaded.path
