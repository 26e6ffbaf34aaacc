"""Certificates and protocols, of a real nginx and of servers that are something else."""

import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from readiness.areas.security.config import Site
from readiness.areas.security.probes import tls
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong, Unreachable
from readiness.servers import programs
from tests.support.edges import Front, judged
from tests.support.processes import needed
from tests.support.small_servers import Line, in_time, raw_server

pytestmark = pytest.mark.contract

OLD = "ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers DEFAULT@SECLEVEL=0;"
MODERN = "ssl_protocols TLSv1.2 TLSv1.3;"


def hears(line: Line) -> None:
    line.hear()


def says_nothing(line: Line) -> None:
    line.stopped.wait(30)


def certificate(edge: Front, **keys: object) -> str:
    return judged("test_site", "test_certificate", edge.site(**keys))


@pytest.mark.fast
def test_good_certificate_passes(edge: Front) -> None:
    assert certificate(edge) == ""


def test_authority_must_be_declared(edge: Front) -> None:
    assert "is not trusted: unable to get local issuer" in certificate(edge, ca_file=None)


def test_self_signed_certificate_is_trusted_where_it_is_declared(
    edge: Front, tmp_path: Path
) -> None:
    key, pem = tmp_path / "key.pem", tmp_path / "own.pem"
    subprocess.run(
        [
            needed(programs.OPENSSL), "req", "-x509", "-nodes", "-newkey", "ec",
            "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "90", "-subj", "/CN=own",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", pem,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    with raw_server(hears, context) as place:
        site = Site.model_validate({"name": "own", "url": f"https://{place}", "ca_file": str(pem)})
        assert judged("test_site", "test_certificate", site) == ""
        site = site.model_copy(update={"ca_file": None})
        assert "self-signed certificate" in judged("test_site", "test_certificate", site)


def test_each_part_of_a_certificate_is_judged_on_its_own(edge: Front) -> None:
    with edge.edge_certificate(days=-3):
        assert certificate(edge).startswith("The certificate of 127.0.0.1 ended 3.0 d ago")
    with edge.edge_certificate("shop.example.com", days=5):
        found = certificate(edge)
    assert "is for shop.example.com, not for 127.0.0.1" in found
    assert "ends in 5.0 d; at least 14 d" in found
    assert "trusted" not in found


def test_weak_key_is_found(edge: Front) -> None:
    weak = f"{MODERN} ssl_ciphers DEFAULT@SECLEVEL=0;"
    with edge.edit_edge((MODERN, weak)), edge.edge_certificate(bits=1024):
        found = certificate(edge)
    assert found.startswith("The key of the certificate is weak: RSA with 1024 bits")


@pytest.mark.parametrize(
    ("name", "host", "covers"),
    [
        ("shop.example.com", "SHOP.example.com", True),
        ("*.example.com", "shop.example.com", True),
        ("*.example.com", "a.shop.example.com", False),
        ("*.example.com", "example.com", False),
        ("*", "com", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("*.0.0.1", "127.0.0.1", False),
        ("2001:db8::1", "2001:0db8:0:0::1", True),
        ("shop.example.com", "127.0.0.1", False),
    ],
)
def test_names_are_compared_as_clients_do(name: str, host: str, *, covers: bool) -> None:
    assert tls._covers(name, host) is covers


def test_m15_old_protocols_are_offered_whatever_this_openssl_can(edge: Front) -> None:
    site = edge.site()
    assert tls.protocols(site).accepted == ()
    with edge.edit_edge((MODERN, OLD)):
        assert tls.protocols(site).accepted == ("TLS 1.0", "TLS 1.1")
        assert openssl_accepts(site, "-tls1")
    assert not openssl_accepts(site, "-tls1")


def openssl_accepts(site: Site, protocol: str) -> bool:
    """The judgement of another client."""
    openssl = needed(programs.OPENSSL)
    place = f"{site.host}:{site.port}"
    done = subprocess.run(
        [openssl, "s_client", "-connect", place, protocol, "-cipher", "DEFAULT@SECLEVEL=0"],
        input=b"", capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    return b"Cipher    : 0000" not in done.stdout and b"Protocol  : TLSv1" in done.stdout


def test_server_with_tls_1_3_alone_refuses_all_old_ones(edge: Front) -> None:
    with edge.edit_edge((MODERN, "ssl_protocols TLSv1.3;")):
        assert tls.protocols(edge.site()).accepted == ()


def test_m15_refusal_by_a_server_that_refuses_everything_is_an_error() -> None:
    def closes(line: Line) -> None:
        line.connection.recv(1024)

    with raw_server(closes) as place, pytest.raises(NoData, match="our offer of TLS 1"):
        in_time(lambda: tls.protocols(at(place)))


def at(place: str) -> Site:
    return Site.model_validate({"name": "x", "url": f"https://{place}", "timeout_s": 1})


PROBES = [tls.protocols, tls.certificate]


@pytest.mark.parametrize("probe", PROBES)
def test_host_that_does_not_speak_tls_is_an_error(probe: object) -> None:
    def speaks_http(line: Line) -> None:
        line.connection.recv(1024)
        line.say(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    assert callable(probe)
    with raw_server(speaks_http) as place, pytest.raises(Unreachable, match="TLS"):
        in_time(lambda: probe(at(place)))


@pytest.mark.parametrize("probe", PROBES)
def test_host_that_is_down_or_silent_is_an_error(probe: object) -> None:
    assert callable(probe)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = f"127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(Unreachable, match="connection refused"):
        probe(at(free))
    with raw_server(says_nothing) as place:
        with pytest.raises(CouldNotMeasure) as silent:
            in_time(lambda: probe(at(place)))
        assert isinstance(silent.value, TookTooLong | NoData)
