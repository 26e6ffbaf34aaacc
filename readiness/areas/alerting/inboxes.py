"""Reads what arrived at a channel, and waits for it: from the receiver, never from the sender."""

import imaplib
import json
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from typing import Final, Protocol, Self
from urllib.parse import quote

from pydantic import Field, TypeAdapter

from readiness.areas.alerting.config import (
    Channel,
    CommandInbox,
    HttpInbox,
    ImapInbox,
    PagerDutyInbox,
    SlackInbox,
)
from readiness.lib import api, command
from readiness.lib.http import Session
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.model.secrets import Secret

TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    text: str  # all texts of it, one a line
    # When it arrived, as Unix time by the clock of the receiver; None if unknown.
    at: float | None = None


class Reader(Protocol):
    """Reads one channel."""

    poll_s: float  # seconds to leave between two readings, as the service behind it permits

    def read(self, probe: str) -> list[Message]:
        """The messages that contain this text, oldest first.

        Raises:
            CouldNotMeasure: the channel cannot be read.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


def messages_in(body: str, probe: str, time_field: str) -> list[Message]:
    """The messages of a body: a JSON list has one in each entry, anything else one a line."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = body.splitlines()
    entries = found if isinstance(found, list) else [found]
    messages = [Message("\n".join(texts(e)), _time_of(e, time_field)) for e in entries]
    return [message for message in messages if probe in message.text]


def texts(found: object) -> Iterator[str]:
    """All texts, also those in JSON that is itself a text."""
    if isinstance(found, dict | list):
        for value in found.values() if isinstance(found, dict) else found:
            yield from texts(value)
    elif isinstance(found, str):
        inner = _unfolded(found)
        if inner is None:
            yield found
        else:
            yield from texts(inner)


def _unfolded(text: str) -> object:
    """The content of a text that is JSON: a gateway keeps the body that it was sent."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _time_of(entry: object, field: str) -> float | None:
    written = entry.get(field) if isinstance(entry, dict) else None
    return unix_time(written) if isinstance(written, str) else None


def unix_time(text: str) -> float | None:
    """An RFC 3339 time as Unix time; without a zone it is taken as UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class _OverHttp:
    """A reader with an HTTP session, open while it is entered."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._session.__exit__(*exception)


_OK: Final = 200
_LOGIN: Final = {401, 403}
_MAX_BYTES: Final = 32 * 1024 * 1024


class _HttpReader(_OverHttp):
    poll_s = 0.02

    def __init__(self, inbox: HttpInbox) -> None:
        self._inbox = inbox
        super().__init__(Session(timeout_s=TIMEOUT_S, bearer=inbox.bearer))

    def read(self, probe: str) -> list[Message]:
        query = self._inbox.query.replace("{probe}", quote(probe, safe=""))
        url = f"{self._inbox.url}?{query}" if query else self._inbox.url
        answer = self._session.get(url, max_bytes=_MAX_BYTES)
        if answer.status in _LOGIN:
            raise NotPermitted(
                str(answer), where=self._inbox.url, remedy="set `bearer` of this inbox"
            )
        if answer.status != _OK:
            raise NoData(str(answer), where=self._inbox.url, remedy="correct `url` of this inbox")
        return messages_in(answer.body.decode("utf-8", "replace"), probe, self._inbox.time_field)


class _History(api.Reply):
    ok: bool
    error: str = ""
    messages: tuple[dict[str, object], ...] = ()


_HISTORY: Final = TypeAdapter(_History)


class _SlackReader(_OverHttp):
    # Slack permits fifty calls a minute to workspaces of one's own apps (tier 3).
    poll_s = 1.5

    def __init__(self, inbox: SlackInbox) -> None:
        self._inbox = inbox
        super().__init__(Session(timeout_s=TIMEOUT_S, bearer=inbox.token))

    def read(self, probe: str) -> list[Message]:
        asked = {"channel": self._inbox.slack_channel, "limit": "100"}
        answer = self._session.get(
            api.address(self._inbox.url, "/conversations.history", asked), max_bytes=api.MAX_BYTES
        )
        history = api.shaped(_HISTORY, api.document(answer, "Slack"), answer, "Slack")
        if not history.ok:
            raise NotPermitted(
                f"Slack refuses to read the channel: {history.error}",
                where=answer.url,
                remedy="give the token the scope channels:history (groups:history for a private"
                " channel), and invite its bot into the channel",
            )
        return [
            Message(parsed.text, _time(message.get("ts")))
            for message in reversed(history.messages)
            for parsed in messages_in(json.dumps([message]), probe, "")
        ]


def _time(ts: object) -> float | None:
    """Slack's `ts` is Unix time; its decimals make it unique."""
    try:
        return float(ts) if isinstance(ts, str) else None
    except ValueError:
        return None


_ACCEPT: Final = "application/vnd.pagerduty+json;version=2"
_SINCE: Final = timedelta(hours=1)


class _Incident(api.Reply):
    title: str
    status: str
    created_at: str
    changed_at: str = Field("", alias="last_status_change_at")


class _Incidents(api.Reply):
    incidents: tuple[_Incident, ...]


_INCIDENTS: Final = TypeAdapter(_Incidents)


class _PagerDutyReader(_OverHttp):
    """An incident that ended counts as a second message, which says so."""

    # The REST API permits 960 calls a minute to an account.
    poll_s = 1.0

    def __init__(self, inbox: PagerDutyInbox) -> None:
        self._inbox = inbox
        token = Secret(f"token={inbox.token.reveal()}")
        super().__init__(Session(timeout_s=TIMEOUT_S, bearer=token, scheme="Token "))

    def read(self, probe: str) -> list[Message]:
        asked = [
            ("service_ids[]", self._inbox.pagerduty_service),
            ("since", (datetime.now(UTC) - _SINCE).isoformat()),
            ("sort_by", "created_at:desc"),
            ("limit", "100"),
        ]
        answer = self._session.get(
            api.address(self._inbox.url, "/incidents", asked), accept=_ACCEPT,
            max_bytes=api.MAX_BYTES,
        )  # fmt: skip
        found = api.shaped(_INCIDENTS, api.document(answer, "PagerDuty"), answer, "PagerDuty")
        messages = []
        for incident in reversed(found.incidents):
            if probe in incident.title:
                messages.append(Message(incident.title, unix_time(incident.created_at)))
                if incident.status == "resolved":
                    ended = f"resolved: {incident.title}"
                    messages.append(Message(ended, unix_time(incident.changed_at)))
        return messages


_NEWEST: Final = 20


class _ImapReader:
    """Servers are slow to show new mail: each reading is a search of its own."""

    poll_s = 1.0

    def __init__(self, inbox: ImapInbox) -> None:
        self._inbox = inbox
        self._where = f"imap://{inbox.imap_host}:{inbox.port}/{inbox.mailbox}"
        self._server: imaplib.IMAP4 | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            try:
                self._server.logout()
            except (imaplib.IMAP4.error, OSError):
                self._server.shutdown()

    def read(self, probe: str) -> list[Message]:
        try:
            server = self._server = self._server or self._login()
            # A new EXAMINE shows what came since the last one; read-only: nothing is marked read.
            server.select(f'"{self._inbox.mailbox}"', readonly=True)
            _, found = server.search(None, "TEXT", f'"{probe}"')
            numbers = (found[0] or b"").split()[-_NEWEST:]
            return [self._fetch(server, number.decode()) for number in numbers]
        except imaplib.IMAP4.error as error:
            raise CouldNotMeasure(
                f"the server refuses: {clean(str(error))}", where=self._where
            ) from None
        except OSError as error:
            raise Unreachable(
                clean(str(error.strerror or error)), where=self._where,
                remedy="check `imap_host`, `port` and `tls`",
            ) from None  # fmt: skip

    def _login(self) -> imaplib.IMAP4:
        inbox = self._inbox
        server = (
            imaplib.IMAP4_SSL(
                inbox.imap_host, inbox.port,
                ssl_context=ssl.create_default_context(), timeout=TIMEOUT_S,
            )
            if inbox.tls
            else imaplib.IMAP4(inbox.imap_host, inbox.port, timeout=TIMEOUT_S)
        )  # fmt: skip
        try:
            server.login(inbox.user, inbox.password.reveal())
        except imaplib.IMAP4.error as error:
            server.shutdown()
            raise NotPermitted(
                f"the server rejects the login of {inbox.user}: {clean(str(error))}",
                where=self._where,
                remedy="correct `user` and `password`; some providers require an app password",
            ) from None
        return server

    def _fetch(self, server: imaplib.IMAP4, number: str) -> Message:
        _, parts = server.fetch(number, "(INTERNALDATE BODY.PEEK[])")
        _head, raw = next((p for p in parts if isinstance(p, tuple)), (b"", b""))
        mail = message_from_bytes(raw, policy=policy.default)
        body = mail.get_body(("plain", "html"))
        text = f"{mail['subject'] or ''}\n{body.get_content() if body else ''}"
        # Its date has whole seconds only: the time at which it is first seen is used instead.
        return Message(text)


class _CommandReader:
    """The command prints a JSON list, or one message a line."""

    poll_s = 0.5

    def __init__(self, inbox: CommandInbox) -> None:
        self._argv = inbox.command

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open."""

    def read(self, probe: str) -> list[Message]:
        argv = [word.replace("{probe}", probe) for word in self._argv]
        printed = command.run(
            argv, "read the channel", "run it by hand; it must print the newest messages",
            timeout_s=TIMEOUT_S,
        )  # fmt: skip
        return messages_in(printed, probe, "at")


def reader_of(channel: Channel) -> Reader:
    """What reads a channel; use it as a context manager.

    Raises:
        ValueError: the channel has no inbox.
    """
    match channel.inbox:
        case HttpInbox():
            return _HttpReader(channel.inbox)
        case SlackInbox():
            return _SlackReader(channel.inbox)
        case PagerDutyInbox():
            return _PagerDutyReader(channel.inbox)
        case ImapInbox():
            return _ImapReader(channel.inbox)
        case CommandInbox():
            return _CommandReader(channel.inbox)
        case None:
            raise ValueError(f"channel {channel.name!r} has no inbox")


# Reading an inbox may itself take a moment, at the end of a budget.
LAST_LOOK_S: Final = 1.0


@dataclass(slots=True)
class Watched:
    """One channel while it is watched."""

    channel: Channel
    reader: Reader
    next_look: float = 0.0
    messages: list[Message] = field(default_factory=list)
    seen_at: list[float] = field(default_factory=list)
    problem: CouldNotMeasure | None = None

    def look(self, probe: str) -> None:
        """Read the channel; each message keeps the time at which it was first seen."""
        try:
            found = self.reader.read(probe)
        except CouldNotMeasure as error:
            self.problem = error
            return
        now = time.time()
        self.problem = None
        self.messages = found
        self.seen_at += [now] * (len(found) - len(self.seen_at))
        self.next_look = time.monotonic() + self.reader.poll_s

    def must_be_read(self) -> None:
        """Raise the error of the last look, if there is one: unread is not the same as empty."""
        if self.problem:
            raise self.problem

    def shown(self, *, ended: bool) -> list[tuple[Message, float]]:
        """The messages of one kind, with the time at which each was first seen."""
        mark = self.channel.resolved_text.lower()
        return [
            (message, seen)
            for message, seen in zip(self.messages, self.seen_at, strict=False)
            if (mark in message.text.lower()) is ended
        ]

    def after_s(self, since: float, *, ended: bool) -> float | None:
        """Seconds from a Unix time until the first message of one kind; None if there is none."""
        for message, seen in self.shown(ended=ended):
            # The channel's own clock is exact; if it shows an impossible time, ours counts.
            exact = message.at is not None and since <= message.at <= seen
            return (message.at if exact and message.at else seen) - since
        return None


def watch(channels: Sequence[Channel], stack: ExitStack) -> list[Watched]:
    """Open the inboxes of channels for as long as the stack."""
    return [Watched(channel, stack.enter_context(reader_of(channel))) for channel in channels]


def wait(watched: Sequence[Watched], probe: str, deadline: float, *, ended: bool = False) -> None:
    """Look at channels until each has a message of one kind, or the monotonic deadline."""
    while waiting := [w for w in watched if not w.shown(ended=ended)]:
        now = time.monotonic()
        if now > deadline:
            return
        due = min(waiting, key=lambda w: w.next_look)
        time.sleep(max(0.0, min(due.next_look, deadline) - now))
        due.look(probe)
        if due.problem:
            due.next_look = time.monotonic() + max(due.reader.poll_s, LAST_LOOK_S)


def must_be_read(watched: Sequence[Watched]) -> None:
    """Raise the error of the first channel that has shown nothing and could not be read."""
    for one in watched:
        if not one.messages:
            one.must_be_read()
