"""What people name as evidence: an address that answers, or a file whose digest is kept."""

import hashlib
import re
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

from readiness.config.base.signoffs import Signoff
from readiness.lib.http import Answer, Session
from readiness.model.errors import NoData, NotPermitted

_ADDRESS: Final = re.compile(r"https?://[^\s/?#]+\S*")
_REDIRECTS: Final = 5
_MAX_BYTES: Final = 32 * 1024 * 1024
_FIRST_ERROR: Final = 400
_NO_LOGIN: Final = frozenset({401, 403, 407})
_NOT_THERE: Final = "readiness-no-such-page-5d1f"
_KEEP: Final = "keep it as a file beside readiness.toml, and sign again with --evidence FILE"


def is_address(text: str) -> bool:
    """Whether it is an http or https address."""
    return _ADDRESS.fullmatch(text) is not None


def digest(evidence: str, folder: Path) -> str | None:
    """SHA-256 of the file that it names, relative to a folder; None if there is no such file."""
    try:
        with (folder / evidence).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return None


def problem(signoff: Signoff, folder: Path, timeout_s: float) -> str:
    """Why the evidence shows nothing; empty if it can be reached, or is the file that was kept.

    Args:
        signoff: the sign-off.
        folder: that of readiness.toml.
        timeout_s: for each request.

    Raises:
        CouldNotMeasure: the server does not answer, wants a login, or answers anything with 200.
    """
    evidence, kept = signoff.evidence, signoff.evidence_sha256
    if is_address(evidence):
        return _unreachable(evidence, timeout_s)
    found = digest(evidence, folder)
    if found is None:
        return f"{evidence!r} is neither an address nor a file beside readiness.toml"
    if kept is None:
        return f"{evidence!r} is a file whose digest was not kept"
    return "" if found == kept else f"{evidence!r} was changed after it was signed"


def _unreachable(url: str, timeout_s: float) -> str:
    with Session(timeout_s=timeout_s) as session:
        answer = followed(session, url)
        if answer.status in _NO_LOGIN:
            raise NotPermitted(
                f"answered {answer.status}: the gate cannot see the evidence",
                where=url,
                remedy=_KEEP,
            )
        if answer.status >= _FIRST_ERROR:
            return f"{url} answered {answer.status}"
        # A server that has a page for everything says nothing about this one.
        page = urlsplit(url)
        control = page._replace(path=f"{page.path.rpartition('/')[0]}/{_NOT_THERE}", query="")
        if followed(session, control.geturl()).status < _FIRST_ERROR:
            raise NoData(
                "the server also answers for a page that does not exist: its answer shows nothing",
                where=url,
                remedy=_KEEP,
            )
    return ""


def dead(session: Session, url: str) -> str:
    """Why a link leads nowhere; empty if it answers, were it with a login.

    Raises:
        CouldNotMeasure: there is no answer.
    """
    status = followed(session, url).status
    return f"{url} answered {status}" if status >= _FIRST_ERROR and status not in _NO_LOGIN else ""


def followed(session: Session, url: str) -> Answer:
    """The answer after at most five redirects."""
    answer = session.get(url, max_bytes=_MAX_BYTES)
    for _ in range(_REDIRECTS):
        onward = urljoin(url, answer.location)
        if not answer.location or not is_address(onward):
            break
        url, answer = onward, session.get(onward, max_bytes=_MAX_BYTES)
    return answer
