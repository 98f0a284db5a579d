"""Between the protos and the domain: lenient with jobs, exact with replies."""

from uuid import UUID

import hypothesis.strategies as st
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings

from kernel.sharding import Claim, ShardKey
from purser.gateway.v1 import job_pb2, reply_pb2
from user_worker.domain.jobs import (
    Command,
    Input,
    Job,
    Press,
    Text,
    Unsupported,
    UnsupportedKind,
)
from user_worker.domain.replies import AnswerPress, Button, EditText, SendText
from user_worker.wire import JOB_BYTES_MAX, claim_to, cursors_of, job_of, job_of_payload, reply_to

JOB_ID, USER_ID = UUID(int=1), UUID(int=2)


def message(**fields: object) -> job_pb2.Job:
    """Make a job's message, some fields changed."""
    usual: dict[str, object] = {
        "job_id": str(JOB_ID),
        "pool": "default.main",
        "shard": 3,
        "user_id": str(USER_ID),
        "user_seq": 7,
        "accepted_at": Timestamp(seconds=10, nanos=500_000_000),
        "language_code": "de",
        "display_name": "Ann",
        "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-00",
        "text": job_pb2.TextInput(text="hello"),
    }
    return job_pb2.Job(**(usual | fields))  # type: ignore[arg-type]


def test_a_job_is_read_whole() -> None:
    """Every field has its place."""
    sent = message()

    assert Job(
        job_id=JOB_ID,
        key=ShardKey("default.main", 3),
        user_id=USER_ID,
        user_seq=7,
        accepted_at=10.5,
        input=Text("hello"),
        language_code="de",
        display_name="Ann",
        traceparent=sent.traceparent,
        size=sent.ByteSize(),
    ) == job_of_payload(sent.SerializeToString())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"command": job_pb2.CommandInput(name="start", arguments="x y")}, Command("start", "x y")),
        (
            {"press": job_pb2.PressInput(data="d", message_key="k", press_id="p")},
            Press("d", "k", "p"),
        ),
        (
            {"unsupported": job_pb2.UnsupportedInput(kind=job_pb2.UNSUPPORTED_KIND_ATTACHMENT)},
            Unsupported(UnsupportedKind.ATTACHMENT),
        ),
        ({"unsupported": job_pb2.UnsupportedInput(kind=99)}, Unsupported()),  # type: ignore[arg-type]
        ({"text": None}, Unsupported()),
    ],
)
def test_inputs_are_read_leniently(fields: dict[str, object], expected: Input) -> None:
    """A kind of input from a newer gateway is answered politely instead of being lost."""
    job = job_of(message(**fields))

    assert job is not None
    assert expected == job.input


@pytest.mark.parametrize(
    "fields",
    [
        {"job_id": "1"},
        {"user_id": ""},
        {"pool": "Not A Pool"},
        {"shard": 2**31},
    ],
)
def test_what_cannot_be_a_job_is_none(fields: dict[str, object]) -> None:
    """The reader takes it off the stream; the inbox has the truth."""
    assert job_of(message(**fields)) is None


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_job_or_none(payload: bytes) -> None:
    """A stream may hold anything."""
    job = job_of_payload(payload)

    assert job is None or isinstance(job, Job)


def test_a_payload_above_the_contracts_bound_is_none() -> None:
    """No gateway writes one."""
    text = job_pb2.TextInput(text="x" * JOB_BYTES_MAX)

    assert job_of_payload(message(text=text).SerializeToString()) is None


def test_cursors_of_nobody_are_left_out() -> None:
    """One malformed id must not hold up a shard."""
    assert {USER_ID: 4} == cursors_of([(str(USER_ID), 4), ("nobody", 5)])


def test_a_claim_is_written_whole() -> None:
    """Every durable write carries it."""
    sent = claim_to(Claim("default.main", 3, 9))

    assert ("default.main", 3, 9) == (sent.pool, sent.shard, sent.epoch)


def test_replies_are_written_in_html_with_their_keys_and_buttons() -> None:
    """Each kind to its own body."""
    keyboard = ((Button("One", "1"), Button("Two", "2")), (Button("Three", "3"),))

    sent = reply_to(SendText("<b>x</b>", keyboard, "k"))
    assert "k" == sent.message_key
    assert "<b>x</b>" == sent.send_text.text
    assert reply_pb2.TEXT_FORMAT_HTML == sent.send_text.format
    assert [["1", "2"], ["3"]] == [
        [button.data for button in row.buttons] for row in sent.send_text.keyboard.rows
    ]
    edit = reply_to(EditText("k", "y"))
    assert ("k", "y") == (edit.message_key, edit.edit_text.text)
    assert not edit.edit_text.HasField("keyboard")
    answer = reply_to(AnswerPress("p", "z", alert=True)).answer_press
    assert ("p", "z", True) == (answer.press_id, answer.text, answer.alert)


def test_a_text_that_is_no_unicode_is_refused_before_it_is_sent() -> None:
    """The job then ends with an apology instead of failing for ever."""
    with pytest.raises(ValueError, match="surrogates not allowed"):
        reply_to(SendText("\ud800"))
