"""What the body of a health endpoint says of the service, whatever its status.

It knows the shapes of Spring Boot Actuator, MicroProfile Health, the IETF draft `health+json`,
ASP.NET Core, Dropwizard, terminus, Kubernetes `?verbose`, and the common ones without a name. A
word counts only where a health document puts its verdict: `"log_level": "error"` is none.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from readiness.lib.http import Answer
from readiness.lib.text import clean

WELL: Final = "healthy"
_BAD: Final = frozenset({
    *("down", "fail", "failed", "failing", "failure", "error", "errored", "unhealthy", "critical"),
    *("out of service", "unavailable", "service unavailable", "not ready", "not ok", "not healthy"),
    *("notready", "notok", "nok", "ko", "offline", "dead", "broken", "outage", "major outage"),
    *("disconnected", "unreachable", "red", "not connected", "timeout", "timed out", "false"),
    *("stopping", "stopped", "shutting down", "maintenance"),
})  # fmt: skip
# Healthy with some concerns, as the draft `health+json` puts it: a balancer keeps the instance.
_CONCERNED: Final = frozenset(
    {"warn", "warning", "degraded", "partial", "partial outage", "yellow"}
)
_VERDICTS: Final = frozenset(
    {"status", "state", "health", "healthstatus", "overall", "overallstatus", "result"}
)
_FLAGS: Final = frozenset(
    {"healthy", "ishealthy", "ok", "ready", "isready", "alive", "up", "success"}
)
_CODES: Final = frozenset({"status", "statuscode", "httpstatus", "code"})
_CHECKS: Final = frozenset({"checks", "components", "dependencies", "services", "healthchecks"})
# Of a cache or a mail service `false` may mean that it is not used.
_MAY_BE_OFF: Final = frozenset({"components", "services"})
_NEVER_OFF: Final = frozenset({
    *("database", "databases", "db", "postgres", "postgresql", "mysql", "mariadb", "mongo"),
    *("mongodb", "redis"),
})  # fmt: skip
# They hold the checks of some frameworks, and other facts in others: only their tables count.
_MAYBE_CHECKS: Final = frozenset({"details", "info", "error", "entries", "results", "indicators"})
_DEPENDENCIES: Final = _NEVER_OFF | frozenset({
    *("cache", "memcached", "queue", "broker", "rabbitmq", "rabbit", "kafka"),
    *("elasticsearch", "opensearch", "storage", "s3", "disk", "diskspace", "datasource"),
})  # fmt: skip
# Of a dependency: whether it can be used.
_USABLE: Final = _FLAGS | {"connected", "reachable", "available"}
# Words that say it wherever the name of a field ends with `status`.
_SURELY: Final = frozenset({"down", "unhealthy", "out of service", "unavailable"})
_NEVER_FATAL: Final = (("critical", False), ("required", False), ("optional", True))
_NO_ERROR: Final = frozenset({"", "none", "null", "nil", "no", "ok", "0", "-", "n/a", "no error"})
_FIRST_ERROR: Final = 400
_LAST_ERROR: Final = 599
_DEEPEST: Final = 12
_LINES: Final = 200
_PAIR: Final = re.compile(r"\s*([\w .-]{1,60}?)\s*[:=]\s*(\S.*?)\s*")
_KUBERNETES: Final = re.compile(r"\[-\]\s*(\S.*)")
_FAILED: Final = re.compile(
    r"(health ?check|5\d\d) [a-z ]*(failed|error|unavailable)", re.IGNORECASE
)
_SENTENCE: Final = re.compile(r"([a-z ]+?)\s*[-!:.,(\u2013]\s*(.*)", re.DOTALL)
_MARKUP: Final = re.compile(
    rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE
)


def is_page(answer: Answer) -> bool:
    """Whether the body is an HTML page, as of a proxy, whatever its content type.

    A plain `ok` is none: that is what Express sends as text/html.
    """
    return bool(_MARKUP.match(answer.body)) or (
        answer.media_type == "text/html" and b"<" in answer.body
    )


def verdict(answer: Answer) -> str:
    """What the body says: `healthy`, or what is not, as `components.db.status is DOWN`.

    A body that says nothing of its health is healthy.
    """
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = _of_text(answer.body.decode("utf-8", "replace"))
    return next(_objections(document), WELL)


def is_concerned(answer: Answer) -> bool:
    """Whether the body as a whole says `warn` or `degraded`: served, and not quite well."""
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return _word(answer.body.decode("utf-8", "replace")) in _CONCERNED
    found = document if isinstance(document, Mapping) else {}
    return any(_word(value) in _CONCERNED for key, value in found.items() if _key(key) in _VERDICTS)


def _of_text(text: str) -> object:
    """The lines `key: value` of a plain text, or else its words."""
    lines = [line for line in text.strip().splitlines()[:_LINES] if line.strip()]
    if failed := [found[1] for line in lines if (found := _KUBERNETES.match(line.strip()))]:
        return {"checks": {name.split()[0]: "failed" for name in failed}}
    pairs = [_PAIR.fullmatch(line) for line in lines]
    if len(pairs) > 1 or (pairs and pairs[0] and _key(pairs[0][1]) in _VERDICTS | _DEPENDENCIES):
        return {pair[1]: pair[2] for pair in pairs if pair}
    return text.strip()


def _objections(document: object) -> Iterator[str]:
    if document is False:
        yield "the body is false"
    elif isinstance(document, str):
        yield from _of_sentence(document)
    elif isinstance(document, list):
        yield from _of_checks(document, "", strict=True)
    elif isinstance(document, Mapping):
        yield from _of_document(document)


def _of_sentence(text: str) -> Iterator[str]:
    if _is_bad(text) or _FAILED.fullmatch(_word(text)):
        yield f"the body says {clean(text, 60)!r}"


def _is_bad(text: str) -> bool:
    """Whether it is such a word, or begins with one, as `error: connection refused`."""
    if _word(text) in _BAD:
        return True
    found = _SENTENCE.fullmatch(text.strip().lower())
    if not found or _word(found[1]) not in _BAD:
        return False
    counts = re.fullmatch(r"[\d.\s%]*", found[2]) and found[2]
    return not counts and _word(found[2]) not in _NO_ERROR - {""}


def _of_document(document: Mapping[str, object]) -> Iterator[str]:
    yield from _own(document, "")
    yield from _codes(document)
    judged = any(_key(key) in _VERDICTS | _FLAGS for key in document)
    if not judged:
        yield from _error(document)
    for key, value in document.items():
        name = _key(key)
        if name in _CHECKS:
            off = name in _MAY_BE_OFF and isinstance(value, Mapping)
            yield from _of_checks(_not_off(value) if off else value, key, strict=True)
        elif name in _MAYBE_CHECKS:
            yield from _of_checks(value, key, strict=False)
        elif name in _DEPENDENCIES and (value is not False or name in _NEVER_OFF):
            yield from _of_check(value, key, strict=True)
        elif _is_of_dependency(name, value):
            yield f"{_shown(key)} is {_shown(value)}"
        elif isinstance(value, Mapping) and _speaks_of_health(value):
            yield from _of_check(value, key, strict=False)


def _is_of_dependency(name: str, value: object) -> bool:
    """`db_status: down`, `database_connected: false`, and the like."""
    if name.endswith("status") and name not in _VERDICTS:
        of = name.removesuffix("status") in _DEPENDENCIES
        return isinstance(value, str) and _word(value) in (_BAD if of else _SURELY)
    return value is False and any(
        name.endswith(flag) and name.removesuffix(flag) in _NEVER_OFF for flag in _USABLE
    )


def _not_off(table: object) -> object:
    found = table if isinstance(table, Mapping) else {}
    return {key: value for key, value in found.items() if value is not False}


def _speaks_of_health(value: Mapping[str, object]) -> bool:
    """Whether a table is a check although its place does not say so, as in Dropwizard's."""
    flag, word = value.get("healthy"), _word(value.get("status"))
    return isinstance(flag, bool) or word in {"down", "unhealthy", "out of service"}


def _of_checks(found: object, path: str, *, strict: bool, depth: int = 0) -> Iterator[str]:
    """The checks of a table or a list; with `strict`, plain words and false count too."""
    if isinstance(found, Mapping):
        for key, value in found.items():
            yield from _of_check(value, _joined(path, key), strict=strict, depth=depth)
    elif isinstance(found, list):
        for place, value in enumerate(found):
            if not strict and not (isinstance(value, Mapping) and _speaks_of_health(value)):
                continue
            name = value.get("name") if isinstance(value, Mapping) else None
            shown = str(name) if isinstance(name, str) else str(place)
            yield from _of_check(value, _joined(path, shown), strict=strict, depth=depth)


def _of_check(value: object, path: str, *, strict: bool, depth: int = 0) -> Iterator[str]:
    if depth > _DEEPEST:
        return
    if isinstance(value, list):
        yield from _of_checks(value, path, strict=strict, depth=depth + 1)
    elif isinstance(value, Mapping):
        if any(value.get(key) is said for key, said in _NEVER_FATAL):
            return
        yield from _own(value, path)
        if strict:
            lost = (key for key in value if _key(key) in _USABLE - _FLAGS and value[key] is False)
            yield from (f"{_shown(_joined(path, key))} is false" for key in lost)
        for key, inner in value.items():
            if _key(key) in _CHECKS | {"details", "entries"}:
                kept = strict and _key(key) in _CHECKS
                yield from _of_checks(inner, _joined(path, key), strict=kept, depth=depth + 1)
    elif strict and (value is False or (isinstance(value, str) and _is_bad(value))):
        yield f"{_shown(path)} is {_shown(value)}"


def _own(table: Mapping[str, object], path: str) -> Iterator[str]:
    """What a table says of itself."""
    for key, value in table.items():
        name = _key(key)
        if name in _VERDICTS:
            said = _innermost(value)
            if said is False or (isinstance(said, str) and _is_bad(said)):
                yield f"{_shown(_joined(path, key))} is {_shown(said)}"
        elif name in _FLAGS and (value is False or _word(value) in {"false", "no"}):
            yield f"{_shown(_joined(path, key))} is {_shown(value)}"


def _innermost(value: object, depth: int = 0) -> object:
    """The word of a verdict that is a table, as Kibana's `status.overall.level`."""
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return value
    keys = [key for key in value if _key(key) in _VERDICTS | {"level", "code"}]
    return _innermost(value[keys[0]], depth + 1) if keys else None


def _codes(document: Mapping[str, object]) -> Iterator[str]:
    for key, value in document.items():
        coded = isinstance(value, int) and not isinstance(value, bool)
        if coded and _key(key) in _CODES and _FIRST_ERROR <= int(str(value)) <= _LAST_ERROR:
            yield f"{_shown(key)} is {value}"


def _error(document: Mapping[str, object]) -> Iterator[str]:
    """An error in a document that says nothing else of its health."""
    for key, value in document.items():
        said = value is True or (isinstance(value, str) and _word(value) not in _NO_ERROR)
        if _key(key) == "error" and said:
            yield f"{_shown(key)} is {_shown(value)}"
        elif _key(key) == "errors" and isinstance(value, list) and value:
            yield f"{_shown(key)} has {len(value)} entries"
        elif _key(key) == "message" and isinstance(value, str) and _is_bad(value):
            yield f"{_shown(key)} is {_shown(value)}"


def _key(key: object) -> str:
    return re.sub(r"[\s_-]", "", str(key)).lower()


def _word(value: object) -> str:
    return re.sub(r"[\s_-]+", " ", str(value)).strip(" .!\"'").lower()


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _shown(value: object) -> str:
    return clean("false" if value is False else "true" if value is True else str(value), 60)
