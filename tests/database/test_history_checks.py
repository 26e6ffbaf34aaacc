"""`readiness snapshot` and the checks of the history, on a real server that really crashes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from readiness.areas.database.config import Database
from readiness.areas.database.probes import counters
from readiness.areas.database.snapshots import Snapshot, Store
from readiness.areas.database.trends import Reach, reaching
from readiness.cli.main import main
from readiness.lib import postgres
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres
from tests.support.database_health import database as declared
from tests.support.database_health import errors, execute, failures, judged, warnings

pytestmark = pytest.mark.contract

DAY = 86400.0
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    """A server that may crash, with a table, an index that is used and one that is not."""
    with PrivatePostgres.start(tmp_path_factory.mktemp("postgres")) as server:
        execute(
            server.dsn(),
            f"create role watcher login password '{PASSWORD}'",
            "grant pg_monitor to watcher",
            "create table t as select n, n as used, n as idle from generate_series(1, 2000) n",
            "alter table t add primary key (n)",
            "create index t_used on t (used)",
            "create index t_idle on t (idle)",
            # It finds the rows of a parent that is deleted, however rarely that is.
            "create table child (t int references t)",
            "create index child_t on child (t)",
            "analyze t",
        )
        yield server


def use(server: PrivatePostgres) -> None:
    execute(server.dsn(), "set enable_seqscan = off", "select n from t where used = 7")


def watched(server: PrivatePostgres, path: Path, **history: object) -> Database:
    dsn = Dsn(server.dsn(user="watcher", password=PASSWORD))
    return declared(dsn, history={"path": str(path), **history})


def live(database: Database) -> Snapshot:
    with postgres.connect(database.dsn, timeout_s=10) as connection:
        return counters.take(connection)


def dated(taken: Snapshot, days: float, *, since_days: float) -> Snapshot:
    """A real snapshot as one of some days ago, of a server that counted before it, too."""
    began = taken.at - since_days * DAY
    server = taken.server.model_copy(update={"started": began, "counters_since": began})
    return taken.model_copy(update={"at": taken.at - days * DAY, "server": server})


@pytest.fixture
def database(own: PrivatePostgres, tmp_path: Path) -> Database:
    return watched(own, tmp_path / "h")


def store(database: Database, *snapshots: Snapshot) -> None:
    assert database.history
    Store(Path(database.history.path)).append(*snapshots, keep_days=400)


def remember(database: Database, *days: float) -> None:
    taken = live(database)
    store(database, *(dated(taken, ago, since_days=60) for ago in sorted(days, reverse=True)))


def test_command_stores_what_the_checks_read(own: PrivatePostgres, tmp_path: Path) -> None:
    config = tmp_path / "readiness.toml"
    path = tmp_path / "d.history"
    config.write_text(
        f'[target]\nname = "t"\n[databases.d]\ndsn = "${{DSN}}"\n'
        f'[databases.d.history]\npath = "{path}"\n[databases.e]\ndsn = "${{DSN}}"\n'
    )
    environ = {"DSN": own.dsn(user="watcher", password=PASSWORD)}
    first = CliRunner().invoke(main, ["snapshot", "--config", str(config)], env=environ)
    assert first.exit_code == 0, first.output
    assert "d: 4 indexes, 2 tables, 0 statements (they cannot be read)" in first.output
    assert "bloat of 0 large tables and indexes" in first.output

    again = CliRunner().invoke(main, ["snapshot", "--config", str(config)], env=environ)
    assert "bloat" not in again.output
    assert len(Store(path).marks(live(watched(own, path)).server)) == 2
    assert failures("snapshots-run", watched(own, path)) == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--database", "x"], "there is no [databases.x.history]\n  → use one of: d"),
        ([], "d: "),
    ],
)
def test_command_that_fails_exits_with_2(
    tmp_path: Path, arguments: list[str], expected: str
) -> None:
    config = tmp_path / "readiness.toml"
    config.write_text(
        '[target]\nname = "t"\n[databases.d]\ndsn = "postgresql://nobody@127.0.0.1:1/x"\n'
        f'[databases.d.history]\npath = "{tmp_path}/h"\n'
    )
    ended = CliRunner().invoke(main, ["snapshot", "--config", str(config), *arguments])

    assert ended.exit_code == 2
    assert expected in ended.output
    assert not (tmp_path / "h").exists()


@pytest.mark.parametrize("check", ["snapshots-run", "indexes", "growth", "counters"])
def test_checks_without_a_usable_file_name_the_command(
    own: PrivatePostgres, tmp_path: Path, check: str
) -> None:
    found = errors(check, watched(own, tmp_path / "absent"))
    assert "no history yet" in found
    assert "readiness snapshot" in found
    (tmp_path / "h").write_text("somebody's notes")
    assert "not a history of readiness" in errors(check, watched(own, tmp_path / "h"))


def test_first_day_warns_from_when_on_it_is_judged(database: Database) -> None:
    store(database, live(database))

    found = warnings("indexes.unused", database)
    assert "use is judged from 20" in found
    assert "public.t_idle" in found
    assert "growth is judged from 20" in warnings("growth", database)
    assert "the server itself is no older; judged from 20" in warnings("counters.reach", database)
    for check in ("indexes", "growth", "counters"):
        evidence = judged(check, database)
        assert (evidence.lost, evidence.failures) == ([], [])


def test_counters_that_were_emptied_since_the_server_was_made_fail(database: Database) -> None:
    old = live(database).server
    made = int(old.created or 0) - 40 * int(DAY)
    assert not Reach(old.counters_since, old.counters_since + 1, 0, None, None).from_the_start(
        old.model_copy(update={"system": str(made << 32)})
    )


def test_index_unused_for_forty_days_is_named_with_its_drop(
    own: PrivatePostgres, database: Database
) -> None:
    remember(database, 40, 20, 0.01)
    use(own)

    found = warnings("indexes.unused", database)
    assert "public.t_idle of t" in found
    assert "drop index concurrently public.t_idle;" in found
    assert "t_used" not in found
    assert "child_t" not in found
    assert "unused for at least 40 days" in found

    keep = database.indexes.model_copy(update={"keep": ["public.t_idle"]})
    assert warnings("indexes.unused", database.model_copy(update={"indexes": keep})) == ""
    large = database.indexes.model_copy(update={"unused_max_bytes": 1})
    found = failures("indexes.unused", database.model_copy(update={"indexes": large}))
    assert "Size of unused indexes" in found


def test_crash_shortens_the_reach_of_the_counters(own: PrivatePostgres, database: Database) -> None:
    """PostgreSQL 15 and later say nothing of it in the database's own stats_reset."""
    remember(database, 40, 20, 5)
    use(own)
    before = live(database)
    own.halt("immediate")
    own.restart()
    after = live(database)

    assert after.server.counters_since > before.at
    assert all(index.scans == 0 for index in after.indexes)
    found = failures("counters.reach", database)
    assert "they started again after a time that no snapshot covers" in found
    assert "evidence_min_days`, default)" in found
    assert "too few to call" in errors("indexes", database)


def test_clean_restart_keeps_the_counters(own: PrivatePostgres) -> None:
    use(own)
    database = watched(own, Path("unused"))
    before = live(database)
    own.restart()
    after = live(database)

    assert after.server.counters_since == before.server.counters_since
    assert after.server.started > before.server.started
    assert reaching([before.mark], after.mark, gap_max_s=1).broken_at is None


def test_crash_within_the_allowed_gap_keeps_the_reach(
    own: PrivatePostgres, database: Database
) -> None:
    remember(database, 40, 0.001)
    own.halt("immediate")
    own.restart()

    assert warnings("counters.reach", database) == ""


def test_growth_beyond_the_limit_names_the_table(own: PrivatePostgres, tmp_path: Path) -> None:
    database = watched(own, tmp_path / "h", growth_max_bytes=1_000_000)
    taken = live(database)
    smaller = taken.model_copy(update={"size": taken.size - 2_000_000, "tables": {}})
    store(database, dated(smaller, 15, since_days=60))

    found = failures("growth", database)
    assert "Growth in 30 days: 4 MB; limit 1 MB" in found
    assert "2 MB in 15.0 days" in found
    assert "public.t" in found


def test_old_snapshot_and_missing_bloat_fail(database: Database) -> None:
    remember(database, 1)

    found = failures("snapshots-run", database)
    assert "Newest snapshot of counters, age: 24 h; limit 2 h" in found
    assert "No snapshot of bloat" in found


def test_snapshot_from_the_future_fails(database: Database) -> None:
    remember(database, -1)

    found = failures("snapshots-run.counters", database)
    assert "is dated 24 h ahead of the server's clock" in found


def test_history_of_another_database_is_an_error(dsn: Dsn, database: Database) -> None:
    other = database.model_copy(update={"dsn": dsn})
    store(database, live(database))

    assert "history of another database" in errors("snapshots-run", other)
