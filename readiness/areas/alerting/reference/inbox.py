"""Records what the alerting sends: mail over SMTP, and HTTP posts, with one channel for each path.

Run as `python -m readiness.areas.alerting.reference.inbox PORT`.
`GET /messages?channel=slack&contains=TEXT` shows what came;
`POST /_ctl` sets faults, such as `{"slack": {"status": 500, "delay_ms": 2000}}`.
`GET /runbooks/NAME` stands for the pages that alerts refer to.
"""

import asyncio
import email
import email.policy
import itertools
import sys
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from readiness.servers.small_server import body_of, serve

MAIL: Final = "email"
BEATS: Final = "watchdog"
DEAD_MAN: Final = "dead-man"
SILENCE_S: Final = 4.0
_LOOK_S: Final = 0.25
KEPT: Final = 2000


class Fault(BaseModel):
    """What is wrong with one channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: int = 200
    delay_ms: int = 0
    end_delay_ms: int = 0
    loses: bool = False


RUNBOOKS: Final = frozenset(
    {"canary", "database", "error-rate", "errors", "memory", "service-down", "slow-queries",
     "target-down"}
)  # fmt: skip
_Faults: Final = TypeAdapter(dict[str, Fault])
# What each service answers when it has taken a message.
_ANSWERS: Final = {
    "slack": (200, "ok", "text/plain"),
    "pagerduty": (202, '{"status": "success", "dedup_key": "x"}', "application/json"),
}


class Inbox:
    """The messages, newest last, and the faults of the channels.

    It is also a dead man's switch, which calls when the Watchdog sends no beat.
    """

    def __init__(self) -> None:
        self._messages: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._numbers = itertools.count(1)
        self.faults: dict[str, Fault] = {}
        self._last_beat: float | None = None

    async def call_when_silent(self) -> None:
        """Call once whenever the beats stop."""
        while True:
            await asyncio.sleep(_LOOK_S)
            silent = self._last_beat and time.monotonic() - self._last_beat > SILENCE_S
            if silent and not self.fault(DEAD_MAN).loses:
                self.keep(DEAD_MAN, f"Watchdog: no beat for {SILENCE_S:g} s, is Prometheus dead?")
            if silent:
                self._last_beat = None

    def keep(self, channel: str, body: str, **more: object) -> None:
        """Keep one message."""
        now = datetime.now(UTC).isoformat()
        if channel == BEATS:
            self._last_beat = time.monotonic()
        self._messages.append(
            {"id": next(self._numbers), "channel": channel, "at": now, "body": body, **more}
        )

    def messages(self, channel: str | None, after: int, text: str = "") -> list[dict[str, Any]]:
        """The messages of one channel (or all), with an id above `after`, that contain a text."""
        return [
            message
            for message in self._messages
            if message["id"] > after
            and channel in (None, message["channel"])
            and (text in message["body"] or text in message.get("subject", ""))
        ]

    def fault(self, channel: str) -> Fault:
        """What is wrong with a channel."""
        return self.faults.get(channel, Fault())

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd calls it so
        """Take a mail."""
        fault = self.fault(MAIL)
        await asyncio.sleep(fault.delay_ms / 1000)
        if fault.status != 200:  # noqa: PLR2004 - HTTP's OK stands for SMTP's here
            return "451 fault"
        content = envelope.content or b""
        raw = content.encode() if isinstance(content, str) else content
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        part = mail.get_body(("plain", "html"))
        if not fault.loses:
            self.keep(
                MAIL,
                part.get_content() if part else "",
                subject=str(mail["subject"] or ""),
                sender=envelope.mail_from or "",
                recipients=list(envelope.rcpt_tos),
            )
        return "250 OK"


def _routes(inbox: Inbox, smtp_port: int) -> list[Route]:
    async def get_messages(request: Request) -> Response:
        query = request.query_params
        after, text = int(query.get("after", "0")), query.get("contains", "")
        return JSONResponse(inbox.messages(query.get("channel"), after, text))

    async def control(request: Request) -> Response:
        if request.method == "POST":
            inbox.faults = _Faults.validate_json(await body_of(request))
        faults = {channel: fault.model_dump() for channel, fault in inbox.faults.items()}
        return JSONResponse({"smtp_port": smtp_port, "faults": faults})

    async def post(request: Request) -> Response:
        channel = request.path_params["channel"]
        body = await body_of(request)
        fault = inbox.fault(channel)
        ends = b"resolve" in body.lower()
        await asyncio.sleep((fault.delay_ms + ends * fault.end_delay_ms) / 1000)
        if fault.status != 200:  # noqa: PLR2004
            return Response("fault", fault.status)
        if not fault.loses:
            inbox.keep(channel, body.decode(errors="replace"), path=request.url.path)
        status, answer, media_type = _ANSWERS.get(channel, (200, "{}", "application/json"))
        return Response(answer, status, media_type=media_type)

    async def get_runbook(request: Request) -> Response:
        if request.path_params["name"] not in RUNBOOKS:
            return Response(status_code=404)
        return Response("What to do: ...", media_type="text/plain")

    return [
        Route("/messages", get_messages),
        Route("/runbooks/{name}", get_runbook),
        Route("/_ctl", control, methods=["GET", "POST"]),
        Route("/{channel}", post, methods=["POST"]),
        Route("/{channel}/{rest:path}", post, methods=["POST"]),
    ]


async def main(port: int) -> None:
    """Serve until a signal comes."""
    inbox = Inbox()
    loop = asyncio.get_running_loop()
    mail = await loop.create_server(lambda: SMTP(inbox, loop=loop), "127.0.0.1", 0)
    smtp_port = mail.sockets[0].getsockname()[1]
    switch = asyncio.create_task(inbox.call_when_silent())
    async with mail:
        await serve(_routes(inbox, smtp_port), port)
    switch.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
