"""The shop's database: its template in the cache, its standby and pooler, its levers."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from readiness.areas.database.config import Database
from readiness.areas.database.probes import replication, sessions
from readiness.config.loading import load
from readiness.lib.guardian import Guardian
from readiness.reference import database, providers
from readiness.reference.system import ReferenceSystem
from readiness.servers.binaries import Binaries, find_binaries
from readiness.servers.files import CACHE
from readiness.servers.postgres import PrivatePostgres
from readiness.servers.shop import settings_of
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


def test_standby_reconnects_after_an_outage_of_the_primary(
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


def test_pooler_serves_the_shop(system: ReferenceSystem, shop: Database) -> None:
    if shop.pooler is None:
        pytest.skip(system.absent["pooler"])
    assert sessions.pools(shop.pooler).databases == ("shop",)


def test_limits_lever_restores_the_configuration(system: ReferenceSystem) -> None:
    before = system.config_path.read_bytes()
    with system.levers.limits(min_version="98.4", transaction_max_s=3):
        limits = load(system.config_path, system.environ).config.databases["shop"].limits
        assert (limits.min_version, limits.transaction_max_s) == ("98.4", 3)
    assert system.config_path.read_bytes() == before


def test_server_setting_lever_restores_the_setting(system: ReferenceSystem) -> None:
    def shown() -> object:
        with psycopg.connect(system.environ["REFERENCE_MONITOR_DSN"]) as connection:
            row = connection.execute("show full_page_writes").fetchone()
            return row and row[0]

    with system.levers.server_setting("full_page_writes", "off"):
        assert shown() == "off"
    assert shown() == "on"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def binaries() -> Binaries:
    return find_binaries()


@pytest.fixture
def guardian() -> Iterator[Guardian]:
    with Guardian() as made:
        yield made


@pytest.fixture
def cached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(cache))


def start(folder: Path, binaries: Binaries, guardian: Guardian) -> PrivatePostgres:
    common = settings_of(binaries)
    return providers.start_filled(folder, binaries, common, {**common, "work_mem": "5MB"}, guardian)


def value(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row and row[0]


def entries(cache: Path) -> list[Path]:
    return [path for path in (cache / "filled").iterdir() if path.is_dir()]


@pytest.mark.usefixtures("cached")
def test_copied_server_has_its_own_secrets_and_counters(
    tmp_path: Path, cache: Path, binaries: Binaries, guardian: Guardian
) -> None:
    with (
        start(tmp_path / "one", binaries, guardian) as one,
        start(tmp_path / "other", binaries, guardian) as other,
    ):
        (entry,) = entries(cache)
        assert len({one.password, other.password, (entry / "password").read_text()}) == 3
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(one.dsn(password=other.password))
        # Nothing of the server that filled it is counted here.
        assert value(one.dsn("shop"), "select sum(n_tup_ins) from pg_stat_user_tables") in (0, None)
        assert value(one.dsn("shop"), "show work_mem") == "5MB"
        shop = database.create_shop(one)
        database.fill_shop(shop)
        assert value(shop.app, "select count(*) from shop.orders") == 30_000
        newest = "select now() - max(created_at) < interval '1 minute' from shop.orders"
        assert value(shop.app, newest) is True


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("damage", ["base", "password", "data"])
def test_damaged_template_is_made_again(
    tmp_path: Path, cache: Path, binaries: Binaries, guardian: Guardian, damage: str
) -> None:
    start(tmp_path / "first", binaries, guardian).stop("immediate")
    (entry,) = entries(cache)
    if damage == "base":
        shutil.rmtree(entry / "data/base")
    elif damage == "password":
        (entry / "password").write_text("another one")
    else:
        shutil.rmtree(entry / "data")
    # An empty server, to be filled as a template is.
    with start(tmp_path / "second", binaries, guardian) as server:
        assert value(server.dsn(), "select count(*) from pg_database where datname = 'shop'") == 0
    start(tmp_path / "third", binaries, guardian).stop("immediate")
    (again,) = entries(cache)
    assert (again / "data/base").is_dir()
