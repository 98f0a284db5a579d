"""Between the protos and the domain.

Jobs are read leniently: one of the version after this one may hold an input this version does not
know, which becomes Unsupported. What cannot be a job at all (no ids, an impossible shard) becomes
None, and the reader counts it.
"""

from uuid import UUID

from google.protobuf.message import DecodeError

from kernel.identifiers import parse_uuid
from kernel.malformed import Malformed
from kernel.sharding import Claim, ShardKey
from purser.gateway.v1 import job_pb2, reply_pb2
from purser.shard.v1 import shard_pb2
from user_worker.domain.jobs import (
    Command,
    Input,
    Job,
    Press,
    Text,
    Unsupported,
    UnsupportedKind,
)
from user_worker.domain.replies import AnswerPress, EditText, Keyboard, Reply, SendPhoto, SendText

JOB_BYTES_MAX = 64 * 1024
"""The contract's bound on an encoded job; what is longer in a stream is not from a gateway."""

_KINDS = {
    job_pb2.UNSUPPORTED_KIND_ATTACHMENT: UnsupportedKind.ATTACHMENT,
    job_pb2.UNSUPPORTED_KIND_EDIT: UnsupportedKind.EDIT,
    job_pb2.UNSUPPORTED_KIND_TOO_LONG: UnsupportedKind.TOO_LONG,
}


def job_of_payload(payload: bytes) -> Job | None:
    """Read a stream entry's payload; None when it is no job."""
    if not 0 < len(payload) <= JOB_BYTES_MAX:
        return None
    try:
        return job_of(job_pb2.Job.FromString(payload))
    except DecodeError:
        return None


def job_of(message: job_pb2.Job) -> Job | None:
    """Read a job; None when it cannot be one."""
    try:
        return Job(
            job_id=parse_uuid(message.job_id),
            key=ShardKey(message.pool, message.shard),
            user_id=parse_uuid(message.user_id),
            user_seq=message.user_seq,
            accepted_at=message.accepted_at.seconds + message.accepted_at.nanos / 1e9,
            input=_input_of(message),
            language_code=message.language_code,
            display_name=message.display_name,
            traceparent=message.traceparent,
            size=message.ByteSize(),
        )
    except Malformed:
        return None


def _input_of(message: job_pb2.Job) -> Input:
    match message.WhichOneof("input"):
        case "command":
            return Command(message.command.name, message.command.arguments)
        case "text":
            return Text(message.text.text)
        case "press":
            press = message.press
            return Press(press.data, press.message_key, press.press_id)
        case "unsupported":
            return Unsupported(_KINDS.get(message.unsupported.kind, UnsupportedKind.OTHER))
        case _:
            return Unsupported()


def claim_to(claim: Claim) -> shard_pb2.ShardClaim:
    """Write a claim."""
    return shard_pb2.ShardClaim(pool=claim.pool, shard=claim.shard, epoch=claim.epoch)


def cursors_of(cursors: list[tuple[str, int]]) -> dict[UUID, int]:
    """Read where users stand, leaving out what cannot be a user."""
    places: dict[UUID, int] = {}
    for user_id, next_seq in cursors:
        try:
            places[parse_uuid(user_id)] = next_seq
        except Malformed:
            continue
    return places


def reply_to(reply: Reply) -> reply_pb2.Reply:
    """Write a reply. Raises ValueError when a text is not valid Unicode."""
    match reply:
        case SendText(text, keyboard, message_key):
            return reply_pb2.Reply(
                message_key=message_key,
                send_text=reply_pb2.SendText(
                    text=text,
                    format=reply_pb2.TEXT_FORMAT_HTML,
                    keyboard=_keyboard_to(keyboard),
                ),
            )
        case EditText(message_key, text, keyboard):
            return reply_pb2.Reply(
                message_key=message_key,
                edit_text=reply_pb2.EditText(
                    text=text,
                    format=reply_pb2.TEXT_FORMAT_HTML,
                    keyboard=_keyboard_to(keyboard),
                ),
            )
        case SendPhoto(image, caption, keyboard, message_key):
            return reply_pb2.Reply(
                message_key=message_key,
                send_photo=reply_pb2.SendPhoto(
                    image=image,
                    caption=caption,
                    format=reply_pb2.TEXT_FORMAT_HTML,
                    keyboard=_keyboard_to(keyboard),
                ),
            )
        case AnswerPress(press_id, text, alert):
            return reply_pb2.Reply(
                answer_press=reply_pb2.AnswerPress(press_id=press_id, text=text, alert=alert)
            )


def _keyboard_to(keyboard: Keyboard) -> reply_pb2.Keyboard | None:
    if not keyboard:
        return None
    return reply_pb2.Keyboard(
        rows=[
            reply_pb2.KeyboardRow(
                buttons=[reply_pb2.Button(text=button.text, data=button.data) for button in row]
            )
            for row in keyboard
        ]
    )
