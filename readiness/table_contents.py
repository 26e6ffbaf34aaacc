"""What tables hold: counts and checksums that do not depend on order, server or version."""

from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.probes.postgres import Connection, fetch

# The text of a row depends on these; fixed, it is the same on every server. row_security makes
# a policy that hides rows an error: a sum over a part of the rows would be no sum.
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
# Leaves of partitioned tables hold the rows. Tables of extensions come with the extension.
_TABLES: Final = """
    select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and c.relpersistence <> 't'
        and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
        and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass
            and d.objid = c.oid and d.deptype = 'e')
    order by 1, 2"""
# SUM and not XOR, under which two equal rows vanish; that of bigint is counted with 128 bits.
_CONTENT: Final = """
    select count(*), coalesce(sum(('x' || substr(md5((t.*)::text), 1, 16))::bit(64)::bigint), 0)
        ::text
    from only {} t"""


@dataclass(frozen=True, slots=True)
class TableContent:
    """What a table holds.

    Attributes:
        rows: how many rows.
        checksum: the sum over all rows of the first 64 bits of md5 of the row's text, as text.
    """

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Difference:
    """A table that is not what was expected; None stands for a table that is not there."""

    table: str
    expected: TableContent | None
    found: TableContent | None

    def __str__(self) -> str:
        if self.expected is None:
            return f"{self.table} was not expected"
        if self.found is None:
            return f"{self.table} is missing ({self.expected.rows} rows)"
        if self.expected.rows == self.found.rows:
            return f"{self.table} has {self.found.rows} rows as expected, with other contents"
        return f"{self.table} has {self.found.rows} rows, expected {self.expected.rows}"

    @property
    def weight(self) -> int:
        """How many rows the counts differ by: the worst table is named first."""
        return abs(
            (self.expected.rows if self.expected else 0) - (self.found.rows if self.found else 0)
        )


def table_contents(connection: Connection) -> dict[str, TableContent]:
    """Counts and checksums of every table of the database, by `schema.table`.

    Reads every row, in one snapshot if the caller has opened a transaction that keeps one.

    Raises:
        NotPermitted: the role may not read a table, or a policy hides rows from it.
        CouldNotMeasure: and its kinds, see `readiness.probes.postgres.connect`.
    """
    with connection.transaction():
        for name, value in _FIXED.items():
            fetch(connection, "select set_config(%s, %s, true)", [name, value])
        return {
            f"{schema}.{table}": _content(connection, sql.Identifier(schema, table))
            for schema, table in fetch(connection, _TABLES)
        }


def differences(
    expected: dict[str, TableContent], found: dict[str, TableContent]
) -> list[Difference]:
    """Every table in which the two differ, the worst first."""
    differing = [
        Difference(table, expected.get(table), found.get(table))
        for table in expected.keys() | found.keys()
        if expected.get(table) != found.get(table)
    ]
    return sorted(differing, key=lambda d: (-d.weight, d.table))


def _content(connection: Connection, table: sql.Identifier) -> TableContent:
    rows, checksum = fetch(connection, sql.SQL(_CONTENT).format(table))[0]
    return TableContent(rows, checksum)
