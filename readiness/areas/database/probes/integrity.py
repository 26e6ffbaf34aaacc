"""Whether what is stored can be trusted, and goes on: sequences, collations."""

from dataclasses import dataclass
from typing import Final

from readiness.areas.database.config import Database
from readiness.lib import postgres
from readiness.lib.postgres.last_values import last_values
from readiness.lib.postgres.schemas import NOT_OURS
from readiness.lib.postgres.session import looking
from readiness.lib.text import clean, listed
from readiness.model.errors import NotPermitted

_FROM_15: Final = 150000
# What a sequence may reach is also bounded by the column that it feeds.
_SEQUENCES: Final = """
with owned as (
  select d.objid, d.refobjid::regclass::text || '.' || quote_ident(a.attname) as feeds,
         a.atttypid::regtype::text as type,
         case a.atttypid when 'smallint'::regtype then 32767
                         when 'integer'::regtype then 2147483647 end as most
  from pg_depend d
  join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
  where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
    and d.deptype in ('a', 'i'))
select c.oid::bigint, format('%I.%I', n.nspname, c.relname),
       has_sequence_privilege(c.oid, 'select,usage') and has_schema_privilege(n.oid, 'usage'),
       s.seqincrement > 0, s.seqmin, s.seqmax, owned.most,
       coalesce(owned.feeds || ' ' || owned.type, 'nothing')
from pg_sequence s
join pg_class c on c.oid = s.seqrelid
join pg_namespace n on n.oid = c.relnamespace
left join owned on owned.objid = c.oid
where not s.seqcycle and c.relpersistence <> 't' and @OWN@
order by 2""".replace("@OWN@", NOT_OURS)
# Columns of user tables and of their indexes: where an order was stored.
_COLLATIONS: Final = """
select quote_ident(c.collname), c.collversion, pg_collation_actual_version(c.oid),
       (select count(distinct a.attrelid) from pg_attribute a
        join pg_class r on r.oid = a.attrelid
        where a.attcollation = c.oid and r.relkind in ('i', 'I') and r.oid >= 16384)
from pg_collation c
where c.collprovider <> 'd'
  and exists (select from pg_attribute a where a.attcollation = c.oid and a.attrelid >= 16384)"""
_DEFAULT: Final = """
select 'the default of the database', datcollversion, pg_database_collation_actual_version(oid),
       (select count(*) from pg_class r where r.relkind in ('i', 'I') and r.oid >= 16384
        and exists (select from pg_attribute a where a.attrelid = r.oid and a.attcollation = 100))
from pg_database where datname = current_database()"""
# Before PostgreSQL 15 the version of the default was not recorded at all.
_DEFAULT_14: Final = """
select 'the default of the database', null, datcollate,
       (select count(*) from pg_class r where r.relkind in ('i', 'I') and r.oid >= 16384
        and exists (select from pg_attribute a where a.attrelid = r.oid and a.attcollation = 100))
from pg_database
where datname = current_database() and datcollate not in ('C', 'POSIX')"""


@dataclass(frozen=True, slots=True)
class Sequence:
    """How far a sequence is.

    Attributes:
        name: of the sequence.
        share: of the numbers that it can give, those that it gave.
        last: the last number, or `unused`.
        feeds: the column, and its type.
    """

    name: str
    share: float
    last: str
    feeds: str

    def __str__(self) -> str:
        return f"{self.name} at {self.last} ({self.share:.1%} of what {self.feeds} takes)"


@dataclass(frozen=True, slots=True)
class Collation:
    """An order of texts that something in the database was stored in.

    Attributes:
        name: of the collation.
        recorded: its version when the order was stored; None if nobody wrote it down.
        actual: its version now; None if it has none, as `C`.
        indexes: indexes that are stored in it.
    """

    name: str
    recorded: str | None
    actual: str | None
    indexes: int

    @property
    def changed(self) -> bool:
        """Whether the order is not the one that was stored."""
        return self.recorded is not None and self.recorded != self.actual

    @property
    def unknown(self) -> bool:
        """Whether nobody can tell if it changed."""
        return self.recorded is None and self.actual is not None

    def __str__(self) -> str:
        return f"{self.name} (recorded {self.recorded}, now {self.actual}, {self.indexes} indexes)"


def sequences(database: Database) -> list[Sequence]:
    """All sequences that can run out, the fullest first.

    Raises:
        NotPermitted: the role may not read one of them.
        CouldNotMeasure: and its other kinds, see `postgres.connect`.
    """
    with looking(database) as connection:
        rows = postgres.fetch(connection, _SEQUENCES)
        last = last_values(connection)
    hidden = [name for _, name, readable, *_ in rows if not readable]
    if hidden:
        raise NotPermitted(
            f"{len(hidden)} of {len(rows)} sequences cannot be read: {listed(hidden)}",
            where="pg_sequences",
            remedy="grant usage on schema SCHEMA, and select on all sequences in schema SCHEMA, to"
            " the monitoring role",
        )
    found = [
        Sequence(clean(name), _share(last.get(oid), *bounds), _told(last.get(oid)), clean(feeds))
        for oid, name, _, *bounds, feeds in rows
    ]
    return sorted(found, key=lambda one: -one.share)


def _told(value: int | None) -> str:
    return "unused" if value is None else str(value)


def _share(value: int | None, rises: bool, least: int, most: int, column: int | None) -> float:
    """Of the numbers that a sequence can give, and its column takes, those that it gave."""
    if value is None:
        return 0.0
    if rises:
        most = most if column is None else min(most, column)
        return (value - least + 1) / max(most - least + 1, 1)
    least = least if column is None else max(least, -column)
    return (most - value + 1) / max(most - least + 1, 1)


def collations(database: Database) -> list[Collation]:
    """The collations that something in the database was stored in.

    Raises:
        CouldNotMeasure: and its kinds, see `postgres.connect`.
    """
    with looking(database) as connection:
        new = connection.info.server_version >= _FROM_15
        rows = postgres.fetch(connection, _COLLATIONS)
        rows += postgres.fetch(connection, _DEFAULT if new else _DEFAULT_14)
    return [Collation(clean(name), then, now, indexes) for name, then, now, indexes in rows]
