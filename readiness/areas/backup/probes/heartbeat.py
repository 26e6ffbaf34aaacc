"""Reads how old the data of a restored copy is from the data itself, for every kind of backup."""

from datetime import datetime
from typing import Final

from readiness.lib.postgres import connect, fetch_value
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement
from readiness.model.secrets import Dsn

_TIMEOUT_S: Final = 30.0


def lost_since(began: datetime, copy: Dsn, query: str) -> Measurement:
    """Seconds between the newest time that the query finds in a restored copy, and a moment.

    Raises:
        NoData: it returns no time with a time zone.
    """
    with connect(copy, timeout_s=_TIMEOUT_S) as connection:
        last = fetch_value(connection, query)
    if not isinstance(last, datetime) or last.tzinfo is None:
        raise NoData(f"returned {last!r}, not a time with a time zone", where=query)
    return Measurement("data loss", max(0.0, (began - last).total_seconds()), "s", query)
