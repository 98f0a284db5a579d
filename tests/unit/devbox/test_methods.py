"""Each Bot API method answers with Telegram's shapes, or refuses in Telegram's words.

Calls go straight to `carry_out`, without a server. Every accepted result is also read by
aiogram's own model, which is how a bot would read it.
"""

import asyncio
from typing import Any

import aiogram.methods
import msgspec
import pytest
from aiogram.methods.base import Response

from devbox.telegram.errors import BotApiError, InvalidControl
from devbox.telegram.faults import FaultSettings
from devbox.telegram.files import Upload
from devbox.telegram.limits import Limits
from devbox.telegram.methods import METHODS, carry_out, find_method
from devbox.telegram.people import People
from devbox.telegram.shapes import load_shapes
from devbox.telegram.world import SIMULATOR_TOKEN, World

USER = 7
SHAPES = load_shapes()
MODELS = {
    model.__api_method__.lower(): model
    for model in vars(aiogram.methods).values()
    if hasattr(model, "__api_method__") and isinstance(model.__api_method__, str)
}

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (640).to_bytes(4) + (480).to_bytes(4) + bytes(9)
JPEG = (
    b"\xff\xd8\xff\xe0\0\x04ab\xff\xc0\0\x11\x08" + (48).to_bytes(2) + (64).to_bytes(2) + bytes(9)
)
TEXT = Upload("report.txt", "text/plain", b"hello")


class Scene:
    """A world with one user who has written once."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now = 1_800_000_000.5
        self.world = World(SHAPES, limits or Limits(), SIMULATOR_TOKEN, "purser_bot", 0, 100, 1)
        for part in (self.world.chats, self.world.clicks, self.world.updates):
            part.clock = lambda: self.now
        self.people = People(self.world)
        self.said = self.people.say(USER, "/start")

    def call(self, method: str, uploads: dict[str, Upload] | None = None, **raw: Any) -> Any:
        """The result of a call, which aiogram must be able to read too."""
        found = find_method(self.world, method)
        result = msgspec.json.decode(asyncio.run(carry_out(self.world, found, raw, uploads or {})))
        model = MODELS[method.lower()]
        Response[model.__returning__].model_validate({"ok": True, "result": result})  # type: ignore[name-defined]
        return result

    def refused(self, method: str, uploads: dict[str, Upload] | None = None, **raw: Any) -> str:
        """Code and description of a call that must be refused."""
        with pytest.raises(BotApiError) as caught:
            self.call(method, uploads, **raw)
        return f"{caught.value.code} {caught.value.description}"

    def button(self, data: str = "a") -> dict[str, Any]:
        """A keyboard with one button."""
        return {"inline_keyboard": [[{"text": "A", "callback_data": data}]]}


@pytest.fixture
def scene() -> Scene:
    """A fresh world with one user."""
    return Scene()


def test_a_text_is_sent_with_its_markup_and_keyboard(scene: Scene) -> None:
    """The answer is the message as Telegram would tell it, and the chat has it."""
    result = scene.call(
        "sendMessage",
        chat_id=USER,
        text="<b>hi</b>",
        parse_mode="HTML",
        reply_markup=scene.button(),
    )

    assert result == {
        "message_id": scene.said.message_id + 1,
        "from": scene.world.bot,
        "chat": {"id": USER, "type": "private", "first_name": "User 7"},
        "date": 1_800_000_000,
        "text": "hi",
        "entities": [{"type": "bold", "offset": 0, "length": 2}],
        "reply_markup": scene.button(),
    }


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"text": "x"}, "chat_id is empty"),
        ({"chat_id": 8, "text": "x"}, "chat not found"),
        ({"chat_id": "@nobody", "text": "x"}, "chat not found"),
        ({"chat_id": USER}, "message text is empty"),
        ({"chat_id": USER, "text": " \n\0"}, "text must be non-empty"),
        ({"chat_id": USER, "text": "x" * 4097}, "message is too long"),
        ({"chat_id": USER, "text": "<b", "parse_mode": "HTML"},
         "can't parse entities: Unclosed start tag at byte offset 0"),
        ({"chat_id": USER, "text": "x", "reply_markup": "{"},
         "can't parse parameter reply_markup: JSON expected"),
        ({"chat_id": USER, "text": "x", "reply_parameters": {"message_id": 999}},
         "message to be replied not found"),
    ],
)  # fmt: skip
def test_a_text_that_cannot_be_sent_is_refused(
    scene: Scene, raw: dict[str, Any], expected: str
) -> None:
    """The words are those a bot would hear from Telegram."""
    assert scene.refused("sendMessage", **raw) == f"400 Bad Request: {expected}"


@pytest.mark.parametrize(
    ("button", "expected"),
    [
        ({"text": "A", "callback_data": "é" * 32}, None),
        ({"text": "A", "callback_data": "é" * 32 + "x"}, "BUTTON_DATA_INVALID"),
        ({"text": "A", "callback_data": ""}, "BUTTON_DATA_INVALID"),
        ({"text": "A"}, "text buttons are unallowed in the inline keyboard"),
        ({"text": "A", "url": "http://a.b", "callback_data": "x"}, "BUTTON_TYPE_INVALID"),
        ({"text": "A", "url": "nowhere"},
         "inline keyboard button URL 'nowhere' is invalid: Wrong HTTP URL"),
    ],
)  # fmt: skip
def test_an_inline_button_does_one_thing_within_64_bytes(
    scene: Scene, button: dict[str, Any], expected: str | None
) -> None:
    """Limits of callback data count bytes, not characters."""
    raw: dict[str, Any] = {"chat_id": USER, "text": "x"}
    raw["reply_markup"] = {"inline_keyboard": [[button]]}

    if expected is None:
        assert scene.call("sendMessage", **raw)["reply_markup"]["inline_keyboard"] == [[button]]
    else:
        assert scene.refused("sendMessage", **raw) == f"400 Bad Request: {expected}"


@pytest.mark.parametrize(("content", "size"), [(PNG, (640, 480)), (JPEG, (64, 48))])
def test_a_photo_is_sent_uploaded_and_again_by_its_id(
    scene: Scene, content: bytes, size: tuple[int, int]
) -> None:
    """The size comes from the picture's own header; the file id works in the next call."""
    upload = {"photo": Upload("p", "image/png", content)}
    first = scene.call("sendPhoto", upload, chat_id=USER, photo="attach://photo", caption="c")
    photo = first["photo"][-1]

    second = scene.call("sendPhoto", chat_id=USER, photo=photo["file_id"])

    assert (photo["width"], photo["height"]) == size
    assert second["photo"] == first["photo"]
    assert scene.call("getFile", file_id=photo["file_id"])["file_size"] == len(content)


def test_files_that_are_not_what_they_should_be_are_refused(scene: Scene) -> None:
    """No picture, no file, an unknown id, an id of another kind, a caption too long."""
    document = scene.call(
        "sendDocument", {"document": TEXT}, chat_id=USER, document="attach://document"
    )
    file_id = document["document"]["file_id"]

    refusals = [
        scene.refused("sendPhoto", {"photo": TEXT}, chat_id=USER, photo="attach://photo"),
        scene.refused("sendPhoto", chat_id=USER),
        scene.refused("sendPhoto", chat_id=USER, photo="AgAC"),
        scene.refused("sendPhoto", chat_id=USER, photo=file_id),
        scene.refused("sendDocument", chat_id=USER, document=file_id, caption="x" * 1025),
        scene.refused("getFile", file_id="BQAC"),
    ]

    assert refusals == [
        "400 Bad Request: IMAGE_PROCESS_FAILED",
        "400 Bad Request: there is no photo in the request",
        "400 Bad Request: wrong file identifier/HTTP URL specified",
        "400 Bad Request: can't use file of type Document as Photo",
        "400 Bad Request: message caption is too long",
        "400 Bad Request: invalid file_id",
    ]


def test_an_edit_replaces_text_and_keyboard(scene: Scene) -> None:
    """Without a keyboard in the edit the old one goes, as in Telegram."""
    sent = scene.call("sendMessage", chat_id=USER, text="a", reply_markup=scene.button())

    edited = scene.call("editMessageText", chat_id=USER, message_id=sent["message_id"], text="b")

    assert edited["text"] == "b"
    assert "reply_markup" not in edited
    assert edited["edit_date"] == int(scene.now)


def test_media_and_caption_are_edited_in_place(scene: Scene) -> None:
    """A picture becomes a document with another caption, and then another caption still."""
    upload = {"photo": Upload("p", "image/png", PNG)}
    sent = scene.call("sendPhoto", upload, chat_id=USER, photo="attach://photo", caption="a")
    where = {"chat_id": USER, "message_id": sent["message_id"]}

    media = {"type": "document", "media": "attach://f", "caption": "b"}
    changed = scene.call("editMessageMedia", {"f": TEXT}, **where, media=media)
    captioned = scene.call("editMessageCaption", **where, caption="c")

    assert "photo" not in changed
    assert changed["document"]["file_name"] == "report.txt"
    assert (changed["caption"], captioned["caption"]) == ("b", "c")
    assert captioned["document"] == changed["document"]


def test_edits_that_cannot_be_are_refused(scene: Scene) -> None:
    """Nothing new, no such message, somebody else's, the wrong kind."""
    sent = scene.call("sendMessage", chat_id=USER, text="a", reply_markup=scene.button())
    where = {"chat_id": USER, "message_id": sent["message_id"]}
    same = (
        "400 Bad Request: message is not modified: specified new message content and reply markup"
        " are exactly the same as a current content and reply markup of the message"
    )

    refusals = [
        scene.refused("editMessageText", **where, text=" a ", reply_markup=scene.button()),
        scene.refused("editMessageReplyMarkup", **where, reply_markup=scene.button()),
        scene.refused("editMessageText", chat_id=USER, message_id=999, text="b"),
        scene.refused("editMessageText", chat_id=USER, text="b"),
        scene.refused("editMessageText", chat_id=USER, message_id=scene.said.message_id, text="b"),
        scene.refused("editMessageCaption", **where, caption="b"),
    ]

    assert refusals == [
        same,
        same,
        "400 Bad Request: message to edit not found",
        "400 Bad Request: message identifier is not specified",
        "400 Bad Request: message can't be edited",
        "400 Bad Request: there is no caption in the message to edit",
    ]


def test_a_deleted_message_is_gone_and_a_click_on_it_tells_so(scene: Scene) -> None:
    """The click carries Telegram's inaccessible message (date 0), not the old text."""
    sent = scene.call("sendMessage", chat_id=USER, text="a", reply_markup=scene.button())
    where = {"chat_id": USER, "message_id": sent["message_id"]}

    assert scene.call("deleteMessage", **where) is True
    scene.people.click(USER, sent["message_id"], "a")

    assert scene.refused("deleteMessage", **where).endswith("message to delete not found")
    assert scene.call("deleteMessages", chat_id=USER, message_ids=[sent["message_id"]]) is True
    query = scene.call("getUpdates", offset=-1)[0]["callback_query"]
    assert query["message"]["date"] == 0
    assert "text" not in query["message"]


def test_a_click_is_answered_once_and_in_time(scene: Scene) -> None:
    """A second answer, a late one and one to nothing are all too old."""
    sent = scene.call("sendMessage", chat_id=USER, text="a", reply_markup=scene.button())
    first = scene.people.click(USER, sent["message_id"], "a").callback_query_id
    late = scene.people.click(USER, sent["message_id"], "a").callback_query_id
    too_old = (
        "400 Bad Request: query is too old and response timeout expired or query ID is invalid"
    )

    assert scene.call("answerCallbackQuery", callback_query_id=first, text="ok") is True
    again = scene.refused("answerCallbackQuery", callback_query_id=first)
    scene.now += 31

    assert [
        again,
        scene.refused("answerCallbackQuery", callback_query_id=late),
        scene.refused("answerCallbackQuery", callback_query_id="1"),
    ] == [too_old] * 3


def test_a_blocked_bot_is_told_so(scene: Scene) -> None:
    """The block is an update, writes are 403 until the user comes back."""
    scene.people.block(USER, blocked=True)

    assert (
        scene.refused("sendMessage", chat_id=USER, text="x")
        == "403 Forbidden: bot was blocked by the user"
    )
    change = scene.call("getUpdates", offset=-1)[0]["my_chat_member"]
    assert change["new_chat_member"]["status"] == "kicked"
    scene.people.block(USER, blocked=False)
    assert scene.call("sendMessage", chat_id=USER, text="x")["text"] == "x"


def test_a_flooded_chat_answers_429_with_the_seconds_to_wait(scene: Scene) -> None:
    """The flood limit is a chat's own, and off unless it is set."""
    scene.people.say(8, "hello")
    scene.world.faults.set(FaultSettings(chat_sends_per_second=0.25))
    scene.call("sendMessage", chat_id=USER, text="1")

    with pytest.raises(BotApiError) as caught:
        scene.call("sendMessage", chat_id=USER, text="2")

    assert caught.value.description == "Too Many Requests: retry after 4"
    assert caught.value.parameters == {"retry_after": 4}
    scene.call("sendMessage", chat_id=8, text="others are not held up")
    scene.now += 4
    scene.call("sendMessage", chat_id=USER, text="2")


def test_commands_are_kept_by_scope_and_language(scene: Scene) -> None:
    """What was set is what is read, and nothing else."""
    german = [{"command": "hilfe", "description": "Was ich kann"}]
    english = [{"command": "help", "description": "What I can do"}]
    scene.call("setMyCommands", commands=english)
    scene.call("setMyCommands", commands=german, language_code="de")

    assert scene.call("getMyCommands") == english
    assert scene.call("getMyCommands", language_code="de") == german
    assert scene.call("getMyCommands", language_code="fr") == []
    wrong = [{"command": "Hi There", "description": "x"}]
    assert scene.refused("setMyCommands", commands=wrong).endswith("BOT_COMMAND_INVALID")


def test_hostile_text_goes_through_whole(scene: Scene) -> None:
    """NUL, right-to-left and emoji reach the bot as they are; a bot's NUL becomes a space."""
    text = "a\0b שלום 👩‍👩‍👧 \u202e end"
    scene.people.say(USER, text)

    update = scene.call("getUpdates", offset=-1)[0]
    sent = scene.call("sendMessage", chat_id=USER, text="a\0b")

    assert update["message"]["text"] == text
    assert sent["text"] == "a b"


def test_anything_the_bot_api_can_deliver_can_be_delivered(scene: Scene) -> None:
    """Edits, channel posts, groups and stickers are checked by shape and delivered."""
    channel = {"id": -1001, "type": "channel", "title": "News"}
    sticker = {
        "file_id": "s", "file_unique_id": "u", "type": "regular", "width": 512, "height": 512,
        "is_animated": False, "is_video": False,
    }  # fmt: skip
    person = {"id": USER, "is_bot": False, "first_name": "A"}
    private = {"id": USER, "type": "private"}
    updates: list[dict[str, Any]] = [
        {"channel_post": {"chat": channel, "text": "news"}},
        {"message": {"chat": private, "from": person, "sticker": sticker}},
        {"edited_message": {"chat": private, "from": person, "edit_date": 1, "text": "/stop",
                            "message_id": scene.said.message_id}},
        {"poll_answer": {"poll_id": "1", "user": person, "option_ids": [0],
                         "option_persistent_ids": ["0"]}},
    ]  # fmt: skip

    made = [scene.people.deliver(update) for update in updates]

    delivered = scene.call("getUpdates", offset=made[0])
    assert [update["update_id"] for update in delivered] == made
    chat = scene.world.chats.get(USER)
    assert chat is not None
    assert chat.messages[scene.said.message_id].content["text"] == "/stop"


@pytest.mark.parametrize(
    "update",
    [
        {},
        {"message": "text"},
        {"message": {"text": "no chat"}},
        {"message": {"chat": {"id": 7, "type": "private"}, "text": 5}},
        {"mail": {}},
        {"message": {}, "poll": {}},
    ],
)
def test_what_telegram_would_never_deliver_is_refused(scene: Scene, update: dict[str, Any]) -> None:
    """A mistake in a test is told to the test, not delivered to the bot."""
    with pytest.raises(InvalidControl):
        scene.people.deliver(update)


def test_a_bot_says_which_kinds_of_updates_it_wants(scene: Scene) -> None:
    """The wish holds until another is given; it concerns only updates made after it."""
    scene.call("getUpdates", allowed_updates='["callback_query"]', offset=-1)
    scene.people.say(USER, "not wanted")
    scene.call("getUpdates")
    scene.people.say(USER, "not wanted either")
    scene.call("getUpdates", allowed_updates=[])
    wanted = scene.people.say(USER, "wanted again")

    updates = scene.call("getUpdates")

    expected = [scene.said.update_id, wanted.update_id]
    assert [update["update_id"] for update in updates] == expected


def test_methods_of_telegram_the_simulator_lacks_say_so(scene: Scene) -> None:
    """501 with the method's name; what nobody has is Telegram's 404."""
    assert scene.refused("sendPoll", chat_id=USER) == (
        "501 Not Implemented: the simulator has no sendPoll"
    )
    with pytest.raises(BotApiError, match="Not Found"):
        find_method(scene.world, "sendMassage")
    assert METHODS.keys() <= SHAPES.methods.keys()


def test_a_chat_forgets_its_oldest_message_beyond_its_limit() -> None:
    """Memory is bounded per chat."""
    scene = Scene(Limits(chat_messages_max=2))
    for text in "abc":
        scene.call("sendMessage", chat_id=USER, text=text)

    chat = scene.world.chats.get(USER)
    assert chat is not None
    assert [message.content["text"] for message in chat.messages.values()] == ["b", "c"]


def test_files_forget_the_oldest_beyond_their_bytes() -> None:
    """Memory is bounded for uploads too."""
    scene = Scene(Limits(files_bytes_max=8))
    first, second = (
        scene.call("sendDocument", {"document": TEXT}, chat_id=USER, document="attach://document")
        for _ in range(2)
    )

    assert scene.refused("getFile", file_id=first["document"]["file_id"]).endswith("file_id")
    assert scene.call("getFile", file_id=second["document"]["file_id"])["file_size"] == 5
