"""Makes a workload scale up: our own requests, a load command, or a command that scales it.

The load ends with the drill, even if the drill is killed.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from readiness.areas.scaling.config import Live
from readiness.lib import command
from readiness.lib.guardian import Undo
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.prober import probing
from readiness.lib.prober.watched import plan_of
from readiness.model.errors import CouldNotMeasure

_REMEDY: Final = "run it by hand; see [scaling.NAME.live]"
# An autoscaler averages over many seconds: a few late requests do not change the load.
_LEAST_SENT: Final = 0.95
_LEAST_IN_A_SECOND: Final = 0.5


@dataclass(slots=True)
class Load:
    """What makes a workload scale up; made by `pressing`.

    Attributes:
        what: it, in words.
        check: raises CouldNotMeasure if the load has stopped by itself.
        seen: the outcome of our own requests, once the load has ended; None for a command.
    """

    what: str
    check: Callable[[], object]
    seen: Observation | None = None


def pressing(live: Live, undo: Undo) -> AbstractContextManager[Load]:
    """Make it scale up while the block runs.

    Raises:
        CouldNotMeasure: it cannot be started or stopped.
    """
    if live.up and live.down:
        return _set(live.up, live.down, undo, live.down_within_s)
    if live.load:
        return _made(live.load, undo)
    return _asked(live, live.load_rate_per_s or 0)


def starved(seen: Observation, until: float) -> str:
    """Why there was less load than declared; empty if there was not.

    Args:
        seen: our own requests, from the start of the load.
        until: when it was ended, on the clock `time.monotonic`.
    """
    if not seen.samples:
        return "nothing was sent"
    rate, began = seen.plan.rate_per_s, seen.samples[0].due
    sent = [sample.sent - began for sample in seen.samples if sample.sent < until]
    due = (until - began) * rate
    if len(sent) < _LEAST_SENT * due:
        return f"{len(sent)} of {due:.0f} requests were sent in time"
    in_second = Counter(int(at_s) for at_s in sent)
    least = min((in_second[second] for second in range(int(until - began))), default=len(sent))
    if least < _LEAST_IN_A_SECOND * rate:
        return f"in one second {least} requests were sent, of {rate:g}"
    return ""


@contextmanager
def _asked(live: Live, rate_per_s: float) -> Iterator[Load]:
    """The prober's process ends when its input is closed, and so with us."""
    plan = plan_of(live).model_copy(update={"rate_per_s": rate_per_s})
    with probing(plan) as users:
        load = Load(f"{rate_per_s:g} requests/s to {live.url}", users.seen)
        yield load
        load.seen = users.stop()


@contextmanager
def _made(argv: list[str], undo: Undo) -> Iterator[Load]:
    verb = "make the load"
    with command.started(argv, verb, _REMEDY) as running:
        token = undo.kill(running.pid)

        def check() -> None:
            if answer := running.poll():
                raise CouldNotMeasure(
                    f"the command to {verb} ended by itself, with {answer.status}: {answer.said}",
                    where=argv[0],
                    remedy="let it run until the drill stops it",
                )

        try:
            yield Load(f"the load of {argv[0]}", check)
        finally:
            running.kill()
            undo.forget(token)


@contextmanager
def _set(up: list[str], down: list[str], undo: Undo, timeout_s: float) -> Iterator[Load]:
    """Scaled down again, whatever happens."""
    token = undo.run(down, timeout_s=timeout_s)
    try:
        with command.started(up, "scale it up", _REMEDY) as running:

            def check() -> None:
                answer = running.poll()
                if answer and answer.status:
                    raise CouldNotMeasure(
                        f"the command to scale it up ended with {answer.status}: {answer.said}",
                        where=up[0],
                        remedy=_REMEDY,
                    )

            yield Load(f"the command {up[0]}", check)
    finally:
        command.run(down, "scale it down", _REMEDY, timeout_s=timeout_s)
        undo.forget(token)
