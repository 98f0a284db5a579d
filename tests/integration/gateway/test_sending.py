"""What is to be said arrives as it was said: in order, edited, with its picture."""

import asyncio
from collections import Counter
from uuid import uuid4

import grpc
import grpc.aio
import pytest
from tests.integration.gateway.answering import answer, states, words
from tests.integration.gateway.house import House, ending, text

from purser.gateway.v1 import gateway_pb2, reply_pb2

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100) + bytes(range(256)) * 4


async def test_the_replies_of_a_job_arrive_in_order(house: House) -> None:
    """Sixteen of them."""
    gateway = await house.open_gateway()
    await answer(house, gateway, 5, *(text(str(n)) for n in range(16)))
    assert [str(n) for n in range(16)] == words(await house.heard(5, 16))
    assert await states(house) == [1] * 16


async def test_what_has_no_room_in_memory_is_sent_by_a_sweep(house: House) -> None:
    """The outbox holds it until there is room; the order stays."""
    gateway = await house.open_gateway(SEND_ROWS_IN_MEMORY_MAX="3", SEND_ROWS_PER_LOOK_MAX="2")
    await answer(house, gateway, 5, *(text(str(n)) for n in range(9)))
    assert [str(n) for n in range(9)] == words(await house.heard(5, 9))
    assert await states(house) == [1] * 9


async def test_an_edit_changes_its_message_in_place(house: House) -> None:
    """Saying the same again is no failure either."""
    gateway = await house.open_gateway()
    edit = reply_pb2.Reply(message_key="m", edit_text=reply_pb2.EditText(text="after"))
    await answer(house, gateway, 5, text("before", "m"), edit, edit)
    assert await states(house) == [1, 1, 1]
    assert words(await house.heard(5)) == ["after"]


async def test_an_edit_whose_message_was_never_sent_is_a_message(house: House) -> None:
    """And the next edit finds that one."""
    gateway = await house.open_gateway()

    def edit(said: str) -> reply_pb2.Reply:
        return reply_pb2.Reply(message_key="m", edit_text=reply_pb2.EditText(text=said))

    await answer(house, gateway, 5, edit("one"), edit("two"))
    assert await states(house) == [1, 1]
    assert words(await house.heard(5)) == ["two"]


async def test_broken_markup_is_said_plainly(house: House) -> None:
    """The words matter more than the bold."""
    gateway = await house.open_gateway()
    said = reply_pb2.SendText(text="<b>1 < 2</b> &amp; so", format=reply_pb2.TEXT_FORMAT_HTML)
    await answer(house, gateway, 5, reply_pb2.Reply(send_text=said))
    assert words(await house.heard(5)) == ["1 < 2 & so"]


def picture(caption: str, key: str = "") -> reply_pb2.Reply:
    """A reply that sends a picture with a button."""
    row = reply_pb2.KeyboardRow(buttons=[reply_pb2.Button(text="Buy", data="buy:1")])
    photo = reply_pb2.SendPhoto(
        image=PNG,
        caption=caption,
        format=reply_pb2.TEXT_FORMAT_HTML,
        keyboard=reply_pb2.Keyboard(rows=[row]),
    )
    return reply_pb2.Reply(message_key=key, send_photo=photo)


async def test_a_pictures_bytes_arrive_as_they_were_drawn(house: House) -> None:
    """What the chat page loads is what the worker sent; the caption is marked up."""
    gateway = await house.open_gateway()
    await answer(house, gateway, 5, picture("<b>BTC</b>, one day"))
    (message,) = await house.heard(5)
    shown = house.simulator.world.files.get(message["photo"].rpartition("/")[2])
    assert shown is not None
    assert PNG == shown.upload.content
    assert message["text"] == "BTC, one day"
    assert message["buttons"] == [[{"text": "Buy", "data": "buy:1"}]]
    assert [("bold", 0, 3)] == [(e["type"], e["offset"], e["length"]) for e in message["entities"]]


async def test_a_caption_may_be_as_long_as_telegram_takes_and_no_longer(house: House) -> None:
    """Counted after the markup, in UTF-16 units; the worker learns of one too long at once."""
    gateway = await house.open_gateway()
    claim = await house.claim()
    house.say(5, "/chart")
    (job,) = await house.jobs()
    longest = "<b>" + "\U0001f4c8" * 512 + "</b>"
    too_long = ending(claim, job.job_id, picture(longest + "!"))

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await gateway.stub.Deliver(too_long, timeout=5)
    await gateway.stub.Deliver(ending(claim, job.job_id, picture(longest)), timeout=5)

    assert grpc.StatusCode.INVALID_ARGUMENT == refused.value.code()
    assert "caption" in (refused.value.details() or "")
    assert ["\U0001f4c8" * 512] == words(await house.heard(5))


async def test_an_edit_of_a_picture_is_a_message_of_its_own(house: House) -> None:
    """There is no text in a picture to edit; what comes after edits the new message."""
    gateway = await house.open_gateway()

    def edit(said: str) -> reply_pb2.Reply:
        return reply_pb2.Reply(message_key="m", edit_text=reply_pb2.EditText(text=said))

    await answer(house, gateway, 5, picture("a chart", "m"), edit("sold"), edit("sold at 5"))
    assert await states(house) == [1, 1, 1]
    assert words(await house.heard(5, 2)) == ["a chart", "sold at 5"]


async def test_a_notice_with_a_picture_told_again_and_again_arrives_once(house: House) -> None:
    """Twice in one call, again through another gateway, again after it was sent."""
    gateways = [await house.open_gateway(), await house.open_gateway()]
    house.say(5, "hi")
    (job,) = await house.jobs()
    notice = gateway_pb2.Notice(
        event_id=str(uuid4()), user_id=job.user_id, replies=[picture("filled"), text("and so on")]
    )
    twice = gateway_pb2.NotifyRequest(notices=[notice, notice])

    answers = await asyncio.gather(*(g.stub.Notify(twice, timeout=5) for g in gateways * 2))
    assert ["filled", "and so on"] == words(await house.heard(5, 2))
    answers.append(await gateways[0].stub.Notify(twice, timeout=5))

    results = Counter(result for answer in answers for result in answer.results)
    assert results == {
        gateway_pb2.NOTICE_RESULT_ACCEPTED: 1,
        gateway_pb2.NOTICE_RESULT_DUPLICATE: 9,
    }
    assert await states(house) == [1, 1]
    assert len(house.said_to(5)) == 2
