"""Does the data keep the rules that the schema states?"""

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.schema.config import Database, DatabaseSchema
from readiness.areas.schema.probes.constraints import (
    disabled_triggers,
    foreign_keys,
    not_validated,
    orphans,
)
from readiness.areas.schema.probes.sequences import sequences
from readiness.lib.postgres import connect
from readiness.lib.text import listed


@check(
    "schema.constraints-validated",
    title="Every constraint was validated, and every trigger is switched on",
    each="database",
    why="""A constraint that was added NOT VALID says nothing of the rows that were there, and
    the planner does not rely on it. A trigger that was disabled for an import, and with it the
    foreign keys of its table, stays off until somebody looks.""",
    fix="""Validate (it reads the table, and lets others read and write meanwhile):
      alter table TABLE validate constraint NAME;
    Switch on:
      alter table TABLE enable trigger all;     (as superuser, for those of foreign keys)
    Then look at what came in meanwhile: schema.foreign-key-orphans.""",
)
def test_constraints_validated(database: Database, evidence: Evidence) -> None:
    """The largest tables are named first."""
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        open_, off = not_validated(connection), disabled_triggers(connection)
    evidence.judge(
        "constraints-validated",
        Measurement("constraints not validated", len(open_), "count", "pg_constraint"),
        equal_to(0),
        listed(map(str, open_), between="; "),
    )
    evidence.judge(
        "triggers-switched-off",
        Measurement("triggers switched off", len(off), "count", "pg_trigger"),
        equal_to(0),
        listed(map(str, off), between="; "),
    )


@check(
    "schema.foreign-key-orphans",
    title="No row leads to a row that is not there",
    each="database",
    severity="blocker",
    why="""A restore with --disable-triggers, a replica that skipped a table or a trigger that
    was off leave rows behind whose parents are missing. The constraint says it is valid, and
    the next dump does not restore.""",
    fix="""See them all, for the key that the message names:
      select c.* from CHILD c left join PARENT p on p.KEY = c.KEY
      where c.KEY is not null and p.KEY is null;
    Bring the parents back from a backup, or delete the rows; then prove it:
      alter table CHILD drop constraint NAME, add constraint NAME foreign key ... not valid;
      alter table CHILD validate constraint NAME;""",
)
def test_foreign_key_orphans(database: Database, evidence: Evidence) -> None:
    """Bounded: of a large table a sample of its pages is looked at, and that is said."""
    limits = database.schema or DatabaseSchema()
    with connect(
        database.dsn, timeout_s=limits.timeout_s, total_s=3 * limits.timeout_s
    ) as connection:
        keys = foreign_keys(connection)
        found = list(orphans(connection, keys, most=limits.max_rows, within_s=limits.timeout_s))
    parts = [one for one in found if one.sampled]
    evidence.record(
        Measurement(
            "foreign keys looked at in a part only",
            len(parts),
            "count",
            f"{limits.max_rows} rows of: {listed(str(one.key) for one in parts)}" if parts else "-",
        )
    )
    broken = sorted((one for one in found if one.rows), key=lambda one: -one.rows)
    evidence.judge(
        "foreign-keys-orphans",
        Measurement(
            "foreign keys with orphans", len(broken), "count", "anti-joins", samples=len(keys)
        ),
        equal_to(0),
        listed((f"{one.key}: {one.rows} rows lead nowhere" for one in broken), between="; "),
    )


@check(
    "schema.sequences-ahead",
    title="Every sequence is ahead of the numbers that its table has",
    each="database",
    severity="blocker",
    why="""Rows that were copied with their numbers, by a restore of data alone or by logical
    replication, leave the sequence behind. The next INSERT of the application then fails with
    `duplicate key`, and so do all until it has caught up.""",
    fix="""select setval(pg_get_serial_sequence('SCHEMA.TABLE', 'COLUMN'),
                         (select max(COLUMN) from SCHEMA.TABLE));
    Do it in the same script that copies the rows.""",
)
def test_sequences_ahead(database: Database, evidence: Evidence) -> None:
    """A column without an index is left out, and counted: its largest value is too dear."""
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = sequences(connection)
    evidence.record(
        Measurement(
            "sequences left out, their columns have no index",
            len(found.left_out),
            "count",
            listed(found.left_out) or "-",
        )
    )
    behind = [one for one in found.looked_at if one.behind]
    evidence.judge(
        "sequences-behind",
        Measurement(
            "sequences that are behind",
            len(behind),
            "count",
            "last_value, and max() of the column",
            samples=len(found.looked_at),
        ),
        equal_to(0),
        listed(map(str, behind), between="; "),
    )
