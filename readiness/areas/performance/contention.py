"""Runs a background job beside queries and endpoints, whose times it may change."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from readiness.areas.performance.config import BackgroundJob, Config, Endpoint, Query
from readiness.areas.performance.judging import Times
from readiness.areas.performance.pressure import Asked, Sender
from readiness.areas.performance.queries import RunningQuery
from readiness.lib import command
from readiness.lib.drill.counting import Sampler, sampling
from readiness.lib.guardian import Undo
from readiness.lib.http import session_for
from readiness.lib.postgres import connect, fetch, translated
from readiness.lib.postgres.session import need_role
from readiness.lib.sampling import fewest_samples
from readiness.model.errors import CouldNotMeasure, NoData

_LOOK_S: Final = 0.05
_CONNECT_S: Final = 15.0
# Beyond the job's own time: the pilots, the time before it, and what is late after it.
_MORE_S: Final = 120.0
_FEWEST: Final = fewest_samples(0.95)
# Texts of statements may hold data of customers.
_BLOCKED: Final = """
select a.pid || '/' || coalesce(a.query_start::text, ''),
       coalesce(nullif(a.application_name, ''), 'unnamed') || ' (' || coalesce(a.usename, '?')
       || ')',
       (select string_agg(distinct coalesce(
            'pid ' || b.pid || ' ' || coalesce(nullif(b.application_name, ''), 'unnamed')
            || ' (' || coalesce(b.usename, '?') || ', ' || coalesce(b.state, '?') || ')',
            'a prepared transaction'), ', ')
        from unnest(pg_blocking_pids(a.pid)) p left join pg_stat_activity b on b.pid = p)
from pg_stat_activity a
where a.datname = current_database() and a.pid <> pg_backend_pid()
  and a.wait_event_type = 'Lock' and cardinality(pg_blocking_pids(a.pid)) > 0"""

Look = Mapping[str, tuple[str, str]]
"""The waiting statements: who waits, and for whom."""


@dataclass(frozen=True, slots=True)
class Beside:
    """One query or endpoint: its good times before the job, and all answers beside it."""

    subject: Query | Endpoint
    before: Times
    meanwhile: tuple[Asked, ...]

    @property
    def times(self) -> Times:
        """The times of good answers beside the job."""
        return Times([one.ms for one in self.meanwhile if not one.problem], self.before.source)


@dataclass(frozen=True, slots=True)
class Blocked:
    """The longest wait for a lock: at least so many seconds, and who waited for whom."""

    seconds: float
    who: str
    blocker: str
    looks: int


@dataclass(frozen=True, slots=True)
class Contended:
    """What a job did to others; no wait where no database is declared."""

    job_s: float
    measured: tuple[Beside, ...]
    blocked: Blocked | None


class _Paced:
    """Executes one thing at a fixed pace; what waits for its turn is late, and that counts."""

    def __init__(self, subject: Query | Endpoint, source: str, rate: float) -> None:
        self.subject = subject
        self.source = source
        self.problem: Exception | None = None
        self._period_s = 1 / rate
        self._began = 0.0
        self._end = float("inf")
        self._go = threading.Event()
        self._over = threading.Event()
        self._numbers = itertools.count()
        self._seen: list[tuple[float, Asked]] = []

    def run(self, execute: Callable[[], Asked]) -> None:
        """Execute until `finish`, sharing the pace with other threads.

        What was due before the end is executed, too.
        """
        self._go.wait()
        while True:
            due = self._began + next(self._numbers) * self._period_s
            if self._over.wait(max(0.0, due - time.monotonic())) and due > self._end:
                return
            asked = execute()
            late_ms = (time.monotonic() - due) * 1000
            self._seen.append((due, Asked(asked.what, late_ms, asked.problem)))

    def begin(self) -> None:
        """Let the threads begin."""
        self._began = time.monotonic()
        self._go.set()

    def finish(self) -> None:
        """Nothing more is due."""
        self._end = time.monotonic()
        self._over.set()
        self._go.set()

    def beside(self, began: float) -> Beside:
        """What was due before the job began, and what after."""
        if self.problem:
            raise self.problem
        self._seen.sort(key=lambda seen: seen[0])
        before = [one for due, one in self._seen if due < began]
        good = [one.ms for one in before if not one.problem]
        if len(good) < len(before) or not good:
            problem = next((one.problem for one in before if one.problem), "no answer")
            raise CouldNotMeasure(f"{problem}, before the job began", where=self.source)
        meanwhile = tuple(one for due, one in self._seen if due >= began)
        return Beside(self.subject, Times(good, self.source), meanwhile)


def contended(job: BackgroundJob, config: Config, undo: Undo) -> Contended:
    """Measure without the job, then until it ends.

    Args:
        job: the job, and the names of what is measured.
        config: declares these, and their services.
        undo: ends the job's command if this process is killed meanwhile.

    Raises:
        CouldNotMeasure: the job failed or did not end, or something failed before it began.
        NoData: the job was too short.
    """
    with ExitStack() as stack:
        paced = [stack.enter_context(_pacing(one, job, config)) for one in _subjects(job, config)]
        sampler = stack.enter_context(_watching(job, config)) if job.database else None
        for one in paced:
            one.begin()
        time.sleep(job.before_s)
        began = time.monotonic()
        _run(job, undo)
        ended = time.monotonic()
    measured = tuple(one.beside(began) for one in paced)
    fewest = min(len(one.meanwhile) for one in measured)
    if fewest < _FEWEST:
        raise NoData(
            f"the job ended after {ended - began:.3g} s: {fewest} answers meanwhile cannot bound a"
            f" p95, and {_FEWEST} are needed",
            where=f"[[performance.jobs]] {job.name}",
            remedy="raise `rate`, or let the job do as much as in production",
        )
    return Contended(ended - began, measured, longest(sampler, began, ended) if sampler else None)


def _subjects(job: BackgroundJob, config: Config) -> "Iterator[Query | Endpoint]":
    declared = config.performance
    yield from (query for query in declared.queries if query.name in job.queries)
    yield from (endpoint for endpoint in declared.endpoints if endpoint.name in job.endpoints)


@contextmanager
def _pacing(subject: Query | Endpoint, job: BackgroundJob, config: Config) -> Iterator[_Paced]:
    """Executes it in threads of its own until the end of the block, once `begin` is called."""
    ready = threading.Semaphore(0)
    paced = _Paced(subject, _source(subject, config), job.rate)

    def work() -> None:
        try:
            with _executing(subject, job, config) as execute:
                ready.release()
                paced.run(execute)
        except Exception as error:  # noqa: BLE001 - raised again where it is awaited
            paced.problem = error
            ready.release()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(job.connections)]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            ready.acquire()
        if paced.problem:
            raise paced.problem
        yield paced
    finally:
        paced.finish()
        for thread in threads:
            thread.join()


def _source(subject: Query | Endpoint, config: Config) -> str:
    if isinstance(subject, Query):
        return f"query {subject.name}"
    return f"{subject.method} {config.services[subject.service].url}{subject.path}"


@contextmanager
def _executing(
    subject: Query | Endpoint, job: BackgroundJob, config: Config
) -> Iterator[Callable[[], Asked]]:
    """Gives what executes it once, on a connection of its own that is warmed up."""
    total_s = job.timeout_s + job.before_s + _MORE_S
    if isinstance(subject, Endpoint):
        service = config.services[subject.service]
        sender = Sender(service, service.timeout_s)
        with session_for(service) as session:
            sender.ask(session, subject)
            yield lambda: sender.ask(session, subject)
        return
    with (
        connect(subject.dsn, timeout_s=subject.budget_s, total_s=total_s) as connection,
        translated(f"query {subject.name}"),
    ):
        query = RunningQuery(subject, connection)
        yield lambda: _executed(query, subject.name)


def _executed(query: RunningQuery, name: str) -> Asked:
    """An error of one execution is data, as an answer 500 is."""
    what = f"query {name}"
    began = time.monotonic()
    problem = ""
    try:
        with translated(what):
            query.execute()
    except CouldNotMeasure as error:
        problem = error.message
    return Asked(what, (time.monotonic() - began) * 1000, problem)


def _run(job: BackgroundJob, undo: Undo) -> None:
    """Run the job to its end."""
    where = f"[[performance.jobs]] {job.name}"
    if job.sql and job.dsn:
        name = f"readiness job {job.name}"
        limit_s = job.timeout_s
        with connect(job.dsn, timeout_s=limit_s, application_name=name) as connection:
            fetch(connection, job.sql)
        return
    with command.started(job.command or [], f"run {job.name}", "run it by hand") as running:
        token = undo.kill(running.pid)
        try:
            answer = running.wait(job.timeout_s)
        finally:
            running.kill()
            undo.forget(token)
    if answer.status:
        raise CouldNotMeasure(
            f"the job ended with {answer.status}: {answer.said}",
            where=where,
            remedy="run it by hand, and see why it fails",
        )


@contextmanager
def _watching(job: BackgroundJob, config: Config) -> "Iterator[Sampler[Look]]":
    """Look again and again who waits for whom."""
    database = config.databases[job.database or ""]
    total_s = job.timeout_s + job.before_s + _MORE_S
    with connect(database.dsn, timeout_s=database.timeout_s, total_s=total_s) as connection:
        need_role(connection, "pg_read_all_stats", "other roles' sessions are hidden")

        def look() -> Look:
            rows: Sequence[tuple[Any, ...]] = fetch(connection, _BLOCKED)
            return {key: (who, blocker or "?") for key, who, blocker in rows}

        with sampling(look, _LOOK_S) as sampler:
            yield sampler


def longest(sampler: "Sampler[Look]", began: float, ended: float) -> Blocked:
    """The longest wait of one statement that began beside the job.

    From the first look that saw it wait to the last one: it waited at least that long.

    Raises:
        CouldNotMeasure: the sessions were not seen all the time.
    """
    if sampler.problem:
        raise sampler.problem
    earlier = {key for _, look in sampler.between(0, began) for key in look}
    looks = sampler.between(began, ended)
    first: dict[str, float] = {}
    found = Blocked(0.0, "", "", len(looks))
    for at, look in looks:
        for key, (who, blocker) in look.items():
            if key in earlier:
                continue
            seconds = at - first.setdefault(key, at)
            if seconds >= found.seconds:
                found = Blocked(seconds, f"pid {key.partition('/')[0]} {who}", blocker, len(looks))
    return found
