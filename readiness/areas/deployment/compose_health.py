"""What a health check of `docker compose` is: whether it can fail, and how long it waits."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from readiness.lib.durations import compose_seconds

_SHELL: Final = ("CMD", "CMD-SHELL")
_NONE: Final = "NONE"
# What always says yes: such a health check is none.
_YES: Final = frozenset({"true", "/bin/true", "/usr/bin/true", ":", "exit", "exit 0", "echo"})
# As compose casts texts (`toBoolean` in the loader of compose-go).
_TRUE: Final = frozenset({"true", "1", "t", "y", "yes", "on"})
# What the engine takes where the file says nothing, or 0.
_INTERVAL_S: Final = 30.0
_RETRIES: Final = 3


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A health check that can fail.

    Attributes:
        patience_s: seconds from the start until a service that never answers is called
            unhealthy: the start period, and then each try with the pause before it.
    """

    patience_s: float


def health_check(service: Mapping[object, object]) -> HealthCheck | None:
    """The health check of a service; None where it has none in the file, or one that cannot fail.

    Raises:
        ValueError: a duration or a count is none.
    """
    found = service.get("healthcheck")
    if not isinstance(found, Mapping) or _disabled(found) or not _can_fail(found):
        return None
    interval_s = _seconds(found.get("interval")) or _INTERVAL_S
    retries = _count(found.get("retries")) or _RETRIES
    return HealthCheck(_seconds(found.get("start_period")) + retries * interval_s)


def _disabled(found: Mapping[object, object]) -> bool:
    return str(found.get("disable")).lower() in _TRUE


def _can_fail(found: Mapping[object, object]) -> bool:
    test = found.get("test")
    words = [str(word) for word in test] if isinstance(test, list) else [str(test or "")]
    if words[:1] == [_NONE]:
        return False
    command = " ".join(words[1:] if words[:1] and words[0] in _SHELL else words).strip()
    return bool(command) and command not in _YES


def _seconds(said: object) -> float:
    """A duration as compose writes it: `1m30s`; 0 where nothing is said."""
    if said is None:
        return 0.0
    return compose_seconds(str(said).strip())


def _count(said: object) -> int:
    if said is None:
        return 0
    if isinstance(said, bool) or not re.fullmatch(r"\d{1,9}", str(said), re.ASCII):
        raise ValueError(f"{said!r} is no count of retries")
    return int(str(said))
