"""The shop's server comes from the cache as one that was just made, or is made anew."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from readiness.lib.guardian import Guardian
from readiness.reference import database, providers
from readiness.servers.binaries import Binaries, find_binaries
from readiness.servers.cache import VARIABLE
from readiness.servers.postgres import PrivatePostgres
from readiness.servers.shop import settings_of

pytestmark = pytest.mark.contract


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


@pytest.fixture(autouse=True)
def cached(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(cache))


def start(folder: Path, binaries: Binaries, guardian: Guardian) -> PrivatePostgres:
    common = settings_of(binaries)
    return providers.start_filled(folder, binaries, common, {**common, "work_mem": "5MB"}, guardian)


def value(dsn: str, query: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row and row[0]


def entries(cache: Path) -> list[Path]:
    return [path for path in (cache / "filled").iterdir() if path.is_dir()]


def test_what_is_copied_has_secrets_and_counters_of_its_own(
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


@pytest.mark.parametrize("damage", ["base", "password", "data"])
def test_what_is_damaged_is_made_anew(
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
    with start(tmp_path / "second", binaries, guardian) as server:
        shop = database.create_shop(server)
        database.fill_shop(shop)
        assert value(shop.app, "select count(*) from shop.orders") == 30_000
    start(tmp_path / "third", binaries, guardian).stop("immediate")
    (again,) = entries(cache)
    assert (again / "data/base").is_dir()
