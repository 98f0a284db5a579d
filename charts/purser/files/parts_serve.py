"""What `helm test` runs: every part, called by its Service's name, says that it serves.

The first argument is the operator's Service, which speaks HTTP; the others speak gRPC's health.
Each is asked again for a while, since a release may still be rolling.
"""

import sys
import time
import urllib.error
import urllib.request

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

PORT = 50052
PATIENCE_SECONDS = 90
CALL_SECONDS = 3


def serves_grpc(service: str) -> str:
    """Give "" or what is wrong, as gRPC says it."""
    with grpc.insecure_channel(f"dns:///{service}:{PORT}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    serving = health_pb2.HealthCheckResponse.SERVING
    return "" if answer.status == serving else "it says that it does not serve"


def serves_http(service: str) -> str:
    """Give "" or what is wrong."""
    try:
        with urllib.request.urlopen(f"http://{service}:{PORT}/readyz", timeout=CALL_SECONDS):
            return ""
    except (urllib.error.URLError, OSError) as error:
        return str(error)


def main(operator: str, services: list[str]) -> int:
    """Ask until all serve or patience ends; say of each how it stands."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    asked = {operator: serves_http} | dict.fromkeys(services, serves_grpc)
    while True:
        troubles = {service: ask(service) for service, ask in asked.items()}
        if not any(troubles.values()) or time.monotonic() > deadline:
            break
        time.sleep(1)
    for service, trouble in troubles.items():
        print(f"{service}: {trouble or 'serves'}")  # noqa: T201  # what `helm test --logs` shows
    return 1 if any(troubles.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
