"""What tables hold: counts and checksums that do not depend on order, server or version."""

from dataclasses import dataclass, replace
from typing import Final

from psycopg import sql

from readiness.lib.postgres import Connection, fetch
from readiness.lib.postgres.batches import batches, fix_settings, in_snapshot, locks_of_tables
from readiness.lib.postgres.unrecorded import rows_of, untracked

# The text of a row depends on these; fixed, it is the same on every server. row_security makes
# a policy that hides rows an error: a sum of some rows would look like that of all.
_FIXED: Final = {
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "xmloption": "content",
    "lc_monetary": "C",
    "search_path": "",
    "row_security": "off",
}
# Beside an application: with the snapshot of a dump, tables are read on the database itself.
_BESIDE: Final = {"max_parallel_workers_per_gather": "0"}
# Leaves of partitioned tables hold the rows. Tables of extensions come with the extension.
# A standby has no rows of unlogged tables, and refuses to read them; so a dump of it holds none.
_TABLES: Final = """
    select n.nspname, c.relname, c.oid::bigint,
        coalesce((select m.nspname || '.' || p.relname
            from pg_class p join pg_namespace m on m.oid = p.relnamespace
            where c.relispartition and p.oid = pg_partition_root(c.oid)), ''),
        c.relpersistence = 'u' and pg_is_in_recovery()
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and c.relpersistence <> 't'
        and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
        and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
            and d.objid = c.oid and d.deptype = 'e')
    order by 1, 2"""
# SUM and not XOR, under which two equal rows vanish; that of bigint is counted with 128 bits.
_CONTENT: Final = """
    select count(*) as rows,
        coalesce(sum(('x' || substr(md5((t.*)::text), 1, 16))::bit(64)::bigint), 0)::text as sum
    from only {} t"""


@dataclass(frozen=True, slots=True)
class TableContent:
    """How many rows a table has, and the sum of the first 64 bits of md5 of each row's text.

    Attributes:
        root: the partitioned table that it is a partition of, `schema.table`; else empty.
    """

    rows: int
    checksum: str
    root: str = ""


_NOTHING: Final = TableContent(0, "0")


@dataclass(frozen=True, slots=True)
class _Table:
    schema: str
    name: str
    oid: int
    root: str
    is_lost: bool

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True)
class Difference:
    """A table that is not what was expected; None stands for a missing table."""

    table: str
    expected: TableContent | None
    found: TableContent | None

    def __str__(self) -> str:
        if self.expected is None:
            return f"{self.table} was not expected"
        if self.found is None:
            return f"{self.table} is missing ({self.expected.rows} rows)"
        if self.expected.rows == self.found.rows:
            return f"{self.table} has {self.found.rows} rows as expected, but other contents"
        return f"{self.table} has {self.found.rows} rows, expected {self.expected.rows}"

    @property
    def weight(self) -> int:
        """How many rows the counts differ by: the worst table is named first."""
        expected, found = (side.rows if side else 0 for side in (self.expected, self.found))
        return abs(expected - found)


def table_contents(connection: Connection, snapshot: str = "") -> dict[str, TableContent]:
    """Counts and checksums of every table of the database, by `schema.table`.

    Reads every row, some tables in a transaction at a time, all of them in the `snapshot` that
    another transaction exported; see `batches.in_snapshot`.

    Raises:
        NotPermitted: the role may not read a table, or a policy hides rows from it.
        CouldNotMeasure: the server has too few locks left.
    """
    locks = locks_of_tables(connection)
    with in_snapshot(connection, snapshot):
        tables = [_Table(*row) for row in fetch(connection, _TABLES)]
    settings = {**(_BESIDE if snapshot else {}), **untracked(connection)}
    found: dict[str, TableContent] = {}
    for some in batches(connection, tables, lambda table: locks.get(table.oid, 1)):
        with in_snapshot(connection, snapshot):
            fix_settings(connection, settings)
            found |= {str(table): _content(connection, table) for table in some}
    return found


def _content(connection: Connection, table: _Table) -> TableContent:
    content = _NOTHING if table.is_lost else content_of(connection, table.identifier)
    return replace(content, root=table.root)


def content_of(connection: Connection, table: sql.Identifier) -> TableContent:
    """Counts and checksum of one table, within the caller's transaction."""
    ((rows, checksum),) = rows_of(connection, sql.SQL(_CONTENT).format(table), _FIXED)
    return TableContent(rows, checksum)


def differences(
    expected: dict[str, TableContent], found: dict[str, TableContent]
) -> list[Difference]:
    """Every table in which the two differ, the worst first; partitions as one, their root.

    A restore may put rows into other partitions: the hash of an enum depends on the server.
    """
    # Manifests of older releases do not name the roots; the restored copy does.
    roots = {
        name: content.root
        for side in (expected, found)
        for name, content in side.items()
        if content.root
    }
    expected, found = (_by_root(side, roots) for side in (expected, found))
    differing = [
        Difference(table, expected.get(table), found.get(table))
        for table in expected.keys() | found.keys()
        if expected.get(table) != found.get(table)
    ]
    return sorted(differing, key=lambda d: (-d.weight, d.table))


def _by_root(contents: dict[str, TableContent], roots: dict[str, str]) -> dict[str, TableContent]:
    sums: dict[str, TableContent] = {}
    for name, content in contents.items():
        whole = roots.get(name, name)
        before = sums.get(whole, _NOTHING)
        checksum = str(int(before.checksum) + int(content.checksum))
        sums[whole] = TableContent(before.rows + content.rows, checksum)
    return sums
