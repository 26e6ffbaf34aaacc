"""Does the database hold the objects of the release, and does its data keep the rules?"""

from collections.abc import Mapping
from pathlib import Path

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.schema.config import Database, DatabaseSchema
from readiness.areas.schema.manifest import read, schema_of
from readiness.areas.schema.probes.integrity import (
    Orphans,
    disabled_triggers,
    foreign_keys,
    not_validated,
    orphans,
    sequences,
)
from readiness.areas.schema.probes.rows import age_of_newest, rows_up_to
from readiness.lib.postgres import Connection, connect
from readiness.lib.postgres.fingerprint import Fingerprint, kind_of
from readiness.lib.text import listed
from readiness.model.errors import did_you_mean
from readiness.model.figures import counted

_SOURCE = "pg_catalog, as `readiness schema save` reads it"


@check(
    "schema.fingerprint",
    title="The schema has every expected object, and equals the saved one",
    failure_title="The schema lacks expected objects, or differs from the saved one",
    each="database",
    needs="schema.lists_objects",
    severity="blocker",
    judgements=("objects-missing", "objects-differ", "extensions"),
    why="""A database whose tables were dropped by a script still accepts connections and passes
    every health check. A change made by hand, such as a policy that allows everything, is in no
    migration: the next deployment or a restored copy behaves differently.""",
    fix="""objects-missing: find out when it was dropped (server log, log_statement = ddl), then
      pg_restore --list FILE > list      # keep the lines of what is missing
      pg_restore -L list -d DATABASE FILE
    objects-differ: write a migration for it, or undo it with the definition in the manifest
    Changed on purpose: readiness schema save DATABASE_NAME    # commit it with the migration
    Objects that come and go, such as daily partitions: `ignore` in [databases.NAME.schema]
    extensions: a missing one: create extension NAME;      # install its package on the server first
    An old one: alter extension NAME update to 'VERSION';""",
)
def test_fingerprint(database: Database, evidence: Evidence) -> None:
    """Compares definitions, not only names: a policy's name does not say what it allows."""
    schema = database.schema or DatabaseSchema()
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = schema_of(connection)
    if schema.objects:
        _judge_objects(schema.objects, found, evidence)
    for name, version in (schema.extensions or {}).items():
        _judge_extension(name, version, found, schema, evidence)
    if schema.manifest:
        with evidence.attempt():
            _judge_manifest(Path(schema.manifest), found, schema, evidence)


def _judge_objects(expected: list[str], found: Fingerprint, evidence: Evidence) -> None:
    missing = [name for name in expected if name not in found]
    hints = [f"{name}. {did_you_mean(name, _like(name, found))}".strip() for name in missing]
    evidence.judge(
        "objects-missing",
        Measurement("missing objects", len(missing), "count", _SOURCE, samples=len(expected)),
        equal_to(0),
        listed(hints, between="; "),
        says=f"{len(missing)} of {len(expected)} expected objects are missing",
    )


def _judge_extension(
    name: str, version: str, found: Mapping[str, str], schema: DatabaseSchema, evidence: Evidence
) -> None:
    """`*` allows any version, but the extension must be installed."""
    definition = found.get(f"extension {name}") or found.get(f'extension "{name}"') or ""
    installed = definition.removeprefix("version ").partition(" in ")[0] or "none"
    allowed = installed if version == "*" and installed != "none" else version
    absent = installed == "none"
    evidence.judge(
        "extensions",
        Measurement(f"version of extension {name}", installed, "text", "pg_extension"),
        equal_to(allowed, schema.deciding("extensions")),
        f"create extension {name}"
        if absent
        else f"version {version} required; alter extension {name} update to '{version}'",
        says=f"Extension {name} is not installed" if absent else f"Extension {name} is {installed}",
    )


def _judge_manifest(
    path: Path, found: Fingerprint, schema: DatabaseSchema, evidence: Evidence
) -> None:
    manifest = read(path)
    changes = manifest.changes(found, schema.ignore)
    saved = manifest.saved_at
    evidence.record(
        Measurement("schema saved", saved.isoformat(), "time", f"PostgreSQL {manifest.server}")
    )
    without = listed(sorted(manifest.missing_kinds), most=9)
    if without:
        evidence.record(
            Measurement(
                "not compared, saved by an earlier version", without, "text", "save it again"
            )
        )
    evidence.judge(
        "objects-differ",
        Measurement(
            "objects that differ from the saved schema",
            len(changes),
            "count",
            f"{_SOURCE}, compared with {path}",
            samples=len(manifest.objects),
        ),
        equal_to(0),
        listed(map(str, changes), most=8, between="; "),
        says=f"{counted(len(changes), 'object differs', 'objects differ')} from the schema saved on"
        f" {saved:%Y-%m-%d}",
    )


def _like(name: str, found: Fingerprint) -> list[str]:
    return [other for other in found if kind_of(other) == kind_of(name)]


@check(
    "schema.integrity",
    title="Constraints, triggers, foreign keys and sequences hold for all rows",
    failure_title="Rows break the rules of the schema, or a rule is switched off",
    each="database",
    severity="blocker",
    judgements=("not-validated", "triggers-off", "orphans", "sequences"),
    core=True,
    why="""After an import with triggers off or a restore of data alone, child rows lack their
    parent although the constraint claims to be valid, and the next dump cannot be restored. A
    sequence that is behind makes the application's next INSERT fail with a duplicate key.""",
    fix="""The message has the statement for each.
    not-validated: correct the rows that break it first, or the statement fails and names one; it
    reads the table, and others may read and write:
      alter table TABLE validate constraint NAME;
    triggers-off: switch each on, as superuser those of foreign keys:
      alter table TABLE enable trigger NAME;
    orphans: list them, then restore the parents or delete the rows:
      select c.* from CHILD c left join PARENT p on p.KEY = c.KEY
      where c.KEY is not null and p.KEY is null;
    sequences: set each, here and in the script that copies the rows:
      select setval('SCHEMA.SEQUENCE', max(COLUMN)) from SCHEMA.TABLE;""",
)
def test_integrity(database: Database, evidence: Evidence) -> None:
    """Rules from the catalog, orphans by anti-joins, sequences by the largest value in use."""
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        _judge_rules(connection, evidence)
        with evidence.attempt():
            _judge_sequences(connection, evidence)
    with evidence.attempt():
        _judge_orphans(database, database.schema or DatabaseSchema(), evidence)


@check(
    "schema.row-floors",
    title="Tables that must have rows have enough of them, and recent ones",
    failure_title="Tables are emptier than required, or nothing writes to them",
    each="database",
    needs="schema.rows",
    severity="blocker",
    judgements=("rows", "newest"),
    why="""A table that was dropped and created again exists, is healthy and is empty. A table
    whose newest row is a week old has lost the job or service that writes to it.""",
    fix="""Too few rows: stop the writers, see what deleted them, and restore the table:
      select n_tup_ins, n_tup_del from pg_stat_user_tables where relname = 'TABLE';
      pg_restore --data-only -t TABLE -d DATABASE FILE
    Too old: restart the job or service that writes to the table
    Another limit: `min_rows` or `max_age_h` in [databases.NAME.schema.rows."TABLE"]""",
)
def test_row_floors(database: Database, evidence: Evidence) -> None:
    """Counts up to the floor and no further."""
    floors = database.schema.rows if database.schema else {}
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        for table, floor in floors.items():
            rows = rows_up_to(connection, table, floor.min_rows)
            enough = evidence.judge(
                "rows",
                rows,
                at_least(floor.min_rows, floor.deciding("min_rows")),
                says=f"{table} has {rows.value:,} rows",
            )
            if enough and floor.newest_by:
                with evidence.attempt():
                    age = age_of_newest(connection, table, floor.newest_by)
                    evidence.judge(
                        "newest",
                        age,
                        at_most(floor.max_age_h, floor.deciding("max_age_h")),
                        says=f"The newest row of {table} is {age.value:.1f} h old",
                    )


def _judge_rules(connection: Connection, evidence: Evidence) -> None:
    open_, off = not_validated(connection), disabled_triggers(connection)
    evidence.judge(
        "not-validated",
        Measurement("constraints not validated", len(open_), "count", "pg_constraint"),
        equal_to(0),
        listed(map(str, open_), between="; "),
        says=f"{counted(len(open_), 'constraint is', 'constraints are')} not validated",
        commands=[one.fix for one in open_],
    )
    evidence.judge(
        "triggers-off",
        Measurement("triggers switched off", len(off), "count", "pg_trigger"),
        equal_to(0),
        listed(map(str, off), between="; "),
        says=f"{counted(len(off), 'trigger is', 'triggers are')} switched off",
        commands=[one.fix for one in off],
    )


def _judge_sequences(connection: Connection, evidence: Evidence) -> None:
    """A column without an index is left out, and counted: its largest value is expensive."""
    found = sequences(connection)
    evidence.record(
        Measurement(
            "sequences not compared, their columns have no index",
            len(found.left_out),
            "count",
            listed(found.left_out) or "-",
        )
    )
    behind = [one for one in found.looked_at if one.behind]
    evidence.judge(
        "sequences",
        Measurement(
            "sequences behind their columns",
            len(behind),
            "count",
            "last_value, and max() of the column",
            samples=len(found.looked_at),
        ),
        equal_to(0),
        listed(map(str, behind), between="; "),
        says=counted(
            len(behind), "sequence is behind its column", "sequences are behind their columns"
        ),
        commands=[one.fix for one in behind],
    )
    if found.unread:
        raise found.unread


def _judge_orphans(database: Database, limits: DatabaseSchema, evidence: Evidence) -> None:
    """Of a large table a sample of its pages is searched, and the report says so."""
    found: list[Orphans] = []
    with connect(
        database.dsn, timeout_s=limits.timeout_s, total_s=3 * limits.timeout_s
    ) as connection:
        keys = foreign_keys(connection)
        with evidence.attempt():
            most, within_s = limits.max_rows, limits.timeout_s
            found.extend(orphans(connection, keys, most=most, within_s=within_s))
    if keys and not found:
        return  # none of them could be compared
    parts = [one for one in found if one.sampled]
    evidence.record(
        Measurement(
            "foreign keys searched in a sample only",
            len(parts),
            "count",
            f"{limits.max_rows} rows of: {listed(str(one.key) for one in parts)}" if parts else "-",
        )
    )
    broken = sorted((one for one in found if one.rows), key=lambda one: -one.rows)
    evidence.judge(
        "orphans",
        Measurement(
            "foreign keys with orphans", len(broken), "count", "anti-joins", samples=len(found)
        ),
        equal_to(0),
        listed(
            (f"{one.key}: {counted(one.rows, 'row')} without a parent" for one in broken),
            between="; ",
        ),
        says=f"{counted(len(broken), 'foreign key has', 'foreign keys have')} orphaned rows",
    )
