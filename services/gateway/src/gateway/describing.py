"""What a job was, in words that give away nothing private.

People type passwords into chats, as commands too; so a command is named only when it is one of the
bot's own, and of a press only the kind of its button.
"""

import re

from google.protobuf.message import DecodeError

from gateway.texts import COMMANDS, FALLBACK
from purser.gateway.v1 import gateway_pb2, job_pb2

_BUTTON_KIND = re.compile(r"[a-z-]{1,16}(?=:|$)")

Description = tuple[gateway_pb2.JobInputKind.ValueType, str]
"""The kind of input and its name, empty where there is none that may be shown."""


def describe_input(payload: bytes) -> Description:
    """Say what an encoded job was; empty bytes are a forgotten one."""
    try:
        job = job_pb2.Job.FromString(payload)
    except DecodeError:
        return gateway_pb2.JOB_INPUT_KIND_UNSPECIFIED, ""
    match job.WhichOneof("input"):
        case "command":
            name = job.command.name
            is_ours = name in COMMANDS[FALLBACK]
            return gateway_pb2.JOB_INPUT_KIND_COMMAND, name if is_ours else ""
        case "press":
            found = _BUTTON_KIND.match(job.press.data)
            return gateway_pb2.JOB_INPUT_KIND_PRESS, found.group() if found else ""
        case "text":
            return gateway_pb2.JOB_INPUT_KIND_TEXT, ""
        case "unsupported":
            return gateway_pb2.JOB_INPUT_KIND_UNSUPPORTED, ""
        case _:
            return gateway_pb2.JOB_INPUT_KIND_UNSPECIFIED, ""
