"""The last values of all sequences; apart, as the view of the server locks all of them at once."""

from typing import Final

from readiness.lib.postgres import Connection, fetch
from readiness.lib.postgres.batches import batches

_READABLE: Final = """
    select q.seqrelid::bigint from pg_sequence q join pg_class c on c.oid = q.seqrelid
    where c.relpersistence <> 't' and has_sequence_privilege(q.seqrelid, 'select,usage')
    order by 1"""
# One that was dropped meanwhile is not joined any more, and not asked for its value.
_VALUES: Final = """
    select q.seqrelid::bigint, pg_sequence_last_value(q.seqrelid)
    from pg_sequence q where q.seqrelid = any(%s::oid[])"""


def last_values(connection: Connection) -> dict[int, int | None]:
    """The last value of every sequence that the role may read, by its number; None if unused.

    Raises:
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    oids = [oid for (oid,) in fetch(connection, _READABLE)]
    return {
        oid: value
        for some in batches(connection, oids, lambda _: 1)
        for oid, value in fetch(connection, _VALUES, [some])
    }
