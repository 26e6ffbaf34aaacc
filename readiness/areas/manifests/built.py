"""What an image was built to be: its user, start, health check, tools, and secrets in its layers.

The Dockerfile says what was meant. The value of a build argument, the base that was pulled and the
files that were copied are seen in the image alone.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from typing import Final

from readiness.areas.manifests.probes.images import File, Image
from readiness.lib import shell
from readiness.lib.plain_secrets import has_form, in_file, in_text, in_variables, is_literal
from readiness.model.errors import NoData

_PASSWD: Final = "etc/passwd"  # noqa: S105 - a path
_COMPILERS: Final = re.compile(
    r"(?:.*/)?bin/(?:(?:[\w-]+-)?(?:gcc|g\+\+|clang)(?:-\d+)?|make|cmake|cargo|rustc|go|javac|mvn|gradle)"
)
# Keys of tests and documents come with many packages, and open nothing.
_KNOWN: Final = re.compile(
    r"(?:.*/)?(?:(?:tests?|testdata|testing|examples?|fixtures|docs?|spec)/.*|test_[^/]*)"
)
_SETTINGS: Final = re.compile(r"\.env(?:\.[\w.-]+)?|\.npmrc|\.pypirc|\.netrc|\.pgpass|credentials")
_SAMPLE: Final = re.compile(r".*\.(?:example|sample|template|dist)")
_NPMRC: Final = re.compile(r"(?m)_(?:authToken|auth|password)\s*=\s*(?P<value>\S+)")
_NETRC: Final = re.compile(r"(?s).*\bmachine\s+\S+.*\bpassword\s+\S+.*")
_PGPASS: Final = re.compile(r"(?m)^(?!#)(?:[^:\n]+:){4}[^:\n]+$")
_DOCKER: Final = re.compile(r'"auth"\s*:\s*"[^"]+"')
_PAIR: Final = re.compile(r"(?<!\S)(?P<name>[A-Za-z_][\w.-]*)=(?P<value>\"[^\"]*\"|\S+)")
_REMOVED: Final = "removed later, and still in the image"


class Chosen:
    """Chooses the files of an image that judgements need.

    Args:
        public: patterns of paths that hold no secret.
    """

    def __init__(self, public: Sequence[str]) -> None:
        self._public = [pattern.lstrip("/") for pattern in public]

    def __call__(self, path: str, content: bytes) -> bool:
        """Whether to keep a file."""
        if path == _PASSWD or _COMPILERS.fullmatch(path):
            return True
        return bool(_secret(path, content)) and not any(
            fnmatch(path, pattern) for pattern in self._public
        )


def _secret(path: str, content: bytes) -> str:
    """What a file holds that nobody who pulls the image may have; empty if nothing."""
    if not content or _KNOWN.fullmatch(path):
        return ""
    name = path.rpartition("/")[2]
    is_of_docker = path.endswith(".docker/config.json")
    if is_of_docker or (_SETTINGS.fullmatch(name) and not _SAMPLE.fullmatch(name)):
        found = _in_settings(name, content.decode("utf-8", "replace"))
        if found:
            return found
    return in_file(content)


def _in_settings(name: str, text: str) -> str:
    token = _NPMRC.search(text)
    if name == ".npmrc":
        return "a token" if token and is_literal(token["value"]) else ""
    if name == ".netrc":
        return "a password" if _NETRC.fullmatch(text) else ""
    if name == ".pgpass":
        return "a password" if _PGPASS.search(text) else ""
    if name == "config.json":
        return "a password of a registry" if _DOCKER.search(text) else ""
    found = [what.rpartition(": ")[2] for what in in_text(name, text)]
    return ", ".join(found[:3])


def as_root(found: Iterable[Image]) -> list[str]:
    """Images that run as root, also by a name; and those whose user does not exist."""
    return [f"{one.name}: {why}" for one in found if (why := _root(one))]


def _root(image: Image) -> str:
    user = image.settings.user.partition(":")[0].strip()
    if not user:
        return "no user, which is root"
    if user.isdecimal():
        return f"user {user}" if int(user) == 0 else ""
    uids = _uids(image.kept)
    if user not in uids:
        return f"user {user} is not in /etc/passwd, so that no container starts"
    return f"user {user} has the id 0" if uids[user] == "0" else ""


def _uids(files: Iterable[File]) -> dict[str, str]:
    texts = [one.content for one in files if one.path == _PASSWD and not one.is_removed]
    lines = texts[-1].decode("utf-8", "replace").splitlines() if texts else []
    fields = (line.split(":") for line in lines)
    return {one[0]: one[2] for one in fields if len(one) > 2}  # noqa: PLR2004 - name:x:uid


def without_start(found: Iterable[Image]) -> list[str]:
    """Images that name no program to start."""
    return [one.name for one in found if not (one.settings.entrypoint or one.settings.cmd)]


def unchecked(found: Iterable[Image], *, must_be: bool) -> list[str]:
    """Images whose health check cannot fail, or is turned off, or missing if it must be there.

    Raises:
        NoData: it is missing in an OCI layout, whose specification has none.
    """
    return [f"{one.name}: {why}" for one in found if (why := _unchecked(one, must_be=must_be))]


def _unchecked(image: Image, *, must_be: bool) -> str:
    check = image.settings.health_check
    if must_be and check is None and not image.is_docker:
        raise NoData(
            "an OCI layout need not show the health check of its image",
            where=image.name,
            remedy="docker save IMAGE --output FILE",
        )
    words = (check.test if check else None) or ["NONE"]
    kind, command = words[0].upper(), words[1:]
    if kind == "NONE":
        return "no health check" if must_be else ""
    shelled = kind == "CMD-SHELL"
    can = shell.can_fail(" ".join(command)) if shelled else shell.command_can_fail(command)
    return "" if can else "the health check cannot fail"


def with_tools(found: Iterable[Image]) -> list[str]:
    """Compilers and build tools that are in the images."""
    return [
        f"{one.name}: /{file.path}"
        for one in found
        for file in one.kept
        if not file.is_removed and _COMPILERS.fullmatch(file.path)
    ]


def with_secrets(found: Iterable[Image]) -> list[str]:
    """Secrets in layers, also in files that a later one removes, in variables and the history."""
    return [f"{one.name}: {what}" for one in found for what in dict.fromkeys(_secrets(one))]


def _secrets(image: Image) -> Iterator[str]:
    for file in image.kept:
        what = _secret(file.path, file.content)
        removed = f" ({_REMOVED})" if file.is_removed else ""
        if what:
            yield f"layer {file.layer}, /{file.path}{removed}: {what}"
    pairs = (one.partition("=") for one in image.settings.env or ())
    yield from (f"variable {name}" for name in in_variables({n: value for n, _, value in pairs}))
    for number, step in enumerate(image.configuration.history or (), 1):
        text = step.created_by
        values = {one["name"]: one["value"].strip('"') for one in _PAIR.finditer(text)}
        names = in_variables(values)
        if names:
            yield f"step {number} of the history: {', '.join(names)}"
        elif has_form(text):
            yield f"step {number} of the history"
