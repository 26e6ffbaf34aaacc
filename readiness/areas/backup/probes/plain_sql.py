"""Reads dumps in plain SQL: whether they are complete, and what of them `psql` is to be given."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Final

_LONGEST_PIECE: Final = 1 << 20
# `\unrestrict` and blank lines come after it, since the minor releases of August 2025.
_LAST_LINES: Final = 10
_COMPLETE: Final = re.compile(rb"-- PostgreSQL database (cluster )?dump complete\s*$")
_RESTRICTED: Final = re.compile(rb"\\(un)?restrict (\S+)")
_BEGINS: Final = {
    "tables": (b"CREATE TABLE ", b"CREATE UNLOGGED TABLE "),
    "data": (b"COPY ", b"INSERT INTO "),
    "roles": (b"CREATE ROLE ",),
}
_VERSION: Final = re.compile(rb"-- Dumped from database version:? (\d+)")
_EXTENSION: Final = re.compile(rb'CREATE EXTENSION (?:IF NOT EXISTS )?"?([^\s";]+)')
_TABLE: Final = re.compile(rb"CREATE (?:UNLOGGED |FOREIGN )?TABLE (.+) \($")
_SETTING: Final = re.compile(rb"ALTER DATABASE .* SET ")
_PASSWORD: Final = re.compile(rb"ALTER ROLE .* PASSWORD '")
_FILTERED: Final = b"SET row_security = on"
_COPY: Final = re.compile(rb"COPY .* FROM stdin;\s*$")
_COPY_ENDS: Final = (b"\\.\n", b"\\.\r\n")
_NAME: Final = r'("(?:[^"]|"")+"|[\w$]+)'
_CONNECT: Final = re.compile(rb"\\connect (?:-reuse-previous=on )?(\S.*?)\s*$")
_CONNECTS_BY: Final = re.compile(r"(?:^|\")dbname='((?:[^'\\]|\\.)*)'")
# They need what is not on the scratch server: the database itself, its disks.
_ELSEWHERE: Final = re.compile(
    rb"(CREATE|DROP|ALTER|COMMENT ON|SECURITY LABEL .*ON) DATABASE |ALTER ROLE .* IN DATABASE "
    rb"|(GRANT|REVOKE) .* ON DATABASE "
)
_TABLESPACE: Final = b"SET default_tablespace = "
# What `pg_dump --clean` begins with, and what in a new database does not exist.
_CLEANS: Final = re.compile(
    rb"DROP |ALTER TABLE .* DROP (CONSTRAINT|DEFAULT|IDENTITY)|SELECT pg_catalog\.lo_unlink\("
)
_PUBLIC: Final = b"CREATE SCHEMA public;"
_ROLES: Final = tuple(
    re.compile(pattern.format(name=_NAME))
    for pattern in (
        r" OWNER TO {name};",
        r"^(?:GRANT|REVOKE) .* (?:TO|FROM) {name}(?: WITH GRANT OPTION| CASCADE)?;",
        r"^ALTER DEFAULT PRIVILEGES FOR ROLE {name} ",
        r"^ALTER DEFAULT PRIVILEGES .* (?:TO|FROM) {name}(?: WITH GRANT OPTION)?;",
        r"^SET SESSION AUTHORIZATION {name};",
        r"^CREATE USER MAPPING FOR {name} ",
        r" AUTHORIZATION {name};",
    )
)
_POLICY: Final = re.compile(
    rf"^CREATE POLICY .*? TO ({_NAME}(?:, {_NAME})*)(?: USING| WITH CHECK|;)"
)
_NO_ROLES: Final = re.compile(r"^(pg_.*|PUBLIC|public|DEFAULT|CURRENT_USER|SESSION_USER)$")


@dataclass(frozen=True, slots=True)
class PlainDump:
    """What a plain SQL dump holds.

    Attributes:
        release: of the server that was dumped; 0 where it does not say.
        tables: how many tables it creates.
        data: how many tables it has rows for.
        roles: how many roles it creates.
        created: the tables, as `schema.table`, quoted where SQL needs that.
        extensions: those that it creates.
        passwords: whether it sets the password of a role.
        has_settings: whether it holds settings of a database.
        filtered: whether it was made with row security on, which hides rows.
        databases: those that it connects to: with --create, and of pg_dumpall.
        named: the roles that own its objects or are granted something.
        damage: why it is not complete; empty if it is.
    """

    release: int
    tables: int
    data: int
    roles: int
    created: frozenset[str]
    extensions: frozenset[str]
    passwords: bool
    has_settings: bool
    filtered: bool
    databases: tuple[str, ...]
    named: frozenset[str]
    damage: tuple[str, ...]


def read_plain_dump(file: IO[bytes]) -> PlainDump:
    """What a plain SQL dump holds; only one line of it is in memory at a time."""
    counts = dict.fromkeys(_BEGINS, 0)
    last: deque[bytes] = deque(maxlen=_LAST_LINES)
    keys: list[tuple[bool, bytes]] = []
    found = _Found()
    zeros = False
    for line, is_sql in _statements(_pieces(file)):
        last.append(line)
        zeros = zeros or b"\0" in line
        if not is_sql:
            continue
        for name, beginnings in _BEGINS.items():
            counts[name] += line.startswith(beginnings)
        if key := _RESTRICTED.match(line):
            keys.append((bool(key[1]), key[2]))
        found.look_at(line)
    return PlainDump(
        found.release, **counts, created=frozenset(found.created),
        extensions=frozenset(found.extensions), passwords=found.passwords,
        has_settings=found.has_settings, filtered=found.filtered,
        databases=tuple(found.databases), named=frozenset(found.named),
        damage=tuple(_damage(last, keys, zeros=zeros)),
    )  # fmt: skip


@dataclass(slots=True)
class _Found:
    """What was found in the lines so far."""

    release: int = 0
    created: set[str] = field(default_factory=set)
    extensions: set[str] = field(default_factory=set)
    passwords: bool = False
    has_settings: bool = False
    filtered: bool = False
    databases: dict[str, None] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)

    def look_at(self, line: bytes) -> None:
        """Look at a line of SQL; most are not of interest."""
        if line.startswith(b"--"):
            if not self.release and (version := _VERSION.match(line)):
                self.release = int(version[1])
        elif line.startswith(b"CREATE "):
            if table := _TABLE.match(line):
                self.created.add(table[1].decode(errors="replace"))
            elif extension := _EXTENSION.match(line):
                self.extensions.add(extension[1].decode(errors="replace"))
        elif line.startswith(b"\\"):
            if database := _connects_to(line):
                self.databases[database] = None
        else:
            self.filtered = self.filtered or line.startswith(_FILTERED)
            self.passwords = self.passwords or bool(_PASSWORD.match(line))
            self.has_settings = self.has_settings or bool(_SETTING.match(line))
        self.named |= roles_named(line)


def roles_named(line: bytes) -> set[str]:
    """The roles that a line of a dump gives an object or a right to, without the predefined."""
    if not line.startswith((b"ALTER ", b"GRANT ", b"REVOKE ", b"SET SESSION", b"CREATE ")):
        return set()
    text = line.decode(errors="replace")
    found = [match[1] for pattern in _ROLES if (match := pattern.search(text))]
    if policy := _POLICY.search(text):
        found += re.findall(_NAME, policy[1])
    return {_unquoted(name) for name in found if not _NO_ROLES.match(name)}


def for_psql(file: IO[bytes], database: str, databases: tuple[str, ...]) -> Iterator[bytes]:
    """What of a plain dump restores one database into an empty one, under another name.

    Left out, each as an empty line: other databases than this one and what makes it, tablespaces,
    and what `--clean` drops, which does not exist yet.

    Args:
        file: the dump.
        database: the one that is wanted.
        databases: those that the dump connects to; none: it is of one database.
    """
    within, cleaning = not databases, True
    for line, is_sql in _statements(_pieces(file)):
        if is_sql and (other := _connects_to(line)):
            within = other == database
            yield b"\n"
            continue
        cleaning = cleaning and not (within and is_sql and line.startswith(b"CREATE "))
        if not within or (is_sql and _ELSEWHERE.match(line)):
            yield b"\n"
        elif not is_sql:
            yield line
        elif cleaning and _CLEANS.match(line):
            yield b"\n"
        elif line.startswith(_TABLESPACE):
            yield b"SET default_tablespace = '';\n"
        elif line.startswith(_PUBLIC):
            yield b"CREATE SCHEMA IF NOT EXISTS public;\n"
        else:
            yield line


def _statements(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each piece, and whether it begins a line of SQL: not of the data of COPY or of INSERT."""
    copying = inserting = odd = False
    begins = True
    for piece in pieces:
        starts, begins = begins, piece.endswith(b"\n")
        if copying:
            copying = not (starts and piece in _COPY_ENDS)
            yield piece, False
            continue
        is_sql = starts and not inserting
        if is_sql:
            copying = piece.startswith(b"COPY ") and bool(_COPY.match(piece))
            inserting, odd = piece.startswith(b"INSERT INTO "), False
        if inserting:
            # A text may hold line ends; pg_dump doubles the quotes within it.
            odd ^= bool(piece.count(b"'") % 2)
            inserting = odd or not piece.rstrip().endswith(b";")
        yield piece, is_sql


def _connects_to(line: bytes) -> str:
    """The database that a line connects to; empty if it does not."""
    found = _CONNECT.match(line)
    if found is None:
        return ""
    text = found[1].decode(errors="replace")
    by_words = _CONNECTS_BY.search(text)
    return by_words[1].replace("\\", "") if by_words else _unquoted(text)


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def _damage(last: Iterable[bytes], keys: list[tuple[bool, bytes]], *, zeros: bool) -> Iterator[str]:
    if not any(_COMPLETE.match(line) for line in last):
        yield "does not end with `-- PostgreSQL database dump complete`: it was cut off"
    if zeros:
        yield "contains NUL bytes: the file system lost what was written"
    opened = [key for closes, key in keys if not closes]
    closed = [key for closes, key in keys if closes]
    if opened != closed:  # pg_dumpall has a pair for each database
        yield "\\restrict has no \\unrestrict with the same key: psql refuses the rest"


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The lines; a very long one in several pieces."""
    while piece := file.readline(_LONGEST_PIECE):
        yield piece
