"""Are all migrations applied, do they lead to this schema, and can they be trusted to run?"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.schema.probes.migration_locks import blocking
from readiness.areas.schema.probes.squawk import remarks
from readiness.areas.schema.probes.table_sizes import size_of
from readiness.areas.schema.subjects import MigrationsOf
from readiness.lib.migrations.reading import migrations_of, release_of, state_of
from readiness.lib.migrations.replay import on_copies, parted, replayed, versions_of, way_back
from readiness.lib.migrations.scratch import Scratch
from readiness.lib.migrations.scripts import up_of
from readiness.lib.postgres import connect
from readiness.lib.postgres.fingerprint import ROLES, differences, fingerprint
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure

ScratchFor = Callable[[MigrationsOf], AbstractContextManager[Scratch]]
# Extensions come with the server, and schema.extensions asks for them.
_NOT_MIGRATED = ROLES | {"extension"}


@check(
    "schema.migrations-at-head",
    title="Every migration of the release is applied, none is half done, and none is unknown",
    each="migrations",
    severity="blocker",
    why="""Code that runs against a schema it was not written for fails where nobody looked: a
    column that is not there yet, or one that is gone. A migration that stopped halfway blocks
    the next deployment; one that is unknown here was applied from a branch.""",
    fix="""Apply what is pending, as the owner:
      alembic upgrade head  |  manage.py migrate  |  flyway migrate  |  your runner of SQL files
    Failed or dirty:  look at what it left behind, mend that, then `flyway repair`,
      `migrate force VERSION`, or delete its line from the table of versions
    Unknown:          find the branch it came from; Altered: never edit what was applied
    Several heads:    alembic merge heads;  manage.py makemigrations --merge""",
)
def test_migrations_at_head(migrations: MigrationsOf, evidence: Evidence) -> None:
    """The table and the files are read; what a tool's exit code says is not asked."""
    database = migrations.database
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        state, applied = state_of(connection, migrations.migrations)
    evidence.record(
        Measurement("migrations applied", len(applied.versions), "count", applied.source)
    )
    for name, versions, what in (
        ("migrations not applied", state.pending, "the release expects them"),
        ("migrations that are half done", state.failed, "they began, and did not end well"),
        ("migrations that nobody knows", state.unknown, "applied, and not in the repository"),
        ("migrations that were altered", state.altered, "the file is not the one applied"),
        ("heads too many", state.heads[1:], "two branches of migrations were not merged"),
    ):
        evidence.judge(
            "name",
            Measurement(name, len(versions), "count", applied.source),
            equal_to(0),
            f"{listed(versions)}: {what}",
        )


@check(
    "schema.migrations-drift",
    title="The migrations lead to exactly the schema that the database has",
    each="migrations",
    severity="blocker",
    effect="write",
    why="""The table of versions is a note that somebody wrote. If the schema was changed by
    hand, the note still says that all is well, and the next environment that is made from the
    migrations is another one: the tests pass there.""",
    fix="""The message names each object. Changed by hand and meant: write a migration, and mark it
    as applied here. Not meant: undo it.
    Objects that do not come from migrations: `ignore` in [databases.NAME.migrations].
    What the migrations take for granted: an SQL file, named in `base`.""",
)
def test_migrations_drift(
    migrations: MigrationsOf, scratch_for: ScratchFor, evidence: Evidence
) -> None:
    """What was applied is run again on a scratch server, and the two schemas are compared."""
    database, settings = migrations.database, migrations.migrations
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        _, applied = state_of(connection, settings)
        release, found = release_of(connection), fingerprint(connection)
    steps = [m for m in migrations_of(settings) if m.version in applied.versions]
    with (
        scratch_for(migrations) as server,
        replayed(server, settings, steps) as dsn,
        connect(dsn, timeout_s=settings.timeout_s) as connection,
    ):
        other, expected = release_of(connection), fingerprint(connection)
    changes = differences(expected, found, without=_NOT_MIGRATED, ignore=versions_of(settings))
    if changes and release != other:
        raise CouldNotMeasure(
            f"the scratch server is PostgreSQL {other}, the database {release}: each writes"
            f" definitions in its own way, and {len(changes)} differ, such as {changes[0]}",
            remedy=f"name a scratch server of release {release} in `scratch_dsn`",
        )
    evidence.record(Measurement("migrations run again", len(steps), "count", settings.folder))
    evidence.judge(
        "objects-differ",
        Measurement("objects that differ", len(changes), "count", "scratch server and database"),
        equal_to(0),
        listed(map(str, changes), between="; "),
    )


@check(
    "schema.migrations-reversible",
    title="Each of the newest migrations can be taken back, and run again",
    each="migrations",
    effect="write",
    why="""A release that has to go back tonight takes its migration with it. A way back that was
    never run drops the wrong thing, leaves an index behind that the next attempt stumbles over,
    or loses the rows that were there before.""",
    fix="""Run it by hand, on a scratch database:
      forth, back, forth; and compare with `readiness schema save` in between
    A migration that cannot be taken back, and has been accepted as that:
      irreversible = ["VERSION"] in [databases.NAME.migrations]
    Name a few rows in `seed`, so that what happens to them is seen.""",
)
def test_migrations_reversible(
    migrations: MigrationsOf, scratch_for: ScratchFor, evidence: Evidence
) -> None:
    """Schema and rows are compared after each step."""
    settings = migrations.migrations
    steps = migrations_of(settings)
    with scratch_for(migrations) as server:
        tried = on_copies(server, settings, steps, partial(way_back, settings))
    found = [one for one in tried if one.version not in settings.irreversible]
    accepted = [one.version for one in tried if one.version in settings.irreversible]
    wrong = [one.wrong for one in found if one.wrong]
    rows = max((one.rows_before for one in found), default=0)
    evidence.record(Measurement("rows that had to survive", rows, "count", settings.seed or "-"))
    evidence.record(
        Measurement("accepted as irreversible", len(accepted), "count", listed(accepted) or "-")
    )
    evidence.judge(
        "migrations-without-good-way",
        Measurement(
            "migrations without a good way back",
            len(wrong),
            "count",
            "forth, back and forth again",
            samples=len(found) or 1,
        ),
        equal_to(0),
        listed(wrong, between="; "),
    )


@check(
    "schema.migrations-lint",
    title="The newest migrations have nothing in them that squawk warns of",
    each="migrations",
    why="""An index that is not built CONCURRENTLY stops all writers; a constraint that is not
    added NOT VALID reads the whole table under a lock; a dropped column breaks the release that
    still runs. All of it is seen in the text.""",
    fix="""Each rule is explained: https://squawkhq.com/docs/rules
      squawk FILE
    A rule that does not count here: `lint_exclude` in [databases.NAME.migrations]; for one
    statement:  -- squawk-ignore RULE
    Not installed: pip install squawk-cli.""",
)
def test_migrations_lint(migrations: MigrationsOf, evidence: Evidence) -> None:
    """What is of taste alone (the rules `prefer-…`) is counted, and not judged."""
    database, settings = migrations.database, migrations.migrations
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        release = release_of(connection)
    _, newest = parted(settings, migrations_of(settings))
    scripts = [(step.version, up_of(settings, step)) for step in newest]
    found = remarks(scripts, exclude=settings.lint_exclude, server=release)
    grave = [remark for remark in found if not remark.of_taste]
    source = f"squawk, {len(scripts)} migrations"
    evidence.record(Measurement("remarks of taste", len(found) - len(grave), "count", source))
    evidence.judge(
        "warnings",
        Measurement("warnings", len(grave), "count", source),
        equal_to(0),
        listed(map(str, grave), between="; "),
    )


@check(
    "schema.migrations-locks",
    title="A migration that does not get its lock gives up before others have to wait",
    each="migrations",
    severity="blocker",
    effect="write",
    why="""A migration that waits for a lock stands at the head of a queue: every query that comes
    after it waits too, even those that only read. Behind one long report, one ALTER TABLE takes
    the whole service down.""",
    fix="""Put at the top of the migration, and try again when it gives up:
      set lock_timeout = '2s';
    An index:       create index concurrently ...
    A constraint:   add constraint ... not valid;  and validate it in the next migration
    A new type:     a new column, filled in batches; never alter column ... type on a large table
    What others may have to wait: `max_blocked_s` in [databases.NAME.migrations].""",
)
def test_migrations_locks(
    migrations: MigrationsOf, scratch_for: ScratchFor, evidence: Evidence
) -> None:
    """Run on a scratch server, while a transaction holds what a writer to all tables holds."""
    database, settings = migrations.database, migrations.migrations
    with scratch_for(migrations) as server:
        steps = migrations_of(settings)
        found = on_copies(server, settings, steps, partial(blocking, settings))
    for one in found:
        evidence.record(
            Measurement(f"strong locks of {one.version}", listed(one.locks) or "none", "text",
                        "pg_locks")
        )  # fmt: skip
        evidence.judge(
            "time-others-wait-behind",
            Measurement(f"time others wait behind {one.version}", one.waited_s, "s", "pg_locks"),
            at_most(settings.max_blocked_s),
            "it waits for a lock, and everybody waits behind it: it sets no lock_timeout",
        )
        if one.gave_up:
            evidence.judge(
                "objects-left",
                Measurement(
                    f"objects {one.version} left", len(one.left), "count", "scratch server"
                ),
                equal_to(0),
                f"it gave up halfway: {listed(map(str, one.left), between='; ')}",
            )
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        for version, table in ((one.version, t) for one in found for t in one.rewritten):
            evidence.judge(
                "size",
                size_of(connection, table, version),
                at_most(settings.rewrite_max_mb),
                f"{version} writes all of {table} anew while nobody may read it",
            )
