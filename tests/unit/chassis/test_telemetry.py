"""Logs: one line each, with the service and the trace, whoever wrote it; and nothing secret."""

import asyncio
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from chassis import telemetry, tracing
from chassis.errors import CannotStart
from chassis.settings import Secret
from chassis.telemetry import TelemetrySettings, get_logger, new_trace, split_address, start

TOKEN = "123456789:AAF-abc_DEFghijklmnopqrstuvwxyz12"


@pytest.fixture(autouse=True)
def put_logging_back() -> Iterator[None]:
    """Telemetry configures the process; the next test gets it as it was."""
    handlers, level = logging.root.handlers, logging.root.level
    yield
    logging.captureWarnings(capture=False)
    logging.root.handlers = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_is_json_with_service_trace_and_data(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever collects the logs can find all lines of one trace."""
    start("room", TelemetrySettings())
    with new_trace("a test") as trace:
        get_logger("where").info("order_filled", price="1.5", count=3)
    (line,) = _lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "service": "room",
        "event": "order_filled",
        "trace_id": trace.trace_id_text,
        "source": "where",
        "price": "1.5",
        "count": 3,
    }


def test_what_libraries_log_takes_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    """The standard library's logging and warnings are formatted and redacted like our own lines."""
    start("room", TelemetrySettings())
    logging.getLogger("aiogram").error("cannot reach bot%s", TOKEN)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old", stacklevel=1)
    first, second = _lines(capsys)
    assert first["event"] == "cannot reach bot****"
    assert first["source"] == "aiogram"
    assert second["source"] == "py.warnings"


def test_a_stack_trace_is_one_field_without_its_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    """An exception's text may quote an address or a token."""
    start("room", TelemetrySettings())

    def fail() -> None:
        raise ConnectionError(f"postgresql://role:open-sesame@db/{TOKEN}")

    try:
        fail()
    except ConnectionError as error:
        get_logger("where").exception("lost", url=Secret("open-sesame"))
        get_logger("where").error("lost", exc_info=error)
    for line in _lines(capsys):
        assert "ConnectionError" in line["exception"]
        assert "open-sesame" not in json.dumps(line)
        assert TOKEN not in json.dumps(line)


@pytest.mark.parametrize("value", [float("nan"), 2**80, "\ud800", b"\xff", {1: object()}])
def test_no_value_can_break_a_line(capsys: pytest.CaptureFixture[str], value: object) -> None:
    """A log call must never be what brings its caller down."""
    start("room", TelemetrySettings())
    get_logger("where").info("odd", value=value)
    assert _lines(capsys)[0]["event"] == "odd"


def test_a_line_for_a_person_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Text from outside cannot forge a second line."""
    start("room", TelemetrySettings(log_format="console"))
    get_logger("where").info("said", text="hi\n2026-01-01 error room: forged")
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "room: said" in shown


def test_a_library_that_logs_oddly_is_still_heard(capsys: pytest.CaptureFixture[str]) -> None:
    """A level of its own, arguments that do not fit."""
    start("room", TelemetrySettings())
    logging.getLogger("library").log(25, "level")
    logging.getLogger("library").error("%d things", "many")
    assert [(line["level"], line["event"]) for line in _lines(capsys)] == [
        ("info", "level"),
        ("error", "%d things"),
    ]


def test_what_a_library_gets_over_by_itself_is_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A pool that connects again warns with a stack trace; an error keeps its own."""
    start("room", TelemetrySettings(log_format="console"))
    for level in (logging.WARNING, logging.ERROR):
        logging.getLogger("pool").log(level, "lost", exc_info=ConnectionRefusedError())
    warning, *error = capsys.readouterr().err.splitlines()
    assert warning.endswith("room: lost source=pool error=ConnectionRefusedError")
    assert error[0].endswith("room: lost source=pool")
    assert error[1] == "ConnectionRefusedError"


def test_logs_can_go_to_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """In the form and with the redaction of every other process."""
    with (tmp_path / "room.log").open("w") as file:
        telemetry.log_to("room", file)
        get_logger("where").warning("lost", url="postgresql://role:open-sesame@db/")
    start("room", TelemetrySettings())
    written = (tmp_path / "room.log").read_text()
    assert "warning  room: lost source=where" in written
    assert "open-sesame" not in written
    assert capsys.readouterr().err == ""


def test_a_line_nobody_can_read_any_more_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipe to the collector of logs may be broken."""

    class Broken:
        def write(self, _line: str) -> None:
            raise BrokenPipeError

    start("room", TelemetrySettings())
    monkeypatch.setattr("sys.stderr", Broken())
    get_logger("where").error("unread")


def test_levels_below_the_named_one_are_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither our own lines nor those of libraries."""
    start("room", TelemetrySettings(log_level="warning"))
    get_logger("where").info("quiet")
    logging.getLogger("library").info("quiet")
    assert _lines(capsys) == []


def test_a_trace_is_the_same_through_tasks_and_messages() -> None:
    """What a message carries continues the trace it was written in."""

    async def inside() -> str:
        return telemetry.current_traceparent()

    async def scenario() -> tuple[str, str]:
        with new_trace("accept"):
            return telemetry.current_traceparent(), await asyncio.create_task(inside())

    written, in_task = asyncio.run(scenario())
    assert written == in_task
    with telemetry.continue_trace(written, "work") as trace:
        assert trace.trace_id_text == written.split("-")[1]
        assert trace.span_id != int(written.split("-")[2], 16)
    assert telemetry.current_traceparent() == ""


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
        "ff-" + "1" * 32 + "-" + "1" * 16 + "-01",
    ],
)
def test_a_malformed_header_begins_a_new_trace(header: str) -> None:
    """A message from a stranger never breaks its reader."""
    with telemetry.continue_trace(header, "work") as trace:
        assert trace.trace_id
    assert tracing.parse_traceparent(header) is None


def test_a_generator_closed_elsewhere_does_not_break_the_trace() -> None:
    """A response stream may be finalised by another task than the one that ran it."""

    async def scenario() -> None:
        async def stream() -> Any:
            with new_trace("stream"):
                yield 1

        generator = stream()
        await asyncio.create_task(anext(generator))
        await generator.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("address", ["", "host", "host:", ":80", "host:x", "host:70000"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """In a sentence, since it comes from a setting."""
    with pytest.raises(CannotStart, match="is not an address"):
        split_address(address)
