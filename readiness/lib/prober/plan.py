"""The prober's plan and the lines of its record, which both pass between processes."""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

FORMAT: Final = "readiness-prober/1"
UNANSWERED: Final = "no answer in time"
_OK: Final = 200


class Mode(StrEnum):
    """How a request reaches the service: over a new connection, or one from a client's pool."""

    NEW = "new"
    KEPT = "kept"


MODES: Final = (Mode.NEW, Mode.KEPT)


class Plan(BaseModel):
    """Which requests are sent, and how often.

    Attributes:
        url: of GET requests.
        rate_per_s: requests a second; the modes take turns.
        timeout_s: seconds after which a request counts as unanswered.
        statuses: those that count as answered.
        headers: sent with each request, such as a token.
        version_key: the key of the JSON answer that names the release; empty: none is read.
        replica_header: the header that names the replica; empty: none is read.
        connections: how many are kept open, used in turn.
        verify_tls: whether the certificate must be valid.
        max_bytes: of a body; a longer one is a failure.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+[^\s#]*$")]
    rate_per_s: Annotated[float, Field(gt=0, le=2000)] = 50.0
    timeout_s: Annotated[float, Field(gt=0)] = 2.0
    statuses: tuple[int, ...] = (_OK,)
    headers: dict[str, str] = {}
    version_key: str = ""
    replica_header: str = ""
    connections: Annotated[int, Field(gt=0)] = 4
    verify_tls: bool = True
    max_bytes: Annotated[int, Field(gt=0)] = 1024 * 1024

    @property
    def period_s(self) -> float:
        """Seconds between two requests."""
        return 1 / self.rate_per_s


@dataclass(frozen=True, slots=True)
class Sample:
    """One request.

    Attributes:
        slot: its number in the schedule, from 0.
        mode: how it was sent.
        due: when it was to be sent, on the clock `time.monotonic`, which all processes share.
        sent: when it was.
        ended: when its answer was complete, or the timeout had passed.
        status: of the answer; 0 where there was none.
        problem: why it failed, in one to three words; empty if it did not.
        version: the release that answered; empty if unknown.
        replica: the replica that answered; empty if unknown.
    """

    slot: int
    mode: Mode
    due: float
    sent: float
    ended: float
    status: int = 0
    problem: str = ""
    version: str = ""
    replica: str = ""

    @property
    def failed(self) -> bool:
        """Whether it got no good answer."""
        return bool(self.problem)

    @property
    def latency_s(self) -> float:
        """Seconds from when it was due, so that waiting for its turn counts."""
        return self.ended - self.due

    @property
    def late_s(self) -> float:
        """How late the prober sent it, in seconds."""
        return self.sent - self.due


@dataclass(frozen=True, slots=True)
class Hangup:
    """A kept connection that the service closed without having said so in an answer.

    Attributes:
        at: when, on the clock `time.monotonic`.
        idle: whether no request was under way on it; else one was lost.
    """

    at: float
    idle: bool


@dataclass(frozen=True, slots=True)
class End:
    """The last line of a complete record.

    Attributes:
        at: when the prober ended.
        slots: how many requests it had sent.
        cpu_s: seconds of processor time that it took.
    """

    at: float
    slots: int
    cpu_s: float


Line = Sample | Hangup | End
_LETTERS: Final[dict[str, type[Line]]] = {"s": Sample, "h": Hangup, "e": End}
_LETTER_OF: Final = {kind: letter for letter, kind in _LETTERS.items()}
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


def encode(line: Line) -> str:
    """One line of the record."""
    values = [getattr(line, name) for name in line.__slots__]
    return _ENCODER.encode([_LETTER_OF[type(line)], *values])


def decode(text: str) -> Line:
    """Read a line of the record.

    Raises:
        ValueError: it is not one.
    """
    try:
        letter, *values = json.loads(text)
        kind = _LETTERS[letter]
        if kind is Sample:
            values[1] = Mode(values[1])
        return kind(*values)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ValueError("not a line of the prober's record") from error
