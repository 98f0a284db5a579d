"""The life of a process: signals, exit statuses, sentences instead of stack traces."""

# ruff: noqa: D103 (a test's name is its claim)

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, sys
from chassis.errors import BadSettings, CannotStart, TryAgain
from chassis.process import ready_line, run
from chassis.telemetry import TelemetrySettings, start

async def main(stop):
    async with start("program", TelemetrySettings()):
{body}

run(main)
"""
WAIT = """
        ready_line("program", address="127.0.0.1:1")
        await stop.wait()
        print("drained", flush=True)
"""
HANG = """
        ready_line("program")
        await stop.wait()
        print("draining", flush=True)
        await asyncio.sleep(60)
"""


def _start(body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(body: str) -> tuple[int, str]:
    process = _start(body)
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_program_drain_and_end_well(number: signal.Signals) -> None:
    process = _start(WAIT)
    assert process.stderr is not None
    assert '"event":"ready"' in process.stderr.readline()
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (0, "drained\n", "")


def test_a_second_signal_ends_the_program_at_once() -> None:
    process = _start(HANG)
    assert process.stderr is not None
    assert process.stdout is not None
    process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "draining\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == -signal.SIGTERM


def test_what_a_person_can_mend_is_a_sentence_and_a_status() -> None:
    assert _finish("        raise CannotStart('the port is taken.')") == (1, "the port is taken.\n")
    assert _finish("        raise BadSettings('A is missing.', 'B is missing.')") == (
        2,
        "A is missing.\nB is missing.\n",
    )


def test_what_went_away_at_the_start_is_a_sentence_and_a_status() -> None:
    body = "        raise TryAgain('the database cannot be reached (OSError)')"
    assert _finish(body) == (1, "the database cannot be reached (OSError)\n")


def test_a_sentence_is_found_inside_a_group_of_exceptions() -> None:
    body = """
        async def fail(): raise CannotStart("the port is taken.")
        async with asyncio.TaskGroup() as group: group.create_task(fail())
"""
    assert _finish(body) == (1, "the port is taken.\n")


def test_what_happens_before_telemetry_starts_is_logged_as_safely() -> None:
    program = PROGRAM.replace(
        "    async with start(",
        "    raise RuntimeError('redis://u:hidden@db')\n    async with start(",
    )
    finished = subprocess.run(
        [sys.executable, "-c", program.format(body="        pass")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (finished.returncode, finished.stdout) == (70, "")
    assert "redis://u:****@db" in finished.stderr
    assert "hidden" not in finished.stderr


def test_a_bug_is_logged_with_its_trace_and_without_its_secrets() -> None:
    status, errors = _finish("        raise RuntimeError('redis://u:hidden@db')")
    assert status == 70
    (line,) = errors.splitlines()
    assert '"event":"crashed"' in line
    assert "RuntimeError: redis://u:****@db" in line


PATIENT = """
import asyncio, sys
from chassis.errors import BadSettings, CannotStart, NotYet
from chassis.process import patient, run

lacks = {lacks}

async def main(stop):
    if lacks:
        raise lacks.pop(0)
    print("serves", flush=True)

run(patient(main, {seconds}))
"""


def _finish_patient(lacks: str, seconds: float) -> tuple[int, str, str]:
    program = PATIENT.format(lacks=lacks, seconds=seconds)
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    return process.returncode, process.stdout, process.stderr


def test_what_is_not_there_yet_is_waited_for_and_told_once() -> None:
    status, output, log = _finish_patient("[NotYet('no schema.'), NotYet('no schema.')]", 20.0)
    assert (status, output) == (0, "serves\n")
    assert log.count('"event":"waiting"') == 1


def test_what_does_not_come_in_time_is_a_sentence_and_a_status() -> None:
    assert _finish_patient("[NotYet('no schema.')]", 0.0) == (1, "", "no schema.\n")
    status, _, log = _finish_patient("[NotYet('no schema.')] * 9", 0.6)
    assert status == 1
    assert log.endswith("no schema.\n")


def test_nobody_waits_for_what_only_a_person_can_mend() -> None:
    assert _finish_patient("[BadSettings('no URL.')]", 20.0) == (2, "", "no URL.\n")


def test_a_signal_ends_the_waiting() -> None:
    program = PATIENT.format(lacks="[NotYet('no schema.')] * 99", seconds=60.0)
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert '"event":"waiting"' in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert (process.returncode, output) == (0, "")
