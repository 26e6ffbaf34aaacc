"""Reads what an alert engine writes down: its history, and how many alerts it counts."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from readiness.areas.alerting.engine_config import EngineHistory, EngineStatistics
from readiness.areas.alerting.inboxes.message import TIMEOUT_S, texts
from readiness.lib import api, http
from readiness.lib.text import clean
from readiness.model.errors import NoData, NotPermitted
from readiness.model.secrets import Secret

_OK: Final = 200
_LOGIN: Final = {401, 403}
_NAME: Final = "the statistics"


@dataclass(frozen=True, slots=True)
class Entry:
    """An alert in the history.

    Attributes:
        found: whether it is there at all.
        ended: whether its entry says that it has ended.
    """

    found: bool
    ended: bool


def entry(history: EngineHistory, probe: str) -> Entry:
    """The entry of an alert, or of all its events where each has a row.

    Raises:
        CouldNotMeasure: the history cannot be read.
    """
    query = history.query.replace("{probe}", quote(probe, safe=""))
    url = f"{history.url}?{query}" if query else history.url
    body = _ask(url, history.bearer).body.decode("utf-8", "replace")
    rows = list(rows_of(body, probe))
    return Entry(found=bool(rows), ended=any(has_ended(row, history) for row in rows))


def rows_of(body: str, probe: str) -> Iterator[object]:
    """The rows with an id: objects of JSON, wherever a list of them lies, or lines of text."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        yield from (line for line in body.splitlines() if probe in line)
    else:
        yield from _rows(found, probe)


def _rows(found: object, probe: str) -> Iterator[object]:
    """An item of a list that has the id anywhere, or an object with the id in a text of its own."""
    if isinstance(found, list):
        for item in found:
            if isinstance(item, list):
                yield from _rows(item, probe)
            elif any(probe in text for text in texts(item)):
                yield item
    elif isinstance(found, dict):
        if any(isinstance(value, str) and probe in value for value in found.values()):
            yield found
            return
        for key, value in found.items():
            if probe in key:
                yield value
            else:
                yield from _rows(value, probe)
    elif isinstance(found, str) and probe in found:
        yield found


def has_ended(row: object, history: EngineHistory) -> bool:
    """Whether a row says that its alert has ended. Names of keys say nothing."""
    if history.end_field:
        return isinstance(row, dict) and bool(row.get(history.end_field))
    word = history.resolved_text.lower()
    return any(word in text.lower() for text in texts(row))


def count(statistics: EngineStatistics) -> float:
    """The number of alerts so far.

    Raises:
        CouldNotMeasure: it cannot be read, or is no number.
    """
    answer = _ask(statistics.url, statistics.bearer)
    found = api.document(answer, _NAME)
    for key in statistics.field.split("."):
        if not isinstance(found, dict) or key not in found:
            raise NoData(
                f"there is no {clean(statistics.field)} in what it answers: {key} is missing",
                where=answer.url,
                remedy="correct `field` in [alerting.engine.statistics]",
            )
        found = found[key]
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise NoData(
            f"{clean(statistics.field)} is {clean(json.dumps(found), 40)}, and not a number",
            where=answer.url,
            remedy="name the number of all alerts so far in [alerting.engine.statistics] `field`",
        )
    return found


def _ask(url: str, bearer: Secret | None) -> http.Answer:
    answer = http.get(url, timeout_s=TIMEOUT_S, bearer=bearer, max_bytes=api.MAX_BYTES)
    if answer.status in _LOGIN:
        raise NotPermitted(str(answer), where=answer.url, remedy="set `bearer` beside this `url`")
    if answer.status != _OK:
        raise NoData(str(answer), where=answer.url, remedy="correct this `url`")
    return answer
