"""Settings: read from the environment, all problems at once, secrets shown to nobody."""

# ruff: noqa: D101, D103 (a test's name is its claim)

import copy
import json
import logging
import pickle
import traceback
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from chassis.errors import BadSettings
from chassis.settings import Secret, load

HIDDEN = "a password nobody may see"


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    database_url: Secret
    connections_max: Annotated[int, msgspec.Meta(ge=1, le=200)] = 10


class RoomSettings(msgspec.Struct, frozen=True, kw_only=True):
    store: StoreSettings
    pace_seconds: Annotated[float, msgspec.Meta(gt=0)] = 1.5
    eager: bool = False
    format: Literal["json", "console"] = "json"
    folder: Path | None = None
    symbols: tuple[str, ...] = ()
    word: str = "word"


def test_fields_come_from_the_rooms_variables_then_the_shared_ones_then_defaults() -> None:
    settings = load(
        RoomSettings,
        "ROOM",
        {
            "ROOM_DATABASE_URL": "postgresql://mine",
            "PURSER_DATABASE_URL": "postgresql://shared",
            "PURSER_CONNECTIONS_MAX": "7",
            "ROOM_EAGER": "yes",
            "ROOM_FOLDER": "/somewhere",
            "ROOM_SYMBOLS": "BTC-USDT, ETH-USDT,",
            "ROOM_WORD": "",
        },
    )
    assert settings.store.database_url.reveal() == "postgresql://mine"
    assert settings.store.connections_max == 7
    assert settings.eager is True
    assert settings.folder == Path("/somewhere")
    assert settings.symbols == ("BTC-USDT", "ETH-USDT")
    assert settings.pace_seconds == 1.5
    assert settings.word == "word", "an empty variable counts as unset"


def test_all_problems_are_told_at_once_each_in_a_sentence_naming_its_variable() -> None:
    with pytest.raises(BadSettings) as caught:
        load(
            RoomSettings,
            "ROOM",
            {
                "ROOM_CONNECTIONS_MAX": "0",
                "ROOM_PACE_SECONDS": "nan",
                "ROOM_EAGER": "perhaps",
                "PURSER_FORMAT": "xml",
            },
        )
    assert caught.value.problems == (
        (
            "ROOM_DATABASE_URL is missing (or PURSER_DATABASE_URL for all services): set it to a "
            "secret text; ROOM_DATABASE_URL_FILE may name a file that holds it."
        ),
        "ROOM_CONNECTIONS_MAX must be a whole number, at least 1, at most 200, not '0'.",
        "ROOM_PACE_SECONDS must be a number, above 0, not 'nan'.",
        "ROOM_EAGER must be true or false, not 'perhaps'.",
        "PURSER_FORMAT must be one of json, console, not 'xml'.",
    )


def test_a_rule_between_fields_is_told_like_the_others() -> None:
    class Between(msgspec.Struct, frozen=True, kw_only=True):
        low: int = 1
        high: int = 2

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("LOW must not be above HIGH.")

    with pytest.raises(BadSettings, match="LOW must not be above HIGH"):
        load(Between, "ROOM", {"ROOM_LOW": "3"})


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(HIDDEN + "\n")
    settings = load(StoreSettings, "ROOM", {"ROOM_DATABASE_URL_FILE": str(file)})
    assert settings.database_url.reveal() == HIDDEN


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"x" * 65_537])
def test_a_file_that_holds_no_secret_is_refused_without_showing_it(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "url"
    file.write_bytes(content)
    with pytest.raises(BadSettings) as caught:
        load(StoreSettings, "ROOM", {"ROOM_DATABASE_URL_FILE": str(file)})
    assert "ROOM_DATABASE_URL_FILE" in str(caught.value)
    assert "xxx" not in str(caught.value)


def test_a_secret_in_two_places_is_a_problem_not_a_guess(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("one")
    with pytest.raises(BadSettings, match="either ROOM_DATABASE_URL or ROOM_DATABASE_URL_FILE"):
        load(
            StoreSettings,
            "ROOM",
            {"ROOM_DATABASE_URL": "two", "ROOM_DATABASE_URL_FILE": str(tmp_path / "url")},
        )


def test_a_misspelt_variable_is_pointed_out_once(caplog: pytest.LogCaptureFixture) -> None:
    environment = {
        "ROOM_DATABASE_URL": HIDDEN,
        "ROOM_CONECTIONS_MAX": HIDDEN,
        "ROOM_SERVICE_HOST": "10.0.0.1",  # what Kubernetes adds by itself
        "ROOM_PORT_50051_TCP_ADDR": "10.0.0.1",
        "ROOMY": "not ours",
    }
    with caplog.at_level(logging.WARNING):
        load(StoreSettings, "ROOM", environment)
        load(StoreSettings, "ROOM", environment)  # as a program does that waits at its start
    assert [record.getMessage() for record in caplog.records] == [
        "ROOM_CONECTIONS_MAX is no setting of this program; did you mean ROOM_CONNECTIONS_MAX?"
    ]


def test_a_part_of_a_rooms_settings_says_nothing_about_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        for prefix in ("ROOM", "PURSER"):
            environment = {f"{prefix}_DATABASE_URL": HIDDEN, f"{prefix}_LISTEN_ADDRESS": "x:1"}
            load(StoreSettings, prefix, environment, warn_of_unknown=prefix == "PURSER")
    assert caplog.records == []


def test_a_secret_shows_itself_nowhere() -> None:
    secret = Secret(HIDDEN)
    settings = StoreSettings(database_url=secret)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>10}",
        "%s %r" % (secret, secret),  # noqa: UP031 (the old way must not leak either)
        "{:>20}".format(secret),  # noqa: UP032 (nor this one)
        repr(settings),
        json.dumps({"x": secret}, default=str),
        repr(pickle.dumps(secret)),
        repr(pickle.loads(pickle.dumps(secret)).reveal()),  # noqa: S301 (of our own making)
    ]
    assert not [text for text in shown if HIDDEN in text]


def test_a_secret_cannot_be_encoded_by_accident() -> None:
    settings = StoreSettings(database_url=Secret(HIDDEN))
    for encode in (msgspec.json.encode, msgspec.to_builtins, json.dumps):
        with pytest.raises(TypeError) as caught:
            encode(settings)
        assert HIDDEN not in str(caught.value)


def test_a_secret_is_not_in_a_stack_trace_with_local_variables() -> None:
    def fail(secret: Secret) -> None:
        raise ValueError(f"cannot use {secret}")

    with pytest.raises(ValueError, match="cannot use") as caught:
        fail(Secret(HIDDEN))
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert HIDDEN not in "".join(trace.format())


def test_a_secret_keeps_its_text_through_copies_and_does_not_change() -> None:
    secret = Secret(HIDDEN)
    assert copy.deepcopy(secret).reveal() == HIDDEN
    assert secret == Secret(HIDDEN)
    assert secret != Secret("another")
    assert len({secret, Secret(HIDDEN)}) == 1
    with pytest.raises(AttributeError):
        secret._text = "changed"
