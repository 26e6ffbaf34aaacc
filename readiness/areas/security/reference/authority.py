"""A certificate authority for tests: a root, an authority below it, and certificates of sites."""

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

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
