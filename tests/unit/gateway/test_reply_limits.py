"""The limits of replies, at the limit and one above it."""

import pytest

from gateway.reply_limits import problem_of
from purser.gateway.v1 import reply_pb2

PNG = b"\x89PNG\r\n\x1a\n"


def said(text: str, html: bool = False, **fields: object) -> reply_pb2.Reply:
    """A text message."""
    style = reply_pb2.TEXT_FORMAT_HTML if html else reply_pb2.TEXT_FORMAT_PLAIN
    return reply_pb2.Reply(send_text=reply_pb2.SendText(text=text, format=style), **fields)  # type: ignore[arg-type]


def keyboard(
    rows: int = 1, buttons: int = 1, text: str = "ok", data: str = "ok"
) -> reply_pb2.Reply:
    """A text message with that many rows of that many buttons."""
    row = reply_pb2.KeyboardRow(buttons=[reply_pb2.Button(text=text, data=data)] * buttons)
    return reply_pb2.Reply(
        send_text=reply_pb2.SendText(text="x", keyboard=reply_pb2.Keyboard(rows=[row] * rows))
    )


@pytest.mark.parametrize(
    "reply",
    [
        said("a" * 4096),
        said("🙂" * 2048),
        said("<b>" + "a" * 4096 + "</b>", html=True),
        said("&lt;" * 4096, html=True),
        said("x", message_key="order:1._-" + "a" * 54),
        keyboard(rows=16, buttons=8, text="t" * 64, data="d" * 64),
        reply_pb2.Reply(send_photo=reply_pb2.SendPhoto(image=PNG, caption="c" * 1024)),
        reply_pb2.Reply(answer_press=reply_pb2.AnswerPress(press_id="1", text="t" * 200)),
        reply_pb2.Reply(message_key="k", edit_text=reply_pb2.EditText(text="x")),
    ],
)
def test_what_is_at_the_limit_passes(reply: reply_pb2.Reply) -> None:
    """Tags do not count, an entity counts as what it shows."""
    assert problem_of([reply]) is None


@pytest.mark.parametrize(
    ("reply", "field"),
    [
        (said(""), "replies[0].send_text.text"),
        (said("<b></b>", html=True), "replies[0].send_text.text"),
        (said("a" * 4097), "replies[0].send_text.text"),
        (said("🙂" * 2048 + "a"), "replies[0].send_text.text"),
        (said("<b>" + "a" * 4097, html=True), "replies[0].send_text.text"),
        (said("<b>" * 20_000 + "a", html=True), "replies[0].send_text.text"),
        (said("x", message_key="Nope"), "replies[0].message_key"),
        (said("x", message_key="k" * 65), "replies[0].message_key"),
        (reply_pb2.Reply(), "replies[0].body"),
        (keyboard(rows=17), "replies[0].send_text.keyboard.rows"),
        (keyboard(buttons=9), "replies[0].send_text.keyboard.rows.buttons"),
        (keyboard(text=""), "replies[0].send_text.keyboard.rows.buttons.text"),
        (keyboard(data="é" * 33), "replies[0].send_text.keyboard.rows.buttons.data"),
        (
            reply_pb2.Reply(send_photo=reply_pb2.SendPhoto(image=b"GIF89a")),
            "replies[0].send_photo.image",
        ),
        (
            reply_pb2.Reply(send_photo=reply_pb2.SendPhoto(image=PNG + bytes(1024 * 1024))),
            "replies[0].send_photo.image",
        ),
        (
            reply_pb2.Reply(send_photo=reply_pb2.SendPhoto(image=PNG, caption="c" * 1025)),
            "replies[0].send_photo.caption",
        ),
        (
            reply_pb2.Reply(answer_press=reply_pb2.AnswerPress(text="x")),
            "replies[0].answer_press.press_id",
        ),
        (
            reply_pb2.Reply(answer_press=reply_pb2.AnswerPress(press_id="1", text="t" * 201)),
            "replies[0].answer_press.text",
        ),
        (reply_pb2.Reply(edit_text=reply_pb2.EditText(text="x")), "replies[0].message_key"),
    ],
)
def test_what_breaks_a_limit_is_named_by_its_field(reply: reply_pb2.Reply, field: str) -> None:
    """The worker's author finds the place at once."""
    problem = problem_of([reply])
    assert problem is not None
    assert problem.startswith(field + ":")


def test_the_number_and_the_sum_of_replies_are_bounded() -> None:
    """16 replies, 3 MiB together; a notice has at least one."""
    picture = reply_pb2.Reply(send_photo=reply_pb2.SendPhoto(image=PNG + bytes(1024 * 1024 - 8)))
    assert problem_of([said("x")] * 16) is None
    assert problem_of([said("x")] * 17) == "replies: 0 to 16 are allowed"
    assert problem_of([picture] * 3) is not None
    assert problem_of([], at_least=1) == "replies: 1 to 16 are allowed"
