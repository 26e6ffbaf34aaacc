"""How much of the large tables and indexes is dead or empty."""

from readiness import Evidence, Measurement, at_most, check
from readiness.areas.database.config import Database
from readiness.areas.database.history.snapshot import Bloated, BloatSnapshot
from readiness.areas.database.statements import bloat
from readiness.areas.database.statements.told import size
from readiness.lib import postgres
from readiness.lib.text import worst
from readiness.model.errors import NoData

# A minute for what is read, however large the database is.
_PATIENCE = 12


@check(
    "database.table-bloat",
    title="The large tables hold rows, and not what was left of them",
    why="""Each update leaves the old row behind, until vacuum makes room of it; what a long
    transaction, a forgotten slot or a switched-off autovacuum keeps it from clearing stays. Reads
    then go through pages of nothing, the cache holds them, and the disk fills with them.""",
    fix="""First see what keeps vacuum away: database.xmin-horizon, database.autovacuum-keeps-up.
Then clear it: vacuum (verbose) SCHEMA.TABLE;
That gives the room to new rows. To give it back to the disk without locking the table out:
    pg_repack --table SCHEMA.TABLE DATABASE
(`vacuum full` locks it out for as long as it takes.)""",
    severity="major",
    effect="observe",
    each="database",
)
def test_table_bloat(database: Database, evidence: Evidence) -> None:
    """Measured by pgstattuple; what only the planner's statistics call bloated is not told red."""
    limits = database.bloat
    with postgres.connect(
        database.dsn, timeout_s=database.timeout_s, total_s=_PATIENCE * database.timeout_s
    ) as connection:
        found = bloat.tables(connection, limits)
    levels = (
        (limits.monitor_share, "to be monitored"),
        (limits.warning_share, "warning"),
        (limits.critical_share, "critical"),
    )
    _judge(found, levels, "table", evidence)
    _refuse_untold(found, "tables")


@check(
    "database.index-bloat",
    title="The large indexes are dense",
    why="""Vacuum clears an index entry and seldom the page that it stood on. After a large delete,
    or under a queue whose rows live for seconds, an index is several times as large as what it
    holds, and each lookup reads and caches pages of nothing.""",
    fix="""Make it anew, beside the old one and without locking the table out:
    reindex index concurrently SCHEMA.INDEX;
An index that bloats again within days: look at what keeps vacuum from the table.""",
    severity="minor",
    effect="observe",
    each="database",
)
def test_index_bloat(database: Database, evidence: Evidence) -> None:
    """B-trees, by the density of their leaves and by their empty pages, which pgstattuple reads."""
    limits = database.bloat
    with postgres.connect(
        database.dsn, timeout_s=database.timeout_s, total_s=_PATIENCE * database.timeout_s
    ) as connection:
        found = bloat.indexes(connection, limits)
    levels = ((limits.index_warning_share, "warning"), (limits.index_critical_share, "critical"))
    _judge(found, levels, "index", evidence)
    _refuse_untold(found, "indexes")


def _judge(
    found: BloatSnapshot, levels: tuple[tuple[float, str], ...], kind: str, evidence: Evidence
) -> None:
    """The worst one decides; the message tells all above the first level, with their own level."""
    objects = list(bloat.worst_first(found.objects))
    above = [one for one in objects if one.share > levels[0][0]]
    share = objects[0].share if objects else 0.0
    estimated = sum(not one.exact for one in objects)
    measured = Measurement(
        f"largest wasted share of a {kind}", share, "ratio",
        f"pgstattuple of {len(objects)} large ones among {found.looked_at}"
        + (f", {estimated} of them dense by the planner's statistics" if estimated else ""),
        found.looked_at,
    )  # fmt: skip
    because = worst(_told(one, levels) for one in above)
    if evidence.judge("measured", measured, at_most(levels[-1][0]), because):
        evidence.judge("measured", measured, at_most(levels[0][0]), because, warn_only=True)
    wasted = sum(one.wasted for one in objects)
    evidence.record(Measurement(f"wasted in large {kind} files", wasted, "bytes", "pgstattuple"))


def _told(one: Bloated, levels: tuple[tuple[float, str], ...]) -> str:
    level = [name for least, name in levels if one.share > least][-1]
    return f"{level}: {one.name}, {one.share:.0%} of {size(one.size)} wasted, {size(one.wasted)}"


def _refuse_untold(found: BloatSnapshot, kind: str) -> None:
    """After what was measured is judged: a miss stands, whatever else could not be told.

    Raises:
        NoData: some could not be measured, and nothing says that they are dense.
    """
    if found.left_out:
        raise NoData(
            f"{len(found.left_out)} large {kind} could not be read within the bounds, and nothing"
            f" else tells of them: {worst(found.left_out)}",
            where=found.server.database,
            remedy="raise read_max_bytes in [databases.NAME.bloat], or timeout_s; or let the role"
            " see the planner's statistics, which excuse what is dense: grant pg_read_all_data"
            " (PostgreSQL 14), or select on the tables",
        )
