"""Answers of both sides made comparable: their times differ by milliseconds."""

from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from tests.simulation.seeding import BEGIN

from user_worker.domain.orders import Draft, Order
from user_worker.trading_ports import NoteEvent


def timeless(answer: Any) -> Any:
    """An answer without its times; whether there are any stays, and how long drafts and orders
    last. Lists are sorted: what came within milliseconds may stand in either order.
    """
    match answer:
        case Draft():
            lasts = _rounded(answer.expires_at - answer.made_at)
            return replace(answer, made_at=BEGIN, expires_at=BEGIN + lasts)
        case Order():
            lasts = _rounded(answer.submit_before - answer.accepted_at)
            return replace(
                answer,
                draft=timeless(answer.draft),
                accepted_at=BEGIN,
                submit_before=BEGIN if answer.is_frozen else BEGIN + lasts,
                ended_at=answer.ended_at and BEGIN,
            )
        case NoteEvent():
            return replace(answer, event_id=UUID(int=0))
        case datetime():
            return BEGIN
        case dict():
            return {key: timeless(value) for key, value in answer.items()}
        case list():
            return sorted((timeless(one) for one in answer), key=repr)
        case tuple():
            return tuple(timeless(one) for one in answer)
        case _ if is_dataclass(answer) and not isinstance(answer, type):
            parts = {part.name: timeless(getattr(answer, part.name)) for part in fields(answer)}
            return replace(answer, **parts)
        case _:
            return answer


def _rounded(seconds: timedelta) -> timedelta:
    return timedelta(seconds=round(seconds.total_seconds(), 1))
