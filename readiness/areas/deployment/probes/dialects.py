"""Files that look like INI and follow rules of their own, by the program that reads them.

What a program allows is no mistake: PHP and uWSGI repeat keys, MySQL includes files, HAProxy has
no brackets.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from readiness.lib.text import clean

_LONGEST_KEY: Final = 60
_SECTION: Final = re.compile(r"\[\s*(?P<name>[^\]]*?)\s*\]\s*([#;].*)?")
_KEY: Final = re.compile(r"(?P<key>[^=:\s][^=:]*?)\s*[=:].*|(?P<bare>\S+)")
_ANY: Final = re.compile(r".*")
_NONE: Final = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a program allows beyond the common form of an INI file.

    Attributes:
        headless: keys before the first section.
        bare: keys without a value.
        sections: a section more than once.
        repeated: keys that may stand several times.
        directives: lines that are neither a section nor a key.
        same: characters of a key that are the same to the program.
    """

    headless: bool = False
    bare: bool = False
    sections: bool = False
    repeated: re.Pattern[str] = _NONE
    directives: re.Pattern[str] = _NONE
    same: str = ""


MYSQL: Final = Dialect(
    bare=True,
    sections=True,
    headless=False,
    repeated=re.compile(
        r"(?i).*(-do-|-ignore-|wild|rewrite|plugin.load|load.add|instrument|ignore.db|init.file"
        r"|loose|server.audit|wsrep.provider.options|secure|sql.mode).*"
    ),
    directives=re.compile(r"!include(dir)?\s+\S.*"),
    same="-_",
)
_OPENSSL: Final = Dialect(
    headless=True, sections=True, repeated=_ANY, directives=re.compile(r"\.(include|pragma)\b.*")
)
_PHP: Final = Dialect(headless=True, bare=True, sections=True, repeated=_ANY)
_UWSGI: Final = Dialect(bare=True, sections=True, repeated=_ANY)
_GRAFANA: Final = Dialect(headless=True)
_PGBOUNCER: Final = Dialect(directives=re.compile(r"%include\s+\S.*"))
_HAPROXY: Final = Dialect()
_HAPROXY_SECTION: Final = re.compile(
    r"(?P<kind>global|defaults|frontend|backend|listen|userlist|peers|mailers|resolvers|cache|ring"
    r"|program|http-errors|log-forward|fcgi-app|crt-store|traces|log-profile|acme)"
    r"(\s+(?P<name>[^\s#]+))?.*"
)
# Of these, each name must be given once (`parse_new_proxy` in HAProxy's cfgparse-listen.c).
_ONCE: Final = frozenset({"frontend", "backend", "listen"})


def of(name: str, text: str) -> Dialect | None:
    """The dialect of a file, by its name or its sections; None if it has none of its own."""
    sections = {found["name"].lower() for found in map(_SECTION.fullmatch, _lines(text)) if found}
    if not sections and any(_HAPROXY_SECTION.fullmatch(line) for line in _lines(text)):
        starts = next((line for line in _lines(text) if line and line[0] not in "#."), "")
        return _HAPROXY if _HAPROXY_SECTION.fullmatch(starts) else None
    if re.search(r"\bphp\b|php\d?[-_.]|^php", name) or "php" in sections:
        return _PHP
    if "uwsgi" in name or "uwsgi" in sections:
        return _UWSGI
    if "grafana" in name or {"server", "security", "auth.anonymous"} <= sections:
        return _GRAFANA
    if "pgbouncer" in name or "pgbouncer" in sections:
        return _PGBOUNCER
    return _OPENSSL if "openssl" in name else None


def mistakes(dialect: Dialect, text: str) -> Iterator[str]:
    """The mistakes of a file in its dialect."""
    yield from _of_haproxy(text) if dialect is _HAPROXY else _of_ini(dialect, text)


def _of_ini(dialect: Dialect, text: str) -> Iterator[str]:
    section, known, keys = "", set[str](), set[tuple[str, str]]()
    continued = False
    for number, raw in enumerate(text.splitlines(), start=1):
        line, joined = raw.strip(), continued
        continued = line.endswith("\\")
        if joined or not line or line[0] in "#;" or dialect.directives.fullmatch(line):
            continue
        if line.startswith("["):
            found = _SECTION.fullmatch(line)
            if found is None:
                yield f"line {number}: the header of a section has no closing bracket"
                continue
            section = found["name"]
            if section in known and not dialect.sections:
                yield f"line {number}: duplicate section [{_shown(section)}]"
            known.add(section)
            continue
        # A value may go on in an indented line.
        if raw[:1] in " \t" and keys and "=" not in line:
            continue
        yield from _of_key(dialect, line, number, (section, keys, bool(known)))


def _of_key(
    dialect: Dialect, line: str, number: int, place: tuple[str, set[tuple[str, str]], bool]
) -> Iterator[str]:
    section, keys, inside = place
    found = _KEY.fullmatch(line)
    if not inside and not dialect.headless:
        yield f"line {number}: is before the first section"
        return
    if found is None or (found["key"] is None and not dialect.bare):
        yield f"line {number}: is neither a section nor KEY = VALUE"
        return
    key = found["key"] or found["bare"]
    if dialect.same:
        key = key.replace(dialect.same[1], dialect.same[0])
    if (section, key) in keys and not dialect.repeated.fullmatch(key):
        yield f"line {number}: duplicate key {_shown(key)} in its section"
    keys.add((section, key))


def _of_haproxy(text: str) -> Iterator[str]:
    known: dict[tuple[str, str], int] = {}
    for number, line in enumerate(_lines(text), start=1):
        found = _HAPROXY_SECTION.fullmatch(line)
        if found is None or found["kind"] not in _ONCE:
            continue
        # A listen is a frontend and a backend.
        sides = ("frontend", "backend") if found["kind"] == "listen" else (found["kind"],)
        if not found["name"]:
            yield f"line {number}: a {found['kind']} needs a name"
            continue
        for side in sides:
            first = known.setdefault((side, found["name"]), number)
            if first != number:
                yield (
                    f"line {number}: duplicate {side} {_shown(found['name'])} (first on line"
                    f" {first})"
                )
                break


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def _shown(key: str) -> str:
    return repr(clean(key, _LONGEST_KEY))
