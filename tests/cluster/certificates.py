"""The control plane's own little certificate authority.

Every run makes a new one: the API server's certificate, a key to sign ServiceAccount tokens with,
and a client certificate for each who calls (Kubernetes reads the user from the common name and the
groups from the organisations). Keys are written with mode 0600 into the run's folder and go with
it.
"""

import datetime as dt
import ipaddress
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME_DAYS = 7
"""Longer than anybody keeps a test control plane, too short to be of use if one is ever left
behind.
"""


@dataclass(frozen=True)
class Credentials:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "Credentials(…)"

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Writes `name.crt` and `name.key` into `folder` and returns both paths."""
        certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
        write_private(certificate, self.certificate)
        write_private(key, self.key)
        return certificate, key


class Authority:
    """Signs certificates for one run. Kept in memory only: no new ones can be made when the run is
    over.
    """

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject("purser-test-authority")
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            _unsigned(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM)

    def server(
        self, name: str, addresses: Iterable[str] = (), names: Iterable[str] = ()
    ) -> Credentials:
        """For a server that is reached at 127.0.0.1 or localhost, and at what else is named."""
        reached = sorted({"127.0.0.1", *addresses})
        alternatives = x509.SubjectAlternativeName(
            [
                *(x509.DNSName(each) for each in ("localhost", *names)),
                *(x509.IPAddress(ipaddress.IPv4Address(each)) for each in reached),
            ]
        )
        return self._issue(_subject(name), ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def client(self, user: str, *groups: str) -> Credentials:
        """For a caller whom Kubernetes shall know as `user`, member of `groups`."""
        return self._issue(_subject(user, *groups), ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def _issue(
        self,
        subject: x509.Name,
        usage: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None,
    ) -> Credentials:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _unsigned(subject, self._name, key.public_key()).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Credentials(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def signing_key() -> bytes:
    """A private key (PEM) for signing ServiceAccount tokens."""
    return _pem(ec.generate_private_key(ec.SECP256R1()))


def write_private(file: Path, content: bytes) -> None:
    """Writes a new file that only its owner can read, at no moment with a wider mode."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        output.write(content)


def _subject(common_name: str, *organisations: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organisations),
        ]
    )


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + dt.timedelta(days=LIFETIME_DAYS))
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        # Not PKCS8: the API server finds the public half of a signing key in this older form only.
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
