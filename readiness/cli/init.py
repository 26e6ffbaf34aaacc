"""`readiness init`: writes the readiness.toml of what is found, and files to review."""

import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from readiness.cli.terminal import emit
from readiness.config.base import NAME_PATTERN, URL_PATTERN
from readiness.config.base.discovery import GRANTS, Script, Sources
from readiness.config.discovery import Discovered, discover, render
from readiness.config.interpolation import interpolate
from readiness.config.loading import load
from readiness.config.template import write_new, write_template
from readiness.model import conninfo
from readiness.model.errors import ConfigError, UsageError
from readiness.model.secrets import Dsn, Interpolated, redact, register

_QUESTIONS: Final = {
    "url": "Address of the service, as https://staging.example.com",
    "dsn": "Connection string of the database, with ${VARIABLE} for the password",
    "prometheus": "Address of Prometheus",
    "alertmanager": "Address of Alertmanager, if Prometheus does not know it",
    "backups": "Folder of the database's dumps",
}
_IN_URI: Final = re.compile(r"(?<=://)(?P<user>[^/@:]*):(?P<secret>[^/@]*)(?=@)")
_IN_WORDS: Final = re.compile(r"\bpassword\s*=\s*(?P<secret>'(?:[^'\\]|\\.)*'|\S+)")


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of the command; None where an option was not given."""

    path: Path
    name: str | None
    url: str | None
    dsn: str | None
    prometheus: str | None
    alertmanager: str | None
    backups: str | None
    context: str | None
    namespace: str | None
    yes: bool
    template: bool


@dataclass(frozen=True, slots=True)
class _Database:
    """A connection string: as it is used, as it is written, and the variable that was made."""

    dsn: Dsn
    text: str
    name: str
    made: Mapping[str, str]


def run(asked: Asked) -> None:
    """Write the file, and say what is next.

    Raises:
        UsageError: the file exists, or an argument is not valid.
    """
    if asked.template:
        write_template(asked.path)
        click.echo(f"wrote {asked.path}; fill it in, then run `readiness config check`")
        return
    if bool(asked.context) is not bool(asked.namespace):
        raise UsageError(
            "go together: a context and the namespace of the workloads in its cluster",
            where="--context and --namespace",
            remedy="kubectl config get-contexts",
        )
    if os.path.lexists(asked.path):
        write_new(asked.path, "")  # raises what is wrong, before anything is asked
    answers = _answers(asked)
    folder = asked.path.resolve().parent
    name = asked.name or _name(folder.name)
    database = _database(answers["dsn"], name) if answers["dsn"] else None
    sources = Sources(
        name=name,
        folder=folder,
        url=_address("--url", answers["url"]),
        dsn=database.dsn if database else None,
        dsn_text=database.text if database else "",
        database=database.name if database else "",
        prometheus=_address("--prometheus", answers["prometheus"]),
        alertmanager=_address("--alertmanager", answers["alertmanager"]),
        backups=answers["backups"],
        context=asked.context or "",
        namespace=asked.namespace or "",
    )
    found = discover(sources)
    text = render(found)
    write_new(asked.path, text)
    emit("text", None, _said(asked.path, text, found, database))


def _answers(asked: Asked) -> dict[str, str]:
    """The options, and what is asked on a terminal: at most five questions."""
    given = {key: getattr(asked, key) for key in _QUESTIONS}
    silent = asked.yes or not _is_terminal()
    if not silent and None in given.values():
        click.echo("An empty answer leaves it out.")
    return {
        key: value if value is not None else "" if silent else _ask(_QUESTIONS[key])
        for key, value in given.items()
    }


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _ask(question: str) -> str:
    return str(click.prompt(question, default="", show_default=False)).strip()


def _address(option: str, url: str) -> str:
    if url and not re.match(URL_PATTERN, url):
        raise UsageError(
            f"is not an address of http or https: {url!r}",
            where=option,
            remedy=f"write it whole: {option} https://{url.rpartition('//')[2] or 'HOST'}",
        )
    if "@" in url.partition("//")[2].partition("/")[0]:
        raise UsageError(
            "has a user or password, which would be written in the file",
            where=option,
            remedy='leave them out, and set `bearer = "${VARIABLE}"` in its table afterwards',
        )
    return url.rstrip("/")


def _database(text: str, name: str) -> _Database:
    """A password in it becomes a variable; variables in it are those of the environment."""
    variable = re.sub(r"\W", "_", name).upper() + "_PASSWORD"
    made: dict[str, str] = {}
    if found := "${" not in text and (_IN_URI.search(text) or _IN_WORDS.search(text)):
        start, end = found.span("secret")
        made = {variable: text[start:end]}
        register(text[start:end])
        text = f"{text[:start]}${{{variable}}}{text[end:]}"
    filled = interpolate({"dsn": text}, {**os.environ, **made})
    if filled.mistakes:
        mistake = filled.mistakes[0]
        raise UsageError(mistake.message, where="--dsn", remedy=mistake.remedy)
    value = filled.values["dsn"]
    if not isinstance(value, Interpolated) and conninfo.exposes(str(value)):
        raise UsageError(
            "has a secret in an unusual place",
            where="--dsn",
            remedy="write ${VARIABLE} in its place, in single quotes, and export the variable",
        )
    try:
        words = conninfo.parse(str(value))
    except conninfo.NotConninfo as error:
        raise UsageError(
            f"is not a connection string of PostgreSQL: {error}",
            where="--dsn",
            remedy="write it as postgresql://ROLE:${PASSWORD}@HOST:PORT/DATABASE",
        ) from None
    return _Database(Dsn(str(value)), text, _name(words.get("dbname", name)), made)


def _name(text: str) -> str:
    """A text as a name of the file."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:64]
    return plain if re.match(NAME_PATTERN, plain) else "my-system"


def _said(path: Path, text: str, found: Discovered, database: _Database | None) -> Iterator[str]:
    lines = sum(bool(row) and not row.startswith("#") for row in text.splitlines())
    yield f"wrote {path}: {lines} lines, each with its origin"
    for script in found.scripts:
        yield from _script(path.parent / script.name, script)
    if found.gaps:
        yield ""
        yield "Not found:"
    yield from (f"  {row}" for gap in found.gaps for row in redact(str(gap)).splitlines())
    used = dict.fromkeys(re.findall(r"\$\{(\w+)\}", json.dumps(tomllib.loads(text))))
    unset = [name for name in used if not os.environ.get(name)]
    yield ""
    if unset:
        yield f"Before each run: export {' '.join(f'{name}=...' for name in unset)}"
    made = database.made if database else {}
    yield from _mistakes(path, {**os.environ, **dict.fromkeys(unset, "x"), **made})
    scripts = {script.name for script in found.scripts}
    if GRANTS in scripts:
        yield f"First, as a superuser: psql -f {GRANTS} {database.name if database else ''}"
    yield "Next: readiness doctor, then readiness run"


def _script(path: Path, script: Script) -> Iterator[str]:
    yield ""
    try:
        write_new(path, script.text)
        yield f"wrote {path} to review: {script.why}"
    except UsageError as error:
        yield f"{error.where}: {error.message}; {script.why}:"
    yield from (f"  {row}" for row in script.text.splitlines())


def _mistakes(path: Path, environ: Mapping[str, str]) -> Iterator[str]:
    """What `readiness config check` would say, if two sources contradict each other."""
    try:
        load(path, environ)
    except ConfigError as error:
        yield "To correct first:"
        yield from str(error).splitlines()
