"""What can be typed after `jobs`, and what is read then."""

import argparse
import json
import re
import time

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from purser.gateway.v1 import gateway_pb2, job_pb2
from user_worker.jobs_command import add_verb, showing
from user_worker.jobs_command.doing import EXIT_BAD_SETTINGS, EXIT_FAILED, do

JOB = "0198c0de-0000-7000-8000-000000000001"
REPLAY = "0198c0de-0000-7000-8000-000000000002"


def understood(*words: str) -> argparse.Namespace:
    """What the words mean."""
    parser = argparse.ArgumentParser()
    add_verb(parser.add_subparsers())
    return parser.parse_args(["jobs", *words])


def set_aside(**fields: object) -> gateway_pb2.SetAsideJob:
    """A job as the gateway tells of it."""
    told = {
        "job_id": JOB,
        "pool": "default.main",
        "shard": 7,
        "user_id": REPLAY,
        "user_seq": 3,
        "input_kind": gateway_pb2.JOB_INPUT_KIND_COMMAND,
        "input_name": "buy",
        "error": "KeyError: 'x'",
        "set_aside_at": Timestamp(seconds=int(time.time()) - 7_300),
        "accepted_at": Timestamp(seconds=1_700_000_000),
        **fields,
    }
    return gateway_pb2.SetAsideJob(**told)  # type: ignore[arg-type]  # fields by name


def test_without_another_word_it_lists() -> None:
    """And --json counts before the action as well as after it."""
    assert understood().action == "list"
    assert understood().page_size == understood("list").page_size == 20
    for words in (("--json",), ("--json", "list"), ("list", "--json"), ("--json", "show", JOB)):
        assert understood(*words).json
    assert not understood("list").json


@pytest.mark.parametrize(
    "words",
    [
        ("show",),
        ("show", "12"),
        ("replay", JOB[:-1]),
        ("list", "--shard", "-1"),
        ("list", "--shard", "2147483648"),
        ("list", "--page-size", "0"),
        ("list", "--page-size", "201"),
        ("list", "--page-size", "²"),
        ("list", "--user", "me"),
        ("drop",),
    ],
)
def test_what_cannot_be_understood_ends_with_status_2(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """And one line that says what was expected."""
    with pytest.raises(SystemExit) as ended:
        understood(*words)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_a_list_has_one_line_per_job() -> None:
    """Whatever the error holds; the rest of a long one is for `show`."""
    jobs = [
        set_aside(error="ValueError: two\nlines\x1b[2J\u202e" + "x" * 200),
        set_aside(input_name="", replay_job_id=REPLAY, replay_done=True),
        set_aside(input_kind=gateway_pb2.JOB_INPUT_KIND_PRESS, input_name="cf", forgotten=False),
        set_aside(forgotten=True, error=""),
    ]
    shown = showing.page(
        gateway_pb2.ListSetAsideJobsResponse(jobs=jobs, next_page_token="1.a"), as_json=False
    )

    head, first, second, third, fourth, more = shown.split("\n")
    assert head.split() == ["AGE", "SHARD", "USER", "WHAT", "REPLAY", "JOB", "ERROR"]
    assert re.split(r"  +", first)[:6] == ["2h", "7", REPLAY, "/buy", "-", JOB]
    assert r"ValueError: two\nlines\x1b[2J\u202e" in first
    assert first.endswith("x…")
    assert re.split(r"  +", second)[3:5] == ["a command", "done"]
    assert "a press of cf" in third
    assert "forgotten" in fourth
    assert more == "more: list --page 1.a"
    assert showing.page(gateway_pb2.ListSetAsideJobsResponse(), as_json=False).startswith("No ")


def test_one_job_is_shown_without_what_was_typed_unless_it_is_there() -> None:
    """And then without anything that steers a terminal."""
    typed = job_pb2.Job(command=job_pb2.CommandInput(name="buy", arguments="BTC \x1b]0;x\x07"))
    without = gateway_pb2.ReadSetAsideJobResponse(job=set_aside(error="a\nb\x07"))
    with_input = gateway_pb2.ReadSetAsideJobResponse(job=set_aside(), input=typed)

    shown = showing.one(without, as_json=False)
    assert "typed      not shown (--with-text)" in shown
    assert "error      a\n           b\\x07\n" in shown
    assert "accepted   2023-11-14 22:13:20Z" in shown
    assert "replay     none" in shown
    assert r"typed      /buy BTC \x1b]0;x\x07" in showing.one(with_input, as_json=False)


def test_json_has_every_field_by_its_name_in_the_contract() -> None:
    """Also those that are empty, so that a program need not ask whether they are there."""
    answer = gateway_pb2.ReadSetAsideJobResponse(job=set_aside(replay_job_id=REPLAY))
    job = json.loads(showing.one(answer, as_json=True))["job"]
    assert (JOB, 7, REPLAY, "", False) == (
        job["job_id"],
        job["shard"],
        job["replay_job_id"],
        job["replay_of"],
        job["forgotten"],
    )
    page = json.loads(showing.page(gateway_pb2.ListSetAsideJobsResponse(), as_json=True))
    assert page == {"jobs": [], "next_page_token": ""}


def test_missing_settings_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Both at once, and nothing is asked."""
    assert do(understood(), {}) == EXIT_BAD_SETTINGS
    said = capsys.readouterr().err
    assert "USER_WORKER_POOL is missing" in said
    assert "USER_WORKER_GATEWAY_ADDRESS is missing" in said


def test_a_gateway_that_is_away_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """With its address, and no stack trace."""
    environ = {
        "USER_WORKER_POOL": "default.main",
        "USER_WORKER_GATEWAY_ADDRESS": "127.0.0.1:1",
        "USER_WORKER_SERVICE_TIMEOUT_SECONDS": "0.2",
    }
    assert do(understood("replay", JOB), environ) == EXIT_FAILED
    said = capsys.readouterr().err
    assert said.startswith("The gateway at 127.0.0.1:1 does not answer: ")
    assert said.count("\n") == 1
