"""Documents for operations: do they exist, do their links lead anywhere, are they up to date?"""

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from readiness.lib import proof
from readiness.lib.files import matching
from readiness.lib.http import Session
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData

_LINK: Final = re.compile(
    r"\[[^\]\n]*\]\(\s*<?([^)\s>]+)|^\s*\[[^\]\n]+\]:\s*<?(\S+?)>?\s*$|(https?://[^\s<>()\[\]\"'`]+)",
    re.MULTILINE,
)
_CODE: Final = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LARGEST: Final = 4 * 1024 * 1024
_MOST_LINKS: Final = 500
_GIT_S: Final = 30


@dataclass(frozen=True, slots=True)
class Links:
    """The links of a document.

    Attributes:
        total: how many different ones it has.
        dead: each that leads nowhere, with what it answered.
    """

    total: int
    dead: tuple[str, ...]


def links(document: Path, timeout_s: float) -> Links:
    """Follow every link of a document, each once; those within code are not links.

    Raises:
        NoData: it is larger than 4 MiB, not text, or has too many links.
    """
    try:
        if document.stat().st_size > _LARGEST:
            raise NoData("is larger than 4 MiB", where=str(document), remedy="split the document")
        text = document.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise NoData(
            f"cannot be read as text: {error}", where=str(document), remedy="save it as UTF-8 text"
        ) from None
    found = dict.fromkeys(_links(_CODE.sub(" ", text)))
    if len(found) > _MOST_LINKS:
        raise NoData(
            f"has {len(found)} links, more than {_MOST_LINKS}",
            where=str(document),
            remedy="split the document",
        )
    with Session(timeout_s=timeout_s) as session:
        problems = [_dead(link, document.parent, session) for link in found]
    return Links(len(found), tuple(p for p in problems if p))


def lag_s(document: Path, describes: Sequence[str]) -> float:
    """Seconds from the last change of a document to that of what it describes; at least 0.

    In a git work tree the commits decide: a checkout gives every file the same time.

    Raises:
        NoData: a pattern matches nothing, or the history is shallow.
        CouldNotMeasure: git fails.
    """
    described = matching(describes, "`describes` in readiness.toml")
    return max(0.0, _changed(described) - _changed([document]))


def _links(text: str) -> Iterator[str]:
    for match in _LINK.finditer(text):
        link = next(filter(None, match.groups())).rstrip(".,;:!?")
        if not link.startswith(("#", "mailto:", "tel:")):
            yield link.partition("#")[0]


def _dead(link: str, folder: Path, session: Session) -> str:
    if not proof.is_address(link):
        path = unquote(link.partition("?")[0])
        return "" if (folder / path).exists() else f"{link} does not exist"
    try:
        return proof.dead(session, link)
    except CouldNotMeasure as error:
        # To whoever follows it at night, a link without an answer is a dead one.
        return f"{link}: {error.message}"


def _changed(files: Sequence[Path]) -> float:
    """When the newest of the files was changed, in seconds since 1970."""
    tree = _work_tree(files[0])
    if tree is None:
        return max(file.stat().st_mtime for file in files)
    names = [str(file.resolve()) for file in files]
    if _git(tree, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise NoData(
            "the git history is shallow, so the age of a file is not known",
            where=str(tree),
            remedy="git fetch --unshallow; in a pipeline check out everything: fetch-depth: 0",
        )
    # What is not committed yet is as old as its file.
    edited = [
        line[3:] for line in _git(tree, "status", "--porcelain", "-z", "--", *names).split("\0")
    ]
    open_ = [tree / name for name in edited if name and (tree / name).is_file()]
    committed = _git(tree, "log", "-1", "--format=%ct", "--", *names).strip()
    times = [file.stat().st_mtime for file in open_] + ([float(committed)] if committed else [])
    return max(times or [file.stat().st_mtime for file in files])


def _work_tree(file: Path) -> Path | None:
    return next((folder for folder in file.resolve().parents if (folder / ".git").exists()), None)


def _git(tree: Path, *arguments: str) -> str:
    remedy = "install git, and run in a checkout that it may read: git status"
    try:
        done = subprocess.run(
            ["git", "-C", str(tree), *arguments],
            capture_output=True,
            timeout=_GIT_S,
            check=False,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CouldNotMeasure(
            f"git cannot tell how old a file is: {type(error).__name__}",
            where=str(tree),
            remedy=remedy,
        ) from None
    if done.returncode:
        raise CouldNotMeasure(
            f"git cannot tell how old a file is: {clean(done.stderr, 200)}",
            where=str(tree),
            remedy=remedy,
        )
    return done.stdout
