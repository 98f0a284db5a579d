"""A conversation of the tests: what a user says, and what stands on the chat's wall afterwards."""

from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from tests.unit.user_worker.fake_services import FakeServices
from tests.unit.user_worker.fakes import ANN, CLAIM, FakePreferences, job_of

from user_worker.conversation.book import Conversation
from user_worker.domain.jobs import Command, Input, Job, Press, Text
from user_worker.domain.orders import Money, Side, Wish
from user_worker.domain.replies import (
    AnswerPress,
    Button,
    EditText,
    Keyboard,
    Reply,
    SendPhoto,
    SendText,
)


@dataclass
class Chat:
    """One user's chat with the bot."""

    services: FakeServices = field(default_factory=FakeServices)
    preferences: FakePreferences = field(default_factory=FakePreferences)
    user_id: UUID = ANN
    language_code: str = "en"
    replies: list[Reply] = field(default_factory=list)
    last_job: Job | None = None

    async def say(self, what: Input) -> str:
        """Say something; gives what the bot wrote, the answers to presses left out."""
        job = job_of(what, user_id=self.user_id, language_code=self.language_code)
        return await self.work(job)

    async def work(self, job: Job) -> str:
        """Work a job, perhaps not for the first time."""
        self.last_job = job
        conversation = Conversation(self.services.as_services())
        self.replies = await conversation.answer(job, CLAIM, self.preferences)
        return self.text

    async def again(self) -> str:
        """Work the last job once more, as a new owner does after a crash."""
        assert self.last_job is not None
        return await self.work(self.last_job)

    async def command(self, line: str) -> str:
        """Say a command as typed, without its slash."""
        name, _, arguments = line.partition(" ")
        return await self.say(Command(name, arguments))

    async def write(self, text: str) -> str:
        """Write a text that is no command."""
        return await self.say(Text(text))

    async def press(self, text: str) -> str:
        """Press the button of the last message whose text begins like this."""
        button = next(b for b in self.buttons if b.text.startswith(text))
        return await self.say(Press(button.data, self.message_key, "press"))

    @property
    def messages(self) -> list[SendText | EditText | SendPhoto]:
        """What the last job put on the wall."""
        return [r for r in self.replies if not isinstance(r, AnswerPress)]

    @property
    def text(self) -> str:
        """What the last job wrote."""
        return "\n".join(m.caption if isinstance(m, SendPhoto) else m.text for m in self.messages)

    @property
    def keyboard(self) -> Keyboard:
        """The buttons under the last message."""
        return self.messages[-1].keyboard

    @property
    def buttons(self) -> list[Button]:
        """The same, in one row."""
        return [button for row in self.keyboard for button in row]

    @property
    def message_key(self) -> str:
        """The key of the last message."""
        return self.messages[-1].message_key

    @property
    def toast(self) -> AnswerPress:
        """The answer to the press."""
        return next(r for r in self.replies if isinstance(r, AnswerPress))


BUY_100 = Wish(Side.BUY, "BTC", Money(Decimal(100)))


def wishes(chat: Chat) -> list[Wish]:
    """What was proposed so far."""
    return [draft.wish for draft in chat.services.trading.drafts.values()]
