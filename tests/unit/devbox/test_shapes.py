"""The Bot API's shapes: exported from aiogram, checked by the simulator's own small code."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from devbox.telegram.shapes import ShapeError, Shapes, load_shapes, read_text, split_union

EXPORT = Path(__file__).parents[3] / "services" / "devbox" / "export_bot_api.py"


@pytest.fixture(scope="module")
def shapes() -> Shapes:
    """The shapes shipped with the package."""
    return load_shapes()


def load_export() -> ModuleType:
    """The export tool, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("export_bot_api", EXPORT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_shapes_are_those_of_the_installed_aiogram() -> None:
    """Raising aiogram without running the export again fails here.

    In a process of its own: the gateway's tests may have imported aiogram without building it.
    """
    asking = "import export_bot_api as e, sys; sys.stdout.write(e.rendered(e.shapes()))"

    exported = subprocess.run(
        [sys.executable, "-c", asking], cwd=EXPORT.parent, check=True, capture_output=True
    ).stdout.decode()

    written = load_export().OUTPUT.read_text(encoding="utf-8")
    assert exported == written, "run services/devbox/export_bot_api.py"


def test_every_expression_can_be_compiled(shapes: Shapes) -> None:
    """No type of the Bot API mentions one that is missing."""
    content = json.loads(load_export().OUTPUT.read_text(encoding="utf-8"))
    expressions = {
        expression
        for shape in [*content["methods"].values(), *content["types"].values()]
        for expression in [*shape["required"].values(), *shape["optional"].values()]
    }

    for expression in expressions:
        with pytest.raises(ShapeError):
            shapes.check_result(expression, object())


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("int", ["int"]),
        ("int|str", ["int", "str"]),
        ("[A|B]|C", ["[A|B]", "C"]),
        ("[[A|B]]", ["[[A|B]]"]),
    ],
)
def test_a_union_is_split_at_its_top_level_only(expression: str, expected: list[str]) -> None:
    """Brackets keep their alternatives together."""
    assert split_union(expression) == expected


@pytest.mark.parametrize(
    ("expression", "text", "expected"),
    [
        ("int", "-7", -7),
        ("int|str", "42", 42),
        ("int|str", "@channel", "@channel"),
        ("float", "1.5", 1.5),
        ("bool", "True", True),
        ("bool", "no", False),
        ("str", "7", "7"),
        ("[str]", '["a"]', ["a"]),
        ("str|InputFile", "attach://photo", "attach://photo"),
    ],
)
def test_text_of_a_form_becomes_what_the_parameter_is(
    expression: str, text: str, expected: object
) -> None:
    """Forms carry only text; the shape says what it means."""
    assert read_text(expression, text) == expected


@pytest.mark.parametrize(("expression", "text"), [("int", "seven"), ("[str]", "[")])
def test_text_that_is_not_of_the_parameter_is_refused(expression: str, text: str) -> None:
    """A number that is none, JSON that is none."""
    with pytest.raises(ShapeError):
        read_text(expression, text)


def test_a_fault_deep_inside_is_named_with_its_path(shapes: Shapes) -> None:
    """The error says which button of which row is wrong."""
    markup = {"inline_keyboard": [[{"text": "ok", "callback_data": "a"}, {"text": 7}]]}
    raw = {"chat_id": 7, "text": "x", "reply_markup": markup}

    with pytest.raises(ShapeError) as caught:
        shapes.read_call(shapes.methods["sendmessage"], raw)

    assert str(caught.value) == "reply_markup.inline_keyboard.0.1.text: a string expected"


def test_what_a_bot_sends_too_much_is_ignored_as_telegram_does(shapes: Shapes) -> None:
    """Unknown parameters disappear; unknown fields inside objects do no harm."""
    raw = {
        "chat_id": "7",
        "text": "x",
        "colour": "red",
        "reply_markup": '{"keyboard":[["a"]],"z":1}',
    }

    parameters = shapes.read_call(shapes.methods["sendmessage"], raw)

    expected: dict[str, Any] = {
        "chat_id": 7,
        "text": "x",
        "reply_markup": {"keyboard": [["a"]], "z": 1},
    }
    assert parameters == expected


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ({"id": 1, "is_bot": False}, "User with a field 'first_name' expected"),
        ({"id": True, "is_bot": False, "first_name": ""}, "id: an integer expected"),
        ({"id": 1, "is_bot": False, "first_name": "", "x": 1}, "User without a field 'x' expected"),
    ],
)
def test_what_the_simulator_sends_is_exact(
    shapes: Shapes, value: dict[str, Any], complaint: str
) -> None:
    """A missing, wrong or invented field of ours is found before a bot sees it."""
    with pytest.raises(ShapeError, match=complaint):
        shapes.check_result("User", value)
