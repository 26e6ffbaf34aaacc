"""What the reference system's database has around it, and that it survives what faults do."""

from collections.abc import Iterator

import psycopg
import pytest

from readiness.areas.database.config import Database
from readiness.areas.database.probes import replication, sessions
from readiness.config.loading import load
from readiness.reference.system import ReferenceSystem
from tests.support.database_health import failures
from tests.support.processes import eventually

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def system() -> Iterator[ReferenceSystem]:
    with ReferenceSystem.start(provider="local", parts={"standby", "pooler"}) as started:
        yield started


@pytest.fixture
def shop(system: ReferenceSystem) -> Database:
    return load(system.config_path, system.environ).config.named().databases["shop"]


def test_the_standby_follows_and_comes_back_when_the_server_was_away(
    system: ReferenceSystem, shop: Database
) -> None:
    if not shop.standbys:
        pytest.skip(system.absent["standby"])
    assert failures("standby-connected", shop) == ""
    with system.levers.stop_database():
        pass
    assert eventually(lambda: all(link.streams for link in replication.links(shop)[0]))
    assert failures("replication-lag", shop) == ""
    assert failures("replication-slots", shop) == ""


def test_the_pooler_serves_the_shop(system: ReferenceSystem, shop: Database) -> None:
    if shop.pooler is None:
        pytest.skip(system.absent["pooler"])
    assert sessions.pools(shop.pooler).databases == ("shop",)


def test_other_limits_are_gone_with_the_lever(system: ReferenceSystem) -> None:
    before = system.config_path.read_bytes()
    with system.levers.limits(min_version="98.4", transaction_max_s=3):
        limits = load(system.config_path, system.environ).config.databases["shop"].limits
        assert (limits.min_version, limits.transaction_max_s) == ("98.4", 3)
    assert system.config_path.read_bytes() == before


def test_a_setting_of_the_server_is_put_back(system: ReferenceSystem) -> None:
    def shown() -> object:
        with psycopg.connect(system.environ["REFERENCE_MONITOR_DSN"]) as connection:
            row = connection.execute("show full_page_writes").fetchone()
            return row and row[0]

    with system.levers.server_setting("full_page_writes", "off"):
        assert shown() == "off"
    assert shown() == "on"
