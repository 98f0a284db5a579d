"""Checks values against the Bot API's shapes (`botapi.json`, see `export_bot_api.py`).

A shape expression such as `[MessageEntity]` or `int|str` is compiled once, at its first use, into
a plain function that raises ShapeError with the path to the fault. The same checks serve both
directions, with one difference: what a bot sends may carry fields Telegram does not know (Telegram
ignores them), what the simulator sends may not (it would be our mistake).

Telegram accepts every parameter as text, because forms carry nothing else: `read_call` turns
text into numbers, booleans and decoded JSON where the parameter's shape asks for it.
"""

from collections.abc import Callable
from importlib import resources
from typing import Any

import msgspec

Json = dict[str, Any]
Check = Callable[[Any], None]

TRUE_WORDS = frozenset({"true", "yes", "y", "t", "1"})
"""What Telegram reads as a true boolean in a form; anything else is false."""


class ShapeError(Exception):
    """A value that is not of its shape: where in it, and what was expected there."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.path: list[str] = []

    def __str__(self) -> str:
        place = ".".join(reversed(self.path))
        return f"{place}: {self.expected} expected" if place else f"{self.expected} expected"


class Method:
    """One Bot API method: its name as Telegram spells it, its result and its parameters."""

    __slots__ = ("name", "parameters", "required", "returns")

    def __init__(self, name: str, shape: Json) -> None:
        self.name = name
        self.returns: str = shape["returns"]
        self.required: list[str] = list(shape["required"])
        self.parameters: dict[str, str] = {**shape["required"], **shape["optional"]}


class Shapes:
    """The Bot API's methods and types, ready to check calls and replies."""

    def __init__(self, content: Json) -> None:
        self._types: Json = content["types"]
        self._unions: dict[str, str] = content["unions"]
        self._compiled: dict[tuple[str, bool], Check] = {}
        self.methods = {
            name.lower(): Method(name, shape) for name, shape in content["methods"].items()
        }
        """By lower-case name: Telegram's method names are case-insensitive."""

    def check_result(self, expression: str, value: object) -> None:
        """Raise ShapeError unless `value` is what Telegram would send for this shape."""
        self._check(expression, exact=True)(value)

    def read_call(self, method: Method, raw: Json) -> Json:
        """The known parameters of a call, typed; missing ones are the method's own affair.

        Raises ShapeError for a parameter that is not of its shape.
        """
        parameters: Json = {}
        for name, value in raw.items():
            expression = method.parameters.get(name)
            if expression is None or value is None:
                continue
            try:
                typed = read_text(expression, value) if isinstance(value, str) else value
                if isinstance(typed, float | int) and expression == "str":
                    typed = str(typed)
                self._check(expression, exact=False)(typed)
            except ShapeError as error:
                error.path.append(name)
                raise
            parameters[name] = typed
        return parameters

    def _check(self, expression: str, *, exact: bool) -> Check:
        check = self._compiled.get((expression, exact))
        if check is None:
            check = self._compile(expression, exact)
            self._compiled[expression, exact] = check
        return check

    def _compile(self, expression: str, exact: bool) -> Check:
        alternatives = split_union(expression)
        if len(alternatives) > 1:
            return self._compile_union(alternatives, expression, exact)
        if expression in SCALAR_CHECKS:
            return SCALAR_CHECKS[expression]
        if expression.startswith("'"):
            return constant_check(expression[1:-1])
        if expression.startswith("["):
            return self._compile_list(expression[1:-1], exact)
        if expression in self._unions:
            return self._compile_named_union(self._unions[expression], exact)
        return self._compile_object(expression, exact)

    def _compile_named_union(self, union: str, exact: bool) -> Check:
        """A union may contain itself, so it is compiled when it is first met."""

        def check(value: Any) -> None:
            self._check(union, exact=exact)(value)

        return check

    def _compile_list(self, inner: str, exact: bool) -> Check:
        def check(value: Any) -> None:
            if type(value) is not list:
                raise ShapeError("a list")
            check_item = self._check(inner, exact=exact)
            for index, item in enumerate(value):
                try:
                    check_item(item)
                except ShapeError as error:
                    error.path.append(str(index))
                    raise

        return check

    def _compile_object(self, name: str, exact: bool) -> Check:
        shape = self._types[name]
        required = shape["required"]
        fields: dict[str, str] = {**required, **shape["optional"]}
        checks: dict[str, Check] = {}

        def check(value: Any) -> None:
            if type(value) is not dict:
                raise ShapeError(name)
            for field in required:
                if field not in value:
                    raise ShapeError(f"{name} with a field {field!r}")
            for field, item in value.items():
                field_check = checks.get(field)
                if field_check is None:
                    if field not in fields:
                        if exact:
                            raise ShapeError(f"{name} without a field {field!r}")
                        continue
                    field_check = checks[field] = self._check(fields[field], exact=exact)
                try:
                    field_check(item)
                except ShapeError as error:
                    error.path.append(field)
                    raise

        return check

    def _compile_union(self, alternatives: list[str], expression: str, exact: bool) -> Check:
        def check(value: Any) -> None:
            nearest: ShapeError | None = None
            for alternative in alternatives:
                try:
                    self._check(alternative, exact=exact)(value)
                except ShapeError as error:
                    if nearest is None or len(error.path) > len(nearest.path):
                        nearest = error
                else:
                    return
            if nearest is not None and nearest.path:
                raise nearest
            raise ShapeError(" or ".join(alternatives[:4]) if len(expression) < 200 else "object")

        return check


def split_union(expression: str) -> list[str]:
    """The alternatives of an expression at its top level: `int|[A|B]` gives `int`, `[A|B]`."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(expression):
        if character == "[":
            depth += 1
        elif character == "]":
            depth -= 1
        elif character == "|" and depth == 0:
            parts.append(expression[start:position])
            start = position + 1
    return [*parts, expression[start:]]


def read_text(expression: str, text: str) -> Any:
    """A parameter that came as text, as the type its shape asks for.

    Raises ShapeError when the text is no number or no JSON where one is needed.
    """
    alternatives = split_union(expression)
    if expression == "bool":
        return text.lower() in TRUE_WORDS
    for scalar, read in (("int", int), ("float", float)):
        if scalar in alternatives:
            try:
                return read(text)
            except ValueError:
                if "str" not in alternatives:
                    raise ShapeError("a number") from None
    if "str" in alternatives or "InputFile" in alternatives:
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError):
        raise ShapeError("JSON") from None


def scalar_check(kinds: tuple[type, ...], words: str) -> Check:
    """A check that the value is exactly of one of these Python types (a bool is no int)."""

    def check(value: Any) -> None:
        if type(value) not in kinds:
            raise ShapeError(words)

    return check


def constant_check(constant: object) -> Check:
    """A check that the value is exactly this one."""

    def check(value: Any) -> None:
        if value != constant or type(value) is not type(constant):
            raise ShapeError(repr(constant))

    return check


SCALAR_CHECKS: dict[str, Check] = {
    "int": scalar_check((int,), "an integer"),
    "float": scalar_check((int, float), "a number"),
    "str": scalar_check((str,), "a string"),
    "bool": scalar_check((bool,), "true or false"),
    "true": constant_check(True),
    "InputFile": scalar_check((str,), "a file"),
}
"""A file inside a call is text too: `attach://name`, a file id or an address."""


def load_shapes() -> Shapes:
    """The shapes shipped with the package."""
    text = resources.files(__package__).joinpath("botapi.json").read_bytes()
    return Shapes(msgspec.json.decode(text))
