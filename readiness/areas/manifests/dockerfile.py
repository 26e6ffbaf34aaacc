"""What an image is built to be: its user, base, tools, health check, and secrets in its layers."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from readiness.lib import shell
from readiness.lib.compose_file import UnreadableError, interpolated
from readiness.lib.kubernetes.pods import moves
from readiness.lib.plain_secrets import has_form, in_variables, is_secret_name
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData

_PACKAGE: Final = "dockerfile"
_INSTALL: Final = "pip install dockerfile"
_LARGEST: Final = 1024 * 1024
_SCRATCH: Final = "scratch"
_ROOT: Final = {"0", "root"}
# Images whose user is not root, as their makers say: the tag says so, or all of them.
_NOT_ROOT: Final = re.compile(r".*[:-](?:\w+-)?nonroot\b.*|cgr\.dev/chainguard/.*")
_INSTRUCTIONS: Final = frozenset({
    "add", "arg", "cmd", "copy", "entrypoint", "env", "expose", "from", "healthcheck", "label",
    "maintainer", "onbuild", "run", "shell", "stopsignal", "user", "volume", "workdir",
})  # fmt: skip
_PACKAGES: Final = r"\b(?:apt-get|apt|apk|dnf|microdnf|yum|zypper)\b[^;&|\n]*"
_NAMES: Final = r"(?P<names>[^;&|\n]*)"
_INSTALLS: Final = re.compile(rf"{_PACKAGES}\b(?:install|add)\b{_NAMES}")
_REMOVES: Final = re.compile(rf"{_PACKAGES}\b(?:purge|remove|autoremove|del|erase)\b{_NAMES}")
_TOOLS: Final = frozenset({
    "gcc", "g++", "clang", "make", "cmake", "build-essential", "build-base", "alpine-sdk", "maven",
    "gradle", "cargo", "rustc", "golang", "golang-go", "go", "default-jdk", "gcc-c++",
})  # fmt: skip
# Images that are compilers.
_COMPILERS: Final = re.compile(
    r"(?:.*/)?(?:golang|rust|maven|gradle|gcc|sbt)(?::.*|@.*)?|.*/dotnet/sdk.*"
)
_FILES: Final = (".env", ".env.*", "*.pem", "*.key", "id_rsa", "id_ed25519", ".npmrc", ".netrc",
                 ".pypirc", ".pgpass", "credentials", "*.p12", "*.pfx")  # fmt: skip
_PUBLIC: Final = (".env.example", ".env.sample", ".env.template", "*.pub", "ca*.pem", "*cert*.pem",
                  "*chain*.pem")  # fmt: skip
_WHOLE: Final = {".", "./", "*", "./*"}
_FOLDERS: Final = (".env", ".git", "id_rsa", ".npmrc")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction; `value` are its words, `script` all text of a RUN with its documents."""

    name: str
    value: tuple[str, ...]
    flags: tuple[str, ...]
    script: str
    is_json: bool
    line: int


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage: what it is built from, and its instructions."""

    name: str
    base: str
    instructions: tuple[Instruction, ...]

    def last(self, name: str) -> Instruction | None:
        """The last instruction of a name, which is the one that counts."""
        return next((one for one in reversed(self.instructions) if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A file, and the stages that its image consists of, the last one first.

    Attributes:
        path: the file.
        chain: the final stage, the stage that it is built from, and so on.
        stages: all stages, in order.
        base: the image that the chain begins with.
    """

    path: Path
    chain: tuple[Stage, ...]
    stages: tuple[Stage, ...]

    @property
    def base(self) -> str:
        """The image that the final one is built from."""
        return self.chain[-1].base

    def last(self, name: str) -> Instruction | None:
        """The instruction of a name that counts, inherited or not."""
        found = (stage.last(name) for stage in self.chain)
        return next((one for one in found if one), None)

    @property
    def layers(self) -> Iterator[Instruction]:
        """The instructions whose layers are in the image."""
        for stage in reversed(self.chain):
            yield from stage.instructions


def find() -> str:
    """The version of the parser.

    Raises:
        CouldNotMeasure: it is not installed.
    """
    if find_spec(_PACKAGE) is None:
        raise CouldNotMeasure(
            "the package dockerfile, which parses Dockerfiles, is not installed",
            where="[manifests] dockerfiles",
            remedy=_INSTALL,
        )
    return version(_PACKAGE)


def read(path: Path) -> Dockerfile:
    """Read a Dockerfile with the parser of Docker itself.

    Raises:
        CouldNotMeasure: the parser is not installed, or the file cannot be read.
        NoData: it is not a Dockerfile.
    """
    find()
    # Its runtime starts threads, which a fork would lose: only where a Dockerfile is read.
    import dockerfile

    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST).decode("utf-8-sig")
        commands = dockerfile.parse_string(text)
    except OSError as error:
        raise CouldNotMeasure(f"cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise CouldNotMeasure("is not UTF-8 text", where=str(path)) from None
    except (dockerfile.GoParseError, ValueError) as error:
        raise NoData(f"is not a Dockerfile: {clean(str(error), 80)}", where=str(path)) from None
    return _made(path, [_instruction(one) for one in commands])


def _instruction(one: Any) -> Instruction:
    inner = (one.sub_cmd or "").lower()
    name = one.cmd.lower()
    documents = "\n".join(document.content for document in one.heredocs)
    words = tuple(one.value)
    return Instruction(
        f"{name} {inner}".strip(),
        words,
        tuple(one.flags),
        "\n".join([" ".join(words), documents]),
        bool(one.json),
        one.start_line,
    )


def _made(path: Path, instructions: Sequence[Instruction]) -> Dockerfile:
    unknown = [one for one in instructions if one.name.partition(" ")[0] not in _INSTRUCTIONS]
    if unknown:
        raise NoData(
            f"line {unknown[0].line}: is not an instruction of a Dockerfile", where=str(path)
        )
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    current: list[Instruction] = []
    for one in instructions:
        if one.name == "from":
            base, name = _from(one, arguments, path)
            current = []
            stages.append(Stage(name, base, ()))
        elif not stages:
            arguments |= _arguments(one)
        else:
            current.append(one)
            stages[-1] = Stage(stages[-1].name, stages[-1].base, tuple(current))
    if not stages:
        raise NoData("is not a Dockerfile: it has no FROM", where=str(path))
    return Dockerfile(path, tuple(_chain(stages)), tuple(stages))


def _from(one: Instruction, arguments: Mapping[str, str], path: Path) -> tuple[str, str]:
    if not one.value:
        raise NoData(f"line {one.line}: FROM names no image", where=str(path))
    name = one.value[2] if len(one.value) > 2 and one.value[1].lower() == "as" else ""  # noqa: PLR2004
    return _filled(one.value[0], arguments), name.lower()


def _filled(text: str, variables: Mapping[str, str]) -> str:
    try:
        return interpolated(text, variables)
    except UnreadableError:
        return text


def _arguments(one: Instruction) -> dict[str, str]:
    if one.name != "arg":
        return {}
    pairs = (word.partition("=") for word in one.value)
    return {name: value.strip("\"'") for name, _, value in pairs}


def _chain(stages: Sequence[Stage]) -> Iterator[Stage]:
    """The final stage, and those that it is built from."""
    left = list(stages)
    while left:
        stage = left.pop()
        yield stage
        name = stage.base.lower()
        at = next((n for n in reversed(range(len(left))) if name and left[n].name == name), None)
        if at is None:
            return
        left = left[: at + 1]


def moving_bases(found: Iterable[Dockerfile]) -> list[str]:
    """Bases without a version, of any stage."""
    return [
        f"{one.path}: {stage.base or 'an empty name'}"
        for one in found
        for number, stage in enumerate(one.stages)
        if not _is_stage(stage.base, one.stages[:number])
        if stage.base != _SCRATCH and moves(stage.base)
    ]


def _is_stage(base: str, before: Sequence[Stage]) -> bool:
    return base.lower() in {stage.name for stage in before if stage.name}


def as_root(found: Iterable[Dockerfile]) -> list[str]:
    """Images that run as root: by their last USER, or because there is none."""
    return [f"{one.path}: {why}" for one in found if (why := _root(one))]


def _root(one: Dockerfile) -> str:
    user = one.last("user")
    if user is None:
        if _NOT_ROOT.fullmatch(one.base):
            return ""
        return f"no USER, and that of {one.base} is root unless its maker says otherwise"
    variables: dict[str, str] = {}
    for layer in one.layers:
        variables |= _arguments(layer) | _variables(layer)
    name = _filled(" ".join(user.value), variables).partition(":")[0].strip()
    if name in _ROOT or not name:
        return f"line {user.line}: USER {name or 'is empty'}"
    return ""


def _variables(one: Instruction) -> dict[str, str]:
    if one.name != "env":
        return {}
    names, values = one.value[::2], one.value[1::2]
    return {name: value.strip("\"'") for name, value in zip(names, values, strict=False)}


def with_tools(found: Iterable[Dockerfile]) -> list[str]:
    """Images with compilers and build tools in them, which a stage of their own would leave out."""
    return [f"{one.path}: {what}" for one in found for what in _tools(one)]


def _tools(one: Dockerfile) -> Iterator[str]:
    if _COMPILERS.fullmatch(one.base):
        yield f"is built from {one.base}"
    for layer in one.layers:
        if layer.name == "run":
            removed = " ".join(match["names"] for match in _REMOVES.finditer(layer.script)).split()
            names = " ".join(match["names"] for match in _INSTALLS.finditer(layer.script)).split()
            virtual = any(word.startswith("--virtual") or word == "-t" for word in names)
            tools = sorted(_TOOLS & set(names) - set(removed))
            if tools and not (virtual and removed):
                yield f"line {layer.line}: installs {', '.join(tools)}"


def unchecked(found: Iterable[Dockerfile], *, must_be: bool) -> list[str]:
    """Images whose health check cannot fail, or is turned off, or missing if it must be there."""
    return [f"{one.path}: {why}" for one in found if (why := _unchecked(one, must_be=must_be))]


def _unchecked(one: Dockerfile, *, must_be: bool) -> str:
    check = one.last("healthcheck")
    if check is None:
        return "no HEALTHCHECK" if must_be else ""
    words = list(check.value)
    if not words or words[0].upper() == "NONE":
        return f"line {check.line}: HEALTHCHECK NONE" if must_be else ""
    command = words[1:]
    can = shell.command_can_fail(command) if check.is_json else shell.can_fail(" ".join(command))
    return "" if can else f"line {check.line}: HEALTHCHECK cannot fail"


def with_secrets(found: Iterable[Dockerfile]) -> list[str]:
    """What puts a secret into a layer, or the image's history; whoever pulls it can read that."""
    return [f"{one.path}: line {line}: {what}" for one in found for line, what in _secrets(one)]


def _secrets(one: Dockerfile) -> Iterator[tuple[int, str]]:
    for stage in one.stages:
        for layer in stage.instructions:
            if layer.name == "run" and has_form(layer.script):
                yield layer.line, "RUN with a secret in plain text"
    for layer in one.layers:
        if layer.name == "arg":
            # The value of a build argument stays in the history of the image.
            names = (word.partition("=")[0] for word in layer.value)
            yield from ((layer.line, f"ARG {n}") for n in names if is_secret_name(n))
        elif layer.name == "env":
            wrong = in_variables(_variables(layer))
            yield from ((layer.line, f"ENV {name}") for name in wrong)
        elif layer.name in {"copy", "add"} and not any("--from" in flag for flag in layer.flags):
            yield from ((layer.line, f"{layer.name.upper()} {n}") for n in _copied(layer, one.path))


def _copied(layer: Instruction, path: Path) -> Iterator[str]:
    for source in layer.value[:-1]:
        name = source.rstrip("/").rpartition("/")[2]
        if source in _WHOLE:
            yield from (f"{source} with {one}" for one in _in_context(path))
        elif _is_one_of(name, _FILES) and not _is_one_of(name, _PUBLIC):
            yield source


def _in_context(path: Path) -> list[str]:
    """What lies beside the Dockerfile and no `.dockerignore` keeps out of `COPY .`."""
    ignored: list[str] = []
    for name in (f"{path.name}.dockerignore", ".dockerignore"):
        file = path.parent / name
        if file.is_file():
            ignored = file.read_text(encoding="utf-8", errors="replace").splitlines()
            break
    patterns = [line.strip().lstrip("/").removeprefix("**/").rstrip("/") for line in ignored]
    return [
        name
        for name in _FOLDERS
        if (path.parent / name).exists() and not _is_one_of(name, patterns)
    ]


def _is_one_of(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
