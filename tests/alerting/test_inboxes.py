"""Messages are read at the channel; a channel that cannot be read is an error, not empty."""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from readiness.areas.alerting.config import (
    Channel,
    CommandInbox,
    HttpInbox,
    ImapInbox,
    Inbox,
    PagerDutyInbox,
    SlackInbox,
)
from readiness.areas.alerting.inboxes import Message, reader_of
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.model.secrets import Secret
from tests.support.mailbox import PASSWORD, deliver, imap_server
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract

PROBE = "rd0123456789ab"
TOKEN = Secret("xoxb-correct-horse-battery")


def read(inbox: Inbox) -> list[Message]:
    channel = Channel(name="chat", integration="webhook", inbox=inbox)
    with reader_of(channel) as reader:
        return reader.read(PROBE)


def test_http_finds_its_message_and_when_it_came() -> None:
    body = json.dumps([{"at": "2026-11-22T06:00:00Z", "body": PROBE}, {"body": "other"}])
    with SmallServer({f"/messages?channel=slack&contains={PROBE}": Reply(body)}) as server:
        inbox = HttpInbox(url=f"{server.url}/messages", query="channel=slack&contains={probe}")
        (found,) = read(inbox)
    assert found.at == 1795327200.0


@pytest.mark.parametrize(("status", "error"), [(401, NotPermitted), (500, NoData), (302, NoData)])
def test_http_error_of_an_inbox_is_an_error(status: int, error: type[Exception]) -> None:
    with (
        SmallServer({"/messages": Reply("[]", status)}) as server,
        pytest.raises(error, match=f"answered {status}"),
    ):
        read(HttpInbox(url=f"{server.url}/messages"))


def test_a_command_prints_messages() -> None:
    script = "import sys; print('firing', sys.argv[1]); print('something else')"
    (found,) = read(CommandInbox(command=[sys.executable, "-c", script, "{probe}"]))
    assert found == Message(f"firing {PROBE}")


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(CouldNotMeasure, match="command to read the channel ended with 3"):
        read(CommandInbox(command=[sys.executable, "-c", "raise SystemExit(3)"]))


def slack(server: SmallServer) -> SlackInbox:
    return SlackInbox(slack_channel="C1", token=TOKEN, url=server.url)


def test_slack_is_read_by_its_history() -> None:
    """The answer is the example of Slack's documentation, with an attachment of Alertmanager."""
    history = {
        "ok": True,
        "messages": [
            {"type": "message", "ts": "1795327202.000200", "attachments": [
                {"title": f"[RESOLVED] ReadinessProbe ({PROBE})", "text": ""}]},
            {"type": "message", "ts": "1795327200.000100", "attachments": [
                {"title": f"[FIRING:1] ReadinessProbe ({PROBE})", "text": "A test"}]},
            {"type": "message", "ts": "1795327100.000100", "text": "lunch?"},
        ],
        "has_more": False,
    }  # fmt: skip
    routes = {"/conversations.history?channel=C1&limit=100": Reply(json.dumps(history))}
    with SmallServer(routes) as server:
        fired, ended = read(slack(server))
        assert server.requests[0][2]["authorization"] == f"Bearer {TOKEN.reveal()}"
    assert (fired.at, ended.at) == (1795327200.0001, 1795327202.0002)
    assert "[FIRING:1]" in fired.text
    assert "[RESOLVED]" in ended.text


def test_slack_error_in_a_200_answer_is_not_permitted() -> None:
    """Its HTTP status is always 200; the error is in the body."""
    with SmallServer({}) as server:
        server.otherwise = Reply('{"ok": false, "error": "missing_scope"}')
        with pytest.raises(NotPermitted, match="missing_scope") as refused:
            read(slack(server))
    assert TOKEN.reveal() not in str(refused.value)


def test_pagerduty_is_read_by_its_incidents() -> None:
    incident = {
        "id": "PT4KHLK",
        "title": f"[FIRING:1] ReadinessProbe ({PROBE} critical)",
        "status": "resolved",
        "created_at": "2026-11-22T06:00:00Z",
        "last_status_change_at": "2026-11-22T06:00:05Z",
        "service": {"id": "PIJ90N7", "type": "service_reference"},
    }
    body = json.dumps({"incidents": [incident], "limit": 100, "offset": 0, "more": False})
    with SmallServer({}) as server:
        server.otherwise = Reply(body)
        fired, ended = read(
            PagerDutyInbox(pagerduty_service="PIJ90N7", token=TOKEN, url=server.url)
        )
        _, path, headers = server.requests[0]
    assert path.startswith("/incidents?service_ids%5B%5D=PIJ90N7&since=")
    assert headers["authorization"] == f"Token token={TOKEN.reveal()}"
    assert headers["accept"] == "application/vnd.pagerduty+json;version=2"
    assert (fired.at, ended.at) == (1795327200.0, 1795327205.0)
    assert ended.text.startswith("resolved: ")


def test_pagerduty_with_a_wrong_key_is_an_error() -> None:
    with SmallServer({}) as server:
        server.otherwise = Reply('{"error": {"message": "Unauthorized"}}', 401)
        with pytest.raises(NotPermitted, match="answered 401"):
            read(PagerDutyInbox(pagerduty_service="P1", token=TOKEN, url=server.url))


@pytest.fixture
def mail_folder() -> Iterator[Path]:
    # Its sockets have names of at most 108 characters: pytest's own folder is too deep.
    with tempfile.TemporaryDirectory(prefix="imap-") as folder:
        yield Path(folder)


def imap(port: int, **changes: object) -> ImapInbox:
    described = {"imap_host": "127.0.0.1", "port": port, "user": "probe", "tls": False,
                 "password": Secret(PASSWORD)}  # fmt: skip
    return ImapInbox.model_validate(described | changes)


@pytest.mark.fast
def test_a_mailbox_is_read_and_left_as_it_is(mail_folder: Path) -> None:
    with imap_server(mail_folder) as port:
        channel = Channel(name="email", integration="email", inbox=imap(port))
        with reader_of(channel) as reader:
            assert reader.read(PROBE) == []
            deliver(mail_folder, f"[FIRING:1] ReadinessProbe ({PROBE})", "A test")
            deliver(mail_folder, "another", "mail")
            for _ in range(2):  # a second time: nothing was marked as read
                (found,) = reader.read(PROBE)
                assert "[FIRING:1]" in found.text
                assert "A test" in found.text
        unseen = list((mail_folder / "mail" / "new").iterdir()) + [
            file for file in (mail_folder / "mail" / "cur").iterdir() if "S" not in file.name[-3:]
        ]
        assert len(unseen) == 2


def test_a_mailbox_with_another_password_is_an_error(mail_folder: Path) -> None:
    with imap_server(mail_folder) as port:
        with pytest.raises(NotPermitted, match="rejects the login of probe") as refused:
            read(imap(port, password=Secret("wrong-horse-battery")))
        assert "wrong-horse" not in str(refused.value)
        with pytest.raises(CouldNotMeasure, match=r"imap://127\.0\.0\.1"):
            read(imap(port, mailbox="Nowhere"))


def test_no_mail_server_is_an_error() -> None:
    with pytest.raises(Unreachable, match="refused"):
        read(imap(9))
