"""Ids: made in order whatever the clock does, read strictly."""

# ruff: noqa: D103 (a test's name is its claim)

import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel import identifiers
from kernel.identifiers import MalformedIdentifier, new_uuid7, parse_uuid


def test_ids_of_one_process_sort_in_the_order_they_were_made() -> None:
    made = [new_uuid7() for _ in range(5_000)]
    assert sorted(made) == made
    assert len(set(made)) == len(made)


def test_a_clock_that_goes_back_does_not_take_the_ids_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000_000_000_000
    monkeypatch.setattr("time.time_ns", lambda: now)
    before = new_uuid7()
    monkeypatch.setattr("time.time_ns", lambda: now - 3_600_000_000_000)
    after = new_uuid7()
    assert before < after


def test_an_id_carries_its_millisecond_version_and_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    # Far enough ahead that no id of this process is later.
    monkeypatch.setattr("time.time_ns", lambda: 4_000_000_000_123_000_000)
    monkeypatch.setattr(identifiers, "_last_tick", 0)
    made = new_uuid7()
    assert made.int >> 80 == 4_000_000_000_123
    assert made.version == 7
    assert made.variant == uuid.RFC_4122


@given(st.uuids())
def test_every_uuid_in_canonical_text_reads_back_in_either_case(value: uuid.UUID) -> None:
    assert parse_uuid(str(value)) == value
    assert parse_uuid(str(value).upper()) == value


@given(st.text(alphabet=string.printable + "\uff10\uff11é\0", max_size=60))
def test_what_is_not_canonical_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(MalformedIdentifier) as caught:
        parse_uuid(text)
    assert len(text) < 12 or text not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{12345678-1234-7234-8234-123456789012}",
        "urn:uuid:12345678-1234-7234-8234-123456789012",
        "12345678123472348234123456789012",
        "12345678-1234-7234-8234-123456789012\n",
        "\uff112345678-1234-7234-8234-123456789012",
    ],
)
def test_the_other_spellings_python_would_take_are_refused(text: str) -> None:
    with pytest.raises(MalformedIdentifier):
        parse_uuid(text)
