"""How far a move has come, table by table, as the target itself tells it."""

from collections.abc import Sequence

from readiness.areas.schema.config_transfers import Transfer
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import NoData
from readiness.model.secrets import Dsn


def states(dsn: Dsn, transfer: Transfer) -> list[tuple[str, str]]:
    """Each table and how far it has come, in the order of the move.

    Raises:
        NoData: the statement tells nothing, or something else than tables and states.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    statement = transfer.states or ""
    with connect(dsn, timeout_s=transfer.timeout_s) as connection:
        rows = fetch(connection, statement)
    known = ("waiting", "copied", "verified", "switched")
    if not rows or any(len(row) != 2 or row[1] not in known for row in rows):  # noqa: PLR2004
        raise NoData(
            f"`states` must give rows of a table and one of {', '.join(known)}", where=statement
        )
    found = [(str(table), str(state)) for table, state in rows]
    if missing := sorted(transfer.tables.keys() - {table for table, _ in found}):
        raise NoData(f"`states` does not tell of {missing[0]}", where=statement)
    return [(table, state) for table, state in found if table in transfer.tables]


def out_of_order(told: Sequence[tuple[str, str]]) -> list[str]:
    """Tables that were begun although one before them was not verified."""
    wrong: list[str] = []
    open_ = ""
    for table, state in told:
        if state != "waiting" and open_:
            wrong.append(f"{table} is {state}, and {open_} before it is not verified")
        if state in ("waiting", "copied") and not open_:
            open_ = table
    return wrong
