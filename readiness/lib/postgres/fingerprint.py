"""What a database's schema is made of: every object with its definition, and how two differ."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Final, Literal

from readiness.lib.postgres import Connection, fetch
from readiness.lib.postgres.batches import batches, fix_settings, in_snapshot
from readiness.lib.postgres.unrecorded import SMALL
from readiness.model.errors import CouldNotMeasure

Fingerprint = dict[str, str]
"""The name of each object, its kind first (`column note on shop.orders`), and its definition."""

ROLES: Final = frozenset({"owner", "grant"})
"""The kinds that name roles: another server may not have them."""

SURROUNDINGS: Final = frozenset({
    *("publication", "options", "default-grant", "setting", "database"),
    *("role", "membership", "server"),
})  # fmt: skip
"""The kinds that `surroundings` reads."""

_STATEMENT, _TEXTS, _DATABASE = (
    (files("readiness.lib.postgres") / name).read_text(encoding="utf-8")
    for name in ("fingerprint.sql", "fingerprint_texts.sql", "fingerprint_database.sql")
)
# How the text of such an object is printed; none where it is gone. Aggregates have none.
_PRINT: Final = {
    "rule": "select pg_get_ruledef(%s::oid)",
    "view": r"""select 'md5:' || md5(regexp_replace(regexp_replace(pg_get_viewdef(%s::oid),
        '("[^"]+"|\m\w+)\.|[\s()]+', '', 'g'),
        '(::charactervarying\d*\]?)::text(\[\])?', '\1', 'g'))""",
    "function": """select 'md5:' || case p.prokind when 'a' then (
            select md5(concat_ws(' ', a.aggtransfn::regproc::text, a.aggfinalfn::regproc::text,
                a.agginitval)) from pg_aggregate a where a.aggfnoid = p.oid)
        else md5(pg_get_functiondef(p.oid)) end
        from (select oid, prokind from pg_proc where oid = %s::oid offset 0) p""",
}
# The text of a definition depends on these; fixed, it is the same in every session.
_FIXED: Final = {
    "search_path": "",
    "datestyle": "ISO, YMD",
    "timezone": "UTC",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "quote_all_identifiers": "off",
}
# PostgreSQL prints `x in ('a', 'b')` of a varchar with a cast of the list, and what a dump of that
# restores with a cast of each element: the same expression.
_VARCHAR: Final = r"'(?:[^']|'')*'::character varying(?:\(\d+\))?"
_CASTS: Final = re.compile(
    rf"\((?P<element>{_VARCHAR})\)::text"
    rf"|\((?P<list>ARRAY\[{_VARCHAR}(?:, {_VARCHAR})*\])\)::text\[\]"
)
_LONGEST_SHOWN: Final = 90
_WHOLES: Final = ("table", "view", "function")
# `column note on shop.orders`, `owner of table shop.orders`, `grant to app on column a of shop.t`
_PART: Final = re.compile(r"^.* o[nf] (?:(?:table|view|function|sequence) )?(.+)$")
_NO_SCHEMA: Final = "check that `dsn` names the right database (no grant is needed for this)"


@dataclass(frozen=True, slots=True)
class Change:
    """An object in which two schemas differ; None stands for a missing object.

    Attributes:
        name: of the object, its kind first.
        parts: how many more objects came or went with it: the columns of a table, say.
    """

    name: str
    expected: str | None
    found: str | None
    parts: int = 0

    @property
    def what(self) -> Literal["missing", "unexpected", "changed"]:
        """Which way it differs."""
        if self.found is None:
            return "missing"
        return "unexpected" if self.expected is None else "changed"

    def __str__(self) -> str:
        if self.expected is not None and self.found is not None:
            return f"{self.name} is `{_short(self.found)}`, expected `{_short(self.expected)}`"
        more = f" (and {self.parts} objects of it)" if self.parts else ""
        state = "is missing" if self.found is None else "was not expected"
        return f"{self.name} {state}{more}"


@dataclass(frozen=True, slots=True)
class _Text:
    """An object whose text is printed apart; `locks` is what that takes."""

    kind: str
    name: str
    known: str
    oid: int
    locks: int

    @property
    def key(self) -> str:
        return f"{self.kind} {self.name}"

    def __str__(self) -> str:
        return f"the definition of {self.key}"


def fingerprint(connection: Connection, snapshot: str = "") -> Fingerprint:
    """Every object of the database's own schemas, with its definition.

    Left out: the system's schemas, `readiness_…` and those of TimescaleDB's chunks, temporary
    tables, and what belongs to an extension (but not the extension itself, with its version).
    A long text, such as a function's, is replaced by its MD5 sum. Needs no privilege but CONNECT.

    Where the session is in a transaction, all locks are kept to the end of that. `snapshot`: see
    `batches.in_snapshot`.

    Raises:
        CouldNotMeasure: the server has too few locks left.
    """
    # A backup had better wait for a lock than fail.
    settings = _FIXED if snapshot else {**_FIXED, **SMALL}
    with in_snapshot(connection, snapshot):
        fix_settings(connection, settings)
        rows = fetch(connection, _STATEMENT)
        texts = [_Text(*row) for row in fetch(connection, _TEXTS)]
    if not rows:
        raise CouldNotMeasure("the database has no application schema", remedy=_NO_SCHEMA)
    found = {f"{kind} {name}": definition or "" for kind, name, definition in rows}
    for some in batches(connection, texts, lambda text: text.locks):
        with in_snapshot(connection, snapshot):
            fix_settings(connection, settings)
            found.update(_printed(connection, some))
    return found


def surroundings(connection: Connection) -> Fingerprint:
    """What surrounds the objects: publications, storage options, settings, roles, privileges.

    Of roles, those that own something here or are allowed something, and their members. The
    database's own rights and options are among them, without its name. Values of settings that an
    extension or an application defines are replaced by their MD5 sum, as they may be secrets.
    """
    with in_snapshot(connection, ""):
        fix_settings(connection, _FIXED)
        rows = fetch(connection, _DATABASE)
    return {f"{kind} {name}": definition or "" for kind, name, definition in rows}


def _printed(connection: Connection, texts: Sequence[_Text]) -> Iterator[tuple[str, str]]:
    """The definitions of these; one that went meanwhile has none."""
    for text in texts:
        for (printed,) in fetch(connection, _PRINT[text.kind], [text.oid]):
            if printed is not None:
                between = ", " if text.kind == "view" else " "
                yield text.key, between.join(filter(None, (text.known, printed)))


def kind_of(name: str) -> str:
    """The kind of the object with this name; `owner` and `grant` are kinds of their own."""
    return name.partition(" ")[0]


def differences(
    expected: Mapping[str, str],
    found: Mapping[str, str],
    *,
    without: Collection[str] = (),
    ignore: Collection[str] = (),
) -> list[Change]:
    """In which objects two schemas differ: first what is missing, then changed, then unexpected.

    What came or went together with its table is counted there, and not named.

    Args:
        expected: as it should be.
        found: as it is.
        without: kinds to leave out, such as those in `ROLES`.
        ignore: patterns (`*`, `?`) of names to leave out, such as `*shop.orders_2026_*`.
    """
    changes = [
        Change(name, expected.get(name), found.get(name))
        for name in sorted(expected.keys() | found.keys())
        if _as_restored(expected.get(name)) != _as_restored(found.get(name))
        and kind_of(name) not in without
        and not any(fnmatchcase(name, pattern) for pattern in ignore)
    ]
    order = ("missing", "changed", "unexpected")
    return sorted(_gathered(changes), key=lambda c: (order.index(c.what), -c.parts, c.name))


def _as_restored(definition: str | None) -> str | None:
    """A definition without casts that a dump adds or moves."""
    if definition is None:
        return None
    return _CASTS.sub(lambda one: one["element"] or one["list"], definition)


def _gathered(changes: list[Change]) -> list[Change]:
    """Group what came or went with its table, view or function under that."""
    parts: dict[tuple[str, str], int] = {
        (change.name.partition(" ")[2], change.what): 0
        for change in changes
        if change.what != "changed" and kind_of(change.name) in _WHOLES
    }
    rest: list[Change] = []
    for change in changes:
        part = _PART.search(change.name)
        whole = (part[1] if part else "", change.what)
        if whole in parts:
            parts[whole] += 1
        else:
            rest.append(change)
    return [
        replace(change, parts=parts.get((change.name.partition(" ")[2], change.what), 0))
        for change in rest
    ]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
