"""The prober: what it tells apart, how exact it is, and what it costs.

PYTHONPATH=. python benchmarks/bench_prober.py [RUNS]
"""

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast
from urllib.parse import urlsplit

from readiness.lib.prober.judging import Behaviour, behaviour
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import Plan
from readiness.lib.prober.prober import Prober, probing
from readiness.lib.sampling import percentile
from tests.support.rollouts import BEHAVIOURS, Rollouts, rollouts

RATE: Final = 200.0
EXACT_RATE: Final = 50.0
SECONDS: Final = 20.0
SERVICE_S: Final = 0.02
STALL_S: Final = 1.0
BETWEEN_STALLS_S: Final = 4.0
ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
DEMANDED_ERROR: Final = 0.05
DEMANDED_CPU: Final = 0.10
EXPECTED: Final = dict(
    zip(
        BEHAVIOURS,
        (
            Behaviour.AWAY,
            Behaviour.LATE,
            Behaviour.CLOSED,
            Behaviour.UNNOTICED,
            Behaviour.STALLED,
        ),
        strict=True,
    )
)


def main(runs: int = 20) -> int:
    """0 if all that is demanded was reached."""
    met = [exact(), cheap(), *tells_apart(runs)]
    return 0 if all(met) else 1


def tells_apart(runs: int) -> Iterator[bool]:
    """Each of the five ways, so many times; runs of a starved prober are made again."""
    with rollouts() as service:
        for how, expected in EXPECTED.items():
            seen = [_fair_change(service, how) for _ in range(runs)]
            told = Counter(behaviour(one) for one in seen)
            failed = sum(len(one.failed) for one in seen) if how == "drain" else 0
            right = told[expected] == runs and not failed
            print(f"{how:12} {told[expected]} of {runs} told as {expected.name}, failures where"
                  f" there are none: {failed}")  # fmt: skip
            yield right


def _fair_change(service: Rollouts, how: str) -> Observation:
    while True:
        with probing(Plan(url=service.url)) as prober:
            prober.wait(lambda seen: len(seen.samples) >= RATE / 5, 20)
            service.change(how)
            seen = _some_more(prober, 0.5)
        if not seen.starved:
            return seen
        print(f"{how:12} made again: {seen.starved}")


def _some_more(prober: Prober, seconds: float) -> Observation:
    until = time.monotonic() + seconds
    prober.wait(lambda seen: seen.samples[-1].due > until, seconds + 20)
    return prober.stop()


def exact() -> bool:
    """Its p99 against what a stalling server says of itself."""
    with stalling() as (url, server):
        with probing(Plan(url=url, rate_per_s=EXACT_RATE)) as prober:
            seen = _some_more(prober, SECONDS)
        assert server.stdin
        assert server.stdout
        server.stdin.close()
        stalls = json.loads(server.stdout.readline())
    truth = percentile([_true_s(s.due, stalls) for s in seen.samples], 0.99)
    p99 = seen.latency_s(0.99)
    error = abs(p99 - truth) / truth
    print(f"p99          {p99 * 1000:.1f} ms, the truth {truth * 1000:.1f} ms: {error:.1%} apart,"
          f" demanded {DEMANDED_ERROR:.0%}; {seen.starved or 'not starved'}")  # fmt: skip
    return error <= DEMANDED_ERROR


def cheap() -> bool:
    """Its processor time, and that of as many requests over bare sockets."""
    with stalling() as (url, _):
        with probing(Plan(url=url, rate_per_s=RATE)) as prober:
            seen = _some_more(prober, SECONDS / 2)
        bare_s = bare_cpu_s(url)
    share = prober.cpu_s / (seen.samples[-1].ended - seen.samples[0].due)
    ratio = prober.cpu_s / len(seen.samples) / bare_s
    print(f"processor    {share:.1%} of one core at {RATE:g} requests/s, demanded"
          f" {DEMANDED_CPU:.0%}; {ratio:.1f} times what bare blocking sockets take")  # fmt: skip
    return share <= DEMANDED_CPU


def _true_s(due: float, stalls: list[tuple[float, float]]) -> float:
    waits = max((end - due for begin, end in stalls if begin <= due < end), default=0.0)
    return waits + SERVICE_S


def bare_cpu_s(url: str) -> float:
    """Processor seconds a request takes over bare sockets, new and kept ones by turns."""
    where = (urlsplit(url).hostname or "", urlsplit(url).port or 80)
    request = f"GET / HTTP/1.1\r\nhost: {where[0]}\r\naccept: */*\r\n\r\n".encode()
    with socket.create_connection(where) as kept:
        began = time.process_time()
        for _ in range(100):
            with socket.create_connection(where) as new:
                for line in (new, kept):
                    line.sendall(request)
                    line.recv(65536)
        return (time.process_time() - began) / 200


@contextmanager
def stalling() -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A server that stands still at times and writes down when."""
    with subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/", process
        finally:
            process.kill()


async def serve() -> None:
    """Answer after a fixed time, and stand still now and then, until stdin ends."""
    stalls: list[tuple[float, float]] = []
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0, backlog=1000)
    loop.add_reader(sys.stdin, over.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    while not over.is_set():
        try:
            await asyncio.wait_for(over.wait(), BETWEEN_STALLS_S)
        except TimeoutError:
            began = time.monotonic()
            time.sleep(STALL_S)  # noqa: ASYNC251 - that is what it is for
            stalls.append((began, time.monotonic()))
    print(json.dumps(stalls), flush=True)


class _Answering(asyncio.Protocol):
    """As little as can be, so that what waited during a pause is answered right after it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, _: bytes) -> None:
        asyncio.get_running_loop().call_later(SERVICE_S, self._transport.write, ANSWER)


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        asyncio.run(serve())
        sys.exit(0)
    sys.exit(main(*map(int, sys.argv[1:])))
