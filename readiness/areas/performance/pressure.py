"""Many requests at once, while what they need does not come: a connection, or a slow dependency."""

import shlex
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from readiness.areas.performance.config import Dependency, Pool, Request
from readiness.config.base.tables import Service
from readiness.lib import command
from readiness.lib.guardian import Undo
from readiness.lib.http import Session
from readiness.lib.noise import Noise
from readiness.lib.postgres import connect, fetch, fetch_value
from readiness.lib.retry import until
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement

# The lock is not waited for longer than this: others would wait behind us.
_IMPATIENT: Final = "set local lock_timeout = '2s'"
_WAITING: Final = """
    select count(*) from pg_stat_activity where %s = any (pg_blocking_pids(pid))"""
_STATEMENT_S: Final = 10.0
# A client that gives up does not see how much later an answer would have come.
_LONGER_S: Final = 2.0
_MUCH_LONGER_S: Final = 10.0
_POLL_S: Final = 0.05
_PATIENCE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: what it was, how long it took, and why it failed; empty if it did not."""

    what: str
    ms: float
    problem: str


@dataclass(frozen=True, slots=True)
class Crowd:
    """Requests that were sent together."""

    asked: tuple[Asked, ...]
    source: str

    @property
    def failed(self) -> Measurement:
        """How many failed."""
        count = sum(bool(one.problem) for one in self.asked)
        return Measurement("failed requests", count, "count", self.source, samples=len(self.asked))

    @property
    def problems(self) -> str:
        """The most frequent ways to fail, with their numbers."""
        counts = Counter(f"{one.what}: {one.problem}" for one in self.asked if one.problem)
        return listed([f"{count} x {what}" for what, count in counts.most_common(3)])

    def fails(self, most_ms: float, noise: Noise) -> bool | None:
        """Whether requests fail; None if noise may have kept all failed ones waiting too long."""
        failed = [one.ms for one in self.asked if one.problem]
        if not failed:
            return False
        return None if noise.is_much and min(failed) > most_ms else True

    @property
    def slowest(self) -> Measurement:
        """The slowest answer."""
        most = max(one.ms for one in self.asked)
        return Measurement("slowest answer", most, "ms", self.source, samples=len(self.asked))

    @property
    def fastest_ms(self) -> float:
        """The fastest answer."""
        return min(one.ms for one in self.asked)


class Sender:
    """Sends requests, each over a connection of its own."""

    def __init__(self, service: Service, timeout_s: float) -> None:
        self._service = service
        self._timeout_s = timeout_s
        self._numbers = iter(range(time.time_ns() // 1000, 2**63))

    def crowd(self, pool: ThreadPoolExecutor, requests: Sequence[Request]) -> "list[Future[Asked]]":
        """Send all of them together."""
        together = threading.Barrier(len(requests) + 1)
        sent = [pool.submit(self._after, together, request) for request in requests]
        together.wait(_STATEMENT_S)
        return sent

    def _after(self, together: threading.Barrier, request: Request) -> Asked:
        with self._session() as session:
            together.wait(_STATEMENT_S)
            return self.ask(session, request)

    def _session(self) -> Session:
        service = self._service
        return Session(timeout_s=self._timeout_s, bearer=service.bearer, verify=service.verify_tls)

    def once(self, request: Request) -> Asked:
        """Send one."""
        with self._session() as session:
            return self.ask(session, request)

    def ask(self, session: Session, request: Request) -> Asked:
        """Send one over a session."""
        body = request.body
        content = body.replace("{n}", str(next(self._numbers))).encode() if body else None
        what, began = f"{request.method} {request.path}", time.perf_counter()
        try:
            url = f"{self._service.url}{request.path}"
            answer = session.request(request.method, url, content)
        except CouldNotMeasure as error:
            return Asked(what, (time.perf_counter() - began) * 1000, error.message)
        good = answer.status in request.status
        return Asked(what, answer.elapsed_ms, "" if good else f"status {answer.status}")


@dataclass(frozen=True, slots=True)
class Queued:
    """What a pool did: its connections that waited for our lock, and all requests."""

    connections: int
    crowd: Crowd


def queued(pool: Pool, service: Service) -> Queued:
    """Hold what the requests need, send more of them than there are connections, and let go.

    Raises:
        NoData: no request waited for a connection, so that nothing was queued.
        CouldNotMeasure: the statement failed, or waited for its own lock too long.
    """
    sender = Sender(service, pool.max_ms / 1000 + _MUCH_LONGER_S)
    with ThreadPoolExecutor(pool.requests) as threads, _held(pool) as holder:
        answers = sender.crowd(threads, [pool] * pool.requests)
        time.sleep(pool.hold_s)
        with connect(pool.dsn, timeout_s=_STATEMENT_S) as connection:
            # If nobody waits yet, nobody minds that it lasts longer.
            waiting = until(
                lambda: int(fetch_value(connection, _WAITING, [holder])),
                bool,
                within_s=_PATIENCE_S,
                every_s=_POLL_S,
            )
    where = f"[[performance.pools]] {pool.name}"
    if not waiting:
        raise NoData(
            "no request waited for what `hold_sql` holds",
            where=where,
            remedy="let it lock a table that the request reads",
        )
    if waiting >= pool.requests:
        raise NoData(
            f"each of {pool.requests} requests had a connection: none was queued",
            where=where,
            remedy="raise `requests` above the pool sizes of all replicas, or give the pool a"
            " maximum",
        )
    source = f"{pool.requests} x {pool.method} {service.url}{pool.path}"
    return Queued(waiting, Crowd(tuple(answer.result() for answer in answers), source))


@contextmanager
def _held(pool: Pool) -> Iterator[int]:
    """Run the statement in a transaction that is rolled back; gives the id of its session."""
    with (
        connect(pool.dsn, timeout_s=_STATEMENT_S) as connection,
        connection.transaction(force_rollback=True),
    ):
        fetch(connection, _IMPATIENT)
        fetch(connection, pool.hold_sql)
        yield connection.info.backend_pid


@dataclass(frozen=True, slots=True)
class Slowed:
    """What a slow dependency did.

    Attributes:
        dependent: requests that need it, sent together while it was slow.
        independent: requests that do not, sent meanwhile.
        recovered_s: how long after it was restored all that need it were answered well; None if
            they were not in time.
    """

    dependent: Crowd
    independent: Crowd
    recovered_s: float | None


def slowed(dependency: Dependency, service: Service, undo: Undo) -> Slowed:
    """Make the dependency slow, send requests, and restore it whatever happens.

    Args:
        dependency: the commands and the paths.
        service: what the requests are sent to.
        undo: restores it if this process is killed meanwhile.

    Raises:
        CouldNotMeasure: a path does not answer well before, or a command failed.
        NoData: no request that needs it noticed.
    """
    needing = [Request(path=path) for path in dependency.dependent]
    others = [Request(path=path) for path in dependency.independent]
    sender = Sender(service, dependency.fail_within_s + _LONGER_S)
    for request in (*needing, *others):
        if problem := sender.once(request).problem:
            where = f"{service.url}{request.path}"
            raise CouldNotMeasure(f"{problem}, before anything was slow", where=where)
    token = undo.run(dependency.restore)
    try:
        _command(dependency.slow, "slow down", dependency)
        dependent, independent = _meanwhile(
            sender, needing * dependency.requests, others, dependency.name
        )
    finally:
        _command(dependency.restore, "restore", dependency)
        undo.forget(token)
    began = time.monotonic()
    last = until(
        lambda: [sender.once(request) for request in needing],
        lambda answers: not any(answer.problem for answer in answers),
        within_s=dependency.recover_within_s,
        every_s=_POLL_S,
    )
    good = not any(answer.problem for answer in last)
    if not dependent.failed.value and dependent.fastest_ms < dependency.fail_within_s * 1000:
        raise NoData(
            f"all requests that need {dependency.name} were answered well while it was slow",
            where=f"[[performance.dependencies]] {dependency.name}",
            remedy="let `slow` make it slower than every time-out, or name other `dependent` paths",
        )
    return Slowed(dependent, independent, time.monotonic() - began if good else None)


def _meanwhile(
    sender: Sender, needing: Sequence[Request], others: Sequence[Request], name: str
) -> tuple[Crowd, Crowd]:
    """Requests that need it, all together, and the others in turn until those are answered."""
    seen: list[Asked] = []
    with ThreadPoolExecutor(len(needing)) as threads:
        answers = sender.crowd(threads, needing)
        time.sleep(_POLL_S)  # they come first, and fill what they can fill
        while not seen or not all(answer.done() for answer in answers):
            seen += [sender.once(request) for request in others]
            time.sleep(_POLL_S)
    needed = tuple(answer.result() for answer in answers)
    return Crowd(needed, f"paths that need {name}"), Crowd(tuple(seen), "other paths meanwhile")


def _command(argv: Sequence[str], verb: str, dependency: Dependency) -> None:
    remedy = f"run it by hand, and make sure that it is restored: {shlex.join(dependency.restore)}"
    command.run(argv, f"{verb} {dependency.name}", remedy)
