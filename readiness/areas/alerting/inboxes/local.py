"""Reads what arrived from a mailbox, and from a command."""

import email
import email.policy
import imaplib
import ssl
from typing import Final, Self

from readiness.areas.alerting.config import CommandInbox, ImapInbox
from readiness.areas.alerting.inboxes.message import TIMEOUT_S, Message, messages_in
from readiness.lib import command
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NotPermitted, Unreachable

_NEWEST: Final = 20


class ImapReader:
    """See `Reader`. Servers are slow to show new mail: a reading is a search of its own."""

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
        """See `Reader`."""
        try:
            server = self._server = self._server or self._login()
            # A new EXAMINE shows what came since the last one; read-only, so that nothing is seen.
            server.select(f'"{self._inbox.mailbox}"', readonly=True)
            _, found = server.search(None, "TEXT", f'"{probe}"')
            numbers = (found[0] or b"").split()[-_NEWEST:]
            return [self._fetch(server, number.decode()) for number in numbers]
        except imaplib.IMAP4.error as error:
            raise CouldNotMeasure(
                f"the server refuses: {clean(str(error))}", where=self._where
            ) from None
        except OSError as error:
            raise self._unreachable(error) from None

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
        mail = email.message_from_bytes(raw, policy=email.policy.default)
        body = mail.get_body(("plain", "html"))
        text = f"{mail['subject'] or ''}\n{body.get_content() if body else ''}"
        # Its date has whole seconds: the moment counts in which it was first seen.
        return Message(text)

    def _unreachable(self, error: OSError) -> Unreachable:
        return Unreachable(
            clean(str(error.strerror or error)), where=self._where,
            remedy="check `imap_host`, `port` and `tls`",
        )  # fmt: skip


class CommandReader:
    """See `Reader`. The command prints a JSON list, or one message a line."""

    poll_s = 0.5

    def __init__(self, inbox: CommandInbox) -> None:
        self._argv = inbox.command

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing stays open."""

    def read(self, probe: str) -> list[Message]:
        """See `Reader`."""
        argv = [word.replace("{probe}", probe) for word in self._argv]
        printed = command.run(
            argv, "read the channel", "run it by hand; it prints the newest messages",
            timeout_s=TIMEOUT_S,
        )  # fmt: skip
        return messages_in(printed, probe, "at")
