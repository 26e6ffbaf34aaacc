"""Whether the indexes are there that are needed, and none that only cost."""

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.database.config import Database
from readiness.areas.database.statements import foreign_keys, indexes
from readiness.areas.database.statements.told import size
from readiness.lib import postgres
from readiness.lib.text import worst
from readiness.model.measurement import Limit


@check(
    "database.duplicate-indexes",
    title="No index holds only what another one holds already",
    why="""Each index is written at every insert, and at most updates; it takes space in memory, on
    disk and in every backup. An exact double gives nothing for that: the planner uses one of the
    two, and only the writes get slower. Most come from a migration that ran twice, or from an
    index beside the one that a unique constraint makes anyway.""",
    fix="""Drop the one that is named, without locking the table out:
    drop index concurrently SCHEMA.INDEX;
The finding names which to keep: the one that a constraint or a foreign key depends on.
See both: select indexrelid::regclass, pg_get_indexdef(indexrelid) from pg_index
          where indrelid = 'SCHEMA.TABLE'::regclass;""",
    severity="major",
    effect="observe",
    each="database",
)
def test_duplicate_indexes(database: Database, evidence: Evidence) -> None:
    """Exactly the same columns, order, operator classes and predicate; small ones are a warning."""
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = indexes.read(connection)
    pairs = indexes.duplicates(found)
    wasted = sum(pair.drop.size for pair in pairs)
    because = worst(
        f"{pair.drop.name} ({size(pair.drop.size)}) holds what {pair.keep.name} holds: {pair.mend}"
        for pair in pairs
    )
    kept = evidence.judge(
        "bytes-duplicate-indexes",
        Measurement("bytes of duplicate indexes", wasted, "bytes", "pg_index", len(found)),
        Limit("<", database.indexes.duplicate_max_bytes),
        because,
    )
    evidence.judge(
        "duplicate-indexes",
        Measurement("duplicate indexes", len(pairs), "count", "pg_index", len(found)),
        equal_to(0),
        because,
        warn_only=kept,
    )


@check(
    "database.invalid-indexes",
    title="No index is invalid",
    why="""`create index concurrently` that fails, or that somebody interrupts, leaves an index that
    no query uses and every write maintains. Who made it believes that it is there: the slow query
    stays slow, and a unique one does not keep doubles out. pg_dump leaves it out without a word,
    so that a restored database differs.""",
    fix="""Look why it failed (doubles, for a unique one), and make it again:
    reindex index concurrently SCHEMA.INDEX;
or drop it: drop index concurrently SCHEMA.INDEX;
What is being built just now is not counted: select * from pg_stat_progress_create_index;""",
    severity="major",
    effect="observe",
    each="database",
)
def test_invalid_indexes(database: Database, evidence: Evidence) -> None:
    """What is valid, ready and live serves queries; nothing else does."""
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = indexes.read(connection)
    broken = indexes.invalid(found)
    evidence.judge(
        "invalid-indexes",
        Measurement("invalid indexes", len(broken), "count", "pg_index", len(found)),
        equal_to(0),
        worst(
            f"{index.name} of {index.table} ({size(index.size)}):"
            f" reindex index concurrently {index.quoted};"
            for index in broken
        ),
    )


@check(
    "database.foreign-keys-indexed",
    title="An index finds the rows that reference a deleted or renumbered parent",
    why="""PostgreSQL makes no index for a foreign key. Without one, each delete of a parent reads
    the whole child table, while it holds the parent's row: ten deletes on a table of ten million
    rows stop everybody who waits for those rows. It does not show until the table has grown.""",
    fix="""Make the index that the finding names, without locking writers out:
    create index concurrently on SCHEMA.TABLE (COLUMNS);
Any order of the columns serves, as long as they come first. A partial index does not.""",
    severity="minor",
    effect="observe",
    each="database",
)
def test_foreign_keys_indexed(database: Database, evidence: Evidence) -> None:
    """Of tables with enough rows to hurt; the others are shown, and do not decide."""
    with postgres.connect(database.dsn, timeout_s=database.timeout_s) as connection:
        found = foreign_keys.read(connection)
    bare = [key for key in found if not key.indexed]
    fewest = database.indexes.foreign_key_min_rows
    large = [key for key in bare if key.rows >= fewest]
    evidence.judge(
        "foreign-keys-without-an",
        Measurement(
            f"foreign keys without an index, of tables with {fewest:,} rows or more",
            len(large),
            "count",
            "pg_constraint, pg_index",
            len(found),
        ),
        equal_to(0),
        worst(
            f"{key.name} of {key.table} (about {key.rows:,} rows, {size(key.size)})"
            f" references {key.parent}: {key.mend}"
            for key in large
        ),
    )
    evidence.record(
        Measurement("of smaller tables", len(bare) - len(large), "count", "pg_constraint, pg_index")
    )
