"""Damage to what is stored, and sequences that run out."""

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.database.config import Database
from readiness.areas.database.grading import no_more_than
from readiness.areas.database.probes import integrity, server
from readiness.lib.findings import none_of
from readiness.lib.text import listed, worst


@check(
    "database.corruption",
    title="Tables and indexes are sound, and damage would be noticed",
    failure_title="Tables or indexes are damaged, or damage would go unnoticed",
    each="database",
    severity="blocker",
    why="""An index in a wrong order hides rows that are there: a payment is not found, a unique
    key is stored twice. Damage that nothing notices is copied into every backup until no sound one
    is left.""",
    fix="""amcheck is missing or not permitted, as superuser: create extension amcheck;
    grant execute on function bt_index_check(regclass, boolean) to ROLE;
    grant execute on function
      verify_heapam(regclass, boolean, boolean, text, bigint, bigint) to ROLE;
damage: check everything: pg_amcheck --heapallindexed DATABASE
A damaged index: look for duplicate rows, then   reindex index concurrently INDEX;
A damaged table: stop writing to it, copy the data folder, restore a backup.
collations: one changed (a new image, another host): rebuild, then record the new version:
    reindex database concurrently DATABASE;
    alter database DATABASE refresh collation version;   -- PostgreSQL 15 and later
    alter collation NAME refresh version;
unknown-collations: no version is recorded, which neither statement changes: rebuild, then
as superuser
    update pg_collation set collversion = pg_collation_actual_version(oid)
    where collname = 'NAME';
On a standby: run it on the same image as the primary; until then, do not fail over to it.
checksums: they are off: stop the server, and (20 GB take a minute)
    pg_checksums --enable -D DATA_FOLDER
Checksum failures: distrust the disks, keep old backups, restore on another host, then
    select pg_stat_reset();""",
    judgements=("damage", "collations", "unknown-collations", "checksums"),
)
def test_corruption(database: Database, evidence: Evidence) -> None:
    """By amcheck on a sample, the versions of collations in use, and checksums of all databases.

    The sample holds the largest tables and indexes, and each day some others, up to
    `corruption_sample_bytes`. Checksums do not show an index in a wrong order.
    """
    with evidence.attempt():
        _judge_sample(database, evidence)
    with evidence.attempt():
        _judge_collations(database, evidence)
    with evidence.attempt():
        _judge_checksums(database, evidence)


def _judge_sample(database: Database, evidence: Evidence) -> None:
    found = integrity.sample(database, database.limits.corruption_sample_bytes)
    read = found.indexes + found.tables
    evidence.record(Measurement("Read for damage", found.size, "bytes", "amcheck", samples=read))
    none_of(
        evidence,
        "damage",
        f"tables and indexes damaged ({found.tables} tables, {found.indexes} indexes read)",
        found.damaged,
        read,
        f"amcheck; there are {found.candidates}",
    )


def _judge_collations(database: Database, evidence: Evidence) -> None:
    found = integrity.collations(database)
    for standby in database.standbys.values():
        with evidence.attempt():
            found += integrity.collations_of_standby(database, standby)
    changed = [str(collation) for collation in found if collation.changed]
    name = "collations in use sort otherwise than recorded"
    none_of(evidence, "collations", name, changed, len(found), "pg_collation")
    unknown = [
        collation.name
        for collation in found
        if collation.unknown and collation.indexes and not collation.standby
    ]
    name = "collations in use without a recorded version, which hides a change"
    none_of(
        evidence, "unknown-collations", name, unknown, len(found), "pg_collation", warn_only=True
    )


def _judge_checksums(database: Database, evidence: Evidence) -> None:
    found = server.checksums(database)
    measured = Measurement("Data checksums are on", found.enabled, "truth", "show data_checksums")
    says = "Data checksums are off, so damage on the disk goes unnoticed"
    evidence.judge("checksums", measured, equal_to(value=True), says=says)
    measured = Measurement("Checksum failures", found.failures, "count", "pg_stat_database")
    says = f"{found.failures} checksum failures were counted"
    evidence.judge("checksums", measured, equal_to(0), listed(found.where, between="; "), says=says)


@check(
    "database.sequence-exhaustion",
    title="No sequence is near the largest number that its column takes",
    failure_title="A sequence is near the largest number that its column takes",
    each="database",
    severity="blocker",
    core=True,
    why="""The day an `integer` key reaches 2147483647, every insert into the table fails, and
    rewriting it to `bigint` takes hours with the table locked. The sequence itself often still
    has room: it is the column that is full.""",
    fix="""In a maintenance window, or by way of a new column that is filled in batches:
    alter table TABLE alter column COLUMN type bigint;   -- rewrites the table under a lock
    alter sequence SEQUENCE as bigint;
A column that references it:   alter table TABLE alter column COLUMN type bigint;
To win time, continue with the negative numbers:
    alter sequence SEQUENCE minvalue -2147483648 restart with -2147483648;""",
    judgements=("used", "references"),
)
def test_sequence_exhaustion(database: Database, evidence: Evidence) -> None:
    """By the sequence's own end or the type of its columns, whichever comes first.

    A column is fed by a sequence that it owns, or that its default names; a primary key without
    either by the one that is called after its table, as Hibernate and JPA do. What references it
    must hold the same numbers.
    """
    found = integrity.sequences(database)
    measured = Measurement(
        "Used share of the fullest sequence",
        max((sequence.share for sequence in found), default=0.0),
        "ratio",
        "pg_sequences",
        samples=len(found),
    )
    because = listed(map(str, found), between="; ")
    keys = ("sequence_warn_share", "sequence_max_share")
    no_more_than(evidence, "used", measured, database.limits, keys, because)
    narrow = integrity.references(database)
    measured = Measurement(
        "Used share of the fullest column that is narrower than what it references",
        max((column.share for column in narrow), default=0.0),
        "ratio",
        "pg_constraint, pg_sequences",
        samples=len(narrow),
    )
    limits = (database.limits, keys)
    no_more_than(evidence, "references", measured, *limits, worst(map(str, narrow)))
