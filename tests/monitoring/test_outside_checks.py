"""Private pages and the error tracker, against small servers that behave and that do not."""

import json
from collections.abc import Iterator

import pytest

from readiness.areas.monitoring.config import ErrorTracker, Service, UserPath
from readiness.lib import retry
from readiness.lib.noise import SILENCE, Watch
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted
from readiness.model.evidence import Evidence
from readiness.model.secrets import Secret
from tests.support.monitored_service import MonitoredService, missed, misses, suite
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract

EVENT = "/api/0/projects/shop/api/events/"


def private(server: SmallServer, **changes: object) -> str:
    described = {"name": "api", "url": server.url, "private": ["/admin"]}
    evidence = Evidence()
    service = Service.model_validate(described | changes)
    suite("monitoring.test_outside").test_private_pages(service, evidence)
    return misses(evidence)


@pytest.mark.parametrize(
    "reply",
    [
        Reply("{}", 401),
        Reply("{}", 403),
        Reply(status=302, headers={"Location": "/login?next=/admin"}),
        Reply(status=303, headers={"Location": "https://sso.example.com/start"}),
    ],
)
def test_refusal_or_redirect_to_the_login_passes(reply: Reply) -> None:
    with SmallServer({"/admin": reply}) as server:
        assert private(server) == ""


@pytest.mark.parametrize("reply", [Reply("{}"), Reply("<form>", 200, "text/html"), Reply("", 204)])
def test_page_shown_without_credentials_fails(reply: Reply) -> None:
    with SmallServer({"/admin": reply}) as server:
        assert "/admin opens without credentials" in private(server)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply("{}", 404), "answered 404: a GET finds no page there"),
        (Reply("{}", 405), "answered 405"),
        (Reply("{}", 503), "answered 503"),
        (Reply(status=301, headers={"Location": "/admin/"}), "redirects to /admin/"),
        (Reply(status=302), "redirects to nowhere"),
    ],
)
def test_answer_that_does_not_show_protection_is_an_error(reply: Reply, expected: str) -> None:
    with SmallServer({"/admin": reply}) as server, pytest.raises(NoData, match=expected):
        private(server)


def test_one_open_page_among_others_is_found() -> None:
    with SmallServer({"/a": Reply("{}", 401), "/b": Reply("{}")}) as server:
        assert "/b opens without" in private(server, private=["/a", "/b"])


def test_token_must_open_the_page() -> None:
    with SmallServer({"/admin": Reply("{}", 401)}) as server:
        with pytest.raises(NoData, match="answers 401 with the token too"):
            private(server, bearer=Secret("some token"))

        def door() -> Reply:
            return Reply("{}", 200 if "authorization" in server.requests[-1][2] else 401)

        server.routes["/admin"] = door
        assert private(server, bearer=Secret("some token")) == ""


class Tracker(SmallServer):
    """Takes events, and shows those that it keeps."""

    def __init__(self) -> None:
        super().__init__({"/api/7/envelope/": Reply('{"id": "x"}')})
        self.otherwise = self._event
        self.shown = Reply(json.dumps({"eventID": "x"}))

    def _event(self) -> Reply:
        return self.shown if self.requests[-1][1].startswith(EVENT) else Reply("{}", 404)


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracker]:
    monkeypatch.setattr(retry, "_EVERY_S", 0.05)
    with Tracker() as server:
        yield server


def track(server: SmallServer, **changes: object) -> str:
    evidence = Evidence()
    described = {
        "dsn": Secret(server.url.replace("//", "//publickey@") + "/7"),
        "url": server.url,
        "token": Secret("web token"),
        "organization": "shop",
        "project": "api",
        "within_s": 0.5,
    }
    settings = ErrorTracker.model_validate(described | changes)
    suite("monitoring.test_outside").test_error_tracker(settings, evidence)
    return misses(evidence)


def test_readable_event_passes_and_is_sent_like_an_sdk(tracker: Tracker) -> None:
    assert track(tracker) == ""

    method, path, headers = tracker.requests[0]
    assert (method, path) == ("POST", "/api/7/envelope/")
    assert headers["content-type"] == "application/x-sentry-envelope"
    assert "sentry_key=publickey" in headers["x-sentry-auth"]
    assert tracker.requests[1][2]["authorization"] == "Bearer web token"


def test_lost_event_fails(tracker: Tracker) -> None:
    tracker.shown = Reply('{"detail": "Event not found"}', 404)

    assert "was accepted, and cannot be read after 0.5 s" in track(tracker)
    assert len(tracker.requests) > 2


@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_rejected_event_fails(tracker: Tracker, status: int) -> None:
    tracker.routes["/api/7/envelope/"] = Reply("{}", status)

    assert f"The error tracker answered {status} to the test event" in track(tracker)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply("{}", 401), NotPermitted),
        (Reply("<html>", 200, "text/html"), NoData),
        (Reply("{}", 200), NoData),
        (Reply("{}", 500), NoData),
    ],
)
def test_unexpected_answer_of_the_tracker_is_an_error(
    tracker: Tracker, reply: Reply, expected: type[CouldNotMeasure]
) -> None:
    tracker.shown = reply
    with pytest.raises(expected):
        track(tracker)


@pytest.mark.parametrize("dsn", ["https://example.com/1", "text", "https://key@example.com/"])
def test_invalid_dsn_is_an_error_that_does_not_repeat_it(tracker: Tracker, dsn: str) -> None:
    with pytest.raises(CouldNotMeasure, match="is not a valid DSN") as problem:
        track(tracker, dsn=Secret(dsn))
    assert "example.com/" not in str(problem.value).replace("sentry.example.com/", "")


@pytest.mark.parametrize(
    ("reply", "changes", "key", "expected"),
    [
        (Reply("<h1>Shop</h1>"), {}, None, ""),
        (Reply("<h1>Shop</h1>", 404), {"status": 404}, None, ""),
        (Reply("<h1>Shop</h1>", 500), {}, "status", "/ answered 200 to 0 of 5 requests"),
        (Reply(status=302, headers={"Location": "/login"}), {}, "status", "302 to /login"),
        (Reply("<h1>502</h1>"), {}, "content", "/ answers 200 without the text 'Shop'"),
        (Reply("Shop"), {"max_ms": 1e-6}, "latency", "median latency of /"),
    ],
)
def test_path_of_users_is_judged_by_what_they_see(
    reply: Reply,
    changes: dict[str, object],
    key: str | None,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Watch, "seen", lambda _: SILENCE)
    taken = {"name": "home", "path": "/", "contains": ["Shop"], "max_ms": 10_000.0} | changes
    with MonitoredService() as server:
        server.routes["/"] = reply
        evidence = Evidence()
        service = server.service(paths={"home": UserPath.model_validate(taken)})
        suite("monitoring.test_outside").test_user_paths(service, evidence)

    assert missed(evidence) == ({key} if key else set())
    assert expected in misses(evidence)
