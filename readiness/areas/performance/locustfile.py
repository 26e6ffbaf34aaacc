"""The locustfile that `locust` runs, always in a process of its own: nothing imports it.

Alone it sends the plan's requests at their planned moments, whether or not earlier ones were
answered (an open model). Beside a locustfile of the target's, whose users decide when they send, it
records. Each process writes what it saw to a file of its own, exactly: locust's own statistics
round to two digits, and one file each can be joined. A worker on another machine gets a copy of
this file from the master, with the plan in it, and sends what it saw by the same way.
"""

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import gevent
from locust import FastHttpUser, events, task
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import (
    STATE_MISSING,
    STATE_RUNNING,
    STATE_SPAWNING,
    MasterRunner,
    WorkerRunner,
)

_COPIED: Final = ""
"""The plan, in a copy for other machines."""
_FOLDER: Final = Path(os.environ.get("READINESS_LOAD", "."))
_PLAN: Final = json.loads(_COPIED or (_FOLDER / "plan.json").read_text(encoding="utf-8"))
_IS_AWAY: Final = "READINESS_LOAD" not in os.environ
_BEARER: Final = os.environ.get("READINESS_LOAD_BEARER", "")
_DONE: Final = "readiness-done"
_SEEN: Final = "readiness-seen"
_UNANSWERED: Final = "no answer in time"
# As many as may be under way at once; one more waits, and its waiting counts.
_MOST_AT_ONCE: Final = 2000
# The processes of one run begin together, once the slowest has loaded locust.
_LEAD_S: Final = 0.2
_LOOK_S: Final = 0.5

_seen: list[list[float | str]] = []
"""Of each request: when it was due and sent (seconds since 1970), ms, its name, its problem."""
_clock: dict[str, float] = {}
"""When the first request was due, and the time and processor time when the run began."""


def _moments(share: int, of: int) -> Iterator[float]:
    """Seconds from the start at which one of several processes sends."""
    began, number = 0.0, 0
    for rate, seconds in _PLAN["stages"]:
        for at in range(round(rate * seconds)):
            if number % of == share:
                yield began + at / rate
            number += 1
        began += seconds


if _PLAN["bearer"] and not _BEARER:
    raise SystemExit("set READINESS_LOAD_BEARER here: the service requires a token")

if _PLAN["requests"]:

    class Arrivals(FastHttpUser):
        """Starts a request at each moment of the plan; there is one in each process."""

        concurrency = _MOST_AT_ONCE
        insecure = not _PLAN["verify_tls"]
        connection_timeout = network_timeout = 2 * _PLAN["timeout_s"]  # ours comes first

        @task
        def send(self) -> None:
            """Send all, wait for the last answer, and end."""
            runner = self.environment.runner
            share, of = 0, 1
            if isinstance(runner, WorkerRunner):
                share, of = runner.worker_index, _PLAN["processes"]
            choose = random.Random(share)  # noqa: S311 - a mix of requests, the same in each run
            requests = _PLAN["requests"]
            weights = [request["weight"] for request in requests]
            numbers = iter(range(time.time_ns() // 1000 + share, 2**63, of))
            began = time.time() + _LEAD_S
            _clock["began"] = began
            under_way = []
            for moment in _moments(share, of):
                due = began + moment
                gevent.sleep(max(0.0, due - time.time()))
                [request] = choose.choices(requests, weights)
                under_way.append(gevent.spawn(self._ask, request, due, next(numbers)))
            gevent.joinall(under_way, timeout=2 * _PLAN["timeout_s"])
            _finish(self.environment)
            raise StopUser

        def _ask(self, request: dict[str, Any], due: float, number: int) -> None:
            sent = time.time()
            body = request["body"]
            headers = dict(request["headers"])
            if _BEARER:
                headers["Authorization"] = f"Bearer {_BEARER}"
            problem = ""
            with gevent.Timeout(_PLAN["timeout_s"], exception=False) as limit:
                problem = _UNANSWERED
                with self.client.request(
                    request["method"],
                    request["path"],
                    name=request["name"],
                    data=body.replace("{n}", str(number)) if body else None,
                    headers=headers,
                    catch_response=True,
                    allow_redirects=False,
                ) as answer:
                    status = answer.status_code
                    problem = "" if status in request["status"] else f"status {status}"
                    if not status:
                        problem = type(answer.error).__name__ if answer.error else "no answer"
                    answer.success()
                limit.cancel()
            ended = time.time()
            if problem and ended - sent >= _PLAN["timeout_s"]:
                problem = _UNANSWERED  # the client reports a time-out as a failed connection
            _seen.append([due, sent, (ended - due) * 1000, request["name"], problem])

else:

    def _record(
        *,
        name: str,
        response_time: float | None,
        exception: BaseException | None = None,
        start_time: float | None = None,
        **_: object,
    ) -> None:
        took = float(response_time or 0.0)
        sent = start_time or time.time() - took / 1000
        problem = f"{type(exception).__name__}: {exception}"[:200] if exception else ""
        _seen.append([sent, sent, took, str(name), problem])

    events.request.add_listener(_record)  # type: ignore[no-untyped-call]


def _write(environment: Environment) -> None:
    runner = environment.runner
    index = runner.worker_index if isinstance(runner, WorkerRunner) else 0
    written = {
        "began": _clock["began"],
        "cpu_s": time.process_time() - _clock["cpu"],
        "wall_s": time.time() - _clock["wall"],
        "seen": _seen,
    }
    if _IS_AWAY and isinstance(runner, WorkerRunner):
        runner.send_message(_SEEN, {"index": index, "written": json.dumps(written)})
    else:
        _keep(index, json.dumps(written))


def _keep(index: int, written: str) -> None:
    partial = _FOLDER / f"{index}.part"
    partial.write_text(written, encoding="utf-8")
    partial.rename(_FOLDER / f"seen-{index}.json")


def _finish(environment: Environment) -> None:
    """This process has sent everything: write it, and end the run with the last process."""
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        _write(environment)
        runner.send_message(_DONE)
    elif runner:
        gevent.spawn(runner.quit)


def _start(**_: object) -> None:
    _clock.update(began=time.time(), wall=time.time(), cpu=time.process_time())
    _seen.clear()


def _stop(environment: Environment, **_: object) -> None:
    if not isinstance(environment.runner, MasterRunner):
        _write(environment)


def _prepare(environment: Environment, **_: object) -> None:
    with suppress(OSError):  # a higher priority keeps the schedule, where it is permitted
        os.nice(-5)
    gevent.spawn(_end_with, os.getppid())
    if isinstance(environment.runner, MasterRunner):
        _lead(environment, environment.runner)


def _lead(environment: Environment, runner: MasterRunner) -> None:
    """Collect what the workers send, and end with the last one, or once one is lost."""
    done: list[str] = []

    def count(msg: Any, **_: object) -> None:
        done.append(msg.node_id)
        if len(done) == _PLAN["processes"]:
            gevent.spawn(runner.quit)

    def keep(msg: Any, **_: object) -> None:
        _keep(int(msg.data["index"]), msg.data["written"])

    def watch() -> None:
        while True:
            there = sum(worker.state != STATE_MISSING for worker in runner.clients.all)
            (_FOLDER / "workers").write_text(str(there))
            if there < _PLAN["processes"] and runner.state in {STATE_SPAWNING, STATE_RUNNING}:
                environment.process_exit_code = _PLAN["lost"]
                runner.quit()
                return
            gevent.sleep(_LOOK_S)

    runner.register_message(_DONE, count)
    runner.register_message(_SEEN, keep)
    gevent.spawn(watch)


def _end_with(parent: int) -> None:
    """A generator must not go on when the run that started it was killed."""
    while os.getppid() == parent:
        gevent.sleep(_LOOK_S)
    os._exit(1)


for _event, _listener in (
    (events.init, _prepare),
    (events.test_start, _start),
    (events.test_stop, _stop),
):
    _event.add_listener(_listener)  # type: ignore[no-untyped-call]
