"""Measures again: until a condition holds, or because a result cannot be told apart from noise."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from readiness.lib.noise import USUAL, Noise, watching
from readiness.model.errors import CouldNotMeasure, TookTooLong, Unreachable
from readiness.model.evidence import Evidence
from readiness.model.measurement import Limit, Measurement

T = TypeVar("T")

_EVERY_S: Final = 0.5
_AGAIN: Final = 2
_LONGER: Final = 2
"""What is too close to call is measured again, for twice as long."""
_PATIENCE_S: Final = 30.0
_GLANCE_S: Final = 1.0


def until(
    look: Callable[[], T],
    good: Callable[[T], bool],
    *,
    within_s: float,
    every_s: float | None = None,
) -> T:
    """Call `look` until its result is good or the time is over; gives the last result.

    Args:
        look: its exceptions are not caught.
        good: whether to stop.
        within_s: seconds from the first call to the last one.
        every_s: seconds between two calls; default: half a second.
    """
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        left = deadline - time.monotonic()
        if good(seen) or left <= 0:
            return seen
        time.sleep(min(every_s or _EVERY_S, left))


def undisturbed(
    measure: Callable[[int], T],
    keeps: Callable[[T, Noise], bool | None],
    evidence: Evidence,
) -> tuple[T, Noise]:
    """Measure until it is clear whether the limits are kept, at most three times.

    A clear result counts, on a noisy machine too: noise makes nothing faster, and what it cannot
    explain is the target's. If the last result is not clear either, judging it is an error.

    Args:
        measure: takes the whole measurement, as many times as long as its argument says.
        keeps: whether all limits are kept, given the noise; None if that cannot be told.
        evidence: gets the noise, and each attempt that was discarded.

    Returns:
        The last measurement, and the noise beside it.

    Raises:
        CouldNotMeasure: as `measure` does. No answer in time is tried again if there was much
            noise.
    """
    found, noise = _attempt(measure, 1)
    for _ in range(_AGAIN):
        if _is_clear(found, keeps, noise):
            break
        evidence.record(Measurement("attempt discarded", str(noise), "text", "too close to call"))
        _await_quiet()
        found, noise = _attempt(measure, _LONGER)
    evidence.record(noise.measurement)
    if isinstance(found, CouldNotMeasure):
        raise found
    return found, noise


def _is_clear(
    found: T | CouldNotMeasure, keeps: Callable[[T, Noise], bool | None], noise: Noise
) -> bool:
    if isinstance(found, CouldNotMeasure):
        return not noise.is_much
    return keeps(found, noise) is not None


def _attempt(measure: Callable[[int], T], length: int) -> tuple[T | CouldNotMeasure, Noise]:
    with watching() as watch:
        try:
            return measure(length), watch.seen()
        except (TookTooLong, Unreachable) as error:
            return error, watch.seen()


def judge_time(
    evidence: Evidence,
    key: str,
    taken: Measurement,
    limit: Limit,
    fastest_ms: float,
    noise: Noise,
    q: float = USUAL,
) -> None:
    """Judge a time in ms, unless noise may explain that it misses.

    Args:
        evidence: gets the judgement.
        key: its key.
        taken: the time.
        limit: the most that it may be.
        fastest_ms: the fastest time of the same sample.
        noise: what it was measured beside.
        q: the quantile that it is of a sample.

    Raises:
        CouldNotMeasure: it misses by no more than the noise explains.
    """
    if noise.keeps_time(float(taken.value), float(limit.value), fastest_ms, q) is None:
        evidence.record(taken)
        raise indistinct(f"{taken}, limit {limit.value:g} ms", noise)
    evidence.judge(key, taken, limit)


def indistinct(seen: str, noise: Noise, remedy: str = "") -> CouldNotMeasure:
    """The error of a result that cannot be told apart from noise or chance."""
    return CouldNotMeasure(
        f"cannot be told apart: {seen}; noise of this machine: {noise}",
        remedy=remedy or "run readiness on a less busy machine, or at another time",
    )


def _await_quiet() -> None:
    """Return once there was little noise for a second, or after 30 s."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        with watching() as watch:
            time.sleep(_GLANCE_S)
            if not watch.seen().is_much:
                return
