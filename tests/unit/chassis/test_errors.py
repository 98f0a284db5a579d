"""A malformed field is refused by its name."""

# ruff: noqa: D103 (a test's name is its claim)

import pytest

from chassis.errors import MalformedRequest, read_field
from kernel.identifiers import parse_uuid


def test_a_malformed_field_is_named_to_the_caller_and_never_repeated() -> None:
    with pytest.raises(MalformedRequest) as refusal:
        read_field("user_id", parse_uuid, "hostile")

    assert ("user_id", "MALFORMED") == (refusal.value.field, refusal.value.reason)
    assert str(refusal.value).startswith("user_id: expected a UUID")
    assert "hostile" not in str(refusal.value)


def test_what_is_not_about_the_text_is_not_blamed_on_the_caller() -> None:
    def broken(_: str) -> int:
        raise ValueError("a mistake of ours")

    with pytest.raises(ValueError, match="of ours"):
        read_field("user_id", broken, "")
