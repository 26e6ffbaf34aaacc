"""Runs a slow statement, harmless and marked, and looks whether the alert on it arrives."""

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Self

import psycopg

from readiness.areas.alerting.config import Channel, SlowAlert
from readiness.areas.alerting.inboxes import Message, reader_of
from readiness.areas.alerting.probes.round_trip import Watched
from readiness.config.base.watching import Prometheus as PrometheusSettings
from readiness.lib import postgres
from readiness.lib.postgres import Connection
from readiness.lib.prometheus import Prometheus
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData

# The name of the CTE makes it a statement of its own to pg_stat_statements, and marks it as ours.
SLOW: Final = """
with readiness_slow_query as materialized (select pg_sleep(%s))
select count(*) from readiness_slow_query"""
# An alert of an earlier run ends some evaluations after its statement.
_ENDS_S: Final = 60.0
_SPARE_S: Final = 10.0
_POLL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Raised:
    """What came of a slow statement.

    Attributes:
        after_s: seconds from its start until the message was there; None if it never was.
        text: the message.
        ran_s: seconds that the statement ran.
    """

    after_s: float | None
    text: str
    ran_s: float


class _Sleeper:
    """The statement, in a thread of its own; it ends with the block, whatever happens in it."""

    def __init__(self, connection: Connection, seconds: float) -> None:
        self.problem: psycopg.Error | None = None
        self._connection = connection
        self._thread = threading.Thread(target=self._sleep, args=(seconds,), daemon=True)
        self._stopping = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._connection.cancel()
        self._thread.join(_SPARE_S)

    def _sleep(self, seconds: float) -> None:
        try:
            self._connection.execute(SLOW, [seconds])
        except psycopg.Error as error:
            if not self._stopping:
                self.problem = error

    @property
    def is_running(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()


def raised(alert: SlowAlert, channel: Channel, prometheus: PrometheusSettings | None) -> Raised:
    """Run a statement until its alert has arrived, or for as long as it may take.

    Args:
        alert: the role, the alert's name, and how long it may take.
        channel: where it is looked for.
        prometheus: who is asked first whether it fires already; None asks nobody.

    Raises:
        NoData: it fires already: what arrives would say nothing of our statement.
        CouldNotMeasure: the statement was ended before its time, or the channel cannot be read.
    """
    if prometheus:
        _refuse_if_active(alert, prometheus)
    total_s = alert.message_within_s + 2 * _SPARE_S
    with ExitStack() as stack:
        watched = Watched(channel, stack.enter_context(reader_of(channel)))
        watched.look(alert.alert)
        watched.must_be_read()
        known = list(watched.messages)
        connection = stack.enter_context(
            postgres.connect(alert.dsn, timeout_s=total_s, total_s=2 * total_s)
        )
        began = time.monotonic()
        with _Sleeper(connection, alert.message_within_s) as sleeper:
            found = _wait(watched, alert, known, sleeper, began + alert.message_within_s)
            after_s = time.monotonic() - began
        if found is None:
            watched.must_be_read()
    return Raised(after_s if found else None, found.text if found else "", after_s)


def _wait(
    watched: Watched, alert: SlowAlert, known: list[Message], sleeper: _Sleeper, deadline: float
) -> Message | None:
    """The first new message that the alert fires; None once the time is over."""
    while time.monotonic() < deadline:
        for message, _ in watched.told(ended=False):
            if message not in known:
                return message
        if sleeper.problem is not None:
            raise postgres.could_not(sleeper.problem, alert.dsn.address)
        if not sleeper.is_running and time.monotonic() < deadline - 1:
            raise CouldNotMeasure("the slow statement ended early", where=alert.dsn.address)
        time.sleep(max(_POLL_S, watched.reader.poll_s))
        watched.look(alert.alert)
    return None


def _refuse_if_active(alert: SlowAlert, settings: PrometheusSettings) -> None:
    with Prometheus(settings) as prometheus:
        active = until(
            lambda: [a for a in prometheus.alerts() if a.name == alert.alert],
            lambda seen: not seen,
            within_s=_ENDS_S,
        )
    if active:
        raise NoData(
            f"{alert.alert} is {active[0].state} already: another message would not be that of"
            " our statement",
            where=f"{settings.url}/api/v1/alerts",
            remedy="end what is slow, and run the gate again",
        )
