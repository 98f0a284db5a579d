"""`make cluster`: every command it prints works, and it leaves nothing, however it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cluster.processes import processes_about
from tests.cluster.worth_trying import INDENT

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0
STOP_SECONDS = 60.0
COMMAND_SECONDS = 240.0
LAST_LINE = "kubectl events"

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("control_plane")]


@contextmanager
def playground(folder: Path, port: int = 0) -> "Iterator[subprocess.Popen[str]]":
    """`make cluster` as a process, whose temporary folder is `folder`."""
    command = [sys.executable, "-m", "tests.cluster.playground", "--port", str(port)]
    environment = os.environ | {"TMPDIR": str(folder)}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as run:
        try:
            yield run
        finally:
            run.kill()


def printed_until(run: "subprocess.Popen[str]", last: str) -> list[str]:
    """The lines up to the one that contains `last`."""
    assert run.stdout is not None
    lines = []
    for line in run.stdout:
        lines.append(line.rstrip("\n"))
        if last in line:
            return lines
    pytest.fail(f"it ended without {last!r}:\n" + "\n".join(lines))


def nothing_is_left(folder: Path) -> bool:
    """Whether its processes went with it."""
    deadline = time.monotonic() + STOP_SECONDS
    while processes_about(folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    return processes_about(folder) == []


def test_every_printed_command_works_and_ctrl_c_ends_it_all(tmp_path: Path) -> None:
    """In one shell that was given the printed exports, in the printed order."""
    with playground(tmp_path) as run:
        lines = printed_until(run, LAST_LINE)
        exports = [line for line in lines if line.startswith("export ")]
        commands = [line.strip() for line in lines if line.startswith(INDENT)]
        answers = {command: answer_to(exports, command) for command in commands}
        chat = next(line for line in lines if line.startswith("The chat page: "))
        page = answer_to([], f"curl -sS {chat.removeprefix('The chat page: ')}")
        with_secrets = [line for line in lines if "postgresql://" in line or "redis://" in line]

        run.send_signal(signal.SIGINT)
        status = run.wait(STOP_SECONDS)

    assert len(commands) > 15
    assert "ScaledOut" in answers["kubectl events --for ush/main"]
    assert "purser-user-worker-0" in answers["kubectl purser describe main"]
    assert re.search(r"^main .*\b4\b", answers["kubectl get ush main -o wide"], re.MULTILINE)
    assert "<html" in page.lower()
    assert with_secrets == []
    assert status == 0
    assert nothing_is_left(tmp_path)
    assert list(tmp_path.iterdir()) == []


def answer_to(exports: list[str], command: str) -> str:
    """What a command prints; a failure fails the test with what it said."""
    finished = subprocess.run(
        ["bash", "-c", "\n".join([*exports, command])],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    if finished.returncode:
        pytest.fail(f"{command}\n{finished.stdout}{finished.stderr}")
    return finished.stdout


def test_a_taken_port_is_said_before_anything_is_started(tmp_path: Path) -> None:
    """As for the second start beside a first one."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with playground(tmp_path, port) as run:
            said, _ = run.communicate(timeout=STOP_SECONDS)

    assert said == f"Port {port} is taken by another program; choose another one with PORT=…\n"
    assert run.returncode == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [("Starting Kubernetes", 2), ("Starting Purser", 1), ("Starting Purser", 4)],
)
def test_ctrl_c_in_the_middle_of_the_start_leaves_nothing(
    tmp_path: Path, moment: str, seconds: float
) -> None:
    """No stack trace, no process, no folder."""
    with playground(tmp_path) as run:
        printed_until(run, moment)
        time.sleep(seconds)
        run.send_signal(signal.SIGINT)
        said, _ = run.communicate(timeout=STOP_SECONDS)

    assert "Traceback" not in said
    assert said.endswith("Stopped.\n")
    assert run.returncode == 0
    assert nothing_is_left(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_ends_is_named_and_ends_it_all(tmp_path: Path) -> None:
    """A playground with a part missing would only puzzle."""
    with playground(tmp_path) as run:
        lines = printed_until(run, LAST_LINE)
        stop = next(line for line in lines if line.strip().startswith("kill -STOP"))
        os.kill(int(stop.split()[-1]), signal.SIGKILL)
        said, _ = run.communicate(timeout=STOP_SECONDS)

    assert said.lstrip().startswith("wallet ended; the end of its log:")
    assert "Traceback" not in said
    assert run.returncode == 1
    assert nothing_is_left(tmp_path)


def test_killed_it_takes_all_its_processes_with_it(tmp_path: Path) -> None:
    """kill -9; the folder goes at the next start."""
    with playground(tmp_path) as run:
        printed_until(run, LAST_LINE)
        assert len(processes_about(tmp_path)) > 10
        run.kill()
        run.wait()

    assert nothing_is_left(tmp_path)
