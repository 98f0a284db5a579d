"""Whom a client believes to be the server it asks, and what is wrong with whom it does not.

A server's certificate is checked always: signed by an authority that is believed, for the name that
was asked for, not expired. There is no switch for less, and no way back to plaintext.

Believed are the machine's authorities, or those of one file and nobody else. The file may be
renewed at any time: it is read at each new connection, and what it held last is kept while it does
not fit. Connections that stand are not ended for it.
"""

import ssl
from pathlib import Path

from chassis.errors import NotYet
from chassis.telemetry import get_logger
from chassis.tls_files import DoNotFit, content_of

__all__ = ["NO_TLS", "Trust", "what_is_wrong"]

NO_TLS = "it does not speak TLS"

_CHAIN_LENGTH_MAX = 10
"""How many exceptions one may hide behind: a library wraps each once or twice."""

_SAID_IN_PLAINTEXT = frozenset(
    {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNKNOWN_PROTOCOL", "HTTP_REQUEST"}
)
_CERTIFICATE_WANTED = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
_REFUSED = "SSLV3_ALERT_HANDSHAKE_FAILURE"
"""TLS 1.2 has no word of its own for a certificate that is missing."""

_log = get_logger(__name__)


class Trust:
    """The authorities that are believed."""

    def __init__(self, file: Path | None) -> None:
        """Read the file; None means the machine's own authorities.

        Raises NotYet when it does not fit: it may be written any moment.
        """
        self._file = file
        self._held = b""
        self._complaint = ""
        if file is None:
            # Once for all connections: it takes 50 ms and a megabyte.
            self._context = _bounded(ssl.create_default_context())
            return
        try:
            self._context = self._read(file)
        except DoNotFit as error:
            raise NotYet(f"TLS cannot be used: {error}") from None

    def context(self) -> ssl.SSLContext:
        """Give what the next connection is checked by."""
        if self._file is None:
            return self._context
        try:
            self._context = self._read(self._file)
            self._complaint = ""
        except DoNotFit as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.warning("authority_kept", why=self._complaint)
        return self._context

    def _read(self, file: Path) -> ssl.SSLContext:
        found = content_of(file)
        if found == self._held:
            return self._context
        context = _bounded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        # A provider may give the authority that signs its servers, and not the one above it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        try:
            # What stands around the certificates may be in any language.
            context.load_verify_locations(cadata=found.decode("ascii", "ignore"))
        except (OSError, ValueError):
            raise DoNotFit(f"{file} holds no certificate of an authority.") from None
        if self._held:
            _log.info("authority_taken", file=str(file))
        self._held = found
        return context


def _bounded(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def what_is_wrong(error: BaseException) -> str | None:
    """Say in words without secrets why there is no TLS with a server; None: that is not why.

    Looks also behind the exception at what it was made from.
    """
    behind: BaseException | None = error
    for _ in range(_CHAIN_LENGTH_MAX):
        if behind is None:
            return None
        if isinstance(behind, ssl.SSLCertVerificationError):
            return f"its certificate is not believed: {behind.verify_message.rstrip('.')}"
        if isinstance(behind, ssl.SSLError):
            return _in_words(behind.reason or "")
        behind = behind.__cause__ or behind.__context__
    return None


def _in_words(reason: str) -> str:
    if reason in _SAID_IN_PLAINTEXT:
        return NO_TLS
    if reason == _CERTIFICATE_WANTED:
        return "it wants a certificate of ours, which is not shown"
    if reason == _REFUSED:
        return "it wants a certificate of ours, which is not shown, or no cipher is known to both"
    return f"no TLS with it: {reason.replace('_', ' ').lower() or 'it broke off'}"
