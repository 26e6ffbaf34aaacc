"""What a migration would do to a running system: its locks, and the findings of squawk."""

import subprocess
import tempfile
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg import sql
from pydantic import BaseModel, TypeAdapter, ValidationError

from readiness.config.base.migrations import Migrations
from readiness.lib.migrations.model import Migration
from readiness.lib.migrations.reading import version_table
from readiness.lib.migrations.replay import execute
from readiness.lib.migrations.scripts import not_printed, script, up_of, without_transactions
from readiness.lib.postgres import Connection, connect, fetch, fetch_value, translated
from readiness.lib.postgres.fingerprint import Change, differences, fingerprint
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, TookTooLong, Unreachable
from readiness.model.secrets import Dsn
from readiness.servers import programs

_POLL_S: Final = 0.02
_TABLES: Final = """
    select c.oid, n.nspname, c.relname, pg_relation_filenode(c.oid) from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
        and c.relpersistence <> 't'"""
_HELD: Final = """
    select distinct relation, mode from pg_locks
    where pid = pg_backend_pid() and locktype = 'relation' and granted"""
# A session that waits for one of these blocks readers or writers that come after it.
_BLOCKS_OTHERS: Final = """
    select exists (select from pg_locks where pid = %s and not granted and locktype = 'relation'
        and mode in ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock',
            'ShareLock'))"""
# Later ones win: of the database, of the role, of both.
_LIMITS: Final = """
    select split_part(x, '=', 1), substr(x, strpos(x, '=') + 1)
    from pg_db_role_setting s, unnest(s.setconfig) x
    where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
        and s.setrole in (0, coalesce((select oid from pg_roles where rolname = %(role)s),
            (select relowner from pg_class where oid = to_regclass(%(table)s))))
        and split_part(x, '=', 1) in ('lock_timeout', 'statement_timeout')
        and substr(x, strpos(x, '=') + 1) !~ '^0+\\D*$'
    order by s.setrole <> 0, s.setdatabase <> 0"""
# What squawk asks for where the migration itself does not set it.
_ASKED_FOR: Final = {
    "lock_timeout": {"require-lock-timeout"},
    "statement_timeout": {"require-statement-timeout"},
}
_STRONG: Final = ("AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock")
_INSTALL: Final = "pip install squawk-cli"
_TIMEOUT_S: Final = 60.0
_TASTE: Final = "prefer-"
# A new value of an enum goes to the end, where nearly all belong.
_ORDER: Final = frozenset({"require-enum-value-ordering"})


@dataclass(frozen=True, slots=True)
class Blocking:
    """What a migration did while another transaction had written to every table.

    Attributes:
        waited_s: seconds for which other sessions had to wait behind it.
        left: objects that it left behind when it gave up.
        locks: strong locks on tables that existed before, such as `ShareLock on shop.orders`.
        rewritten: tables that it rewrites under a lock that blocks everybody.
        untried: whether it has a part that its tool cannot write as SQL.
    """

    version: str
    waited_s: float
    gave_up: bool
    left: tuple[Change, ...]
    locks: tuple[str, ...]
    rewritten: tuple[str, ...]
    untried: bool = False


def blocking(
    settings: Migrations, limits: Mapping[str, str], dsn: Dsn, migration: Migration
) -> Blocking:
    """Run a migration while a transaction holds a writer's locks on every table.

    It has the timeouts (`limits`) of the role that runs migrations.
    """
    text = up_of(settings, migration)
    locks, rewritten = _traced(dsn, text, settings)
    with connect(dsn, timeout_s=settings.timeout_s) as watcher:
        before = fingerprint(watcher)
        with connect(dsn, timeout_s=settings.timeout_s) as blocker, blocker.transaction():
            _write_everywhere(blocker)
            attempt = _Attempt(dsn, text, settings, limits)
            waited = attempt.watch(watcher, settings.max_blocked_s)
        left = differences(before, fingerprint(watcher)) if attempt.gave_up else []
    return Blocking(
        migration.version,
        waited,
        attempt.gave_up,
        tuple(left),
        locks,
        rewritten,
        untried=not_printed(text),
    )


def limits_of(connection: Connection, settings: Migrations) -> dict[str, str]:
    """The timeouts that the role which runs migrations has, of its own or of the database."""
    table = sql.Identifier(*version_table(settings).split(".", 1)).as_string(connection)
    names = {"table": table, "role": settings.role}
    return {name: value for name, value in fetch(connection, _LIMITS, names)}  # noqa: C416 - rows


class _Attempt:
    """A migration that runs in its own thread."""

    def __init__(
        self, dsn: Dsn, text: str, settings: Migrations, limits: Mapping[str, str]
    ) -> None:
        self.gave_up = False
        self._limits = limits
        self._dsn, self._text, self._settings = dsn, text, settings
        self._pid = 0
        self._problem: CouldNotMeasure | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def watch(self, watcher: Connection, most_s: float) -> float:
        """How long others had to wait behind it; it is terminated once that is too long."""
        self._thread.start()
        self._ready.wait()
        try:
            waited = self._watched(watcher, most_s)
        finally:
            ended = self._end(watcher)
        if self._problem and not ended:
            self.gave_up = _lock_timeout(self._problem)
            if not self.gave_up:
                raise self._problem
        return waited

    def _watched(self, watcher: Connection, most_s: float) -> float:
        """A wait that does not block others, such as for an old snapshot, does not count."""
        waited, last = 0.0, time.monotonic()
        end = last + most_s
        while self._thread.is_alive() and waited <= most_s and last <= end + waited:
            self._thread.join(_POLL_S)
            now = time.monotonic()
            if fetch_value(watcher, _BLOCKS_OTHERS, [self._pid]):
                waited += now - last
            last = now
        return waited

    def _end(self, watcher: Connection) -> bool:
        """Terminate it if it still runs; whether it did."""
        running = self._thread.is_alive()
        if running:
            fetch(watcher, "select pg_terminate_backend(%s)", [self._pid])
        self._thread.join()
        return running

    def _run(self) -> None:
        try:
            with connect(self._dsn, timeout_s=self._settings.timeout_s) as connection:
                self._pid = connection.info.backend_pid
                for name, value in self._limits.items():
                    fetch(connection, "select set_config(%s, %s, false)", [name, value])
                self._ready.set()
                execute(connection, self._text)
        except CouldNotMeasure as error:
            self._problem = error
        finally:
            self._ready.set()


def _lock_timeout(error: CouldNotMeasure) -> bool:
    return "lock timeout" in error.message or "deadlock" in error.message


def _write_everywhere(connection: Connection) -> None:
    """Take the locks of an open transaction that has written to every table."""
    for _, schema, table, _ in fetch(connection, _TABLES):
        statement = sql.SQL("lock table {} in row exclusive mode")
        fetch(connection, statement.format(sql.Identifier(schema, table)))


def _traced(dsn: Dsn, text: str, settings: Migrations) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The strong locks that it takes, and the tables that it rewrites; all is rolled back.

    One that cannot run in a transaction is not traced: it releases its locks as it goes.
    """
    migration = script(text)
    if not migration.transactional:
        return (), ()
    with (
        connect(dsn, timeout_s=settings.timeout_s) as connection,
        connection.transaction(force_rollback=True),
    ):
        before = {
            oid: (f"{schema}.{name}", file) for oid, schema, name, file in _tables(connection)
        }
        for statement in migration.statements:
            with translated(statement):
                connection.execute(statement.encode())
        held = fetch(connection, _HELD)
        after = {oid: file for oid, _, _, file in _tables(connection)}
    locks = sorted(
        f"{mode} on {before[oid][0]}" for oid, mode in held if oid in before and mode in _STRONG
    )
    rewritten = sorted(
        name for oid, (name, file) in before.items() if oid in after and after[oid] != file
    )
    return tuple(locks), tuple(rewritten)


def _tables(connection: Connection) -> list[tuple[int, str, str, int | None]]:
    return [(oid, schema, name, file) for oid, schema, name, file in fetch(connection, _TABLES)]


@dataclass(frozen=True, slots=True)
class Remark:
    """A finding of squawk."""

    version: str
    line: int
    rule: str
    message: str

    @property
    def of_taste(self) -> bool:
        """Whether the rule is about style, and not about a running system."""
        return self.rule.startswith(_TASTE) or self.rule in _ORDER

    def __str__(self) -> str:
        return f"{self.version}, line {self.line}: {self.rule} ({clean(self.message, 90)})"


class _Violation(BaseModel):
    file: str
    line: int
    rule_name: str
    message: str


_violations: Final = TypeAdapter(list[_Violation])


def remarks(
    scripts: Sequence[tuple[str, str]],
    *,
    exclude: Collection[str],
    server: int,
    limits: Collection[str] = (),
) -> list[Remark]:
    """The findings of squawk on migrations, in their order.

    Args:
        scripts: version and SQL of each migration.
        exclude: rules that are ignored.
        server: the major release of PostgreSQL that they are for.
        limits: timeouts that the role sets which runs them.

    Raises:
        Unreachable: squawk is not installed.
    """
    try:
        program = programs.find(programs.SQUAWK)
    except programs.AbsentError as problem:
        raise Unreachable(problem.message, where="PATH", remedy=problem.remedy) from None
    needless = {rule for limit in limits for rule in _ASKED_FOR[limit]}
    options = ["--reporter=json", f"--pg-version={server}.0"]
    if exclude:
        options.append(f"--exclude={','.join(exclude)}")
    found: list[Remark] = []
    for version, text in scripts:
        # What the tool prints to begin and end transactions is no nesting of them.
        alone = not script(text).transactional
        around = [] if alone else ["--assume-in-transaction"]
        with tempfile.TemporaryDirectory(prefix="readiness-") as folder:
            path = Path(folder) / "migration.sql"
            path.write_text(text if alone else without_transactions(text), encoding="utf-8")
            said = _run([program, *options, *around, str(path)], folder)
        found += [
            Remark(version, v.line + 1, v.rule_name, v.message) for v in _parsed(said, program)
        ]
    return [remark for remark in found if remark.rule not in needless]


def _run(argv: Sequence[str], folder: str) -> str:
    """What it printed; the exit status 1 stands for findings and for failures."""
    try:
        done = subprocess.run(
            argv,
            cwd=folder,  # a squawk.toml of the working directory must not change the findings
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TookTooLong(f"squawk took longer than {_TIMEOUT_S:g} s", where=argv[0]) from None
    except OSError as error:
        raise Unreachable(
            f"squawk cannot be started: {error.strerror}", where=argv[0], remedy=_INSTALL
        ) from None
    if done.returncode not in (0, 1):
        raise CouldNotMeasure(
            f"squawk ended with {done.returncode}: {clean(done.stderr.decode(errors='replace'))}",
            where=argv[0],
            remedy=f"{_INSTALL} --upgrade",
        )
    return done.stdout.decode("utf-8", "replace")


def _parsed(said: str, program: str) -> list[_Violation]:
    try:
        return _violations.validate_json(said)
    except ValidationError:
        raise CouldNotMeasure(
            f"squawk printed no list of findings: {clean(said) or 'its output is empty'}",
            where=program,
            remedy=f"{_INSTALL} --upgrade",
        ) from None
