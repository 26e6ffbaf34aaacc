"""Performance: whether the target is fast enough, and stays so."""

import math
import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from typing import Final

from readiness.areas.performance.config import (
    Capacity,
    ColdStart,
    Config,
    Dependency,
    Load,
    Pool,
    Query,
    Soak,
    Spike,
)
from readiness.config.base.area import Area, Drills, Look
from readiness.config.base.discovery import Discover
from readiness.config.base.mistakes import Mistake, known, twice
from readiness.model.secrets import redact

__all__ = ["AREA"]

_SHORTEST_SOAK_S: Final = 6
_MOST_REQUESTS: Final = 2_000_000
_NEEDS_REQUESTS: Final = "needs `requests`, whose rate can be raised"


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    performance = config.performance
    for index, ingest in enumerate(performance.ingest):
        if ingest.write_path:
            path = ("performance", "ingest", index, "write_path", "service")
            yield from known(path, ingest.write_path.service, "services", config.services)
    yield from twice(("performance", "ingest"), "name", (i.name for i in performance.ingest))
    yield from twice(("performance", "queries"), "name", (q.name for q in performance.queries))
    yield from _placeholders(performance.queries)
    yield from _endpoints(config)
    yield from _pressure(config)
    yield from _jobs(config)
    yield from twice(("performance", "load"), "name", (one.name for one in performance.load))
    for index, load in enumerate(performance.load):
        place = ("performance", "load", index)
        yield from known((*place, "service"), load.service, "services", config.services)
        if load.soak:
            yield from _of_soak(config, (*place, "soak"), load, load.soak)
        for key, what, remedy in (*_contradictions(load), *_of_generators(load)):
            yield Mistake((*place, key), what, remedy)


def _endpoints(config: Config) -> Iterator[Mistake]:
    endpoints = config.performance.endpoints
    yield from twice(("performance", "endpoints"), "name", (one.name for one in endpoints))
    for index, endpoint in enumerate(endpoints):
        place = ("performance", "endpoints", index)
        yield from known((*place, "service"), endpoint.service, "services", config.services)
        service = config.services.get(endpoint.service)
        if service and endpoint.max_p95_ms >= service.timeout_s * 1000:
            yield Mistake(
                (*place, "max_p95_ms"),
                f"`timeout_s` of [services.{endpoint.service}] ends each request before",
                f"set that above {endpoint.max_p95_ms / 1000:g}",
            )
        if service and endpoint.before and endpoint.before.url == service.url:
            what = f"is that of [services.{endpoint.service}]: a release is not slower than itself"
            yield Mistake((*place, "before", "url"), what, "set where the release before runs")


def _pressure(config: Config) -> Iterator[Mistake]:
    tables: dict[str, Sequence[Pool | Dependency | ColdStart]] = {
        "pools": config.performance.pools,
        "dependencies": config.performance.dependencies,
        "cold_starts": config.performance.cold_starts,
    }
    for table, subjects in tables.items():
        yield from twice(("performance", table), "name", (one.name for one in subjects))
        for index, one in enumerate(subjects):
            place = ("performance", table, index)
            yield from known((*place, "service"), one.service, "services", config.services)
    for index, pool in enumerate(config.performance.pools):
        if pool.max_ms <= 1000 * pool.hold_s:
            what = f"is not above the {pool.hold_s:g} s of `hold_s`, which count"
            yield Mistake(("performance", "pools", index, "max_ms"), what, "raise it")
    for index, cold in enumerate(config.performance.cold_starts):
        service = config.services.get(cold.service)
        if service and service.url == cold.url:
            what = f"is that of [services.{cold.service}], which serves users"
            remedy = "set the address of an instance that serves nobody"
            yield Mistake(("performance", "cold_starts", index, "url"), what, remedy)


def _jobs(config: Config) -> Iterator[Mistake]:
    performance = config.performance
    declared: dict[str, Collection[str]] = {
        "queries": {query.name for query in performance.queries},
        "endpoints": {endpoint.name for endpoint in performance.endpoints},
    }
    yield from twice(("performance", "jobs"), "name", (job.name for job in performance.jobs))
    for index, job in enumerate(performance.jobs):
        place = ("performance", "jobs", index)
        if bool(job.command) == bool(job.sql):
            yield Mistake((*place, "command"), "one of `command` and `sql` is needed", "keep one")
        if bool(job.sql) != bool(job.dsn):
            what = "`sql` and `dsn` belong together"
            yield Mistake((*place, "dsn"), what, "set both, or neither")
        if not job.queries and not job.endpoints:
            what = "nothing is measured beside it"
            yield Mistake((*place, "queries"), what, "name `queries`, `endpoints`, or both")
        for table, names in (("queries", job.queries), ("endpoints", job.endpoints)):
            for number, name in enumerate(names):
                at = (*place, table, number)
                yield from known(at, name, f"performance.{table}", declared[table])
        if job.database:
            yield from known((*place, "database"), job.database, "databases", config.databases)


def _contradictions(load: Load) -> Iterator[tuple[str, str, str]]:
    """Key, mistake and remedy of what does not fit together."""
    if sum(map(bool, (load.requests, load.locustfile, load.summary))) != 1:
        what = "one of `requests`, `locustfile` and `summary` is needed"
        yield "requests", what, "keep one of them"
    elif bool(load.summary) != bool(load.tool):
        yield "tool", "`summary` and `tool` belong together", "set both, or neither"
    elif load.requests and not load.rate:
        yield "rate", "is missing; it is required with `requests`", "set the declared peak"
    elif load.locustfile and not load.users:
        yield "users", "is missing; it is required with `locustfile`", "set how many there are"
    if load.rate and load.rate * load.duration_s < load.fewest:
        yield (
            "duration_s",
            (
                f"{load.rate:g} requests/s for {load.duration_s:g} s are too few to be sure of the"
                f" objectives: {load.fewest} are needed"
            ),
            f"set it to {math.ceil(load.fewest / load.rate)}, or raise `rate`",
        )
    if load.spike:
        yield from _of_spike(load, load.spike)
    if load.capacity:
        yield from _of_capacity(load, load.capacity)
    if load.max_p99_ms and load.max_p99_ms < load.max_p95_ms:
        yield "max_p99_ms", "is below `max_p95_ms`, which no service can keep", "raise it"
    if load.max_p95_ms >= load.timeout_s * 1000:
        yield (
            "timeout_s",
            "ends each request before it can be slower than `max_p95_ms`",
            f"set it above {load.max_p95_ms / 1000:g}",
        )


def _of_generators(load: Load) -> Iterator[tuple[str, str, str]]:
    if load.generators and load.processes > 1:
        yield "processes", "is for one machine, and `generators` are declared", "remove one"
    elif load.generators and load.summary:
        yield "generators", "send nothing: a `summary` is judged", "remove one"


def _of_spike(load: Load, spike: Spike) -> Iterator[tuple[str, str, str]]:
    if not load.requests:
        yield "spike", _NEEDS_REQUESTS, "declare them, or remove it"
    elif load.rate and spike.rate <= load.rate:
        what = f"has a `rate` that is not above the {load.rate:g} requests/s of the load"
        yield "spike", what, "raise it"


def _of_capacity(load: Load, capacity: Capacity) -> Iterator[tuple[str, str, str]]:
    needed = (load.rate or 0) * capacity.min_headroom
    if not load.requests:
        yield "capacity", _NEEDS_REQUESTS, "declare them, or remove it"
    elif capacity.max_rate and capacity.max_rate < needed:
        what = f"has a `max_rate` below the {needed:g} requests/s of `min_headroom`"
        yield "capacity", what, "raise it"


def _of_soak(
    config: Config, place: tuple[str | int, ...], load: Load, soak: Soak
) -> Iterator[Mistake]:
    judged_s, limit_s = soak.duration_s - soak.settle_s, config.gate.check_timeout_s
    if not load.requests:
        yield Mistake(place, "needs `requests`, which arrive at a rate", "declare them")
    elif judged_s < _SHORTEST_SOAK_S:
        what = f"leaves {judged_s:g} s to be judged, and {_SHORTEST_SOAK_S} are needed"
        yield Mistake((*place, "duration_s"), what, "raise it, or lower `settle_s`")
    elif (load.rate or 0) * soak.duration_s > _MOST_REQUESTS:
        what = f"is more than {_MOST_REQUESTS:,} requests, which are kept in memory"
        yield Mistake((*place, "duration_s"), what, "lower it, or `rate`")
    elif soak.duration_s + load.warm_up_s >= limit_s:
        what = f"is as long as `check_timeout_s` of [gate], which is {limit_s:g}"
        yield Mistake((*place, "duration_s"), what, "raise that, and `run_timeout_s`")
    if soak.database:
        yield from known((*place, "database"), soak.database, "databases", config.databases)
    if soak.memory_query and config.prometheus is None:
        what = "is asked of Prometheus, and no [prometheus] is declared"
        yield Mistake((*place, "memory_query"), what, "declare it, or use `memory`")


def _placeholders(queries: Iterable[Query]) -> Iterator[Mistake]:
    for index, query in enumerate(queries):
        # In quotes it is text: like '%server'.
        unquoted = re.sub(r"'[^']*'", "", query.sql).replace("%%", "")
        wanted = len(re.findall(r"%[sbt]", unquoted))
        for number, values in enumerate(query.params):
            if len(values) != wanted:
                yield Mistake(
                    ("performance", "queries", index, "params"),
                    f"set {number + 1} has {len(values)} values, the statement {wanted} of '%s'",
                    "give one value for each '%s'",
                )


def _looks(config: Config) -> Iterator[tuple[str, Look]]:
    from readiness.areas.performance import load

    if any(one.summary is None for one in config.performance.load):
        yield "locust (load)", load.find


def _discovers() -> Iterator[Discover]:
    from readiness.areas.performance import discovery

    yield discovery.queries


def _drilled(config: Config) -> Iterator[tuple[str, str]]:
    """The commands that change the target, each with its purpose."""
    for dependency in config.performance.dependencies:
        yield shlex.join(dependency.slow), f"slows down {dependency.name}"
        yield shlex.join(dependency.restore), f"restores {dependency.name}"
    for cold in config.performance.cold_starts:
        yield shlex.join(cold.start), f"starts {cold.name}"
        yield shlex.join(cold.stop), f"ends {cold.name}"
    for job in config.performance.jobs:
        if job.command:
            yield shlex.join(job.command), f"the job {job.name}"
        elif job.sql and job.dsn:
            yield job.sql, f"the job {job.name}, at {job.dsn.address}"


def _stated(config: Config) -> Iterator[tuple[str, str]]:
    """Statements and requests that reach more than what is measured, each with its purpose."""
    for query in config.performance.queries:
        if query.writes:
            yield query.sql, f"some hundred times, at {query.dsn.address}"
    for endpoint in config.performance.endpoints:
        if before := endpoint.before:
            requested = f"{endpoint.method} {before.url}{endpoint.path}"
            yield requested, f"the release before, by turns with {endpoint.name}"
    for pool in config.performance.pools:
        where = f"at {pool.dsn.address}"
        yield pool.hold_sql, f"for {pool.hold_s:g} s, then rolled back, {where}"
    for ingest in config.performance.ingest:
        if path := ingest.write_path:
            where = f"at {path.dsn.address}"
            yield path.cleanup_sql, f"after writes of {ingest.name}, {where}"


def _identity(config: Config) -> object:
    """What drills run: a stale file must not run it against another target."""
    return list(_drilled(config)) or None


def _commands(config: Config) -> Iterator[str]:
    shown = [*_drilled(config), *_stated(config)]
    if shown:
        yield "Checks of performance run these commands, statements and requests:"
        yield from (f"{' '.join(redact(what).split())}  # {why}" for what, why in shown)


AREA: Final = Area(
    "performance",
    timed=True,
    config=Config,
    kinds={
        "ingest": ("[[performance.ingest]]", lambda c: c.performance.ingest),
        "query": ("[[performance.queries]]", lambda c: c.performance.queries),
        "endpoint": ("[[performance.endpoints]]", lambda c: c.performance.endpoints),
        "pool": ("[[performance.pools]]", lambda c: c.performance.pools),
        "dependency": ("[[performance.dependencies]]", lambda c: c.performance.dependencies),
        "cold_start": ("[[performance.cold_starts]]", lambda c: c.performance.cold_starts),
        "background_job": ("[[performance.jobs]]", lambda c: c.performance.jobs),
        "load": ("[[performance.load]]", lambda c: c.performance.load),
    },
    mistakes=_mistakes,
    looks=_looks,
    discovers=_discovers,
    drills=Drills(identity=_identity, commands=_commands, recover=lambda _: False),
)
