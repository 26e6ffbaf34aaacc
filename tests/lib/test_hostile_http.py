"""No answer of a server, and no silence, hangs, crashes or deceives the client."""

import gzip
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from readiness.areas.monitoring.probes import health
from readiness.lib import http
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong, Unreachable
from readiness.model.secrets import Secret
from readiness.servers import programs
from tests.support.processes import needed
from tests.support.small_servers import Line, Reply, SmallServer, in_time, raw_server

pytestmark = pytest.mark.contract

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
SOON_S = 0.6
LATE_S = 20.0


def ask_raw(
    talk: Callable[[Line], None], *, timeout_s: float = LATE_S, max_bytes: int = http.MAX_BYTES
) -> http.Answer:
    with raw_server(talk) as address:
        return in_time(
            lambda: http.get(f"http://{address}/x", timeout_s=timeout_s, max_bytes=max_bytes)
        )


def forever(data: bytes) -> Callable[[Line], None]:
    def talk(line: Line) -> None:
        line.hear()
        line.say(HEAD)
        while not line.stopped.is_set():
            line.say(data)

    return talk


def once(data: bytes) -> Callable[[Line], None]:
    def talk(line: Line) -> None:
        line.hear()
        line.say(data)

    return talk


def test_an_endless_body_is_cut_off() -> None:
    with pytest.raises(NoData, match="larger than 1,048,576 bytes") as caught:
        ask_raw(forever(b"\r\n" + b"x" * 65536))

    assert "head -c" in caught.value.remedy


def test_a_body_of_exactly_the_limit_is_accepted() -> None:
    body = b"x" * 1000
    reply = once(HEAD + b"Content-Length: 1000\r\n\r\n" + body)

    assert ask_raw(reply, max_bytes=1000).body == body
    with pytest.raises(NoData):
        ask_raw(reply, max_bytes=999)


def test_an_endless_body_can_be_cut() -> None:
    endless = forever(b"\r\n" + b"x" * 65536)
    with raw_server(endless) as address, http.Session(timeout_s=LATE_S) as session:
        found = in_time(lambda: session.get(f"http://{address}/x", max_bytes=10, cut=True))
    assert found.body == b"x" * 10
    assert found.status == 200


def test_each_line_of_a_header_is_kept_as_it_was_sent() -> None:
    reply = once(HEAD + b"Set-Cookie: a=1\r\nset-cookie: b=2\r\nContent-Length: 0\r\n\r\n")
    cookies = [value for name, value in ask_raw(reply).lines if name == "set-cookie"]
    assert cookies == ["a=1", "b=2"]


@pytest.mark.parametrize(("content", "why"), [(None, "No such file"), ("nothing", "not PEM")])
def test_authority_that_cannot_be_read_is_an_error(
    tmp_path: Path, content: str | None, why: str
) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    session = http.Session(timeout_s=SOON_S, authority=str(file))
    with pytest.raises(NoData, match=f"certificates cannot be read: {why}"), session:
        pass


def test_a_header_of_a_gigabyte_is_not_read() -> None:
    sent = 0

    def talk(line: Line) -> None:
        nonlocal sent
        line.hear()
        line.say(HEAD + b"X-Long: ")
        while sent < 1_000_000_000:
            line.say(b"x" * 65536)
            sent += 65536

    with pytest.raises(Unreachable, match="answer is not HTTP"):
        ask_raw(talk)
    assert sent < 100_000_000


def test_headers_without_end_are_not_read() -> None:
    with pytest.raises(Unreachable, match="answer is not HTTP"):
        ask_raw(forever(b"X-More: and more\r\n" * 1000))


def test_interim_answers_without_end_are_bounded() -> None:
    def talk(line: Line) -> None:
        line.hear()
        line.drip(b"HTTP/1.1 103 Early Hints\r\n\r\n", every_s=0.001)

    with pytest.raises(TookTooLong):
        ask_raw(talk, timeout_s=SOON_S)


@pytest.mark.parametrize("begin", [b"", HEAD, HEAD + b"\r\n"], ids=["status", "headers", "body"])
def test_an_answer_that_drips_is_bounded_as_a_whole(begin: bytes) -> None:
    def talk(line: Line) -> None:
        line.hear()
        line.say(begin)
        line.drip(HEAD)

    with pytest.raises(TookTooLong, match=r"no complete answer within 0\.6 s"):
        ask_raw(talk, timeout_s=SOON_S)


def test_a_silent_server_is_bounded() -> None:
    with pytest.raises(TookTooLong) as caught:
        ask_raw(lambda line: line.drip(b""), timeout_s=SOON_S)

    assert "timeout_s" in caught.value.remedy


def test_a_listener_that_never_accepts_is_bounded() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        with pytest.raises(TookTooLong):
            in_time(lambda: http.get(url, timeout_s=SOON_S))


def test_a_reset_connection_is_unreachable() -> None:
    def talk(line: Line) -> None:
        line.hear()
        line.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with pytest.raises(Unreachable, match=r"connection reset by peer|connection was lost"):
        ask_raw(talk)


def test_a_closed_port_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

    with pytest.raises(Unreachable, match="connection refused") as caught:
        in_time(lambda: http.get(url, timeout_s=LATE_S))
    assert caught.value.where == url
    assert "curl" in caught.value.remedy


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/9.9 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n",
        HEAD + b"Content-Length: 100\r\n\r\nshort",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_not_http_is_unreachable(data: bytes) -> None:
    with pytest.raises(Unreachable):
        ask_raw(once(data))


def test_terminal_codes_do_not_get_into_an_error() -> None:
    with pytest.raises(Unreachable) as caught:
        ask_raw(once(b"\x1b[2J\x1b[31mPASSED\x1b[0m\r\n\r\n"))

    assert "\x1b" not in str(caught.value)


def test_terminal_codes_do_not_get_into_the_headers_of_an_answer() -> None:
    answer = ask_raw(
        once(
            b"HTTP/1.1 302 Found\r\nContent-Type: text/\x1b[31mhtml<script>\r\n"
            b"Location: /\x1b[2J<b>\r\nRetry-After: \x1b1\r\nContent-Length: 4\r\n\r\n\x1b<b>"
        )
    )

    assert "\x1b" not in f"{answer} {answer.content_type} {answer.retry_after}"
    assert answer.body == b"\x1b<b>"  # the body is the caller's, as it came


def test_a_body_that_is_not_utf_8_is_an_answer() -> None:
    answer = ask_raw(once(HEAD + b'Content-Length: 6\r\n\r\n{"\xff\xfe"}'[:-1] + b"}"))

    reason = health.json_object(answer)
    assert isinstance(reason, str)
    assert "is not JSON" in reason


def test_endlessly_nested_json_does_not_crash() -> None:
    body = b"[" * 200_000
    answer = ask_raw(once(HEAD + b"Content-Length: 200000\r\n\r\n" + body))

    assert "is not JSON" in str(health.json_object(answer))


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with SmallServer({}) as server:
        server.otherwise = Reply(status=302, headers={"Location": "/again"})
        answer = http.get(f"{server.url}/again", timeout_s=LATE_S)

    assert (answer.status, answer.location) == (302, "/again")
    assert len(server.requests) == 1


def test_a_compressed_body_is_refused_unread() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    with (
        SmallServer({"/x": Reply(bomb, headers={"Content-Encoding": "gzip"})}) as server,
        pytest.raises(NoData, match="encoded as 'gzip'"),
    ):
        http.get(f"{server.url}/x", timeout_s=LATE_S)


def test_a_proxy_of_this_machine_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with SmallServer({"/x": Reply("here")}) as server:
        assert http.get(f"{server.url}/x", timeout_s=LATE_S).body == b"here"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999/", "http://[::1/", "ftp://127.0.0.1/", "http:///x", "nonsense"]
)
def test_an_invalid_address_is_unreachable(url: str) -> None:
    with pytest.raises(Unreachable):
        in_time(lambda: http.get(url, timeout_s=LATE_S))


def test_an_unknown_host_name_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(Unreachable, match="the name cannot be resolved: Name or service not known"):
        in_time(lambda: http.get("http://nowhere.example/", timeout_s=LATE_S))


def test_a_label_too_long_for_a_name_is_unreachable() -> None:
    with pytest.raises(Unreachable):
        in_time(lambda: http.get(f"http://{'a' * 70}.example/", timeout_s=LATE_S))


@pytest.mark.parametrize("token", ["canary-7f3a\nX-Evil: 1", "canary-7f3a-ключ"])
def test_a_token_that_cannot_be_sent_is_not_shown(token: str) -> None:
    with SmallServer({}) as server, pytest.raises(Unreachable) as caught:
        http.get(f"{server.url}/x", timeout_s=LATE_S, bearer=Secret(token))

    shown = f"{caught.value!r} {caught.value}"
    assert "canary-7f3a" not in shown
    assert caught.value.__suppress_context__


def test_user_and_password_of_an_address_are_not_shown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(Unreachable) as caught:
        http.get(f"http://app:hunter22@127.0.0.1:{port}/x", timeout_s=LATE_S)
    assert "hunter22" not in str(caught.value)
    assert f"http://127.0.0.1:{port}/x" in str(caught.value)


def test_the_token_is_sent_or_else_user_and_password() -> None:
    with SmallServer({"/x": Reply("here")}) as server:
        login = server.url.replace("//", "//app:pw@")
        http.get(f"{login}/x", timeout_s=LATE_S, bearer=Secret("canary-9d1c"))
        http.get(f"{login}/x", timeout_s=LATE_S)

    sent = [headers["authorization"] for _, _, headers in server.requests]
    assert sent == ["Bearer canary-9d1c", "Basic YXBwOnB3"]


def test_a_cookie_is_not_kept() -> None:
    with (
        SmallServer({"/x": Reply("here", headers={"Set-Cookie": "a=b"})}) as server,
        http.Session(timeout_s=LATE_S) as session,
    ):
        session.get(f"{server.url}/x")
        session.get(f"{server.url}/x")

    assert "cookie" not in {name for _, _, headers in server.requests for name in headers}


def test_a_session_keeps_its_connection() -> None:
    with SmallServer({"/rows": Reply("{}", 201)}) as server:
        with http.Session(timeout_s=LATE_S) as session:
            for number in range(50):
                answer = session.post(f"{server.url}/rows", b'{"n": %d}' % number)
                assert answer.status == 201
            assert session.request("PUT", f"{server.url}/rows", b"{}").status == 201
        assert server.connections == 1

    assert [method for method, _, _ in server.requests] == ["POST"] * 50 + ["PUT"]
    assert server.requests[0][2]["content-type"] == "application/json"


def test_a_session_survives_an_answer_that_failed() -> None:
    with (
        SmallServer({"/big": Reply("x" * 2000), "/small": Reply("x")}) as server,
        http.Session(timeout_s=LATE_S) as session,
    ):
        with pytest.raises(NoData):
            session.get(f"{server.url}/big", max_bytes=10)
        assert session.get(f"{server.url}/small").status == 200


def test_post_sends_its_body_once() -> None:
    with (
        SmallServer({"/x": Reply(status=503, headers={"Retry-After": "7"})}) as server,
        http.Session(timeout_s=LATE_S) as session,
    ):
        answer = session.post(f"{server.url}/x", b"a,b", content_type="text/csv")

    assert (answer.status, answer.retry_after) == (503, "7")
    assert [(m, h["content-type"]) for m, _, h in server.requests] == [("POST", "text/csv")]


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    openssl = needed(programs.OPENSSL)
    folder: Path = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True,
        capture_output=True,
        timeout=60,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


def test_a_self_signed_certificate_is_not_accepted(self_signed: ssl.SSLContext) -> None:
    reply = once(HEAD + b"Content-Length: 2\r\n\r\nok")
    with raw_server(reply, self_signed) as address:
        with pytest.raises(
            Unreachable, match=r"certificate is not accepted: self.signed"
        ) as caught:
            in_time(lambda: http.get(f"https://{address}/", timeout_s=LATE_S))
        unverified = in_time(
            lambda: http.get(f"https://{address}/", timeout_s=LATE_S, verify=False)
        )

    assert "SSL_CERT_FILE" in caught.value.remedy
    assert unverified.body == b"ok"


@pytest.mark.parametrize(
    ("code", "remedy"),
    [(10, "renew the certificate"), (62, "a name that the certificate has"), (19, "its CA")],
    ids=["expired", "another name", "unknown CA"],
)
def test_the_remedy_of_a_certificate_fixes_the_certificate(code: int, remedy: str) -> None:
    said = http._trusted(code, "https://shop.example.com/health")
    assert remedy in said
    assert "verify_tls" not in said


def test_a_drip_over_tls_is_bounded(self_signed: ssl.SSLContext) -> None:
    def talk(line: Line) -> None:
        line.hear()
        line.drip(HEAD)

    with raw_server(talk, self_signed) as address, pytest.raises(TookTooLong):
        in_time(lambda: http.get(f"https://{address}/", timeout_s=SOON_S, verify=False))


def test_https_to_a_plain_server_and_http_to_a_tls_server(self_signed: ssl.SSLContext) -> None:
    with SmallServer({}) as plain, pytest.raises(Unreachable, match="TLS failed"):
        in_time(lambda: http.get(plain.url.replace("http:", "https:"), timeout_s=LATE_S))
    with (
        raw_server(once(b""), self_signed) as address,
        pytest.raises(CouldNotMeasure),
    ):
        in_time(lambda: http.get(f"http://{address}/", timeout_s=LATE_S))
