"""Reads compose files as compose does: variables, several files, `extends` and `include`.

The rules are those of `docs.docker.com/reference/compose-file` and of compose-go, which reads the
files: `merge`, `extends`, `include` and `interpolation`.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from readiness.lib import shell, yaml_reader
from readiness.lib.durations import compose_seconds
from readiness.lib.env_files import EnvFile, Unset, of_compose
from readiness.lib.text import clean
from readiness.lib.yaml_reader import BrokenYaml, Scalars

NAMES: Final = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
"""The files that compose looks for, in its order."""
_RESET: Final = "!reset"
_OVERRIDE: Final = "!override"
_MARK: Final = "\0"
_LARGEST: Final = 4 * 1024 * 1024
_DEEPEST: Final = 20
_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"
_START: Final = re.compile(rf"\$(?:(?P<escaped>\$)|(?P<plain>{_NAME})|(?P<braced>\{{))")
_BRACED: Final = re.compile(rf"(?P<name>{_NAME})(?P<how>:?[-?+])?")
TRUE: Final = frozenset({"true", "1", "t", "y", "yes", "on"})
"""The texts that compose reads as true: `toBoolean` in the loader of compose-go."""
# The defaults of the engine, if the file has no value or 0.
_INTERVAL_S: Final = 30.0
_RETRIES: Final = 3
# A list that replaces the one of an earlier file instead of adding to it.
_REPLACED: Final = frozenset({"command", "entrypoint", "test"})


def _blank(_: str) -> str:
    """Nothing, as with compose, which only warns."""
    return ""


class UnreadableError(ValueError):
    """The file is incomplete, or is not a compose file."""


class RequiredError(UnreadableError):
    """A variable must be set, and is not."""

    def __init__(self, variable: str) -> None:
        super().__init__(f"the variable {variable} is required, and not set: set it in .env")
        self.variable = variable


@dataclass(frozen=True, slots=True)
class _Override:
    """A value that replaces that of an earlier file, also where both would be merged."""

    value: object


@dataclass(frozen=True, slots=True)
class _Reset:
    """Removes the value of an earlier file."""


def read(
    paths: Sequence[Path], more: Mapping[str, str] | None = None, unset: Unset = _blank
) -> dict[str, Any]:
    """The project that some files make together, the later ones over the earlier ones.

    Args:
        paths: the files.
        more: variables beside those of the environment and of `.env`.
        unset: gives another text for variables that are not set.

    Raises:
        RequiredError: a variable must be set, and is not.
        UnreadableError: compose would refuse them, or a part of it is elsewhere.
        BrokenYaml: one cannot be parsed.
    """
    return _Project({**(more or {}), **environment(paths[0].parent)}, unset).read(paths)


def profiles(folder: Path) -> list[str]:
    """The profiles that `COMPOSE_PROFILES` turns on, of the environment or `.env`."""
    return [one for one in environment(folder).get("COMPOSE_PROFILES", "").split(",") if one]


def environment(folder: Path) -> dict[str, str]:
    """The variables of `.env`; those of the process come first, as with compose."""
    return env_file(folder / ".env") | dict(os.environ)


def env_file(path: Path) -> dict[str, str]:
    """The variables of a file as `.env`; none if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return {}
    return assignments(text, os.environ).values


def assignments(text: str, outer: Mapping[str, str]) -> EnvFile:
    """The content of an env file; variables come from `outer`, then from the file itself."""
    return of_compose(text, outer, interpolated)


def interpolated(text: str, variables: Mapping[str, str], unset: Unset = _blank) -> str:
    """A text with its variables replaced; one that is not set is empty, as with compose.

    Args:
        text: the text.
        variables: those that are set.
        unset: gives another text for those that are not.

    Raises:
        UnreadableError: a required variable is not set, or the text is not valid.
    """
    out, at = "", 0
    while (found := _START.search(text, at)) is not None:
        out, at = out + text[at : found.start()], found.end()
        if found["escaped"]:
            out += "$"
        elif found["plain"]:
            name = found["plain"]
            out += variables[name] if name in variables else unset(name)
        else:
            end = _closing(text, at)
            out, at = out + _braced(text[at:end], variables, unset), end + 1
    return out + text[at:]


def _closing(text: str, start: int) -> int:
    depth = 1
    for at in range(start, len(text)):
        if text.startswith("${", at):
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if not depth:
                return at
    raise UnreadableError("a variable has no closing brace")


def _braced(text: str, variables: Mapping[str, str], unset: Unset) -> str:
    """`NAME`, `NAME:-default`, `NAME-default`, `NAME:?error`, `NAME?error`, `NAME:+other`."""
    found = _BRACED.match(text)
    if found is None or (found["how"] is None and found.end() != len(text)):
        raise UnreadableError("a variable has a name that is not valid")
    name, how, rest = found["name"], found["how"] or "", text[found.end() :]
    value = variables.get(name)
    given = bool(value) if how.startswith(":") else value is not None
    match how[-1:]:
        case "-":
            return value or "" if given else interpolated(rest, variables, unset)
        case "+":
            return interpolated(rest, variables, unset) if given else ""
        case "?" if not given:
            raise RequiredError(name)
        case _:
            return unset(name) if value is None else value


@dataclass(slots=True)
class _Project:
    """Reads the files of one project.

    Attributes:
        variables: those of the environment.
        unset: what becomes of others.
        open_files: what is being included or extended, to find a cycle.
    """

    variables: Mapping[str, str]
    unset: Unset
    open_files: list[str] = field(default_factory=list)

    def read(self, paths: Sequence[Path]) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for path in paths:
            merged = _merged(merged, self._one(path))
        return {key: _cleaned(value) for key, value in merged.items()}

    def _one(self, path: Path) -> dict[str, Any]:
        """A file with what it includes, and its services with what they extend."""
        document = self._load(path)
        for included in self._included(document.pop("include", None), path):
            for name in included.get("services", {}):
                if name in (document.get("services") or {}):
                    raise UnreadableError(f"it includes the service {clean(name)}, and defines it")
            document = _merged(included, document)
        services = document.get("services")
        if isinstance(services, dict):
            document["services"] = {
                name: self._extended(service, services, path) for name, service in services.items()
            }
        return document

    def _load(self, path: Path) -> dict[str, Any]:
        try:
            with path.open("rb") as file:
                text = file.read(_LARGEST).decode("utf-8-sig")
        except OSError as error:
            raise UnreadableError(f"{path.name} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UnreadableError(f"{path.name} is not UTF-8") from None
        found = parsed(text)
        if not isinstance(found, dict):
            raise UnreadableError("is not a compose file: it has no mapping `services`")
        return {str(key): self._filled(value) for key, value in found.items()}

    def _filled(self, value: Any) -> Any:
        match value:
            case str():
                return interpolated(value, self.variables, self.unset)
            case dict():
                return {key: self._filled(item) for key, item in value.items()}
            case list():
                return [self._filled(item) for item in value]
            case _Override():
                return _Override(self._filled(value.value))
        return value

    def _included(self, include: object, path: Path) -> Iterator[dict[str, Any]]:
        for one in include if isinstance(include, list) else []:
            words = one if isinstance(one, dict) else {"path": one}
            names = words.get("path")
            listed = names if isinstance(names, list) else [names]
            files = [path.parent / str(name) for name in listed]
            missing = next((file for file in files if not file.is_file()), None)
            if missing is not None:
                raise UnreadableError(f"it includes other files: {clean(missing.name)} is missing")
            with _Opened(self.open_files, str(files[0])):
                named = words.get("project_directory")
                folder = path.parent / str(named) if named else files[0].parent
                own = environment(folder) | dict(self.variables)
                yield _located(_Project(own, self.unset, self.open_files).read(files), folder)

    def _extended(self, service: Any, services: Mapping[str, Any], path: Path) -> Any:
        """A service over the one that it extends."""
        if not isinstance(service, dict) or not service.get("extends"):
            return service
        words = service["extends"]
        words = words if isinstance(words, dict) else {"service": words}
        name, file = str(words.get("service")), words.get("file")
        with _Opened(self.open_files, f"{file or path} {name}"):
            place, known = path, services
            if file:
                place = path.parent / str(file)
                if not place.is_file():
                    raise UnreadableError(f"a service extends one in {clean(str(file))}, missing")
                known = self._load(place).get("services") or {}
            if name not in known:
                raise UnreadableError(f"a service extends {clean(name)}, which does not exist")
            base = self._extended(known[name] or {}, known, place)
            base = _service_located(base, place.parent) if file else base
        own = {key: value for key, value in service.items() if key != "extends"}
        found = _merged({"": base}, {"": own})[""]
        return {key: value for key, value in found.items() if key != "extends"}


@dataclass(frozen=True, slots=True)
class _Opened:
    """Something that must not be opened again inside itself."""

    names: list[str]
    name: str

    def __enter__(self) -> None:
        if self.name in self.names or len(self.names) > _DEEPEST:
            raise UnreadableError("its files include or extend each other in a circle")
        self.names.append(self.name)

    def __exit__(self, *_: object) -> None:
        self.names.pop()


def _located(project: dict[str, Any], folder: Path) -> dict[str, Any]:
    """An included project whose env files and secrets are named from the current folder."""
    services, secrets = project.get("services"), project.get("secrets")
    if isinstance(services, dict):
        located = {name: _service_located(one, folder) for name, one in services.items()}
        project = {**project, "services": located}
    if isinstance(secrets, dict):
        files = {name: _file_located(one, "file", folder) for name, one in secrets.items()}
        project = {**project, "secrets": files}
    return project


def _service_located(service: Any, folder: Path) -> Any:
    if not isinstance(service, dict) or "env_file" not in service:
        return service
    files = (
        {"path": one} if isinstance(one, str) else one for one in _several(service["env_file"])
    )
    return {**service, "env_file": [_file_located(one, "path", folder) for one in files]}


def _file_located(described: Any, key: str, folder: Path) -> Any:
    if not isinstance(described, dict) or not isinstance(described.get(key), str):
        return described
    return {**described, key: str((folder / described[key]).absolute())}


def parsed(text: str) -> object:
    """A file with the tags of compose, `!reset` and `!override`.

    Raises:
        BrokenYaml: it cannot be parsed, or has several documents.
    """
    found = yaml_reader.nodes(text)
    for flaw in yaml_reader.flaws(found):
        raise BrokenYaml(flaw)
    if len(found) > 1:
        raise BrokenYaml(f"has {len(found)} documents, where one is expected")
    for node in found:
        _mark(node, set())
    return _unmarked(yaml_reader.value_of(found[0], Scalars.GO_V3)) if found else None


def _mark(node: Node, seen: set[int]) -> None:
    """Put values with compose's tags into a mapping that no file can have."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, MappingNode):
        node.value = [(key, _marked(value, seen)) for key, value in node.value]
    elif isinstance(node, SequenceNode):
        for item in node.value:
            _mark(item, seen)


def _marked(node: Node, seen: set[int]) -> Node:
    tag = node.tag
    if tag in {_RESET, _OVERRIDE}:
        node.tag = _CORE[type(node)]
        if isinstance(node, ScalarNode) and not node.value:
            node.tag = "tag:yaml.org,2002:null"
    _mark(node, seen)
    if tag not in {_RESET, _OVERRIDE}:
        return node
    key = ScalarNode(_CORE[ScalarNode], _MARK + tag, node.start_mark, node.end_mark)
    return MappingNode(_CORE[MappingNode], [(key, node)], node.start_mark, node.end_mark)


_CORE: Final[Mapping[type, str]] = {
    ScalarNode: "tag:yaml.org,2002:str",
    SequenceNode: "tag:yaml.org,2002:seq",
    MappingNode: "tag:yaml.org,2002:map",
}


def _unmarked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmarked(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _MARK + _RESET in value:
        return _Reset()
    if _MARK + _OVERRIDE in value:
        return _Override(_unmarked(value[_MARK + _OVERRIDE]))
    return {key: _unmarked(item) for key, item in value.items()}


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The second over the first."""
    found = dict(first)
    for key, value in second.items():
        if isinstance(value, _Reset):
            found.pop(key, None)
        elif isinstance(value, _Override):
            found[key] = value.value
        else:
            found[key] = _over(key, found.get(key), value)
    return found


def _over(key: str, old: Any, new: Any) -> Any:
    if key == "depends_on" and (isinstance(old, dict) or isinstance(new, dict)):
        old, new = _named(old), _named(new)
    if key == "environment":
        return {**(_assigned(old) or {}), **(_assigned(new) or {})}
    if key == "env_file" and old and new:
        old, new = _several(old), _several(new)
    if isinstance(old, dict) and isinstance(new, dict):
        return _merged(old, new)
    if isinstance(old, list) and isinstance(new, list) and key not in _REPLACED:
        return [*old, *(item for item in new if item not in old)]
    return old if new is None and old is not None else new


def _named(depends_on: Any) -> Any:
    if not isinstance(depends_on, list):
        return depends_on
    return {str(name): {"condition": "service_started"} for name in depends_on}


def _assigned(environment: Any) -> Any:
    """A list of `KEY=value` and `KEY` as a mapping: compose merges both forms by the names."""
    if not isinstance(environment, list):
        return environment
    pairs = [str(one).partition("=") for one in environment]
    return {name: value if sign else None for name, sign, value in pairs}


def _several(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _cleaned(value: Any) -> Any:
    """Without the marks that nothing was under."""
    if isinstance(value, _Override):
        return _cleaned(value.value)
    if isinstance(value, dict):
        return {k: _cleaned(v) for k, v in value.items() if not isinstance(v, _Reset)}
    if isinstance(value, list):
        return [_cleaned(item) for item in value if not isinstance(item, _Reset)]
    return value


def patience_of(service: Mapping[Any, object]) -> float | None:
    """Seconds from the start until a service that never answers is unhealthy.

    That is the start period, and then each try with the pause before it. None if the service has no
    health check that can fail.

    Raises:
        ValueError: a duration or a count is not valid.
    """
    found = service.get("healthcheck")
    if not isinstance(found, Mapping) or _disabled(found) or not _can_fail(found):
        return None
    interval_s = _seconds(found.get("interval")) or _INTERVAL_S
    retries = _count(found.get("retries")) or _RETRIES
    return _seconds(found.get("start_period")) + retries * interval_s


def _disabled(found: Mapping[Any, object]) -> bool:
    return str(found.get("disable")).lower() in TRUE


def _can_fail(found: Mapping[Any, object]) -> bool:
    """Whether its test exists and may fail; one that always succeeds counts as none."""
    test = found.get("test")
    if not isinstance(test, list):
        return test != "NONE" and shell.can_fail(str(test or ""))
    words = [str(word) for word in test]
    match words:
        case [] | ["NONE", *_] | ["CMD"]:
            return False
        case ["CMD", *command]:
            return shell.command_can_fail(command)
        case ["CMD-SHELL", script, *_]:
            return shell.can_fail(script)
        case _:
            return False  # compose and the engine refuse any other first word


def _seconds(said: object) -> float:
    """A duration as compose writes it, `1m30s`; 0 if missing."""
    if said is None:
        return 0.0
    return compose_seconds(str(said).strip())


def _count(said: object) -> int:
    if said is None:
        return 0
    if isinstance(said, bool) or not re.fullmatch(r"\d{1,9}", str(said), re.ASCII):
        raise ValueError(f"{said!r} is not a valid number of retries")
    return int(str(said))
