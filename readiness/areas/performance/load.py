"""Load by locust, which always runs in processes of its own, and what users would have seen."""

import json
import math
import os
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from readiness.areas.performance.config import Generators, Load
from readiness.config.base.tables import Service
from readiness.lib import command
from readiness.lib.sampling import percentile
from readiness.lib.text import listed
from readiness.model.course import MOST_SLOTS, Band, Course, Series, Track
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong
from readiness.servers.processes import free_port

LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")
_BEARER: Final = "READINESS_LOAD_BEARER"
_FOLDER: Final = "READINESS_LOAD"
_REMEDY: Final = "pip install locust"
# Locust loads in a second or two, more on a busy machine; workers are awaited before it begins.
_STARTING_S: Final = 60.0
_WORKERS_S: Final = 15
# Sums of floating point seconds since 1970.
_ROUNDING_S: Final = 1e-5
_LATE_QUANTILE: Final = 0.99
# Above this share of a core a generator measures its own queue rather than the target.
_MOST_CPU: Final = 0.9
FEWEST_SENT: Final = 0.98
_LOST: Final = 17
"""The exit code of locust once a worker is lost."""
_COPY: Final = "readiness_load.py"
_NO_PLAN: Final = '_COPIED: Final = ""'


class Stage(NamedTuple):
    """So many requests a second, for so many seconds; without a rate, users decide."""

    rate: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; its moments are seconds since 1970.

    Attributes:
        due: when it was to be sent; for users of a locustfile, when it was.
        sent: when it was.
        took_ms: from `due` to the complete answer, so that waiting for its turn counts.
        name: which request of the mix.
        problem: why it failed; empty if it did not.
    """

    due: float
    sent: float
    took_ms: float
    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one run of the load saw, without its warm-up.

    Attributes:
        asked: all requests, in the order in which they were due.
        planned: how many were to be sent; None where users of a locustfile decide.
        seconds: from the end of the warm-up to the last moment.
        cpu: the busiest generator's share of a core.
        source: which requests were sent, and how many a second.
    """

    asked: tuple[Asked, ...]
    planned: int | None
    seconds: float
    cpu: float
    source: str

    def part(self, begin_s: float, seconds: float) -> "Loaded":
        """What was due in a part of the time, which begins so many seconds after the warm-up.

        Raises:
            NoData: no request was.
        """
        began = self.asked[0].due + begin_s - _ROUNDING_S
        asked = tuple(one for one in self.asked if began <= one.due < began + seconds)
        if not asked:
            raise NoData("no request was due in a part of the load", where=self.source)
        return replace(self, asked=asked, planned=None, seconds=seconds)

    @property
    def good(self) -> list[float]:
        """Milliseconds of each request that was answered well."""
        return [one.took_ms for one in self.asked if not one.problem]

    @property
    def good_per_s(self) -> float:
        """Good answers a second: those that were complete before the time was over."""
        end = self.asked[0].due + self.seconds
        done = sum(not one.problem and one.due + one.took_ms / 1000 <= end for one in self.asked)
        return done / self.seconds

    @property
    def failed(self) -> int:
        """How many requests failed."""
        return sum(bool(one.problem) for one in self.asked)

    @property
    def problems(self) -> str:
        """The most frequent ways to fail, with their numbers."""
        counts = Counter(f"{a.name}: {a.problem}" for a in self.asked if a.problem)
        return listed([f"{count} x {what}" for what, count in counts.most_common(3)])

    @property
    def late_ms(self) -> float:
        """How late the generator sent: the p99, in milliseconds."""
        return 1000 * percentile([one.sent - one.due for one in self.asked], _LATE_QUANTILE)


class _Seen(BaseModel):
    """The file of one generator."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    began: float
    cpu_s: float
    wall_s: Annotated[float, Field(gt=0)]
    seen: list[tuple[float, float, float, str, str]]


def load(load: Load, service: Service, *, seconds: float) -> Loaded:
    """Send the load once.

    Args:
        load: the declared load.
        service: what the requests are sent to.
        seconds: how long, after the warm-up.

    Raises:
        CouldNotMeasure: as for `staged`.
    """
    return staged(load, service, [Stage(load.rate or 0.0, seconds)])


def find() -> str:
    """The version of locust.

    Raises:
        CouldNotMeasure: it is not installed.
    """
    if find_spec("locust") is None:
        raise CouldNotMeasure("locust is not installed; it sends the load", remedy=_REMEDY)
    return version("locust")


def staged(load: Load, service: Service, stages: Sequence[Stage]) -> Loaded:
    """Send the load once, stage by stage, after a warm-up at the rate of the first.

    Args:
        load: the declared load.
        service: what the requests are sent to.
        stages: what is sent, and how long.

    Raises:
        CouldNotMeasure: locust is missing, did not start or did not end, or the locustfile is
            wrong.
        TookTooLong: its generators could not keep up with the plan.
        NoData: no request was sent.
    """
    find()
    with tempfile.TemporaryDirectory(prefix="readiness-load-") as place:
        folder = Path(place)
        plan = _plan(load, service, stages)
        (folder / "plan.json").write_text(plan, encoding="utf-8")
        copied = LOCUSTFILE.read_text(encoding="utf-8").replace(_NO_PLAN, f"_COPIED = {plan!r}")
        (folder / _COPY).write_text(copied, encoding="utf-8")
        _locust(load, service, folder, sum(stage.seconds for stage in stages))
        files = [_read(path) for path in sorted(folder.glob("seen-*.json"))]
    return _loaded(load, service, files, stages)


def slots(loaded: Loaded, step_s: float) -> list[list[Asked]]:
    """The requests by when they were due, in slots of so many seconds."""
    began = loaded.asked[0].due
    found: list[list[Asked]] = [[] for _ in range(math.ceil(loaded.seconds / step_s))]
    for one in loaded.asked:
        found[min(int((one.due - began) / step_s), len(found) - 1)].append(one)
    return found


def course(loaded: Loaded, max_p95_ms: float, bands: Sequence[Band] = ()) -> Course:
    """The picture of a load: answers, failures and p95 of each slot."""
    step_s = max(1, math.ceil(loaded.seconds / MOST_SLOTS))
    seen = slots(loaded, step_s)
    return Course(
        float(step_s),
        tuple(bands) or (Band(0.0, loaded.seconds, "under load"),),
        (
            Track("answers", "parts", (Series("answered", tuple(map(_answered, seen))),)),
            Track("failed requests", "misses", (Series("failed", tuple(map(_failed, seen))),)),
            Track(
                "p95 in ms",
                "level",
                (Series("p95 in ms", tuple(map(p95_ms, seen))),),
                limit=max_p95_ms,
                limit_label=f"at most {max_p95_ms:g} ms",
            ),
        ),
    )


def _answered(slot: Sequence[Asked]) -> float:
    return sum(not one.problem for one in slot)


def _failed(slot: Sequence[Asked]) -> float:
    return sum(bool(one.problem) for one in slot)


def p95_ms(slot: Sequence[Asked]) -> float | None:
    """The p95 of the good answers; None if there are none."""
    good = [one.took_ms for one in slot if not one.problem]
    return percentile(good, 0.95) if good else None


def _plan(load: Load, service: Service, stages: Sequence[Stage]) -> str:
    warm_up = Stage(stages[0].rate, load.warm_up_s)
    requests = [
        {
            "method": request.method,
            "path": request.path,
            "name": f"{request.method} {request.path}",
            "weight": request.weight,
            "body": request.body or "",
            "headers": {"Content-Type": "application/json"} if request.body else {},
            "status": request.status,
        }
        for request in load.requests
    ]
    return json.dumps(
        {
            "stages": [warm_up, *stages] if load.requests else [],
            "requests": requests,
            "verify_tls": service.verify_tls,
            "timeout_s": load.timeout_s,
            "processes": load.shares,
            "bearer": service.bearer is not None,
            "lost": _LOST,
        }
    )


def _require_address(there: Generators, name: str) -> None:
    """Fail before locust does, whose words are those of a traceback."""
    try:
        socket.create_server((there.bind, there.port)).close()
    except OSError as error:
        raise CouldNotMeasure(
            f"cannot listen for load generators at {there.bind}:{there.port}: {error.strerror}",
            where=f"[[performance.load]] {name}",
            remedy="set `bind` to an address of this machine (ip addr), and `port` to a free one"
            " (ss -ltn)",
        ) from None


def _locust(load: Load, service: Service, folder: Path, seconds: float) -> None:
    if load.generators:
        _require_address(load.generators, load.name)
    total_s = load.warm_up_s + seconds
    # Our own generator ends by itself, once the last answer is there.
    limit_s = total_s if load.locustfile else total_s + 2 * load.timeout_s + _WORKERS_S
    argv = [*_clean_environment(), *_program(load, service, folder / _COPY, limit_s)]
    variables = {_FOLDER: str(folder)}
    if service.bearer:
        variables[_BEARER] = service.bearer.reveal()
    if not load.locustfile:
        # Its settings in the working folder or in HOME are for the user's own runs.
        variables["HOME"] = str(folder)
    with command.started(
        argv, "send the load", _REMEDY, env=variables, cwd=None if load.locustfile else folder
    ) as running:
        awaited_s = load.generators.wait_s if load.generators else 0
        answer = running.wait(limit_s + load.timeout_s + _STARTING_S + awaited_s)
    if answer.status != 0:
        _require_workers(load, folder, lost=answer.status == _LOST)
        raise CouldNotMeasure(
            f"locust ended with {answer.status}: {answer.said}",
            where=load.locustfile or f"[[performance.load]] {load.name}",
            remedy="run it by hand: locust --headless -f "
            f"{load.locustfile or 'LOCUSTFILE'} --host {service.url}",
        )


def _require_workers(load: Load, folder: Path, *, lost: bool) -> None:
    """Tell that generators are missing, if that is why locust ended."""
    try:
        there = int((folder / "workers").read_text())
    except (OSError, ValueError):
        return
    if there >= load.shares:
        return
    problem = f"{there} of {load.shares} load generators"
    remedy = "see what ended it: dmesg, journalctl"
    if load.generators:
        remedy = f"see what its last lines say, and start it again: {load.generators.command}"
    if not lost and load.generators:
        problem += f" joined within {load.generators.wait_s:g} s"
    else:
        problem += " were left while the load was sent"
    raise CouldNotMeasure(problem, where=f"[[performance.load]] {load.name}", remedy=remedy)


def _clean_environment() -> Iterator[str]:
    """Locust takes each of its options from the environment, too."""
    yield "env"
    for name in sorted(os.environ):
        if name.startswith("LOCUST_"):
            yield from ("-u", name)


def _program(load: Load, service: Service, copy: Path, limit_s: float) -> Iterator[str]:
    ours = copy if load.generators else LOCUSTFILE
    files = [str(ours), *([load.locustfile] if load.locustfile else [])]
    users = load.users if load.locustfile else load.shares
    yield from (sys.executable, "-m", "locust", "-f", ",".join(files), "--headless")
    yield from ("--host", service.url, "-u", str(users), "-r", str(users))
    yield from ("-t", f"{math.ceil(limit_s)}s", "--stop-timeout", f"{math.ceil(load.timeout_s)}")
    # Failed requests are data: an exit code means that locust itself failed.
    yield from ("--exit-code-on-error", "0", "--only-summary", "--skip-log")
    if there := load.generators:
        yield from ("--master", "--master-bind-host", there.bind)
        yield from ("--master-bind-port", str(there.port))
        yield from ("--expect-workers", str(there.workers))
        yield from ("--expect-workers-max-wait", str(math.ceil(there.wait_s)))
    elif load.processes > 1:
        port = str(free_port())
        yield from ("--processes", str(load.processes), "--master-bind-host", "127.0.0.1")
        yield from ("--master-bind-port", port, "--master-port", port)
        yield from ("--expect-workers-max-wait", str(_WORKERS_S))


def _read(path: Path) -> _Seen:
    try:
        return _Seen.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise CouldNotMeasure(
            f"the record of a load generator cannot be read: {type(error).__name__}"
        ) from None


def _loaded(
    load: Load, service: Service, files: Sequence[_Seen], stages: Sequence[Stage]
) -> Loaded:
    # The clocks of machines differ: each process counts from its own beginning.
    first = min((one.began for one in files), default=0.0)
    asked = [
        Asked(due - one.began + first, sent - one.began + first, took_ms, name, problem)
        for one in files
        for due, sent, took_ms, name, problem in one.seen
    ]
    where = load.locustfile or f"[[performance.load]] {load.name}"
    if not asked:
        raise NoData("locust sent no request", where=where, remedy=_by_hand(load, service))
    if len(files) < load.shares:
        raise CouldNotMeasure(
            f"{len(files)} of {load.shares} load generators left a record", where=where
        )
    warm = [one for one in asked if one.due >= first + load.warm_up_s - _ROUNDING_S]
    judged = tuple(sorted(warm, key=lambda one: one.due))
    if not judged:
        raise NoData("locust sent no request after the warm-up", where=where)
    rates = ", ".join(f"{stage.rate:g}" for stage in stages)
    rate = f"{rates} requests/s" if load.requests else f"{load.users} users of {where}"
    planned = sum(round(stage.rate * stage.seconds) for stage in stages)
    loaded = Loaded(
        asked=judged,
        planned=planned if load.requests else None,
        seconds=sum(stage.seconds for stage in stages),
        cpu=max(one.cpu_s / one.wall_s for one in files),
        source=f"{rate} to {service.url}",
    )
    if loaded.planned and len(judged) < FEWEST_SENT * loaded.planned:
        raise bottleneck(load, f"it sent {len(judged)} of {loaded.planned} requests")
    if load.locustfile and (problem := starved(load, loaded)):
        raise bottleneck(load, problem)  # users that are starved send less: that proves nothing
    return loaded


def starved(load: Load, loaded: Loaded) -> str:
    """Why the generator may have measured itself; empty if it did not.

    Where requests have a plan, their waiting for the generator counts as the service's: a miss
    proves nothing then, and a pass does.
    """
    if loaded.cpu > _MOST_CPU:
        return f"its busiest process took {loaded.cpu:.0%} of a core"
    if loaded.late_ms > load.max_late_ms:
        return f"1 % of its requests were sent more than {loaded.late_ms:.0f} ms late"
    return ""


def bottleneck(load: Load, problem: str) -> TookTooLong:
    """The error of a generator that could not keep up."""
    return TookTooLong(
        f"the load generator was the bottleneck: {problem}",
        where=f"[[performance.load]] {load.name}",
        remedy="raise `processes`, lower `rate`, or run readiness on a machine of its own",
    )


def _by_hand(load: Load, service: Service) -> str:
    file = load.locustfile or LOCUSTFILE.name
    return f"see what it says: locust --headless -f {file} --host {service.url} -t 10s"
