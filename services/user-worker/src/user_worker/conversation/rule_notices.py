"""What a user reads of plans and copies though no job asked."""

from user_worker.conversation import refusals
from user_worker.conversation.plan_words import what_said
from user_worker.conversation.texts import Texts
from user_worker.domain.amounts import Ambiguous, Unreadable, read_size
from user_worker.domain.notes import (
    CopiesMissed,
    CopyEnded,
    CopySkipped,
    PlanFinished,
    PlanPaused,
    RunSkipped,
)
from user_worker.domain.orders import Refusal, Refused
from user_worker.domain.replies import Button

RuleNote = RunSkipped | PlanPaused | PlanFinished | CopySkipped | CopiesMissed | CopyEnded


def said(texts: Texts, note: RuleNote) -> tuple[str, Button]:
    """Write a note, and give the button to what it is about."""
    match note:
        case RunSkipped():
            return _skipped_run(texts, note), _plans(texts)
        case PlanPaused():
            text = texts.html(
                "note-plan-paused", what=_what(texts, note), count=_n(note.runs_in_a_row)
            )
            return text, _plans(texts)
        case PlanFinished():
            text = texts.html("note-plan-finished", what=_what(texts, note), count=_n(note.runs))
            return text, _plans(texts)
        case CopySkipped():
            text = texts.html(f"note-copy-skipped-{note.side}", code=note.code, symbol=note.symbol)
            return f"{text} {_reason(texts, note.reason)}", _copies(texts)
        case CopiesMissed():
            fresh, count = texts.duration(note.fresh_seconds), _n(note.count)
            text = texts.html("note-copies-missed", code=note.code, count=count, fresh=fresh)
            return text, _copies(texts)
        case CopyEnded():
            return texts.html("note-copy-ended", code=note.code), _copies(texts)


def _skipped_run(texts: Texts, note: RunSkipped) -> str:
    text = texts.html("note-run-skipped", what=_what(texts, note))
    reason = texts.html("note-no-price") if note.reason is None else _reason(texts, note.reason)
    return f"{text} {reason}"


def _what(texts: Texts, note: RunSkipped | PlanPaused | PlanFinished) -> str:
    size = read_size(note.size, note.symbol)
    if isinstance(size, Ambiguous | Unreadable):
        return note.symbol
    return what_said(texts, note.symbol, size)


def _reason(texts: Texts, reason: str) -> str:
    # A later version may have written a reason this one has no name for.
    known = reason in {refused.value for refused in Refused}
    return refusals.sentence(texts, Refusal(Refused(reason) if known else Refused.NOT_TAKEN))


def _n(count: int) -> str:
    return str(count)


def _plans(texts: Texts) -> Button:
    return Button(texts.plain("button-plans"), "do:dca")


def _copies(texts: Texts) -> Button:
    return Button(texts.plain("button-copies"), "do:copy")
