"""A certificate authority for tests: good certificates, and wrong ones of every kind."""

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chassis.tls_files import TlsSettings

DAY = timedelta(days=1)


def put_into(file: Path, content: bytes | None) -> Path:
    """Have a file hold this, or not be there."""
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    return file


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM, with the authority's certificate."""

    certificate: bytes
    key: bytes
    authority: bytes

    def write(self, folder: Path) -> TlsSettings:
        """Write the three as a mounted Secret has them: behind a link that is swapped."""
        version = folder / f"..{os.urandom(6).hex()}"
        version.mkdir(parents=True)
        files = {"tls.crt": self.certificate, "tls.key": self.key, "ca.crt": self.authority}
        for name, content in files.items():
            (version / name).write_bytes(content)
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(Path("..data") / name)
        swapped = folder / "..data_new"
        swapped.symlink_to(version.name)
        swapped.replace(folder / "..data")
        return TlsSettings(
            tls_certificate_file=folder / "tls.crt",
            tls_key_file=folder / "tls.key",
            tls_ca_file=folder / "ca.crt",
        )


class Authority:
    """Signs what it is told to."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "purser test authority")])
        certificate = (
            self._unsigned(self._name, self._key.public_key(), 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self, *identities: str, ends_in: timedelta = 30 * DAY, hosts: tuple[str, ...] = ()
    ) -> Pair:
        """Issue for parts (or whole URIs) on this machine; ends in the past when told to."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(
                identity if ":" in identity else f"spiffe://purser.dev/{identity}"
            )
            for identity in identities
        ]
        names += [_name_of(host) for host in hosts or ("localhost", "127.0.0.1")]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            self._unsigned(x509.Name([]), key.public_key(), ends_in)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            # Says which of two authorities of one name it was.
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return Pair(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
            self.certificate,
        )

    def _unsigned(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, ends_in: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 40 * DAY)
            .not_valid_after(now + ends_in)
        )


def _name_of(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
