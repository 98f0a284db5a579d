"""Asks a container how it is, in the four ways Kubernetes knows, against the pod's own address.

An attempt is one question with a yes or no; `verdicts` is the sequence of answers that counts,
after the thresholds.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import aiohttp
import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.cluster.api import JsonObject

INITIAL_DELAY_SECONDS = 0
PERIOD_SECONDS = 10
TIMEOUT_SECONDS = 1
SUCCESS_THRESHOLD = 1
FAILURE_THRESHOLD = 3
"""These five are Kubernetes' own defaults for what a probe leaves out."""


async def verdicts(
    probe: JsonObject, attempt: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bool]:
    """Attempts once per period for ever; tells each answer that enough attempts in a row have
    given.
    """
    await asyncio.sleep(probe.get("initialDelaySeconds", INITIAL_DELAY_SECONDS))
    in_a_row = {True: 0, False: 0}
    needed = {
        True: probe.get("successThreshold", SUCCESS_THRESHOLD),
        False: probe.get("failureThreshold", FAILURE_THRESHOLD),
    }
    while True:
        answer = await attempt()
        in_a_row[answer] += 1
        in_a_row[not answer] = 0
        if in_a_row[answer] >= needed[answer]:
            yield answer
        await asyncio.sleep(probe.get("periodSeconds", PERIOD_SECONDS))


async def attempt_probe(
    probe: JsonObject,
    container: JsonObject,
    address: str,
    execute: Callable[[Sequence[str]], Awaitable[int]],
) -> bool:
    """One attempt. `execute` runs a command where the container runs and gives its exit code."""
    try:
        async with asyncio.timeout(probe.get("timeoutSeconds", TIMEOUT_SECONDS)):
            if question := probe.get("httpGet"):
                return await _http(question, container, address)
            if question := probe.get("tcpSocket"):
                return await _tcp(question, container, address)
            if question := probe.get("grpc"):
                return await _grpc(question, address)
            return await execute(probe["exec"]["command"]) == 0
    except (TimeoutError, OSError, aiohttp.ClientError, grpc.RpcError):
        return False


async def _http(question: JsonObject, container: JsonObject, address: str) -> bool:
    scheme = question.get("scheme", "HTTP").lower()
    host = question.get("host", address)
    url = f"{scheme}://{host}:{_port(question, container)}{question.get('path', '/')}"
    headers: Mapping[str, str] = {h["name"]: h["value"] for h in question.get("httpHeaders", [])}
    # A kubelet does not check the certificate either: it asks about health, not identity.
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers=headers, ssl=trusting, allow_redirects=False) as response,
    ):
        return 200 <= response.status < 400


async def _tcp(question: JsonObject, container: JsonObject, address: str) -> bool:
    host = question.get("host", address)
    _, writer = await asyncio.open_connection(host, _port(question, container))
    writer.close()
    return True


async def _grpc(question: JsonObject, address: str) -> bool:
    request = health_pb2.HealthCheckRequest(service=question.get("service") or "")
    async with grpc.aio.insecure_channel(f"{address}:{question['port']}") as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(request)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def _port(question: JsonObject, container: JsonObject) -> int:
    named = question["port"]
    if isinstance(named, int):
        return named
    ports = {port.get("name"): port["containerPort"] for port in container.get("ports", [])}
    return int(ports[named])
