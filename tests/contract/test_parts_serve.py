"""What `helm test` runs, against servers that serve, do not serve, or are not there."""

import http.server
import importlib.util
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tests.contract.rendering import CHART

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The file the chart gives to its pod, without its patience."""
    file = CHART / "files/parts_serve.py"
    spec = importlib.util.spec_from_file_location("parts_serve", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0)
    return module


@pytest.fixture
def part() -> Iterator[tuple[int, Any]]:
    """A part's health port, and what sets how it stands."""
    servicer = health.HealthServicer()
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port, servicer
    server.stop(None).wait()


@pytest.fixture
def operator() -> Iterator[int]:
    """An operator that is ready."""

    class Ready(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Ready) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_a_part_serves_when_it_says_so(
    program: ModuleType, part: tuple[int, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By gRPC's own health service."""
    port, servicer = part
    monkeypatch.setattr(program, "PORT", port)

    servicer.set("", SERVING)
    assert program.serves_grpc("127.0.0.1") == ""

    servicer.set("", NOT_SERVING)
    assert program.serves_grpc("127.0.0.1") == "it says that it does not serve"


def test_the_operator_is_asked_over_http(
    program: ModuleType, operator: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no gRPC."""
    monkeypatch.setattr(program, "PORT", operator)

    assert program.serves_http("127.0.0.1") == ""


def test_one_part_that_is_not_there_fails_the_test_and_is_named(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what was wrong; the others are told of too."""
    monkeypatch.setattr(program, "serves_http", lambda _service: "")
    monkeypatch.setattr(
        program, "serves_grpc", lambda service: "" if service != "purser-wallet" else "UNAVAILABLE"
    )

    status = program.main("purser-operator", ["purser-gateway", "purser-wallet"])

    assert status == 1
    assert capsys.readouterr().out.splitlines() == [
        "purser-operator: serves",
        "purser-gateway: serves",
        "purser-wallet: UNAVAILABLE",
    ]


def test_all_that_serve_pass(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 0 is what `helm test` goes by."""
    for ask in ("serves_http", "serves_grpc"):
        monkeypatch.setattr(program, ask, lambda _service: "")

    assert program.main("purser-operator", ["purser-gateway"]) == 0
