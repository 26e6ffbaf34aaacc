"""Requests health endpoints as a load balancer does: repeatedly, each over a new connection."""

import json
import secrets
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.monitoring.config import Service
from readiness.lib.http import Answer, ask
from readiness.lib.text import clean
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

TRIES: Final = 5
OK: Final = 200


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The answers of one path of a service."""

    path: str
    answers: tuple[Answer, ...]

    @property
    def last(self) -> Answer:
        """The last answer."""
        return self.answers[-1]

    @property
    def worst(self) -> Answer:
        """The last answer that was not 200, or else the last one."""
        return next((a for a in reversed(self.answers) if a.status != OK), self.last)

    @property
    def is_well(self) -> bool:
        """Whether all answers were 200."""
        return self.worst.status == OK

    def times_ok(self) -> Measurement:
        """The number of answers that were 200."""
        good = sum(answer.status == OK for answer in self.answers)
        return self._measured("200 of", good, "count")

    def media_type(self) -> Measurement:
        """The content type of the last answer without its parameters; `none` if it has none."""
        return self._measured("content type of", self.last.media_type or "none", "text")

    @property
    def median_ms(self) -> float:
        """The median time to the last byte: one slow answer says little on a busy host."""
        return statistics.median(a.elapsed_ms for a in self.answers)

    def latency(self) -> Measurement:
        """The median time, in ms."""
        return self._measured("median latency of", self.median_ms, "ms")

    def _measured(self, what: str, value: float | str, unit: str) -> Measurement:
        return Measurement(
            f"{what} {self.path}",
            value,
            unit,
            source=f"GET {self.last.url}",
            samples=len(self.answers),
        )


def control(service: Service) -> Measurement:
    """The status of a path that cannot exist: it must not be 200, or no 200 means anything.

    Raises:
        NoData: the path that cannot exist answers 200.
        CouldNotMeasure: see `readiness.lib.http.Session.request`.
    """
    answer = ask(service, f"/readiness-control-{secrets.token_hex(8)}")
    if answer.status == OK:
        raise NoData(
            "every path answers 200, even one that does not exist, so that no 200 proves anything",
            where=answer.url,
            remedy="set `url` to the service itself, not to a page that catches all paths",
        )
    return Measurement(
        "answer to a path that does not exist", answer.status, "status", source=f"GET {answer.url}"
    )


def endpoint(service: Service, path: str, tries: int = TRIES) -> Endpoint:
    """Request one path several times.

    Raises:
        CouldNotMeasure: one of the requests had no answer.
    """
    return Endpoint(path, tuple(ask(service, path) for _ in range(tries)))


def json_object(answer: Answer) -> dict[str, object] | str:
    """The JSON object in an answer, or in words why there is none."""
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as error:  # ValueError: also what is not UTF-8
        return f"is not JSON ({clean(str(error), 80)}); it begins {_beginning(answer)}"
    if not isinstance(found, dict):
        return f"is JSON, but not an object; it begins {_beginning(answer)}"
    return found


def missing(document: dict[str, object], fields: Sequence[str]) -> list[str]:
    """The fields that the document lacks, or that are empty."""
    return [name for name in fields if document.get(name) in (None, "", [], {})]


def _beginning(answer: Answer) -> str:
    return repr(clean(answer.body[:200].decode("utf-8", "replace"), 60))
