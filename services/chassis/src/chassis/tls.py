"""Certificates that are renewed under a running process.

`Certificates` holds what the three files of `chassis.tls_files` held when they last fitted, and
looks at them every `RELOAD_SECONDS`. What does not fit (half-written, another certificate's key,
expired) is told once and not used: the old ones stay. At the start there are no old ones, and the
process says why it cannot begin.

Connections keep the certificate they were opened with. A server asks for the newest at each new
connection; a caller opens a new channel (`chassis.grpc_renewal`). Servers close connections after
`max_connection_age_seconds`, so that soon nobody shows the old one.
"""

import asyncio
import time
from functools import lru_cache
from pathlib import Path
from typing import Final

import grpc
from prometheus_client import Counter, Gauge

from chassis.errors import NotYet
from chassis.telemetry import get_logger
from chassis.tls_files import DoNotFit, TlsMaterial, TlsSettings, read_material

RELOAD_SECONDS: Final = 5.0
"""How often the files are looked at. Kubernetes itself takes a minute to bring them."""
EXPIRY_WARNING_DAYS: Final = 7.0
"""Who renews had until now; cert-manager does so when a third of the time is left."""
EXPIRY_WARNING_SECONDS: Final = 21_600.0
"""How often that is said: six hours."""

_DAY_SECONDS = 86_400.0

_DAYS_LEFT = Gauge(
    "purser_tls_certificate_days_left", "Days until the certificate in use ends", ["file"]
)
_LOOKS = Counter(
    "purser_tls_reloads_total",
    "New certificate files, by whether they were taken up or the old ones kept",
    ["outcome"],
)

_log = get_logger(__name__)


class Certificates:
    """What the files held when they last fitted."""

    def __init__(self, files: tuple[Path, ...]) -> None:
        """Read the files. Raises NotYet when they do not fit: they may be written any moment."""
        self._files = files
        try:
            self.material = read_material(files)
        except DoNotFit as error:
            raise NotYet(f"TLS cannot be used: {error}") from None
        self._complaint = ""
        self._look_at = time.monotonic() + RELOAD_SECONDS
        self._warn_at = 0.0
        _DAYS_LEFT.labels(str(files[0])).set_function(self.days_left)
        self._warn_of_expiry()

    def days_left(self) -> float:
        """Days until the certificate in use ends; negative afterwards."""
        return (self.material.expires_at - time.time()) / _DAY_SECONDS

    def newest(self) -> TlsMaterial:
        """Give what fits, after a look at the files if the last one is `RELOAD_SECONDS` ago.

        To be called from the event loop's thread.
        """
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + RELOAD_SECONDS
            self._look()
        return self.material

    async def follow(self) -> None:
        """Look again and again, until cancelled: an idle process must notice too."""
        while True:
            await asyncio.sleep(RELOAD_SECONDS)
            self.newest()

    def _look(self) -> None:
        try:
            found = read_material(self._files, self.material)
        except DoNotFit as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                _LOOKS.labels("kept").inc()
                _log.warning("certificate_kept", why=self._complaint, days_left=self._rounded())
        else:
            self._complaint = ""
            if found is not self.material:
                self.material = found
                self._warn_at = 0.0
                _LOOKS.labels("taken").inc()
                _log.info("certificate_taken", file=str(self._files[0]), days_left=self._rounded())
        self._warn_of_expiry()

    def _warn_of_expiry(self) -> None:
        if self.days_left() < EXPIRY_WARNING_DAYS and time.monotonic() >= self._warn_at:
            self._warn_at = time.monotonic() + EXPIRY_WARNING_SECONDS
            _log.warning(
                "certificate_ends_soon", file=str(self._files[0]), days_left=self._rounded()
            )

    def _rounded(self) -> float:
        return round(self.days_left(), 1)


@lru_cache(maxsize=8)
def certificates_of(settings: TlsSettings) -> Certificates | None:
    """Give the certificates of these files, the same to every server and channel of the process;
    None when TLS is off. Raises NotYet.
    """
    return Certificates(settings.files) if settings.files else None


def require_files(settings: TlsSettings) -> None:
    """Raise NotYet when TLS is asked for and its files do not fit.

    To be asked before anything is begun that others would notice: a room that waits for its
    certificate begins again with each look.
    """
    certificates_of(settings)


def server_credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Make what a server shows to callers; who shows no certificate of our authority gets no
    connection.
    """
    given = certificates.material

    def newer() -> grpc.ServerCertificateConfiguration | None:
        """Runs at each new connection, in a thread of gRPC's: reads an attribute, no file."""
        nonlocal given
        newest = certificates.material
        if newest is given:
            return None
        given = newest
        return _configuration(newest)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(given), newer, require_client_authentication=True
    )


def channel_credentials(material: TlsMaterial) -> grpc.ChannelCredentials:
    """Make what a caller shows; the server must be the host that the target names."""
    return grpc.ssl_channel_credentials(material.authority, material.key, material.certificate)


def _configuration(material: TlsMaterial) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(material.key, material.certificate)], material.authority
    )
