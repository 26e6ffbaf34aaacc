"""The checks of standbys, slots and the pooler, against real ones."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from readiness.areas.database import discovery
from readiness.areas.database.config import Database, Pooler
from readiness.areas.database.probes import replication
from readiness.config.base.discovery import Gap, Sources
from readiness.lib.guardian import Guardian
from readiness.model.errors import Unreachable
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres, PrivateStandby
from tests.support.advice import advised
from tests.support.database_health import database, errors, execute, failures, warnings
from tests.support.found import tables_of
from tests.support.processes import eventually
from tests.support.servers import Run

pytestmark = pytest.mark.contract

_PASSWORD = "correct horse"
# In a transaction, whose commit writes it: the position of the WAL is that of what is written.
_HELD = "select pg_logical_emit_message(true, 'test', repeat('x', 1 << 20))"
_SWITCH = "select pg_switch_wal(); checkpoint"


_SMALL_WAL = {"fsync": "off", "max_wal_size": "32MB", "min_wal_size": "32MB",
              "max_slot_wal_keep_size": "1GB"}  # fmt: skip


@pytest.fixture(scope="module")
def primary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    folder = tmp_path_factory.mktemp("primary")
    settings = _SMALL_WAL | {"wal_retrieve_retry_interval": "200ms"}
    with PrivatePostgres.start(folder, settings=settings) as server:
        execute(
            server.dsn(),
            f"create role monitor login password '{_PASSWORD}' in role pg_monitor",
            f"create role nobody_special login password '{_PASSWORD}'",
        )
        yield server


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[PrivatePostgres]:
    """A server without a standby: a test may remove its WAL."""
    with PrivatePostgres.start(tmp_path, settings=_SMALL_WAL) as server:
        yield server


@pytest.fixture(scope="module")
def standby(
    primary: PrivatePostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateStandby]:
    folder = tmp_path_factory.mktemp("standby")
    with Guardian() as guardian:
        try:
            dsn = f"{primary.dsn()}?application_name=replica"
            copy = PrivateStandby.follow(
                primary, folder, dsn=dsn, slot="replica", guardian=guardian
            )
        except Unreachable as problem:
            pytest.skip(problem.sentence)
        with copy:
            yield copy


def address(server: PrivatePostgres, user: str = "monitor") -> Dsn:
    return Dsn(server.dsn("postgres", user, _PASSWORD))


@pytest.fixture
def pair(primary: PrivatePostgres, standby: PrivateStandby) -> Database:
    return replicated(primary, standby)


def replicated(primary: PrivatePostgres, standby: PrivatePostgres, **limits: float) -> Database:
    standbys = {"replica": {"name": "replica", "dsn": address(standby)}}
    return database(address(primary), standbys=standbys, limits=limits)


@contextmanager
def impatient() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replication, "_PATIENCE_S", 0.5)
        yield


def test_streaming_standby_passes(pair: Database) -> None:
    assert failures("standby-connected", pair) == ""
    assert failures("replication-lag", pair) == ""


@pytest.mark.parametrize("form", ["a URI", "words"])
def test_init_finds_a_standby_that_answers_at_another_host_of_the_dsn(
    form: str, primary: PrivatePostgres, standby: PrivateStandby, tmp_path: Path
) -> None:
    hosts = ",".join(f"127.0.0.1:{one.port}" for one in (primary, standby))
    uri = f"postgresql://monitor:{quote(_PASSWORD)}@{hosts}/postgres?target_session_attrs=primary"
    words = [f"{word}='{value}'" for word, value in conninfo_to_dict(uri).items()]
    dsn = uri if form == "a URI" else " ".join(words)
    sources = Sources("shop", tmp_path, dsn=Dsn(dsn), dsn_text=dsn, database="shop")
    found = tables_of(discovery.database(sources))["databases"]["shop"]
    standbys = {name: {"name": name, **one} for name, one in found["standbys"].items()}
    assert standbys["replica"]["dsn"].words["port"] == str(standby.port)
    assert warnings("replication-lag", database(found["dsn"], standbys=standbys)) == ""

    alone = replace(sources, dsn=address(primary), dsn_text=address(primary).reveal())
    gaps = [str(one) for one in discovery.database(alone) if isinstance(one, Gap)]
    assert "how the standby replica is reached" in gaps[0]


def test_standby_unknown_to_the_primary_fails(pair: Database) -> None:
    stranger = pair.standbys["replica"].model_copy(update={"application_name": "other"})
    with impatient():
        found = failures(
            "standby-connected", pair.model_copy(update={"standbys": {"replica": stranger}})
        )
    assert "The primary shows the standby replica as absent: the primary knows replica" in found


def test_a_standby_whose_primary_is_gone_is_told_by_itself(
    pair: Database, standby: PrivateStandby, primary: PrivatePostgres
) -> None:
    execute(standby.dsn(), "alter system set primary_conninfo = 'port=1'")
    execute(standby.dsn(), "select pg_reload_conf()")
    assert eventually(lambda: not _known(primary))
    # Its own figures say that all is well.
    with psycopg.connect(standby.dsn()) as connection:
        equal = "select pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()"
        assert connection.execute(equal).fetchone() == (True,)
    try:
        with impatient():
            found = failures("standby-connected", pair)
        assert "The standby replica reports: not receiving" in found
        late = replicated(primary, standby, replication_lag_max_s=0.3)
        assert "replica had not replayed a commit after" in failures("replication-lag", late)
    finally:
        execute(standby.dsn(), "alter system reset primary_conninfo")
        dsn = f"{primary.dsn()}?application_name=replica"
        execute(standby.dsn(), f"alter system set primary_conninfo = '{dsn}'")
        execute(standby.dsn(), "select pg_reload_conf()")
    assert eventually(lambda: _known(primary))
    assert failures("replication-lag", pair) == ""


def _known(primary: PrivatePostgres) -> bool:
    with psycopg.connect(primary.dsn()) as connection:
        return bool(connection.execute("select 1 from pg_stat_replication").fetchone())


def test_paused_replay_fails_the_lag_only(
    primary: PrivatePostgres, standby: PrivateStandby
) -> None:
    late = replicated(primary, standby, replication_lag_max_s=0.3)
    execute(standby.dsn(), "select pg_wal_replay_pause()")
    try:
        assert "had not replayed a commit" in failures("replication-lag", late)
        assert failures("standby-connected", late) == ""
    finally:
        execute(standby.dsn(), "select pg_wal_replay_resume()")
    assert eventually(lambda: failures("replication-lag", late) == "")


def test_standby_of_another_server_is_recognized(
    pair: Database, standby: PrivateStandby, alone: PrivatePostgres
) -> None:
    # It is far ahead of the other one: whatever that writes would seem to be replayed at once.
    other = replicated(alone, standby).model_copy(update={"dsn": Dsn(alone.dsn())})
    assert failures("replication-lag", pair) == ""
    with impatient():
        found = failures("standby-connected", other)
    assert "reports: a copy of another server" in found
    assert "is a standby of another server" in errors("replication-lag", other)


@pytest.mark.parametrize("check", ["standby-connected", "replication-lag"])
def test_dsn_of_a_standby_is_an_error(
    check: str, primary: PrivatePostgres, standby: PrivateStandby
) -> None:
    found = errors(check, replicated(standby, primary))
    assert "is a standby itself" in found
    assert "target_session_attrs" in found


def test_promoted_standby_fails(primary: PrivatePostgres) -> None:
    itself = replicated(primary, primary)
    with impatient():
        assert "not in recovery" in failures("standby-connected", itself)
    assert "it is not a standby, and replays nothing" in errors("replication-lag", itself)


def test_role_without_rights_is_an_error(primary: PrivatePostgres) -> None:
    subject = replicated(primary, primary).model_copy(
        update={"dsn": address(primary, "nobody_special")}
    )
    assert "NotPermitted" in errors("standby-connected", subject)


@pytest.mark.parametrize(
    "check",
    [
        "privileges",
        "corruption.collations",
        "corruption.checksums",
        "version-supported",
        "connections",
        "sessions",
        "counters.deadlocks",
        "counters.temp-files",
        "counters.checkpoints",
        "wraparound",
        "vacuum",
        "sequence-exhaustion",
        "replication-slots",
    ],
)
def test_standby_can_be_judged_by_the_other_checks(check: str, standby: PrivateStandby) -> None:
    assert failures(check, database(address(standby))) == ""


def test_server_without_slots_passes(server: PrivatePostgres) -> None:
    assert warnings("replication-slots", database(Dsn(server.dsn()))) == ""


def test_unused_slot_retains_wal_and_loses_it_beyond_its_bound(alone: PrivatePostgres) -> None:
    limits = {"slot_warn_bytes": 1 << 20, "slot_max_bytes": 2 << 20}
    subject = database(Dsn(alone.dsn()), limits=limits)
    execute(alone.dsn(), "select pg_create_physical_replication_slot('left', true)")
    execute(alone.dsn(), *[_HELD] * 4)
    with impatient():
        found = failures("replication-slots", subject)
        left = warnings("replication-slots.retained", database(Dsn(alone.dsn())))
    assert "left (physical, no consumer, WAL reserved" in found
    assert left.startswith("1 of 1 replication slots have no consumer: left")
    execute(alone.dsn(), "alter system set max_slot_wal_keep_size = '1MB'")
    execute(alone.dsn(), "select pg_reload_conf()")
    execute(alone.dsn(), *[_HELD] * 40, *_SWITCH.split("; "))
    assert eventually(lambda: any(slot.lost for slot in replication.slots(subject)[0]))
    found = failures("replication-slots.lost", subject)
    assert "1 of 1 replication slots lost their WAL" in found
    drop = advised("database.replication-slots", "select pg_drop_replication_slot", NAME="left")
    execute(alone.dsn(), drop)
    assert failures("replication-slots", subject) == ""


def test_subscription_that_is_off_or_fails_is_named(dsn: Dsn, run: Run) -> None:
    subject = database(dsn)
    run("create subscription s connection 'port=1' publication p with (connect = false)")
    try:
        with impatient():
            found = failures("replication-slots.subscriptions", subject)
            assert found.endswith("s (disabled): alter subscription s enable;")
    finally:
        run("alter subscription s set (slot_name = none)")
        run("drop subscription s")
    assert failures("replication-slots", subject) == ""


def test_slots_without_a_bound_are_a_warning(server: PrivatePostgres) -> None:
    execute(server.dsn(), "select pg_create_physical_replication_slot('free')")
    try:
        found = warnings("replication-slots", database(Dsn(server.dsn())))
    finally:
        execute(server.dsn(), "select pg_drop_replication_slot('free')")
    assert "max_slot_wal_keep_size is -1" in found


def pooled(console: str, **limits: float) -> Database:
    """A database that is away, behind a pooler that is there."""
    settings = Pooler.model_validate({"dsn": Dsn(console), **limits})
    return database(Dsn("postgresql://nobody@127.0.0.1:1/none"), timeout_s=2, pooler=settings)


@pytest.mark.fast
def test_full_pool_passes_until_a_client_waits(pooler: str) -> None:
    subject = pooled(f"{pooler}pgbouncer", wait_warn_s=0.001, wait_max_s=0.01)
    assert failures("connections.pool-wait", subject) == ""
    with (
        closing(psycopg.connect(f"{pooler}shop", autocommit=True)) as holder,
        closing(psycopg.connect(f"{pooler}shop", autocommit=True)) as waiter,
    ):
        holder.execute("begin")
        assert failures("connections.pool-wait", subject) == "", "full, and no client waits"
        waiter.pgconn.send_query(b"select 1")
        assert eventually(lambda: failures("connections.pool-wait", subject) != "")
        found = failures("connections.pool-wait", subject)
    assert "shop/postgres: 1 clients wait, 1 of 1 connections in use" in found


def test_paused_database_fails(pooler: str) -> None:
    execute(f"{pooler}pgbouncer", "PAUSE shop")
    found = failures("connections.pool-paused", pooled(f"{pooler}pgbouncer"))
    execute(f"{pooler}pgbouncer", "RESUME shop")
    assert found == "1 of 1 databases paused in the pooler: shop"


def test_server_that_is_not_a_pooler_is_an_error(server: PrivatePostgres) -> None:
    found = errors("connections", pooled(server.dsn()))
    assert "nreachable" in found, "the database itself"
    assert "SHOW DATABASES" in found
