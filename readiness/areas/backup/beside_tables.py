"""What a database holds beside the rows of its tables: values of sequences, large objects."""

from dataclasses import dataclass
from typing import Final

from readiness.lib.postgres import Connection, fetch
from readiness.lib.postgres.last_values import last_values
from readiness.model.errors import NotPermitted

# A sequence that was never used has no value; neither has one that may not be read.
_SEQUENCES: Final = """
    select format('%s.%s', n.nspname, c.relname), c.oid::bigint, p.seqincrement > 0, p.seqcycle,
        has_sequence_privilege(c.oid, 'select,usage')
    from pg_sequence p join pg_class c on c.oid = p.seqrelid
        join pg_namespace n on n.oid = c.relnamespace
    where c.relpersistence <> 't' and not exists (select from pg_depend d
        where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
    order by 1"""
# One after the other: the server never holds more than one of them.
_LARGE_OBJECTS: Final = """
    select count(*), coalesce(sum((('x' || substr(md5(oid || md5(lo_get(oid))), 1, 16))
        ::bit(64)::bigint)::numeric), 0)::text
    from pg_largeobject_metadata"""


@dataclass(frozen=True, slots=True)
class Sequence:
    """How far a sequence has come.

    Attributes:
        value: the last value it gave; None if it never gave one.
        rising: whether its values grow.
        cycles: whether it begins again at its end, so that values cannot be compared.
    """

    value: int | None
    rising: bool = True
    cycles: bool = False

    def lags(self, other: "Sequence") -> bool:
        """Whether it would give values again that the other one has given."""
        if self.cycles or other.value is None:
            return False
        if self.value is None:
            return True
        return self.value < other.value if self.rising else self.value > other.value


@dataclass(frozen=True, slots=True)
class LargeObjects:
    """The large objects of a database: how many, and a checksum over numbers and contents."""

    number: int
    checksum: str


def sequences(connection: Connection) -> dict[str, Sequence]:
    """How far every sequence has come, by `schema.sequence`.

    Sequences keep to no snapshot: what is read before a dump is made is never ahead of the dump.

    Raises:
        NotPermitted: the role may not read one of them.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    found: dict[str, Sequence] = {}
    values = last_values(connection)
    for name, oid, rising, cycles, may in fetch(connection, _SEQUENCES):
        if not may:
            raise NotPermitted(
                f"permission denied for the sequence {name}",
                where="pg_sequence_last_value",
                remedy=f"grant select on sequence {name} to the role that makes the backups",
            )
        found[name] = Sequence(values.get(oid), rising, cycles)
    return found


def lagging(expected: dict[str, Sequence], found: dict[str, Sequence]) -> list[str]:
    """Sequences that are missing, or that would give values again, in words."""
    told = []
    for name, before in sorted(expected.items()):
        after = found.get(name)
        if after is None:
            told.append(f"{name} is missing")
        elif after.lags(before):
            told.append(f"{name} is at {after.value or 'its start'}, was at {before.value}")
    return told


def large_objects(connection: Connection) -> LargeObjects:
    """The large objects, in the caller's snapshot.

    Raises:
        NotPermitted: the role may not read one of them.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    number, checksum = fetch(connection, _LARGE_OBJECTS)[0]
    return LargeObjects(number, checksum)
