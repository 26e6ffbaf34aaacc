"""Whatever the target answers, or does not, the marker comes in time and never raises."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from readiness.config.models import Config
from readiness.model.secrets import Interpolated
from readiness.run import marker
from readiness.run.marker import Marker, environment
from readiness.servers.postgres import PrivatePostgres
from tests.support.small_servers import Line, Reply, SmallServer, in_time, raw_server

pytestmark = pytest.mark.contract

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
STAGING = Reply(json.dumps({"version": "1", "environment": "staging"}))


def over_http(url: str, **service: object) -> Config:
    return Config.model_validate(
        {
            "target": {"name": "shop", "marker": {"service": "api"}},
            "services": {"api": {"url": url, **service}},
        }
    )


def in_database(dsn: str, sql: str | None = None) -> Config:
    statement = {"sql": sql} if sql else {}
    return Config.model_validate(
        {
            "target": {"name": "shop", "marker": {"database": "d", **statement}},
            "databases": {"d": {"dsn": Interpolated(dsn)}},
        }
    )


def asked(config: Config) -> Marker:
    return in_time(lambda: environment(config))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marker, "DEADLINE_S", 0.5)


def test_no_marker_means_production() -> None:
    found = environment(Config.model_validate({"target": {"name": "shop"}}))
    assert found == Marker("production", "", "[target.marker] is not configured")
    assert not found.said


def test_what_the_service_says() -> None:
    with SmallServer({"/version": STAGING}) as server:
        found = asked(over_http(server.url))
        assert found == Marker("staging", f"GET {server.url}/version", "")
        assert found.said


def test_the_token_is_sent_and_not_shown() -> None:
    with SmallServer({"/version": STAGING}) as server:
        found = asked(over_http(server.url, bearer=Interpolated("correct-horse")))
        [(_, _, headers)] = server.requests
        assert headers["authorization"] == "Bearer correct-horse"
        assert "correct-horse" not in repr(found)


def test_a_proxy_of_the_process_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with SmallServer({}) as proxy, SmallServer({"/version": STAGING}) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        assert asked(over_http(server.url)).environment == "staging"
        assert proxy.requests == []


@pytest.mark.parametrize(
    ("reply", "note"),
    [
        (Reply(STAGING.body, status=503), "the answer has status 503"),
        (Reply("staging"), "the answer is not JSON"),
        (Reply(b"\xff\xfe"), "the answer is not JSON"),
        (Reply("[" * 60_000), "the answer is not JSON"),
        (Reply(""), "the answer is not JSON"),
        (Reply('["staging"]'), "the answer has no key 'environment'"),
        (Reply('{"env": "staging"}'), "the answer has no key 'environment'"),
        (Reply('{"environment": ""}'), "the answer is not a valid environment name"),
        (Reply('{"environment": null}'), "the answer is not a valid environment name"),
        (Reply('{"environment": "staging\\n"}'), "the answer is not a valid environment name"),
        (Reply('{"environment": "<b>staging"}'), "the answer is not a valid environment name"),
        (Reply(b" " * 65_537), "the body is larger than 65,536 bytes"),
    ],
)
def test_an_answer_that_says_nothing_means_production(reply: Reply, note: str) -> None:
    with SmallServer({"/version": reply}) as server:
        found = asked(over_http(server.url))
    assert (found.environment, found.note) == ("production", note)


def test_a_redirect_is_not_followed() -> None:
    with SmallServer({}) as server:
        leads = {"Location": f"{server.url}/version"}
        server.routes["/version"] = Reply("", status=302, headers=leads)
        found = asked(over_http(server.url))
        assert (found.environment, found.note) == ("production", "the answer has status 302")
        assert len(server.requests) == 1


def endless(line: Line) -> None:
    line.hear()
    line.say(HEAD + b"\r\n")
    while not line.stopped.is_set():
        line.say(b" " * 4096)


def dripping(line: Line) -> None:
    line.hear()
    line.say(HEAD + b"Content-Length: 60000\r\n\r\n")
    line.drip(b" ")


def silent(line: Line) -> None:
    line.hear()
    line.stopped.wait()


def closing(line: Line) -> None:
    line.hear()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("talk", "note"),
    [
        (endless, "larger than"),
        (dripping, "no complete answer within 0.5 s"),
        (silent, "no complete answer within 0.5 s"),
        (closing, "."),
    ],
)
def test_a_hostile_service_means_production(talk: Callable[[Line], None], note: str) -> None:
    with raw_server(talk) as address:
        found = asked(over_http(f"http://{address}"))
    assert found.environment == "production"
    assert found.note
    assert note in found.note or note == "."


def test_nobody_there_means_production() -> None:
    with SmallServer({}) as server:
        url = server.url
    found = asked(over_http(url))
    assert (found.environment, found.note) == ("production", "connection refused")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    folder = tmp_path_factory.mktemp("marker")
    running = PrivatePostgres.start(folder, settings={"fsync": "off"})
    try:
        with psycopg.connect(running.dsn(), autocommit=True) as connection:
            connection.execute("create table readiness_marker (environment text)")
            connection.execute("insert into readiness_marker values ('staging')")
        yield running
    finally:
        running.stop("immediate")


def test_what_the_database_says(server: PrivatePostgres) -> None:
    found = asked(in_database(server.dsn()))
    assert (found.environment, found.said) == ("staging", True)
    assert found.source == "select environment from readiness_marker (database d)"


NOT_ONE = "the answer is not one row with one value"


@pytest.mark.parametrize(
    ("sql", "note"),
    [
        ("select 'a' where false", NOT_ONE),
        ("select generate_series(1, 1000000000)::text", NOT_ONE),
        ("select 'a', 'b'", NOT_ONE),
        ("select null", "the answer is not a valid environment name"),
        ("select 5", "the answer is not a valid environment name"),
        ("select ''", "the answer is not a valid environment name"),
        ("select repeat('a', 100000)", "the answer is not a valid environment name"),
        ("select gone from nowhere", "no answer (UndefinedTable)"),
        ("delete from readiness_marker returning 'staging'", "no answer (SyntaxError)"),
        ("select nextval('no_such')", "no answer (UndefinedTable)"),
    ],
)
def test_a_statement_that_says_nothing(server: PrivatePostgres, sql: str, note: str) -> None:
    found = asked(in_database(server.dsn(), sql))
    assert (found.environment, found.note) == ("production", note)
    assert asked(in_database(server.dsn())).environment == "staging"


@pytest.mark.usefixtures("impatient")
def test_a_statement_that_takes_too_long(server: PrivatePostgres) -> None:
    found = asked(in_database(server.dsn(), "select pg_sleep(20)::text"))
    assert found.environment == "production"
    assert found.note in {"no answer within 0.5 s", "no answer (QueryCanceled)"}


def test_a_wrong_password_is_not_told(server: PrivatePostgres) -> None:
    found = asked(in_database(server.dsn(password="correct-horse")))
    assert found.environment == "production"
    assert found.note
    assert "correct-horse" not in repr(found)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("talk", [silent, dripping, closing])
def test_a_hostile_database_means_production(talk: Callable[[Line], None]) -> None:
    def anything(line: Line) -> None:
        line.connection.recv(1024)
        if talk is dripping:
            line.drip(b"N")
        elif talk is silent:
            line.stopped.wait()

    with raw_server(anything) as address:
        found = asked(in_database(f"postgresql://m:correct-horse@{address}/d?sslmode=disable"))
    assert found.environment == "production"
    assert found.note
    assert "correct-horse" not in repr(found)


def test_a_marker_that_leads_nowhere(tmp_path: Path) -> None:
    config = over_http("http://127.0.0.1:1").model_copy(update={"services": {}})
    assert asked(config).note == "[services.api] is not configured"
    config = in_database("postgresql://m@127.0.0.1:1/d").model_copy(update={"databases": {}})
    assert asked(config).note == "[databases.d] is not configured"
