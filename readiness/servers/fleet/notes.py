"""Writes and reads notes, in a process of its own: a driver's import would hold up who serves."""

import asyncio
import sys
from typing import Final

NEW_COLUMN_ONLY: Final = "new-column-only"
_STORE: Final = "readiness.servers.fleet.store"
_TIMEOUT_S: Final = 15.0


async def run(release: str, action: str, name: str = "", *how: str) -> str | None:
    """Do something with a note, as a release does it.

    Args:
        release: which one.
        action: `write`, `read`, `remove`, or `remove-newer`: all that later releases wrote.
        name: the note's.
        how: NEW_COLUMN_ONLY, for `write`.

    Returns:
        What was read, empty for nothing; None where the store does not answer.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", _STORE, release, action, name, *how),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
    return said.decode() if process.returncode == 0 else None
