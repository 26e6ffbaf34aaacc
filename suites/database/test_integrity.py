"""Can what is stored be trusted, and can more be stored?"""

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.database.config import Database
from readiness.areas.database.grading import no_more_than
from readiness.areas.database.probes import damage, integrity
from readiness.lib.text import listed


@check(
    "database.sequence-exhaustion",
    title="No sequence is near the largest number that its column takes",
    each="database",
    severity="blocker",
    why="""The day an `integer` key reaches 2147483647, every insert into the table fails, and
    rewriting it to `bigint` takes hours with the table locked. The sequence itself often still
    has room: it is the column that is full.""",
    fix="""Before it is full, in a window, or by way of a new column that is filled in batches:
      alter table TABLE alter column COLUMN type bigint;   (rewrites the table under a lock)
      alter sequence SEQUENCE as bigint;
    To win time: let it go on through the negative numbers,
      alter sequence SEQUENCE minvalue -2147483648 restart with -2147483648;
    The limits are `sequence_warn_share` and `sequence_max_share` in [databases.NAME.limits].""",
)
def test_sequence_exhaustion(database: Database, evidence: Evidence) -> None:
    """Against the sequence's own end and the type of its column, whichever comes first."""
    found = integrity.sequences(database)
    no_more_than(
        evidence,
        "used-fullest-sequence",
        Measurement(
            "used of the fullest sequence",
            max((sequence.share for sequence in found), default=0.0),
            "ratio",
            "pg_sequences",
            samples=len(found),
        ),
        warn=database.limits.sequence_warn_share,
        fail=database.limits.sequence_max_share,
        because=listed(map(str, found), between="; "),
    )


@check(
    "database.corruption-sample",
    title="What was read of tables and indexes is sound",
    each="database",
    severity="blocker",
    why="""An index in a wrong order hides rows that are there: a payment that is not found, a
    unique key that is stored twice. Checksums do not see it, since every page is as it was
    written; the cause is mostly a new operating system that sorts texts differently.""",
    fix="""Once, as superuser: create extension amcheck;
      grant execute on function bt_index_check(regclass, boolean) to ROLE;
      grant execute on function
        verify_heapam(regclass, boolean, boolean, text, bigint, bigint) to ROLE;
    An index is damaged: look for rows that are stored twice, then
      reindex index concurrently INDEX;
    A table is damaged: stop writing to it, keep a copy of the data folder, restore a backup. All
    of it: pg_amcheck --heapallindexed DATABASE. How much is read is `corruption_sample_bytes` in
    [databases.NAME.limits].""",
)
def test_corruption_sample(database: Database, evidence: Evidence) -> None:
    """The largest ones, and each day some others, until the sample is full."""
    found = damage.sample(database, database.limits.corruption_sample_bytes)
    read = found.indexes + found.tables
    evidence.record(
        Measurement("bytes read for damage", found.size, "bytes", "amcheck", samples=read)
    )
    evidence.judge(
        "damaged-indexes-tables-read",
        Measurement(
            f"damaged, of {found.indexes} indexes and {found.tables} tables that were read",
            len(found.damaged),
            "count",
            f"amcheck; there are {found.candidates}",
            samples=read,
        ),
        equal_to(0),
        listed(found.damaged, between="; "),
    )


@check(
    "database.collation-version",
    title="Texts are sorted as they were when the indexes were built",
    each="database",
    severity="blocker",
    why="""The operating system's library sorts texts, and a new one sorts some differently. Then
    every index on text is in a wrong order: rows are not found, and unique keys are stored twice.
    It happens with a new image, a restore on another host, a standby on another release.""",
    fix="""Rebuild what is stored in that order, then write the new version down:
      reindex database concurrently DATABASE;
      alter database DATABASE refresh collation version;     (PostgreSQL 15 and later)
      alter collation NAME refresh version;
    First look for what went wrong already: pg_amcheck --heapallindexed DATABASE""",
)
def test_collation_version(database: Database, evidence: Evidence) -> None:
    """Only what something is stored in: of others, nothing is in a wrong order."""
    found = integrity.collations(database)
    changed = [str(collation) for collation in found if collation.changed]
    evidence.judge(
        "collations-changed",
        Measurement(
            "collations that changed", len(changed), "count", "pg_collation", samples=len(found)
        ),
        equal_to(0),
        listed(changed, between="; "),
    )
    unknown = [collation.name for collation in found if collation.unknown and collation.indexes]
    evidence.judge(
        "collations-an-unknown-version",
        Measurement("collations of an unknown version", len(unknown), "count", "pg_collation"),
        equal_to(0),
        f"nobody can tell whether they changed: {listed(unknown)}",
        warn_only=True,
    )
