"""The environment of a service of a compose file, resolved as compose does it.

docs.docker.com/reference/compose-file: "environment", "env_file", "secrets", "Interpolation".
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from readiness.areas.configuration.config import Declared, Secrets
from readiness.areas.configuration.environment import Place, Value
from readiness.areas.configuration.probes import env_files
from readiness.lib import compose_file
from readiness.lib.compose_file import UnreadableError
from readiness.lib.text import clean
from readiness.lib.yaml_reader import BrokenYaml
from readiness.model.errors import NoData, did_you_mean

# Stand in a value for what was not set, and for what somebody else sets.
_UNSET: Final = re.compile("\x01([^\x01]*)\x01")
_GIVEN: Final = "\x02"
_MOUNTED: Final = "/run/secrets/"
_FILE: Final = "_FILE"
_DOT_ENV: Final = ".env"


class _Reply(BaseModel):
    """A part of a compose file; other keys are not read."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _File(_Reply):
    path: str
    required: bool = True
    format: str | None = None


class _Use(_Reply):
    source: str
    target: str | None = None


class _Secret(_Reply):
    file: str | None = None
    environment: str | None = None
    external: bool | dict[str, str] = False


Scalar = str | bool | int | float | None


class _Service(_Reply):
    image: str = ""
    network_mode: str = ""
    environment: dict[str, Scalar] | list[str] | None = None
    env_file: str | list[str | _File] | None = None
    secrets: list[str | _Use] | None = None


class _Project(_Reply):
    services: dict[str, dict[str, object]] = Field(default={})
    secrets: dict[str, _Secret | None] | None = None


_SERVICE: Final = TypeAdapter(_Service)
_PROJECT: Final = TypeAdapter(_Project)


def of_service(declared: Declared, settings: Secrets) -> Place:
    """The environment that compose gives to a service.

    Raises:
        NoData: the service does not exist, or compose would refuse the files.
        CouldNotMeasure: a file cannot be read.
    """
    paths = [Path(file) for file in declared.compose_files]
    where = ", ".join(declared.compose_files)
    given = dict.fromkeys(declared.given, _GIVEN)
    try:
        raw = compose_file.read(paths, given, lambda name: f"\x01{name}\x01")
        project = _PROJECT.validate_python(raw)
    except (UnreadableError, BrokenYaml) as error:
        raise NoData(
            str(error),
            where=where,
            remedy="see what compose says: docker compose config --quiet; variables that only the"
            " deployment sets: `given` in the table",
        ) from None
    except (ValidationError, RecursionError, ValueError) as error:
        raise _not_compose(where, error) from None
    name = declared.service or ""
    if name not in project.services:
        raise NoData(
            f"there is no service {name!r}. {did_you_mean(name, project.services)}".strip(),
            where=where,
            remedy="correct `service`",
        )
    try:
        service = _SERVICE.validate_python(project.services[name])
    except ValidationError as error:
        raise _not_compose(where, error) from None
    reading = _Reading(paths[0].parent, compose_file.environment(paths[0].parent) | {}, settings)
    for variable in declared.given:
        reading.outer.setdefault(variable, _GIVEN)
    reading.read(service, project.secrets or {})
    written = [*reading.env_files, paths[0].parent / _DOT_ENV]
    return Place(
        source=f"service {name} of {where}",
        values=reading.values,
        unread=frozenset(reading.unread),
        secrets=reading.secrets,
        blank=tuple(dict.fromkeys([*_blank_in(project.services[name]), *reading.blank])),
        mistakes=tuple(reading.mistakes),
        unresolved=tuple(reading.unresolved),
        unknown=tuple(reading.unknown),
        env_files=tuple(dict.fromkeys(file for file in written if file.is_file())),
        secret_files=tuple(reading.secret_files),
        image=_UNSET.sub("", service.image) if _GIVEN not in service.image else "",
        is_container=service.network_mode.partition(":")[0] not in {"host", "service", "container"},
    )


def _not_compose(where: str, error: Exception) -> NoData:
    what = ""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        what = f": {clean('.'.join(map(str, first['loc'])), 120)}"
    return NoData(
        f"is not a valid compose file{what}",
        where=where,
        remedy="see what compose says: docker compose config --quiet",
    )


@dataclass(slots=True)
class _Reading:
    """Collects the environment of a service.

    Attributes:
        folder: that of the project, from which paths start.
        outer: the environment of compose, with `.env`.
        settings: what is said about secrets.
    """

    folder: Path
    outer: dict[str, str]
    settings: Secrets
    values: dict[str, Value] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    secrets: dict[str, Value] = field(default_factory=dict)
    blank: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    unresolved: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    env_files: list[Path] = field(default_factory=list)
    secret_files: list[Path] = field(default_factory=list)

    def read(self, service: _Service, secrets: Mapping[str, _Secret | None]) -> None:
        """First the env files, then `environment` over them."""
        named = service.env_file
        for one in [named] if isinstance(named, str) else named or []:
            self._env_file(_File(path=one) if isinstance(one, str) else one)
        for name, value in _pairs(service.environment):
            if name != name.strip():
                self.mistakes.append(f"variable {clean(name)!r} has a blank in its name")
            text = self.outer.get(name) if value is None else value
            if text is not None:
                self._set(name, text)
        self._mount(service, secrets)

    def _env_file(self, named: _File) -> None:
        path = self.folder / _UNSET.sub("", named.path)
        if not path.is_file():
            if named.required:
                self.mistakes.append(f"env_file {clean(path.name)} does not exist")
            return
        self.env_files.append(path)
        format_ = "docker" if named.format == "raw" else "compose"
        found = env_files.read(path, format_, self.outer)
        raw = format_ == "docker"
        self.mistakes += [f"{path.name} {one}" for one in found.mistakes if not raw]
        self.blank += found.blank
        inherited = {name: self.outer[name] for name in found.inherited if name in self.outer}
        for name, text in (inherited | found.values).items():
            self._set(name, text)

    def _set(self, name: str, text: str) -> None:
        self.values.pop(name, None)
        self.unread.discard(name)
        if _GIVEN in text:
            self.unread.add(name)
        else:
            self.values[name] = Value(_UNSET.sub("", text))

    def _mount(self, service: _Service, secrets: Mapping[str, _Secret | None]) -> None:
        mounted = set[str]()
        for one in service.secrets or []:
            use = _Use(source=one) if isinstance(one, str) else one
            target = use.target or use.source
            mounted.add(target if target.startswith("/") else f"{_MOUNTED}{target}")
            if use.source not in secrets:
                self.unresolved.append(f"secret {clean(use.source)} is not defined in the file")
            else:
                self._secret(use.source, secrets[use.source] or _Secret())
        for name, value in self.values.items():
            path = value.reveal()
            if name.endswith(_FILE) and path.startswith(_MOUNTED) and path not in mounted:
                self.unresolved.append(f"{name} names a secret that the service does not get")

    def _secret(self, name: str, secret: _Secret) -> None:
        if secret.external:
            if name not in self.settings.provided:
                self.unknown.append(f"secret {name} is external")
        elif secret.environment:
            text = self.outer.get(secret.environment)
            if text == _GIVEN:
                return
            if not text:
                state = "is not set" if text is None else "is empty"
                self.unresolved.append(f"secret {name}: the variable {secret.environment} {state}")
            else:
                self.secrets[name] = Value(text)
        elif secret.file:
            self._secret_file(name, self.folder / _UNSET.sub("", secret.file))
        else:
            self.unresolved.append(f"secret {name} has neither `file` nor `environment`")

    def _secret_file(self, name: str, path: Path) -> None:
        if not path.is_file():
            self.unresolved.append(f"secret {name}: the file {clean(path.name)} does not exist")
            return
        self.secret_files.append(path)
        text = env_files.text_of(path)
        if text.strip():
            self.secrets[name] = Value(text)
        else:
            self.unresolved.append(f"secret {name}: the file {clean(path.name)} is empty")


def _pairs(
    environment: Mapping[str, Scalar] | list[str] | None,
) -> Iterator[tuple[str, str | None]]:
    if isinstance(environment, list):
        for one in environment:
            name, sign, value = one.partition("=")
            yield name, value if sign else None
    else:
        for name, scalar in (environment or {}).items():
            yield name, _text(scalar)


def _text(scalar: Scalar) -> str | None:
    if isinstance(scalar, bool):
        return str(scalar).lower()
    if isinstance(scalar, float) and scalar.is_integer():
        return f"{scalar:.0f}"
    return None if scalar is None else str(scalar)


def _blank_in(value: object) -> Iterator[str]:
    """The variables that became blank somewhere in a service."""
    if isinstance(value, str):
        yield from _UNSET.findall(value)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _blank_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from _blank_in(one)
