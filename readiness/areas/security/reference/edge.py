"""The edge of the reference system: nginx with TLS in front of the service, and its levers."""

import contextlib
import ipaddress
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from readiness.areas.security.reference.publish import CACHES, publish
from readiness.areas.security.reference.target import CA_FILE, OLD_NEWS, Front
from readiness.lib.guardian import Guardian
from readiness.model.errors import ReferenceSystemError
from readiness.servers import programs
from readiness.servers.files import kept, replace_in
from readiness.servers.levers import Lever
from readiness.servers.processes import Daemon, free_port

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
SITE: Final = "site.pem"
KEY: Final = "site.key"
_YEARS: Final = timedelta(days=3650)
_SKEW: Final = timedelta(hours=1)


class Authority:
    """An authority that signs certificates.

    Args:
        name: the common name of its certificate.
        above: the authority that signs that; by default itself.

    Attributes:
        certificate: its own certificate, in PEM.
    """

    def __init__(self, name: str, above: "Authority | None" = None) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        built = (
            _builder(self._name, (above or self).name, self._key, _YEARS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_signs(certificates=True), critical=True)
        )
        self.certificate = (above or self).sign(built)

    @property
    def name(self) -> x509.Name:
        """The name that its certificates say they are from."""
        return self._name

    def sign(self, built: x509.CertificateBuilder) -> bytes:
        """Sign a certificate; in PEM."""
        return built.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        folder: Path,
        names: Iterable[str],
        *,
        days: float = 90,
        bits: int = 0,
        chain: bool = True,
    ) -> None:
        """Write a certificate with its chain up to the root, `SITE`, and its key, `KEY`.

        Args:
            folder: where to.
            names: hosts and addresses.
            days: until it ends; negative for one that has ended.
            bits: of an RSA key; 0 for an elliptic curve.
            chain: whether the authority's own certificate follows.
        """
        key: Key = (
            rsa.generate_private_key(65537, bits)
            if bits
            else ec.generate_private_key(ec.SECP256R1())
        )
        built = (
            _builder(_named("shop"), self._name, key, timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(list(map(_general, names))), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_signs(certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        (folder / SITE).write_bytes(self.sign(built) + (self.certificate if chain else b""))
        private = folder / KEY
        private.touch(mode=0o600)
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, until: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + until) - _SKEW)
        .not_valid_after(now + until)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _signs(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


PART: Final = "edge"
ADDRESS: Final = "127.0.0.1"
_NAMES: Final = (ADDRESS, "shop.example.com")
_CONFIG: Final = "nginx.conf"
_FOLDERS: Final = ("temp", *CACHES, "www/login", "www/search", "www/news")
_PAGES: Final = {
    "www/index.html": "<h1>Shop</h1>",
    "www/login/index.html": "<h1>Log in</h1>",
    "www/search/index.html": "<h1>Search</h1>",
}


class Edge:
    """nginx in front of the service.

    Args:
        program: the path of nginx.
        service: the port of the service.
        folder: for its files; made here.
        guardian: stops it when this process dies.

    Attributes:
        folder: its files.
        daemon: nginx; it also answers on a port without TLS once it runs.
        config: the configuration that nginx reads.
    """

    def __init__(self, program: str, service: int, folder: Path, guardian: Guardian) -> None:
        self._program = program
        self._service = service
        self._port = self._plain_port = self._replica_port = 0
        root = Authority("Reference root")
        self._authority = Authority("Reference authority", root)
        self.folder = folder
        folder.mkdir()
        self.daemon = Daemon(PART, self._command, folder, guardian)
        self.config = folder / _CONFIG
        for place in _FOLDERS:
            (folder / place).mkdir(parents=True)
        for name, heading in _PAGES.items():
            page = f"<!doctype html><title>Shop</title>{heading}"
            (folder / name).write_text(page, encoding="utf-8")
        publish(folder, OLD_NEWS)
        (folder / CA_FILE).write_bytes(root.certificate)
        self.issue()

    @property
    def front(self) -> Front:
        """How clients reach it."""
        return Front(
            url=f"https://{ADDRESS}:{self._port}",
            plain=f"http://{ADDRESS}:{self._plain_port}",
            replica=f"https://{ADDRESS}:{self._replica_port}",
            origin=self.daemon.url,
            folder=self.folder,
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """What nginx reads when it starts."""
        return (self.config, self.folder / SITE, self.folder / KEY)

    def issue(self, *names: str, **how: Any) -> None:
        """Give it another certificate; see `Authority.issue`. nginx reads it when it starts."""
        self._authority.issue(self.folder, names or _NAMES, **how)

    def _command(self, control: int) -> list[str]:
        if not self.daemon.port:  # not a restart, which keeps its ports
            self._port, self._plain_port = free_port(), free_port()
            self._replica_port = free_port()
            self.config.write_text(self._filled(control), encoding="utf-8")
        return [self._program, "-p", f"{self.folder}/", "-e", "stderr", "-c", _CONFIG]

    def _filled(self, control: int) -> str:
        template = resources.files("readiness.areas.security.reference").joinpath(_CONFIG)
        text = template.read_text(encoding="utf-8")
        values = {
            "CONTROL": control,
            "PLAIN": self._plain_port,
            "REPLICA": self._replica_port,
            "PORT": self._port,
            "SERVICE": self._service,
            "USER": "user root;" if os.geteuid() == 0 else "",
        }
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        return text


def start_edge(service: int, folder: Path, guardian: Guardian) -> Edge | str:
    """Start nginx in front of the service on a port; else the reason why there is none.

    Raises:
        ReferenceSystemError: nginx is there and does not start.
    """
    try:
        program = programs.get(programs.NGINX)
    except programs.AbsentError as problem:
        return problem.sentence
    edge = Edge(program, service, folder, guardian)
    edge.daemon.start()
    return edge


class EdgeLevers:
    """Breaks the edge, and what the service accepts behind it; a part of `Levers`."""

    _edge: Edge | None

    @contextlib.contextmanager
    def edit_edge(self, *changes: tuple[str, str]) -> Iterator[None]:
        """Replace texts in the configuration of nginx, and restart it.

        Raises:
            ReferenceSystemError: this system has no edge, or the file does not contain a text.
        """
        edge = self._its_edge()
        with self._changed(edge):
            for old, new in changes:
                replace_in(edge.config, old, new)
            edge.daemon.start()
            yield

    @contextlib.contextmanager
    def edge_certificate(self, *names: str, **how: Any) -> Iterator[None]:
        """Give the edge another certificate; see `Authority.issue`."""
        edge = self._its_edge()
        with self._changed(edge):
            edge.issue(*names, **how)
            edge.daemon.start()
            yield

    def edge_serves(self, path: str, body: str, *, status: int = 200, header: str = "") -> Lever:
        """Let the edge answer one more path."""
        location = f"location = {path} {{ {header} return {status} '{body}'; }}"
        return self.edit_edge(
            ("location = /metrics {", f"{location}\n        location = /metrics {{")
        )

    @contextlib.contextmanager
    def _changed(self, edge: Edge) -> Iterator[None]:
        """Stopped at the beginning, to be started by the block; as before at the end."""
        with contextlib.ExitStack() as stack:
            stack.callback(edge.daemon.start)  # the last step, once the files are as before
            for file in edge.files:
                stack.enter_context(kept(file))
            stack.callback(edge.daemon.stop)
            edge.daemon.stop()
            yield

    def _its_edge(self) -> Edge:
        if self._edge is None:
            raise ReferenceSystemError("this system has no edge")
        return self._edge
