"""HTTP to one exchange: one GET, bounded in time and size, no redirects, no cookies, no proxies.

The body is asked for and read as it is (no compression), so that a small answer cannot grow large
in memory. The statuses that mean the same everywhere become errors here; what else an answer says
is its dialect's business.
"""

import aiohttp

from chassis.errors import CannotStart
from pricing.exchanges.dialect import Answer, Request
from pricing.exchanges.errors import Garbled, NoAnswer, Throttled, pause_seconds

BODY_BYTES_MAX = 4 * 1024 * 1024
"""All pairs of a large exchange are under one megabyte."""
_THROTTLED = frozenset({403, 418, 429})
"""Too many requests; banned for not heeding that; stopped by its firewall for the same."""
_FOR_THE_DIALECT = frozenset({200, 400})
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


def open_session() -> aiohttp.ClientSession:
    """Make the session of all exchanges. Close it."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit_per_host=2, ttl_dns_cache=60),
        headers=_HEADERS,
        auto_decompress=False,
    )


class Transport:
    """The way to one exchange."""

    def __init__(
        self, session: aiohttp.ClientSession, base_url: str, timeout_seconds: float
    ) -> None:
        self._session = session
        self._base_url = checked_base_url(base_url)
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)

    async def get(self, request: Request) -> Answer:
        """Ask once. Raises NoAnswer."""
        try:
            async with self._session.get(
                self._base_url + request.path,
                params=request.query,
                timeout=self._timeout,
                allow_redirects=False,
            ) as response:
                if response.status in _THROTTLED:
                    seconds = pause_seconds(response.headers.get("Retry-After"))
                    raise Throttled(f"status {response.status}", delay_seconds=seconds)
                if response.status not in _FOR_THE_DIALECT:
                    raise NoAnswer(f"status {response.status}")
                return Answer(response.status, await _read(response.content))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # The text of these may hold addresses; their names say enough.
            raise NoAnswer(f"it cannot be reached ({type(error).__name__})") from error


async def _read(content: aiohttp.StreamReader) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Garbled(f"the answer is longer than {BODY_BYTES_MAX} bytes")
    return bytes(body)


def checked_base_url(url: str) -> str:
    """Return the URL without a slash at its end. Raises CannotStart."""
    if not url.startswith(("https://", "http://")) or "?" in url or "#" in url:
        raise CannotStart("An exchange's URL must look like https://api.example.com.")
    return url.rstrip("/")
