"""PostgreSQL connection strings as libpq reads them (`psycopg.conninfo`), and their secrets.

Messages never quote the input, as libpq's do: a password with an unescaped `@` would be in them.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

# What libpq marks as a password or as a debug option that holds a key: `PQconninfoOptions` in
# src/interfaces/libpq/fe-connect.c of PostgreSQL 18.
SECRET_WORDS: Final = frozenset(
    {"password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"}
)
# Replaces text from the environment; a private-use character, so no configuration has it.
HOLE: Final = "\ue000"
DEFAULT_PORT: Final = "5432"

_URI: Final = re.compile(r"postgres(?:ql)?://")
_WORDS: Final = re.compile(r"\s*\w+\s*=")
# libpq ends the password at the first `@`, and knows none behind a `/`: it would take the rest of
# an unescaped one for a host or a database, and those are shown.
_ESCAPED: Final = re.compile(r"postgres(?:ql)?://(?:[^/@]*@)?+[^@?]*(?:\?.*)?", re.DOTALL)
# For text that libpq cannot read: of that, nothing says which part the secret is.
_ROUGH: Final = re.compile(
    rf"://[^\s@:/]*:(?P<login>\S*)@|(?:{'|'.join(SECRET_WORDS)})\s*=\s*(?P<word>'[^']*'?|[^\s&]*)",
    re.IGNORECASE,
)
_REASONS: Final = (
    (
        'missing "="',
        "it is neither a URI nor pairs such as `host=db dbname='my shop'`",
    ),
    ("invalid connection option", "it has an unknown keyword"),
    ("invalid URI query parameter", "it has an unknown parameter"),
    ("unterminated quoted string", "a quote is not closed"),
    ("invalid percent-encoded", "a `%` is not followed by two hexadecimal digits (write %25)"),
    ("missing key/value separator", "a parameter has no `=`"),
    ("extra key/value separator", "a value has an `=` that is not written as %3D"),
)


class NotConninfo(ValueError):
    """Not a valid connection string for libpq; the message quotes none of it."""


def parse(text: str) -> dict[str, str]:
    """The keywords of a connection string and their values, decoded.

    Args:
        text: a URI or `keyword=value` words.

    Raises:
        NotConninfo: libpq does not read it, or reads a part of a password as something else.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    if "\0" in text:
        raise NotConninfo("it has a NUL character")
    if _URI.match(text) and not _ESCAPED.fullmatch(text):
        raise NotConninfo(
            "`@` and `/` in a user name or password must be percent-encoded (%40, %2F)"
        )
    try:
        return {word: str(value) for word, value in conninfo_to_dict(text).items()}
    except psycopg.ProgrammingError as error:
        raise NotConninfo(_reason(str(error))) from None
    except UnicodeError:
        raise NotConninfo("it has characters that are not UTF-8") from None


def secrets_of(text: str, words: Mapping[str, str]) -> list[str]:
    """Every secret of a connection string, decoded and as written.

    Args:
        text: the connection string.
        words: what `parse` made of it.
    """
    found = [value for word, value in words.items() if word in SECRET_WORDS and value]
    escaped = [value.replace("\\", "\\\\").replace("'", "\\'") for value in found]
    return [*found, *escaped, *_as_written(text)]


def exposes(text: str) -> bool:
    """Whether a connection string contains a literal secret.

    Args:
        text: the text of the file, with `HOLE` for values of the environment. If libpq cannot
            read it, whatever looks like a secret counts as one.
    """
    if _URI.match(text) or _WORDS.match(text):
        try:
            return any(value.replace(HOLE, "") for value in secrets_of(text, parse(text)))
        except NotConninfo:
            pass
    written = unquote(text)
    return any(
        (found["login"] or found["word"] or "").replace(HOLE, "").strip("'")
        for found in _ROUGH.finditer(written)
    )


def places(words: Mapping[str, str]) -> list[tuple[str, str]]:
    """Every host of a connection string with its port; `hostaddr` goes before `host`.

    A name, an address, or the folder of a socket; `localhost` where none is named. Empty where a
    service names them, in a file that only libpq reads.
    """
    if _by_service(words):
        return []
    # Not `psycopg.conninfo.conninfo_attempts`, which asks DNS.
    hosts = (words.get("hostaddr") or words.get("host") or "localhost").split(",")
    ports = (words.get("port") or DEFAULT_PORT).split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports + [""] * len(hosts)
    return [
        (host or "localhost", port or DEFAULT_PORT)
        for host, port in zip(hosts, ports, strict=False)
    ]


def address(words: Mapping[str, str]) -> str:
    """Where it connects to, without user and secrets: `host:port/database`.

    Several hosts stand with commas between them; a service that names the rest as `service=NAME`.
    """
    database = words.get("dbname", "")
    if _by_service(words):
        return f"service={words['service']}/{database}"
    known = places(words)
    shown = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in known)
    return f"{','.join(shown)}/{database}"


def _by_service(words: Mapping[str, str]) -> bool:
    return "service" in words and not {"host", "hostaddr"} & words.keys()


def _as_written(text: str) -> list[str]:
    """The secrets of a URI, still percent-encoded: an encoded `%` is read back as it was."""
    if not _URI.match(text):
        return []
    # Keywords may be encoded, too, and have to be known.
    kept = re.sub(r"[?&][^=&]*=|%", lambda m: "%25" if m[0] == "%" else unquote(m[0]), text)
    try:
        words = parse(kept)
    except NotConninfo:
        return []
    return [value for word, value in words.items() if word in SECRET_WORDS and value]


def _reason(said: str) -> str:
    return next((ours for theirs, ours in _REASONS if theirs in said), "libpq cannot read it")
