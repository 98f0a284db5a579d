"""A certificate authority for trying out, and a certificate for each part.

A part is known to the others by the one URI name in its certificate, and is found under the names
of its Service, and of the pods behind a headless one. The authority's key is kept, in a Secret of
its own, so that a Secret that was deleted is made again under the same authority; cert-manager does
all this better and renews.
"""

import datetime as dt
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devbox.cluster_secrets.wanted import NAME
from devbox.errors import CannotBegin

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
"""Nothing renews these: long enough for any trial. Delete a Secret and ask again for a new one."""
CLOCK_SKEW = dt.timedelta(minutes=5)
TRUST_DOMAIN = "purser.dev"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key as PEM."""

    certificate: str
    key: str = field(repr=False)


class Authority:
    """Signs the parts' certificates."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def make(cls, now: dt.datetime) -> "Authority":
        """Make a new one, good for AUTHORITY_DAYS."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _subject(f"{NAME} trial authority")
        builder = _unsigned(name, name, key.public_key(), now, AUTHORITY_DAYS)
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def read(cls, kept: Certificate) -> "Authority":
        """Take up one that was kept. Raises CannotBegin when it cannot sign."""
        try:
            certificate = x509.load_pem_x509_certificate(kept.certificate.encode())
            key = serialization.load_pem_private_key(kept.key.encode(), password=None)
        except ValueError:
            raise CannotBegin("The kept certificate authority cannot be read.") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CannotBegin("The kept certificate authority's key is of another kind.")
        if key.public_key() != certificate.public_key():
            raise CannotBegin(
                "The kept certificate authority's key is not that of its certificate."
            )
        return cls(certificate, key)

    def to_keep(self) -> Certificate:
        """Give what `read` takes."""
        return Certificate(self.certificate, _pem(self._key))

    @property
    def certificate(self) -> str:
        """What everybody trusts, as PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, part: str, namespace: str, now: dt.datetime) -> Certificate:
        """Make a part's certificate, good for calling and for being called."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject, issuer = _subject(f"{NAME}-{part}"), self._certificate.subject
        names = x509.SubjectAlternativeName(
            [
                x509.UniformResourceIdentifier(f"spiffe://{TRUST_DOMAIN}/{part}"),
                *map(x509.DNSName, server_names(part, namespace)),
            ]
        )
        uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        of_authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            _unsigned(subject, issuer, key.public_key(), now, CERTIFICATE_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(of_authority, critical=False)
            .add_extension(names, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return Certificate(certificate.public_bytes(serialization.Encoding.PEM).decode(), _pem(key))


def server_names(part: str, namespace: str) -> list[str]:
    """Name a part's Service as pods may, and the pods behind it."""
    service = f"{NAME}-{part}"
    forms = [service, f"{service}.{namespace}", f"{service}.{namespace}.svc"]
    forms.append(f"{service}.{namespace}.svc.cluster.local")
    return [*forms, *(f"*.{form}" for form in forms)]


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _unsigned(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
