"""What a site's TLS offers: its certificate, and the protocols that it accepts.

Old protocols are offered by a ClientHello of our own: the OpenSSL of this machine may not be able
to, and its error would look like a refusal.
"""

import ipaddress
import os
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final

from readiness.areas.security.config import Site
from readiness.lib.http import trust
from readiness.lib.text import clean
from readiness.model.errors import NoData, TookTooLong, Unreachable

if TYPE_CHECKING:
    from cryptography.x509 import Certificate as Parsed

OLD: Final = {"SSL 3.0": 0x0300, "TLS 1.0": 0x0301, "TLS 1.1": 0x0302}
"""The protocols that RFC 7568 and RFC 8996 deprecate, with their numbers."""
_MODERN: Final = 0x0303
# ECDHE, RSA and DHE with AES, 3DES and RC4: what servers with old protocols speak.
_CIPHERS: Final = (
    *(0xC02F, 0xC030, 0xC02B, 0xC02C, 0x009C, 0x009D, 0xCCA8, 0xCCA9, 0x009E, 0x009F),
    *(0xC014, 0xC013, 0xC00A, 0xC009, 0x0035, 0x002F, 0x0039, 0x0033),
    *(0xC012, 0xC008, 0x000A, 0x0016, 0xC011, 0xC007, 0x0005, 0x0004),
)
_HANDSHAKE: Final = 22
_ALERT: Final = 21
_SERVER_HELLO: Final = 2
_PROTOCOL_VERSION: Final = 70
_HEAD_BYTES: Final = 5
_HELLO_BYTES: Final = 6
# OpenSSL: X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_EE_KEY_TOO_SMALL.
_BY_DATE: Final = {9, 10}
_BY_KEY: Final = 66
_DAY_S: Final = 86400
_LEAST_BITS: Final = {"RSA": 2048, "EC": 256}


@dataclass(frozen=True, slots=True)
class Chain:
    """Whether the certificate is signed by an authority that is trusted.

    Attributes:
        problem: why it is not, in the words of OpenSSL; empty if it is.
        by_date: whether the only reason is that a certificate of the chain has ended, or is not
            valid yet.
    """

    problem: str = ""
    by_date: bool = False


@dataclass(frozen=True)
class Certificate:
    """The certificate that a site presents.

    Attributes:
        der: as it was presented.
        host: the name that was asked for.
        chain: whether it is trusted.
        protocol: the protocol that was negotiated.
    """

    der: bytes
    host: str
    chain: Chain
    protocol: str

    @cached_property
    def _parsed(self) -> "Parsed":
        from cryptography import x509

        try:
            return x509.load_der_x509_certificate(self.der)
        except ValueError as problem:
            raise NoData(
                f"the certificate cannot be read: {clean(str(problem))}", where=self.host
            ) from None

    @property
    def days(self) -> float:
        """Days until it ends; negative once it has ended."""
        left = self._parsed.not_valid_after_utc - datetime.now(UTC)
        return left.total_seconds() / _DAY_S

    @property
    def has_begun(self) -> bool:
        """Whether it is valid already."""
        return self._parsed.not_valid_before_utc <= datetime.now(UTC)

    @property
    def names(self) -> list[str]:
        """The hosts and addresses that it was issued for; the common name does not count."""
        from cryptography import x509

        try:
            found = self._parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (x509.ExtensionNotFound, ValueError):
            return []
        hosts = found.value.get_values_for_type(x509.DNSName)
        addresses = found.value.get_values_for_type(x509.IPAddress)
        return [*hosts, *map(str, addresses)]

    @property
    def covers_host(self) -> bool:
        """Whether one of its names is that of the site."""
        return any(_covers(name, self.host) for name in self.names)

    @property
    def weakness(self) -> str:
        """What is wrong with its key; empty if it is long enough."""
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        key = self._parsed.public_key()
        kind = "RSA" if isinstance(key, rsa.RSAPublicKey) else "EC"
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            return ""  # Ed25519 and Ed448 have one length
        if key.key_size >= _LEAST_BITS[kind]:
            return ""
        return f"{kind} with {key.key_size} bits; at least {_LEAST_BITS[kind]} are needed"


def certificate(site: Site) -> Certificate:
    """The certificate that the site presents, whether it is valid or not.

    Raises:
        Unreachable: it does not answer, or does not speak TLS.
        TookTooLong: not in time.
    """
    lenient = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    lenient.check_hostname = False
    lenient.verify_mode = ssl.CERT_NONE
    lenient.set_ciphers("DEFAULT@SECLEVEL=0")  # a weak key is judged, not refused
    with _handshake(site, lenient) as line:
        der, protocol = line.getpeercert(binary_form=True), line.version()
    if not der:
        raise NoData("presents no certificate", where=site.url)
    return Certificate(der, site.host, _chain(site), protocol or "")


def _chain(site: Site) -> Chain:
    strict = trust(authority=site.ca_file or "")
    strict.check_hostname = False
    try:
        with _handshake(site, strict):
            return Chain()
    except ssl.SSLCertVerificationError as problem:
        if problem.verify_code == _BY_KEY:
            return Chain()
        return Chain(clean(problem.verify_message), problem.verify_code in _BY_DATE)


@dataclass(frozen=True, slots=True)
class Protocols:
    """How a site answers old protocols.

    Attributes:
        accepted: the old ones that it accepts.
        refused: those that it refuses.
    """

    accepted: tuple[str, ...]
    refused: tuple[str, ...]


def protocols(site: Site) -> Protocols:
    """Offer each old protocol to the site.

    An alert "protocol version" is a refusal. Anything else could also mean that our offer is not
    understood: then the same offer with TLS 1.2 must be, by being accepted or by that alert.

    Raises:
        Unreachable: it does not answer, or does not speak TLS.
        NoData: a refusal proves nothing, as the offer of TLS 1.2 is not understood either.
        TookTooLong: not in time.
    """
    said = {name: _offered(site, number) for name, number in OLD.items()}
    unclear = [name for name, answer in said.items() if answer == "unclear"]
    if unclear and _offered(site, _MODERN) == "unclear":
        raise NoData(
            f"does not understand our offer of TLS 1.2 either, so that its refusal of"
            f" {', '.join(unclear)} proves nothing",
            where=site.url,
            remedy=f"look with another client: openssl s_client -connect {site.host}:{site.port}",
        )
    return Protocols(
        tuple(name for name, answer in said.items() if answer == "accepted"),
        tuple(name for name, answer in said.items() if answer != "accepted"),
    )


def _offered(site: Site, version: int) -> str:
    """`accepted`, `refused` by an alert that names the version, or `unclear`."""
    with _connected(site) as line:
        line.sendall(_client_hello(site.host, version))
        try:
            kind, body = _record(line, site)
        except (ConnectionError, TimeoutError, EOFError):
            return "unclear"
    if kind == _HANDSHAKE and body[:1] == bytes([_SERVER_HELLO]):
        chosen = int.from_bytes(body[4:6], "big")
        return "accepted" if chosen == version else "refused"
    return "refused" if body[1:2] == bytes([_PROTOCOL_VERSION]) else "unclear"


def _client_hello(host: str, version: int) -> bytes:
    """A ClientHello (RFC 5246, 7.4.1.2) that offers nothing above `version`."""
    ciphers = b"".join(struct.pack(">H", cipher) for cipher in (*_CIPHERS, 0x00FF))
    extensions = _extension(10, _sized(struct.pack(">4H", 29, 23, 24, 25), 2))  # curves
    extensions += _extension(11, b"\x01\x00")  # uncompressed points
    if version >= _MODERN:
        pairs = (0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601, 0x0201)
        extensions += _extension(13, _sized(struct.pack(f">{len(pairs)}H", *pairs), 2))
    if not _is_address(host):
        name = b"\x00" + _sized(host.encode("idna"), 2)
        extensions += _extension(0, _sized(name, 2))
    hello = struct.pack(">H", version) + os.urandom(32) + b"\x00"
    hello += _sized(ciphers, 2) + b"\x01\x00"
    if version > OLD["SSL 3.0"]:
        hello += _sized(extensions, 2)
    message = b"\x01" + _sized(hello, 3)
    return bytes([_HANDSHAKE]) + struct.pack(">H", min(version, 0x0301)) + _sized(message, 2)


def _extension(number: int, content: bytes) -> bytes:
    return struct.pack(">H", number) + _sized(content, 2)


def _sized(content: bytes, width: int) -> bytes:
    return len(content).to_bytes(width, "big") + content


def _record(line: socket.socket, site: Site) -> tuple[int, bytes]:
    """The type of a record, and its first bytes: of a ServerHello they are enough.

    Raises:
        Unreachable: it is neither a handshake nor an alert.
    """
    head = _exactly(line, _HEAD_BYTES)
    if head[0] not in (_HANDSHAKE, _ALERT):
        raise Unreachable(
            "does not speak TLS",
            where=site.url,
            remedy=f"check host and port: openssl s_client -connect {site.host}:{site.port}",
        )
    return head[0], _exactly(line, min(int.from_bytes(head[3:5], "big"), _HELLO_BYTES))


def _exactly(line: socket.socket, length: int) -> bytes:
    read = b""
    while len(read) < length:
        more = line.recv(length - len(read))
        if not more:
            raise EOFError
        read += more
    return read


def _covers(name: str, host: str) -> bool:
    """Whether a name of a certificate is that of the host (RFC 6125, 6.4)."""
    if _is_address(host) or _is_address(name):
        return name == host or (
            _is_address(name)
            and _is_address(host)
            and ipaddress.ip_address(name) == ipaddress.ip_address(host)
        )
    pattern, asked = name.lower().rstrip("."), host.lower().rstrip(".")
    if not pattern.startswith("*."):
        return pattern == asked
    _, _, parent = asked.partition(".")
    return bool(parent) and parent == pattern[2:]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@contextmanager
def _handshake(site: Site, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    name = None if _is_address(site.host) else site.host
    with _connected(site) as line:
        try:
            secured = context.wrap_socket(line, server_hostname=name)
        except ssl.SSLCertVerificationError:
            raise
        except (ssl.SSLError, ConnectionError) as problem:
            reason = getattr(problem, "reason", None) or "the connection was closed"
            raise Unreachable(
                f"TLS failed: {clean(str(reason))}",
                where=site.url,
                remedy=f"look at it: openssl s_client -connect {site.host}:{site.port}",
            ) from None
        with secured:
            yield secured


@contextmanager
def _connected(site: Site) -> Iterator[socket.socket]:
    remedy = f"check that it runs and listens: curl -sv --max-time 5 '{site.url}'"
    try:
        with socket.create_connection((site.host, site.port), site.timeout_s) as line:
            yield line
    except TimeoutError:
        raise TookTooLong(
            f"no answer within {site.timeout_s:g} s", where=site.url, remedy=remedy
        ) from None
    except socket.gaierror as problem:
        raise Unreachable(
            f"the name cannot be resolved: {clean(str(problem.strerror))}",
            where=site.url,
            remedy=remedy,
        ) from None
    except ssl.SSLCertVerificationError:
        raise
    except OSError as problem:
        raise Unreachable(
            os.strerror(problem.errno).lower() if problem.errno else "the connection was lost",
            where=site.url,
            remedy=remedy,
        ) from None
