"""Are all migrations applied, do they create this schema, and are they safe to run?"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.schema.config import Database
from readiness.areas.schema.probes.migration_risks import (
    Blocking,
    blocking,
    limits_of,
    remarks,
)
from readiness.areas.schema.probes.rows import size_of
from readiness.config.base.migrations import Migrations
from readiness.lib.migrations.model import Applied, State, without_replaced
from readiness.lib.migrations.reading import migrations_of, release_of, state_of, version_table
from readiness.lib.migrations.replay import (
    on_copies,
    parted,
    replayed,
    roll_back,
    versions_of,
)
from readiness.lib.migrations.scratch import Scratch
from readiness.lib.migrations.scripts import up_of
from readiness.lib.postgres import connect
from readiness.lib.postgres.fingerprint import ROLES, Change, differences, fingerprint
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.figures import counted

ScratchBeside = Callable[[Database], AbstractContextManager[Scratch]]
# Extensions come with the server; schema.fingerprint judges them.
_NOT_MIGRATED = ROLES | {"extension"}


@check(
    "schema.migrations-drift",
    title="All migrations of the release are applied, and lead to exactly this schema",
    failure_title="The schema is not what the migrations of the release lead to",
    each="database",
    needs="migrations",
    severity="blocker",
    judgements=("pending", "half-done", "unknown", "altered", "heads", "objects-differ"),
    core=True,
    explains=("schema.fingerprint",),
    why="""Code that runs against another schema fails on a column that does not exist yet, or no
    longer. If the schema was changed by hand, the table of versions still claims that all is
    well, and tests pass in environments that are made from the migrations alone.""",
    fix="""See what is applied, and what is not:
      alembic current --verbose  |  manage.py showmigrations  |  flyway info
    pending: `alembic upgrade head`, `manage.py migrate`, `flyway migrate`
    half-done: undo or finish what it left, then `flyway repair` or `migrate force VERSION`
    unknown: find the branch it came from, and merge it or undo it
    altered: restore the file as it was applied; write the change as a new migration
    heads: `alembic merge heads`, `manage.py makemigrations --merge`
    objects-differ: write a migration for a change made by hand and mark it as applied, or undo it
    Objects that do not come from migrations: `ignore` in [databases.NAME.migrations]
    Objects that the migrations rely on: an SQL file, named in `base`""",
)
def test_migrations_drift(
    database: Database, scratch_beside: ScratchBeside, evidence: Evidence
) -> None:
    """Reads the table and the files; runs what was applied again on a scratch server."""
    settings = _settings(database)
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        state, applied = state_of(connection, settings)
        _judge_state(state, applied, evidence)
        release, found = release_of(connection), fingerprint(connection)
        migrations = migrations_of(settings)
    done = applied.versions
    steps = [m for m in without_replaced(migrations, done) if m.version in done]
    with (
        scratch_beside(database) as server,
        replayed(server, settings, steps) as copy,
        connect(copy.dsn, timeout_s=settings.timeout_s) as connection,
    ):
        other, expected = release_of(connection), fingerprint(connection)
    changes = differences(expected, found, without=_NOT_MIGRATED, ignore=versions_of(settings))
    changes = [change for change in changes if not _is_of_versions(change, settings)]
    if changes and release != other:
        raise CouldNotMeasure(
            f"the scratch server is PostgreSQL {other}, the database {release}: each writes"
            f" definitions in its own way, and {len(changes)} differ, such as {changes[0]}",
            remedy=f"name a scratch server of release {release} in `scratch_dsn`",
        )
    partly = copy.partly + applied.coded
    if changes and partly and not any(change.what == "missing" for change in changes):
        raise CouldNotMeasure(
            f"{listed(partly)} cannot be written as SQL in full, and {len(changes)} objects"
            f" differ that it may have changed, such as {changes[0]}",
            remedy="compare by hand with a database that all migrations made, and name these"
            " objects in `ignore`",
        )
    evidence.record(Measurement("migrations run again", len(steps), "count", settings.folder))
    evidence.record(
        Measurement("run without what is not SQL", listed(partly) or "none", "text",
            settings.folder)
    )  # fmt: skip
    evidence.judge(
        "objects-differ",
        Measurement(
            "objects that differ from the migrations",
            len(changes),
            "count",
            "scratch server and database",
        ),
        equal_to(0),
        listed(map(str, changes), between="; "),
        says=f"{counted(len(changes), 'object differs', 'objects differ')} from the schema that the"
        " migrations create",
    )


@check(
    "schema.migrations-reversible",
    title="Each of the newest migrations can be rolled back and applied again",
    failure_title="A migration cannot be rolled back cleanly",
    each="database",
    needs="migrations",
    judgements=("rolls-back",),
    why="""A release that is rolled back tonight takes its migration with it. A rollback script that
    was never run drops the wrong thing, leaves an index that the next attempt fails on, or loses
    rows.""",
    fix="""Run it on a scratch database: up, down, up; compare after each step with
      readiness schema save DATABASE_NAME --check
    Accept that a migration cannot be rolled back:
      irreversible = ["VERSION"] in [databases.NAME.migrations]
    Rows that must survive: an SQL file that inserts a few, named in `seed`""",
)
def test_migrations_reversible(
    database: Database, scratch_beside: ScratchBeside, evidence: Evidence
) -> None:
    """Compares schema and rows after each step."""
    settings = _settings(database)
    steps = migrations_of(settings)
    with scratch_beside(database) as server:
        tried = on_copies(server, settings, steps, partial(roll_back, settings))
    found = [one for one in tried if one.version not in settings.irreversible]
    accepted = [one.version for one in tried if one.version in settings.irreversible]
    wrong = [one.wrong for one in found if one.wrong]
    rows = max((one.rows_before for one in found), default=0)
    evidence.record(Measurement("rows that must survive", rows, "count", settings.seed or "-"))
    evidence.record(
        Measurement("accepted as irreversible", len(accepted), "count", listed(accepted) or "-")
    )
    evidence.judge(
        "rolls-back",
        Measurement(
            "migrations that do not roll back",
            len(wrong),
            "count",
            "up, down and up again",
            samples=len(found) or 1,
        ),
        equal_to(0),
        listed(wrong, between="; "),
        says=f"{len(wrong)} of the newest migrations cannot be rolled back cleanly",
    )
    _need_sql([one.version for one in found if one.untried])


@check(
    "schema.migrations-locks",
    title="The newest migrations do not block the application",
    failure_title="A migration blocks the application while it runs",
    each="database",
    needs="migrations",
    severity="blocker",
    judgements=("wait", "leftovers", "rewrite", "lint"),
    why="""A migration that waits for a lock heads a queue: every later query waits too, even reads.
    Behind one long report, one ALTER TABLE takes the whole service down.""",
    fix="""wait: put this at the top of the migration, and run it again when it gives up
      set lock_timeout = '2s';
      or once for all: alter role MIGRATOR set lock_timeout = '2s';
    leftovers: one transaction per migration, or `if not exists` in each statement
    rewrite: make what is slow without a lock:
      Index: create index concurrently ...
      Constraint: add constraint ... not valid;      # validate it in the next migration
      New type: a new column, filled in batches; never alter the type of a large table
    lint: squawk FILE      # rules: https://squawkhq.com/docs/rules
      exclude a rule with `lint_exclude`, or for one statement: -- squawk-ignore RULE
      (without require-timeout-settings, a wait for a lock is a warning, too)
      missing: pip install squawk-cli; `lint = false` turns it off
    Another limit: `max_blocked_s` or `rewrite_max_mb` in [databases.NAME.migrations]""",
)
def test_migrations_locks(
    database: Database, scratch_beside: ScratchBeside, evidence: Evidence
) -> None:
    """Runs each on a scratch server while a transaction holds a writer's locks on every table."""
    settings = _settings(database)
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        limits = limits_of(connection, settings)
    told = ", ".join(f"{name} {value}" for name, value in limits.items())
    evidence.record(
        Measurement("limits of the migrating role", told or "none", "text", "pg_db_role_setting")
    )
    with evidence.attempt():
        with scratch_beside(database) as server:
            steps = migrations_of(settings)
            found = on_copies(server, settings, steps, partial(blocking, settings, limits))
        for one in found:
            _judge_wait(one, settings, evidence)
        _judge_rewrites(found, database, settings, evidence)
        untried = {one.version for one in found if one.untried}
        _need_sql(sorted(untried.difference(settings.irreversible)))
    with evidence.attempt():
        _judge_lint(database, settings, limits, evidence)


def _is_of_versions(change: Change, settings: Migrations) -> bool:
    """Whether it is the schema that the tool made for its own table alone."""
    schema, dot, _ = version_table(settings).partition(".")
    return bool(dot) and change.what == "unexpected" and change.name == f"schema {schema}"


def _settings(database: Database) -> Migrations:
    if database.migrations is None:
        raise NoData("the migrations are not configured", where="[databases.NAME.migrations]")
    return database.migrations


def _need_sql(untried: list[str]) -> None:
    if untried:
        raise CouldNotMeasure(
            f"{listed(untried)} has a part that its tool cannot write as SQL, which was not tried",
            remedy="try it by hand on a copy; to accept that it is not tried here, list it in"
            " `irreversible` of [databases.NAME.migrations]",
        )


def _judge_state(state: State, applied: Applied, evidence: Evidence) -> None:
    evidence.record(
        Measurement("migrations applied", len(applied.versions), "count", applied.source)
    )
    for key, versions, what in (
        ("pending", state.pending, "migrations of the release are not applied"),
        ("half-done", state.failed, "migrations began and did not finish"),
        ("unknown", state.unknown, "applied migrations are not in the repository"),
        ("altered", state.altered, "migrations differ from the file that was applied"),
        ("heads", state.forks, "branches of migrations are not merged"),
    ):
        evidence.judge(
            key,
            Measurement(what, len(versions), "count", applied.source),
            equal_to(0),
            listed(versions),
            says=f"{len(versions)} {what}",
        )
    evidence.judge(
        "half-done",
        Measurement(
            "lines of alembic beneath another one", len(applied.overlapping), "count",
            applied.source,
        ),
        equal_to(0),
        "delete its line from the table",
        says=f"alembic upgrades no further: its table lists {listed(applied.overlapping)},"
        " and also a version that builds on it",
    )  # fmt: skip


# squawk's rule of the same subject: who excludes it has decided to migrate without a lock_timeout.
_TIMEOUTS: Final = "require-timeout-settings"


def _judge_wait(one: Blocking, settings: Migrations, evidence: Evidence) -> None:
    locks = listed(one.locks) or "none"
    evidence.record(Measurement(f"strong locks of {one.version}", locks, "text", "pg_locks"))
    evidence.judge(
        "wait",
        Measurement(f"time others wait behind {one.version}", one.waited_s, "s", "pg_locks"),
        at_most(settings.max_blocked_s, settings.deciding("max_blocked_s")),
        says=f"Other sessions wait behind migration {one.version} for more than"
        f" {settings.max_blocked_s:g} s while it waits for a lock",
        warn_only=_TIMEOUTS in settings.lint_exclude,
    )
    if one.gave_up:
        evidence.judge(
            "leftovers",
            Measurement(f"objects left by {one.version}", len(one.left), "count", "scratch server"),
            equal_to(0),
            listed(map(str, one.left), between="; "),
            says=f"Migration {one.version} gave up and left "
            f"{counted(len(one.left), 'object')} behind",
        )


def _judge_rewrites(
    found: list[Blocking], database: Database, settings: Migrations, evidence: Evidence
) -> None:
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        for version, table in ((one.version, t) for one in found for t in one.rewritten):
            size = size_of(connection, table, version)
            evidence.judge(
                "rewrite",
                size,
                at_most(settings.rewrite_max_mb, settings.deciding("rewrite_max_mb")),
                "readers are blocked meanwhile",
                says=f"Migration {version} rewrites {table} ({size.value:.1f} MB)",
            )


def _judge_lint(
    database: Database, settings: Migrations, limits: Mapping[str, str], evidence: Evidence
) -> None:
    """Rules of style (`prefer-…`) are counted and not judged."""
    if not settings.lint:
        source = settings.deciding("lint")
        evidence.record(Measurement("findings of squawk", "not asked", "text", source))
        return
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        release = release_of(connection)
    _, newest = parted(settings, migrations_of(settings))
    scripts = [(step.version, up_of(settings, step)) for step in newest]
    found = remarks(scripts, exclude=settings.lint_exclude, server=release, limits=limits)
    grave = [remark for remark in found if not remark.of_taste]
    source = f"squawk, {len(scripts)} migrations"
    evidence.record(Measurement("findings of style", len(found) - len(grave), "count", source))
    evidence.judge(
        "lint",
        Measurement("findings of squawk", len(grave), "count", source),
        equal_to(0),
        listed(map(str, grave), between="; "),
        says=f"squawk warns {len(grave)} times about the newest migrations",
    )
