"""The prober's own process: sends what the plan says until its stdin ends, and writes a record.

python -m readiness.lib.prober.child DESCRIPTOR < PLAN
"""

import asyncio
import gc
import json
import os
import sys
import time
from collections import deque
from contextlib import suppress
from typing import IO

import uvloop

from readiness.lib.prober.line import Answer, Connection, Lost, Place, connected, place
from readiness.lib.prober.plan import (
    MODES,
    UNANSWERED,
    End,
    Hangup,
    Line,
    Mode,
    Plan,
    Sample,
    encode,
)


class Prober:
    """Sends requests on schedule, whatever became of those before."""

    def __init__(self, plan: Plan, record: IO[str]) -> None:
        self._plan = plan
        self._record = record
        self._place: Place = place(
            plan.url, plan.headers, verify_tls=plan.verify_tls, max_bytes=plan.max_bytes
        )
        self._idle: deque[Connection] = deque()
        self._under_way: set[asyncio.Task[None]] = set()
        self._busy = 0
        self._began = 0.0
        self._slots = 0
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Send until stdin ends, and wait for what is under way then."""
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin, self._read_stdin)
        self._began, cpu_s = loop.time(), time.process_time()
        self._send_those_due()
        await self._over.wait()
        if self._under_way:
            await asyncio.wait(self._under_way)
        for connection in self._idle:
            connection.close()
        self._write(End(time.monotonic(), self._slots, time.process_time() - cpu_s))

    def _send_those_due(self) -> None:
        """No request waits for another: an answer that does not come delays nobody."""
        loop = asyncio.get_running_loop()
        while not self._over.is_set():
            due = self._began + self._slots * self._plan.period_s
            if due > loop.time():
                loop.call_at(due, self._send_those_due)
                return
            task = loop.create_task(self._send(self._slots, due))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            self._slots += 1

    def _read_stdin(self) -> None:
        if not os.read(sys.stdin.fileno(), 1):
            # What has ended can be read for ever, and would be, until the last request has ended.
            asyncio.get_running_loop().remove_reader(sys.stdin)
            self._over.set()

    async def _send(self, slot: int, due: float) -> None:
        mode = MODES[slot % len(MODES)]
        sent = time.monotonic()
        answer, problem = Answer(), ""
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                answer = await (self._kept() if mode is Mode.KEPT else self._new())
        except Lost as lost:
            problem = str(lost)
        except TimeoutError:
            problem = UNANSWERED
        ended = time.monotonic()
        if not problem and answer.status not in self._plan.statuses:
            problem = f"status {answer.status}"
        replica = answer.headers.get(self._plan.replica_header.lower(), "")
        version = self._version(answer)
        self._write(Sample(slot, mode, due, sent, ended, answer.status, problem, version, replica))

    async def _new(self) -> Answer:
        connection = await connected(self._place, lambda _: None)
        try:
            return await connection.ask()
        finally:
            connection.close()

    async def _kept(self) -> Answer:
        self._busy += 1
        try:
            connection = self._rested() or await connected(self._place, self._hung_up)
            try:
                return await connection.ask()
            finally:
                self._rest(connection)
        finally:
            self._busy -= 1

    def _rested(self) -> Connection | None:
        """The one that has rested longest; None while there are fewer than there should be."""
        while self._idle and not self._idle[0].reusable:
            self._idle.popleft()
        full = len(self._idle) + self._busy > self._plan.connections
        return self._idle.popleft() if self._idle and full else None

    def _rest(self, connection: Connection) -> None:
        if connection.reusable and not connection.busy and len(self._idle) < self._plan.connections:
            self._idle.append(connection)
        else:
            connection.close()

    def _hung_up(self, idle: bool) -> None:
        self._write(Hangup(time.monotonic(), idle))

    def _version(self, answer: Answer) -> str:
        if not self._plan.version_key:
            return ""
        try:
            document = json.loads(answer.body)
        except ValueError:
            return ""
        value = document.get(self._plan.version_key, "") if isinstance(document, dict) else ""
        return value if isinstance(value, str) else ""

    def _write(self, line: Line) -> None:
        self._record.write(encode(line) + "\n")


def main() -> None:
    """The process: its plan is the first line of stdin, whose end is the end."""
    plan = Plan.model_validate_json(sys.stdin.buffer.readline())
    gc.freeze()  # nothing of the imports is looked at again
    with suppress(OSError):  # who keeps time goes first, where we may say so
        os.nice(-5)
    with open(int(sys.argv[1]), "w", encoding="utf-8", buffering=1) as record:  # noqa: PTH123
        prober = Prober(plan, record)
        uvloop.run(prober.run())


if __name__ == "__main__":
    main()
