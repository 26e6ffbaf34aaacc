"""What runs, compared with what is declared. Values are compared as salted digests alone."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterator
from typing import Final

from readiness.areas.configuration.environment import Place, Value, private

_SALT: Final = secrets.token_bytes(16)
"""Of this process: a digest in a message or a log could not be compared with a guess."""
_HUB: Final = re.compile(r"^(?:docker\.io/)?(?:library/)?")
_LATEST: Final = ":latest"


def digest(value: Value) -> bytes:
    """A digest of a value, which only this process can compare."""
    return hmac.digest(_SALT, value.reveal().encode("utf-8", "surrogateescape"), hashlib.sha256)


@private
def variables(declared: Place, running: Place, ignored: Collection[str]) -> list[str]:
    """The variables that differ, each with how.

    Those that only run count where the running place names no others: an image brings its own.
    """
    return list(_differing(declared, running, ignored))


def _differing(declared: Place, running: Place, ignored: Collection[str]) -> Iterator[str]:
    for name in sorted({*declared.values, *declared.unread} - {*ignored}):
        if name not in running.values and name not in running.unread:
            yield f"{name} is missing"
        elif _differs(declared.values.get(name), running.values.get(name)):
            yield f"{name} has another value"
    if declared.whole and running.whole:
        declared_names = {*declared.values, *declared.unread}
        for name in sorted({*running.values, *running.unread} - declared_names - {*ignored}):
            yield f"{name} is not declared"


def _differs(declared: Value | None, running: Value | None) -> bool:
    """Whether both are known, and not equal."""
    if declared is None or running is None:
        return False
    return not hmac.compare_digest(digest(declared), digest(running))


def image(declared: Place, running: Place) -> str:
    """How the image differs from the declared one; empty if it does not, or is not known."""
    if len(running.digests) > 1:
        return f"{len(running.digests)} different images run as {running.image}"
    if not (declared.image and running.image):
        return ""
    if declared.digests and running.digests:
        same = declared.digests == running.digests
    else:
        same = _whole(declared.image) == _whole(running.image)
    return "" if same else f"{running.image} runs, and {declared.image} is declared"


def _whole(image: str) -> str:
    """The name of an image with the registry and tag that it has by default."""
    name = _HUB.sub("", image)
    last = name.rpartition("/")[2]
    return name if ":" in last or "@" in last else f"{name}{_LATEST}"
