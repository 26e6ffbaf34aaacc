"""The application's own alert engine: notifies a first tier, then a second one without an answer.

Run as a module with PORT INBOX, the address of the inbox.
POST /alerts `{"id": ...}` raises an alert, POST /alerts/ID/acknowledge or /alerts/ID/resolve
changes it, GET /history and /statistics show the records. `POST /_ctl {"counts": false}` sets a
fault.
"""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from readiness.servers.small_server import body_of, serve

TIERS: Final = ("chat", "second-tier")
"""The channels of the inbox that are notified, the first one at once."""
ESCALATES_S: Final = 5.0
"""Long enough for a command to acknowledge before, on a busy machine."""
KEPT: Final = 500
_TIMEOUT_S: Final = 30.0


class Fault(BaseModel):
    """What works; each can be switched off."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    notifies_first: bool = True
    records: bool = True
    records_ends: bool = True
    counts: bool = True
    escalates: bool = True
    waits: bool = True
    in_time: bool = True
    honors_acknowledgements: bool = True


class New(BaseModel):
    """What raises an alert."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str


class Alert(BaseModel):
    """One alert, as the history shows it."""

    id: str
    raised_at: datetime
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None


class Pager:
    """The alerts, the newest last, and the fault."""

    def __init__(self, inbox: str) -> None:
        self._inbox = inbox
        # A connection for each message: servers close an idle one after five seconds, which is
        # when the second tier is notified, and a message sent into a closing one would be lost.
        alone = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, limits=alone)
        self._alerts: OrderedDict[str, Alert] = OrderedDict()
        self._total = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._fault = Fault()

    async def trigger(self, request: Request) -> Response:
        """Raise an alert: sent at once, and later to the second tier."""
        new = New.model_validate_json(await body_of(request))
        alert = self._alerts[new.id] = Alert(id=new.id, raised_at=datetime.now(UTC))
        while len(self._alerts) > KEPT:
            self._alerts.popitem(last=False)
        self._total += self._fault.counts
        if self._fault.notifies_first:
            self._start(self._notify(TIERS[0], "raised", alert))
        self._start(self._escalate(alert))
        return JSONResponse({"id": alert.id}, 201)

    async def act(self, request: Request) -> Response:
        """Acknowledge or resolve one."""
        alert = self._alerts.get(request.path_params["alert"])
        if alert is None:
            return JSONResponse({"detail": "no such alert"}, 404)
        if request.path_params["action"] == "acknowledge":
            alert.acknowledged_at = datetime.now(UTC)
        else:
            alert.resolved_at = datetime.now(UTC)
            if self._fault.notifies_first:
                self._start(self._notify(TIERS[0], "resolved", alert))
        return JSONResponse({"id": alert.id})

    async def history(self, request: Request) -> Response:
        """The alerts whose id contains `search`, the newest first."""
        hidden = set() if self._fault.records_ends else {"resolved_at"}
        found = [
            alert.model_dump(mode="json", exclude=hidden)
            for alert in reversed(self._alerts.values())
            if request.query_params.get("search", "") in alert.id and self._fault.records
        ]
        return JSONResponse({"alerts": found})

    async def statistics(self, _: Request) -> Response:
        """The number of all alerts so far."""
        return JSONResponse({"alerts": {"total": self._total}})

    async def control(self, request: Request) -> Response:
        """Show the fault, or set another one."""
        if request.method == "POST":
            self._fault = Fault.model_validate_json(await body_of(request))
        return JSONResponse(self._fault.model_dump())

    async def _escalate(self, alert: Alert) -> None:
        late = 1 if self._fault.in_time else 2
        await asyncio.sleep(ESCALATES_S * late if self._fault.waits else 0)
        acknowledged = alert.acknowledged_at is not None and self._fault.honors_acknowledgements
        if self._fault.escalates and not acknowledged and alert.resolved_at is None:
            await self._notify(TIERS[1], "not acknowledged", alert)

    async def _notify(self, channel: str, what: str, alert: Alert) -> None:
        await self._client.post(f"{self._inbox}/{channel}", json={"text": f"{what}: {alert.id}"})

    def _start(self, work: Coroutine[None, None, None]) -> None:
        """Run it beside the answer; asyncio itself does not keep a task alive."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def main(port: int, inbox: str) -> None:
    """Serve until a signal comes."""
    pager = Pager(inbox)
    routes = [
        Route("/alerts", pager.trigger, methods=["POST"]),
        Route("/alerts/{alert}/{action:str}", pager.act, methods=["POST"]),
        Route("/history", pager.history),
        Route("/statistics", pager.statistics),
        Route("/_ctl", pager.control, methods=["GET", "POST"]),
    ]
    asyncio.run(serve(routes, port))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
