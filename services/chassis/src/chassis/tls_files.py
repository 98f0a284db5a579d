"""A process's certificate, its key and the authority it trusts: three files, used only when they
fit.

They are what cert-manager writes into a Secret. Kubernetes swaps a mounted Secret's files in one
step, but one may be read before the step and the next after it, and a person may write them one by
one. So the three are read, tried, and read again: both ends of a connection in memory introduce
themselves with this certificate and check each other against this authority. What passes that has
the right key, is signed by the authority, is not expired, and may be shown by a server and by a
client. The key leaves this module in `TlsMaterial` alone, which shows nothing of it.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

FILE_BYTES_MAX: Final = 1_048_576
"""Of one file: as much as a Secret may hold. A machine's bundle of all the world's authorities has
a fifth of that, and grows with a company's own."""
HANDSHAKE_ROUNDS_MAX: Final = 10
"""A handshake takes three; more would be one that never ends."""


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a process shows who it is, and whom it believes. All three or none."""

    tls_certificate_file: Path | None = None
    """PEM, the process's own certificate first, then those between it and the authority. Unset:
    calls go in plaintext, which is for one machine."""

    tls_key_file: Path | None = None
    """PEM, the certificate's private key, without a password."""

    tls_ca_file: Path | None = None
    """PEM, the authorities that sign our certificates; several while one replaces another."""

    def __post_init__(self) -> None:
        if 0 < len(self.files) < 3:
            raise ValueError(
                "TLS_CERTIFICATE_FILE, TLS_KEY_FILE and TLS_CA_FILE belong together: "
                "set all three or none."
            )

    @property
    def files(self) -> tuple[Path, ...]:
        """The certificate's file, the key's, the authority's; nothing when TLS is off."""
        files = (self.tls_certificate_file, self.tls_key_file, self.tls_ca_file)
        return tuple(file for file in files if file is not None)


class DoNotFit(Exception):  # noqa: N818 (named like the rest of the tree)
    """The three files cannot be used as they are; the message is a sentence without secrets."""


@dataclass(frozen=True, slots=True, repr=False)
class TlsMaterial:
    """What was in the three files, and fits."""

    certificate: bytes
    key: bytes
    authority: bytes
    expires_at: float
    """When the certificate ends, in seconds since 1970."""


def read_material(files: tuple[Path, ...], known: TlsMaterial | None = None) -> TlsMaterial:
    """Read the three files; gives `known` itself when they hold what it holds. Raises DoNotFit."""
    before = _contents(files)
    if known is not None and before == (known.certificate, known.key, known.authority):
        return known  # trying out takes milliseconds, in which nobody is served
    expires_at = _try_out(files, before[2])
    if _contents(files) != before:
        raise DoNotFit(f"{files[0]} and the files beside it change while they are read.")
    return TlsMaterial(*before, expires_at)


def _contents(files: tuple[Path, ...]) -> tuple[bytes, bytes, bytes]:
    certificate, key, authority = map(content_of, files)
    return certificate, key, authority


def content_of(file: Path) -> bytes:
    """Read one of the files. Raises DoNotFit."""
    try:
        with file.open("rb") as opened:
            content = opened.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise DoNotFit(f"{file} cannot be read: {error.strerror}.") from None
    if not 0 < len(content) <= FILE_BYTES_MAX:
        raise DoNotFit(f"{file} must hold 1 to {FILE_BYTES_MAX} bytes.")
    return content


def _try_out(files: tuple[Path, ...], authority: bytes) -> float:
    """Let the certificate meet itself; gives when it ends."""
    certificate_file, key_file, authority_file = files
    server, client = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )
    client.check_hostname = False  # names are checked against the target, when there is one
    server.verify_mode = ssl.CERT_REQUIRED
    for context in (server, client):
        try:
            # A password would be asked for on the terminal.
            context.load_cert_chain(certificate_file, key_file, password=lambda: "")
        except (OSError, ValueError) as error:
            word = getattr(error, "reason", None) or "no PEM"
            raise DoNotFit(f"{certificate_file} and {key_file} are no pair: {word}.") from None
        # gRPC, too, ends a chain at an authority that another one signed.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(cadata=authority.decode("ascii"))
        except (OSError, ValueError):
            raise DoNotFit(f"{authority_file} holds no certificate of an authority.") from None
    try:
        return _meet(server, client)
    except ssl.SSLCertVerificationError as error:
        why = error.verify_message
    except ssl.SSLError as error:
        why = error.reason or "no handshake"
    raise DoNotFit(f"{certificate_file} is not believed by {authority_file}: {why}.")


def _meet(server: ssl.SSLContext, client: ssl.SSLContext) -> float:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(HANDSHAKE_ROUNDS_MAX):
        waiting = 0
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                waiting += 1
        shown = ends[0].getpeercert() if not waiting else None
        if shown:
            return float(ssl.cert_time_to_seconds(str(shown["notAfter"])))
    raise ssl.SSLError("no handshake")
