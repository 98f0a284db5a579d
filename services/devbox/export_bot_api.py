# ruff: noqa: INP001, T201 -- a tool run by hand that tells what it wrote, outside the package
"""Write down the shapes of Telegram's Bot API, as aiogram knows them, for the simulator.

aiogram holds one pydantic model per Bot API method and type, but importing it takes seconds and
159 MB. This tool, run by hand after aiogram is raised, imports it once and writes the shapes to
`botapi.json`, which the simulator loads in milliseconds:

    python services/devbox/export_bot_api.py

Only what goes over the wire is kept: the methods with their parameters and result, and every type
reachable from them. A shape is written as a small expression:

    int  str  bool  float     a JSON scalar (times are Unix seconds: int)
    'photo'                   exactly this string; true: exactly true
    InputFile                 a file sent with the call
    Message                   an object of that type, or a union of that name
    [X]                       a list of X
    X|Y                       one of them

A field with one possible value counts as required: aiogram fills it in, so the wire always has it.
The test `tests/unit/devbox/test_shapes.py` fails when the file and the installed aiogram differ.
"""

import datetime as dt
import enum
import inspect
import json
import pathlib
import typing

import aiogram
import aiogram.methods
from aiogram.client.default import Default
from aiogram.methods.base import TelegramMethod
from aiogram.types import InputFile
from pydantic import BaseModel

OUTPUT = pathlib.Path(__file__).parent / "src" / "devbox" / "telegram" / "botapi.json"

SCALARS: dict[object, str] = {
    int: "int",
    str: "str",
    bool: "bool",
    float: "float",
    dt.datetime: "int",
    dt.timedelta: "int",
}
"""aiogram reads times into datetime; over the wire they are Unix seconds."""

TEXT_WILL_DO = {"KeyboardButton": "KeyboardButton|str"}
"""Telegram documents that a plain string can stand for such an object; aiogram never does it."""


class Shapes:
    """Collects types and unions as the annotations that mention them are put into words."""

    def __init__(self) -> None:
        self.types: dict[str, dict[str, dict[str, str]]] = {}
        self.unions: dict[str, str] = {}

    def expression(self, annotation: object) -> str:
        """The annotation as a shape expression; every model it mentions is recorded too."""
        if annotation in SCALARS:
            return SCALARS[annotation]
        if isinstance(annotation, str):  # a union that contains itself names itself
            return annotation
        if hasattr(annotation, "__value__"):
            return self._alias(annotation)
        if inspect.isclass(annotation) and issubclass(annotation, InputFile):
            return "InputFile"
        if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
            self._record(annotation)
            return TEXT_WILL_DO.get(annotation.__name__, annotation.__name__)
        if inspect.isclass(annotation) and issubclass(annotation, enum.Enum):
            return "str"
        return self._generic(annotation)

    def _alias(self, alias: typing.Any) -> str:
        name: str = alias.__name__
        if name not in self.unions:
            self.unions[name] = ""
            self.unions[name] = self.expression(alias.__value__)
        return name

    def _generic(self, annotation: object) -> str:
        origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return self.expression(arguments[0])
        if origin is typing.Literal:
            return "|".join(literal(value) for value in arguments)
        if origin is list:
            return f"[{self.expression(arguments[0])}]"
        if origin is None:
            raise TypeError(f"no shape expression for {annotation!r}")
        members = [a for a in arguments if a is not type(None) and a is not Default]
        return "|".join(dict.fromkeys(self.expression(member) for member in members))

    def _record(self, model: type[BaseModel]) -> None:
        if model.__name__ not in self.types:
            self.types[model.__name__] = {}
            self.types[model.__name__].update(self.fields(model))

    def fields(self, model: type[BaseModel]) -> dict[str, dict[str, str]]:
        """The model's fields by their names on the wire, in Telegram's order."""
        required: dict[str, str] = {}
        optional: dict[str, str] = {}
        for name, field in model.model_fields.items():
            constant = typing.get_origin(field.annotation) is typing.Literal
            group = required if field.is_required() or constant else optional
            group[field.alias or name] = self.expression(field.annotation)
        return {"required": required, "optional": optional}


def literal(value: object) -> str:
    """One allowed value of a field as it stands in a shape expression."""
    if value is True:
        return "true"
    return f"'{value.value if isinstance(value, enum.Enum) else value}'"


def shapes() -> dict[str, object]:
    """Everything `botapi.json` holds, from the aiogram that is installed."""
    found = Shapes()
    methods: dict[str, object] = {}
    for name in sorted(vars(aiogram.methods)):
        method = getattr(aiogram.methods, name)
        if not (inspect.isclass(method) and issubclass(method, TelegramMethod)):
            continue
        if method is not TelegramMethod:
            methods[method.__api_method__] = {
                "returns": found.expression(method.__returning__),
                **found.fields(method),
            }
    return {
        "bot_api": aiogram.__api_version__,
        "aiogram": aiogram.__version__,
        "methods": methods,
        "types": dict(sorted(found.types.items())),
        "unions": dict(sorted(found.unions.items())),
    }


def rendered(content: dict[str, object]) -> str:
    """As JSON with one method or type a line, so that a new Bot API gives a readable diff."""
    sections = []
    for key, value in content.items():
        if isinstance(value, dict):
            lines = (
                f"{json.dumps(name)}: {json.dumps(shape, separators=(',', ':'))}"
                for name, shape in value.items()
            )
            sections.append(f"{json.dumps(key)}: {{\n" + ",\n".join(lines) + "\n}")
        else:
            sections.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


if __name__ == "__main__":
    OUTPUT.write_text(rendered(shapes()), encoding="utf-8")
    print(f"wrote {OUTPUT} (Bot API {aiogram.__api_version__})")
