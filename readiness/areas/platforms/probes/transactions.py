"""A synthetic transaction: enters at one platform, and is looked for at the next ones."""

import time
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

from readiness.areas.platforms.config import Step, Transaction
from readiness.lib.http import Answer, Session
from readiness.lib.text import clean
from readiness.model.errors import NoData
from readiness.model.secrets import without_credentials

_BETWEEN_S: Final = 0.2
_OK: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Trip:
    """How far a probe came.

    Attributes:
        entered: the answer where it entered.
        accepted: whether that was a success.
        seen_after_s: seconds until it was seen, for each place in order; None where it was not.
        last: what the first place without it answered; empty if it arrived.
    """

    entered: str
    accepted: bool
    seen_after_s: tuple[float | None, ...]
    last: str


def travel(transaction: Transaction) -> Trip:
    """Enter a probe, and look for it place by place until the time is over.

    Raises:
        NoData: a place shows a probe that nobody sent: it echoes what it is asked for.
        CouldNotMeasure: and its kinds: a place does not answer.
    """
    for step in transaction.seen:
        _require_no_echo(step, transaction.timeout_s)
    probe = _probe()
    started = time.monotonic()
    entered = _ask(transaction.enter, probe, transaction.timeout_s)
    accepted = entered.status in _OK
    seen: list[float | None] = []
    last = ""
    for step in transaction.seen:
        answer = _wait(step, probe, transaction, started) if accepted and not last else None
        arrived = answer is not None and _shows(answer, probe)
        seen.append(time.monotonic() - started if arrived else None)
        if answer is not None and not arrived:
            last = clean(str(answer))
    return Trip(clean(str(entered)), accepted, tuple(seen), last)


def place_of(step: Step) -> str:
    """The address for a message."""
    return without_credentials(step.url)


def _wait(step: Step, probe: str, transaction: Transaction, started: float) -> Answer:
    """The first answer that shows the probe, or the last one before the time was over."""
    while True:
        answer = _ask(step, probe, transaction.timeout_s)
        left = transaction.within_s - (time.monotonic() - started)
        if _shows(answer, probe) or left <= 0:
            return answer
        time.sleep(min(_BETWEEN_S, left))


def _require_no_echo(step: Step, timeout_s: float) -> None:
    probe = _probe()
    if _shows(_ask(step, probe, timeout_s), probe):
        raise NoData(
            "shows a probe that was never sent: it echoes what it is asked for",
            where=place_of(step),
            remedy="name an address that shows what has arrived, as a list of the newest ones",
        )


def _probe() -> str:
    return f"readiness-{uuid4().hex}"


def _shows(answer: Answer, probe: str) -> bool:
    return answer.status in _OK and probe.encode() in answer.body


def _ask(step: Step, probe: str, timeout_s: float) -> Answer:
    bearer = step.header.lower() == "authorization"
    more = {step.header.lower(): step.token.reveal()} if step.token and not bearer else None
    with Session(timeout_s=timeout_s, bearer=step.token if bearer else None) as session:
        return session.request("GET", step.address(probe), more=more)
