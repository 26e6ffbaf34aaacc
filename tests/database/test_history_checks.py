"""`readiness snapshot` and the checks of the history, on a real server that really crashes."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from readiness.areas.database.config import Database
from readiness.areas.database.history.evidence import reaching
from readiness.areas.database.history.snapshot import Snapshot
from readiness.areas.database.history.store import Store
from readiness.areas.database.statements import snapshot
from readiness.cli.main import main
from readiness.lib import postgres
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres
from tests.support.monitored_service import misses, suite

pytestmark = pytest.mark.contract

DAY = 86400.0
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    """A server that may crash, with a table, an index that is used and one that is not."""
    with PrivatePostgres.start(tmp_path_factory.mktemp("postgres")) as server:
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            for statement in (
                f"create role watcher login password '{PASSWORD}'",
                "grant pg_monitor to watcher",
                "create table t as select n, n as used, n as idle from generate_series(1, 2000) n",
                "alter table t add primary key (n)",
                "create index t_used on t (used)",
                "create index t_idle on t (idle)",
                "analyze t",
            ):
                connection.execute(statement.encode())
        yield server


def use(server: PrivatePostgres) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("set enable_seqscan = off")
        connection.execute("select n from t where used = 7")


def watched(server: PrivatePostgres, path: Path, **history: object) -> Database:
    dsn = Dsn(server.dsn(user="watcher", password=PASSWORD))
    there = {"path": str(path), **history}
    return Database.model_validate({"name": "d", "dsn": dsn, "history": there})


def judged(name: str, database: Database) -> Evidence:
    evidence = Evidence()
    getattr(suite("database.test_history"), f"test_{name}")(database, evidence)
    return evidence


def live(database: Database) -> Snapshot:
    with postgres.connect(database.dsn, timeout_s=10) as connection:
        return snapshot.take(connection)


def dated(taken: Snapshot, days: float, *, since_days: float) -> Snapshot:
    """A real snapshot as one of some days ago, of a server that counted before it, too."""
    began = taken.at - since_days * DAY
    server = taken.server.model_copy(update={"started": began, "counters_since": began})
    return taken.model_copy(update={"at": taken.at - days * DAY, "server": server})


def remembered(database: Database, path: Path, *days: float) -> None:
    taken = live(database)
    store = Store(path)
    past = [dated(taken, ago, since_days=60) for ago in sorted(days, reverse=True)]
    store.append(*past, keep_days=400)


def test_the_command_writes_what_the_checks_read(own: PrivatePostgres, tmp_path: Path) -> None:
    config = tmp_path / "readiness.toml"
    path = tmp_path / "d.history"
    config.write_text(
        f'[target]\nname = "t"\n[databases.d]\ndsn = "${{DSN}}"\n'
        f'[databases.d.history]\npath = "{path}"\n[databases.e]\ndsn = "${{DSN}}"\n'
    )
    environ = {"DSN": own.dsn(user="watcher", password=PASSWORD)}
    first = CliRunner().invoke(main, ["snapshot", "--config", str(config)], env=environ)
    assert first.exit_code == 0, first.output
    assert "d: 3 indexes, 1 tables, 0 statements (of statements it cannot read any)" in first.output
    assert "bloat of 0 large ones" in first.output

    again = CliRunner().invoke(main, ["snapshot", "--config", str(config)], env=environ)
    assert "bloat" not in again.output
    assert len(Store(path).marks(live(watched(own, path)).server)) == 2
    assert misses(judged("snapshots_run", watched(own, path))) == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--database", "x"], "there is no [databases.x.history]\n  → use one of: d"),
        ([], "d: "),
    ],
)
def test_what_the_command_cannot_do_is_exit_code_2(
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


def test_without_any_history_each_says_what_to_run(own: PrivatePostgres, tmp_path: Path) -> None:
    database = watched(own, tmp_path / "absent")
    for name in ("snapshots_run", "unused_indexes", "growth", "counters_reach_back"):
        with pytest.raises(NoData, match="no history yet") as problem:
            judged(name, database)
        assert "readiness snapshot" in problem.value.remedy


def test_a_file_that_is_no_history_is_an_error(own: PrivatePostgres, tmp_path: Path) -> None:
    (tmp_path / "h").write_text("somebody's notes")
    with pytest.raises(CouldNotMeasure, match="not a history of readiness"):
        judged("snapshots_run", watched(own, tmp_path / "h"))


def test_one_day_of_evidence_calls_nothing_unused(own: PrivatePostgres, tmp_path: Path) -> None:
    database = watched(own, tmp_path / "h")
    Store(tmp_path / "h").append(live(database), keep_days=400)

    with pytest.raises(NoData, match=r"does not tell of 30 days: .*public\.t_idle") as problem:
        judged("unused_indexes", database)
    assert "counters-reach-back" in problem.value.remedy


def test_forty_days_name_the_index_and_the_statement(own: PrivatePostgres, tmp_path: Path) -> None:
    database = watched(own, tmp_path / "h")
    remembered(database, tmp_path / "h", 40, 20, 0.01)
    use(own)

    evidence = judged("unused_indexes", database)
    assert evidence.failures == []
    assert "public.t_idle of t" in evidence.warnings[0]
    assert "drop index concurrently public.t_idle;" in evidence.warnings[0]
    assert "t_used" not in evidence.warnings[0]
    assert "no use for 40 days" in evidence.warnings[0]

    keep = database.indexes.model_copy(update={"keep": ["public.t_idle"]})
    assert misses(judged("unused_indexes", database.model_copy(update={"indexes": keep}))) == ""


def test_a_crash_breaks_the_evidence_and_is_seen(own: PrivatePostgres, tmp_path: Path) -> None:
    """PostgreSQL 15 and later say nothing of it in the database's own stats_reset."""
    database = watched(own, tmp_path / "h")
    remembered(database, tmp_path / "h", 40, 20, 5)
    use(own)
    before = live(database)
    own.halt("immediate")
    own.restart()
    after = live(database)

    assert after.server.counters_since > before.at
    assert all(index.scans == 0 for index in after.indexes)
    found = "they began anew after a time that no snapshot tells of"
    assert found in judged("counters_reach_back", database).failures[0]
    with pytest.raises(NoData, match="does not tell of 30 days"):
        judged("unused_indexes", database)


def test_a_clean_restart_keeps_the_counters(own: PrivatePostgres) -> None:
    use(own)
    database = watched(own, Path("unused"))
    before = live(database)
    own.restart()
    after = live(database)

    assert after.server.counters_since == before.server.counters_since
    assert after.server.started > before.server.started
    assert reaching([before.mark], after.mark, gap_max_s=1).broken_at is None


def test_a_crash_within_the_allowed_gap_keeps_the_rest(
    own: PrivatePostgres, tmp_path: Path
) -> None:
    database = watched(own, tmp_path / "h")
    remembered(database, tmp_path / "h", 40, 0.001)
    own.halt("immediate")
    own.restart()

    assert misses(judged("counters_reach_back", database)) == ""


def test_growth_is_judged_and_names_the_table(own: PrivatePostgres, tmp_path: Path) -> None:
    path = tmp_path / "h"
    database = watched(own, path, growth_max_bytes=1_000_000)
    taken = live(database)
    smaller = taken.model_copy(update={"size": taken.size - 2_000_000, "tables": {}})
    Store(path).append(dated(smaller, 15, since_days=60), keep_days=400)

    found = misses(judged("growth", database))
    assert "growth in 30 days 4e+06 bytes" in found
    assert "2 MB in 15.0 days" in found
    assert "public.t" in found


def test_old_snapshots_and_missing_bloat_are_misses(own: PrivatePostgres, tmp_path: Path) -> None:
    database = watched(own, tmp_path / "h")
    remembered(database, tmp_path / "h", 1)

    found = misses(judged("snapshots_run", database))
    assert "age of the newest snapshot of indexes and tables 24" in found
    assert "the newest snapshot of bloat 0, must be == 1" in found


def test_a_snapshot_of_another_database_is_not_taken_for_this_one(
    own: PrivatePostgres, dsn: Dsn, tmp_path: Path
) -> None:
    database = watched(own, tmp_path / "h")
    other = database.model_copy(update={"dsn": dsn})
    Store(tmp_path / "h").append(live(database), keep_days=400)

    with pytest.raises(NoData, match="history of another database"):
        judged("snapshots_run", other)
