"""What a person reads of jobs that were set aside.

Errors and what was typed may hold any character: see `chassis.terminal`.
"""

import json
import time
from collections.abc import Iterable

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.terminal import age, printable, table
from purser.gateway.v1 import gateway_pb2, job_pb2

ERROR_CHARACTERS_MAX = 80
"""Of an error in a list; `show` has all of it."""

_KINDS = {
    gateway_pb2.JOB_INPUT_KIND_COMMAND: "a command",
    gateway_pb2.JOB_INPUT_KIND_TEXT: "text",
    gateway_pb2.JOB_INPUT_KIND_PRESS: "a press",
    gateway_pb2.JOB_INPUT_KIND_UNSUPPORTED: "an attachment",
}


def page(answer: gateway_pb2.ListSetAsideJobsResponse, *, as_json: bool) -> str:
    """Show a list, one job a line, and how to see the next page."""
    if as_json:
        return _json(answer)
    if not answer.jobs:
        return "No job was set aside."
    head = ("AGE", "SHARD", "USER", "WHAT", "REPLAY", "JOB", "ERROR")
    lines = table([head, *(_row(job) for job in answer.jobs)])
    if answer.next_page_token:
        lines.append(f"more: list --page {answer.next_page_token}")
    return "\n".join(lines)


def one(answer: gateway_pb2.ReadSetAsideJobResponse, *, as_json: bool) -> str:
    """Show a job with all that is known of it."""
    if as_json:
        return _json(answer)
    job = answer.job
    error = printable(job.error, keep_lines=True).replace("\n", "\n" + " " * 11)
    pairs = [
        ("job", job.job_id),
        ("set aside", f"{_moment(job.set_aside_at)} ({_age(job.set_aside_at)} ago)"),
        ("accepted", _moment(job.accepted_at)),
        ("shard", f"{job.pool}/{job.shard}"),
        ("user", job.user_id),
        ("place", str(job.user_seq)),
        ("what", _what(job)),
        *_typed(answer),
        ("error", error or "none"),
        ("replay of", job.replay_of),
        ("replay", f"{job.replay_job_id} ({_replay(job)})" if job.replay_job_id else "none"),
    ]
    return "\n".join(f"{name:<10} {value}" for name, value in pairs if value)


def replay(answer: gateway_pb2.ReplayJobResponse, *, as_json: bool) -> str:
    """Say which job the replay is."""
    if as_json:
        return _json(answer)
    if answer.already_replayed:
        state = "is done" if answer.done else "waits"
        return f"Nothing was done: it had been replayed as {answer.job_id}, which {state}."
    return f"Accepted as {answer.job_id}; the user is answered in the chat."


def _json(message: Message) -> str:
    shown = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return json.dumps(shown)


def _row(job: gateway_pb2.SetAsideJob) -> tuple[str, ...]:
    error = printable(job.error)
    if len(error) > ERROR_CHARACTERS_MAX:
        error = error[: ERROR_CHARACTERS_MAX - 1] + "…"
    return (
        _age(job.set_aside_at),
        str(job.shard),
        job.user_id,
        _what(job),
        _replay(job),
        job.job_id,
        error,
    )


def _what(job: gateway_pb2.SetAsideJob) -> str:
    if job.forgotten:
        return "forgotten"
    kind = _KINDS.get(job.input_kind, "something")
    if not job.input_name:
        return kind
    return f"/{job.input_name}" if kind == "a command" else f"{kind} of {job.input_name}"


def _replay(job: gateway_pb2.SetAsideJob) -> str:
    if not job.replay_job_id:
        return "-"
    return "done" if job.replay_done else "waits"


def _typed(answer: gateway_pb2.ReadSetAsideJobResponse) -> Iterable[tuple[str, str]]:
    if answer.job.forgotten:
        return
    if not answer.HasField("input"):
        yield "typed", "not shown (--with-text)"
        return
    job: job_pb2.Job = answer.input
    match job.WhichOneof("input"):
        case "command":
            yield "typed", printable(f"/{job.command.name} {job.command.arguments}".rstrip())
        case "text":
            yield "typed", printable(job.text.text)
        case "press":
            yield "pressed", printable(job.press.data)
            yield "under", printable(job.press.message_key)
        case _:
            yield "typed", "nothing"


def _age(moment: Timestamp) -> str:
    return age(time.time() - moment.seconds)


def _moment(moment: Timestamp) -> str:
    return f"{moment.ToDatetime():%Y-%m-%d %H:%M:%S}Z"
