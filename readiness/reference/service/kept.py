"""What a faulty worker keeps between requests: when it began, when it was busy, what it leaks.

It stands alone because nothing of it is part of a sound service.
"""

import asyncio
import itertools
import math
import time
from collections import deque
from typing import Any, Final

from psycopg import AsyncConnection

from readiness.reference.service.settings import Behaviour

AFTER_BURST_S: Final = 10.0


class Kept:
    """The memory of one worker; what leaked is released once it does not leak any more."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._last: deque[float] = deque()
        self._burst = -math.inf
        self._began = time.monotonic()
        self._answered = False
        self._memory: list[bytes] = []
        self._connections: list[AsyncConnection[Any]] = []

    def is_after_burst(self, per_s: int) -> bool:
        """Whether more requests than this came within a second, less than ten seconds ago."""
        now = time.monotonic()
        self._last.append(now)
        while self._last[0] < now - 1:
            self._last.popleft()
        if len(self._last) > per_s:
            self._burst = now
        return now < self._burst + AFTER_BURST_S

    async def is_cold(self, behaviour: Behaviour) -> bool:
        """Whether it cannot answer yet; waits as long as its first answer takes longer."""
        first, self._answered = not self._answered, True
        if first:
            await asyncio.sleep(behaviour.first_answer_ms / 1000)
        return time.monotonic() < self._began + behaviour.warms_up_s

    async def leak(self, behaviour: Behaviour, database_url: str) -> None:
        """Keep what one more request leaks."""
        every = behaviour.leak_connection_every
        if behaviour.leak_kib:
            self._memory.append(b"x" * behaviour.leak_kib * 1024)
        elif self._memory:
            self._memory.clear()
        if every and next(self._numbers) % every == 0:
            self._connections.append(await AsyncConnection.connect(database_url))
        while self._connections and not every:
            await self._connections.pop().close()
