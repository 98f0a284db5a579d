"""Settings from the environment, read once, in `main`, into frozen structs.

A field `batch_entries_max` read with the prefix `GATEWAY` comes from `GATEWAY_BATCH_ENTRIES_MAX`,
else from `PURSER_BATCH_ENTRIES_MAX` (what all services share is set once), else from its default. A
field whose type is itself a struct is read with the same prefix, so that a room's settings are one
flat list. An empty variable counts as unset.

A type may be str, int, float, bool, Secret, Path, `tuple[str, ...]` (comma separated), a Literal,
`X | None`, or one of these inside `Annotated[..., msgspec.Meta(ge=, gt=, le=, lt=)]`. A secret may
come from the file `<VARIABLE>_FILE` names, so that it is in no process's environment. All problems
are told at once, as `BadSettings`, and no secret's value is in them.
"""

import hmac
import logging
import math
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, TypeVar, Union, get_args, get_origin

import msgspec

from chassis.errors import BadSettings

SHARED_PREFIX = "PURSER"
SECRET_FILE_BYTES_MAX = 65_536
"""Far above any key or URL; keeps a wrong path (a device, a dump) from being read whole."""

# What Kubernetes adds to a pod's environment for a Service that happens to have a room's name.
_SERVICE_LINKS = ("_SERVICE_HOST", "_PORT", "_TCP", "_TCP_ADDR", "_TCP_PORT", "_TCP_PROTO")
_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})

SettingsType = TypeVar("SettingsType", bound=msgspec.Struct)


class Secret:
    """Text that is shown to nobody: repr, str, format and pickle give `****`; `reveal()` gives the
    text.

    Encoders that do not know the class refuse it. Compares in constant time.
    """

    __slots__ = ("_text",)
    _text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """Give the text, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "****"

    __str__ = __repr__

    def __format__(self, specification: str) -> str:
        return format("****", specification)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret does not change")

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), ("****",)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


def load(
    cls: type[SettingsType],
    prefix: str,
    environ: Mapping[str, str] = os.environ,
    *,
    warn_of_unknown: bool = True,
) -> SettingsType:
    """Read `cls` from the environment; raise BadSettings with a sentence for each problem.

    A variable that begins with the prefix and names no setting is most likely a misspelt one: it is
    logged as a warning. Switch that off where `cls` is but a part of the room's settings (a verb
    such as `migrate`); for the prefix all rooms share it is off anyway.
    """
    reader = _Reader(prefix, environ)
    settings = reader.read(cls)
    if reader.problems or settings is None:
        # Once each: a server's settings and a client's may hold the same part.
        raise BadSettings(*dict.fromkeys(reader.problems))
    if warn_of_unknown and prefix != SHARED_PREFIX:
        _warn_of_unknown(prefix, environ, reader.known)
    return settings


class _Reader:
    """One walk over the fields of a settings class, collecting problems instead of stopping at the
    first.
    """

    def __init__(self, prefix: str, environ: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self.known: set[str] = set()
        self._prefix = prefix
        self._environ = environ

    def read(self, cls: type[SettingsType]) -> SettingsType | None:
        values: dict[str, object] = {}
        problems_before = len(self.problems)
        for field in msgspec.structs.fields(cls):
            if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
                values[field.name] = self.read(field.type)
                continue
            found = self._find(field.name.upper(), secret=Secret in _alternatives(field.type))
            if found is not None:
                variable, text = found
                try:
                    values[field.name] = _parse(field.type, text)
                except ValueError as error:
                    shown = "" if Secret in _alternatives(field.type) else f", not {text[:80]!r}"
                    self.problems.append(f"{variable} must be {error}{shown}.")
            elif field.required:
                self.problems.append(self._missing(field.name.upper(), field.type))
        if len(self.problems) > problems_before:
            return None
        try:
            return cls(**values)
        except ValueError as error:
            self.problems.append(f"{self._prefix}_*: {error}")
            return None

    def _find(self, name: str, *, secret: bool) -> tuple[str, str] | None:
        """Look under the room's prefix, then under the shared one."""
        found: tuple[str, str] | None = None
        for variable in (f"{self._prefix}_{name}", f"{SHARED_PREFIX}_{name}"):
            self.known.add(variable)
            text = self._environ.get(variable, "")
            if secret:
                self.known.add(f"{variable}_FILE")
                path = self._environ.get(f"{variable}_FILE", "")
                if path and text:
                    self.problems.append(f"Set either {variable} or {variable}_FILE, not both.")
                elif path:
                    text = self._read_secret(f"{variable}_FILE", Path(path))
            if text and found is None:
                found = (variable, text)
        return found

    def _read_secret(self, variable: str, path: Path) -> str:
        try:
            with path.open("rb") as file:
                content = file.read(SECRET_FILE_BYTES_MAX + 1)
            text = content.decode().rstrip("\r\n")
        except OSError as error:
            self.problems.append(f"{variable} names a file that cannot be read: {error.strerror}.")
        except UnicodeDecodeError:
            self.problems.append(f"{variable} names a file that is not text.")
        else:
            if text and len(content) <= SECRET_FILE_BYTES_MAX:
                return text
            self.problems.append(
                f"{variable} must name a file of 1 to {SECRET_FILE_BYTES_MAX} bytes."
            )
        return ""

    def _missing(self, name: str, annotation: object) -> str:
        shared = f" (or {SHARED_PREFIX}_{name} for all services)"
        file = (
            f"; {self._prefix}_{name}_FILE may name a file that holds it"
            if Secret in _alternatives(annotation)
            else ""
        )
        return f"{self._prefix}_{name} is missing{shared}: set it to {_expected(annotation)}{file}."


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    """Strip Annotated and None: the types a value may have."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(
            inner
            for part in get_args(annotation)
            if part is not types.NoneType
            for inner in _alternatives(part)
        )
    return (annotation,)


def _bounds(annotation: Any) -> msgspec.Meta | None:
    """Find the Meta of an annotation, also inside `Annotated[...] | None`."""
    if get_origin(annotation) is Annotated:
        return next((m for m in get_args(annotation)[1:] if isinstance(m, msgspec.Meta)), None)
    if get_origin(annotation) in (Union, types.UnionType):
        return next((b for b in map(_bounds, get_args(annotation)) if b is not None), None)
    return None


def _parse(annotation: Any, text: str) -> object:
    """Turn text into the annotation's type; a ValueError's text says what was expected."""
    (kind,) = _alternatives(annotation)
    value = _convert(kind, text.strip() if kind is not Secret else text)
    if value is None or not _within(_bounds(annotation), value):
        raise ValueError(_expected(annotation))
    return value


def _convert(kind: Any, text: str) -> object:
    """None: it is not one."""
    if kind in (str, Secret, Path):
        return typing.cast("object", kind(text))
    if kind is bool:
        return True if text.lower() in _YES else False if text.lower() in _NO else None
    if kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            return None
        return value if math.isfinite(value) else None
    if kind == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if get_origin(kind) is Literal:
        return text if text in get_args(kind) else None
    raise TypeError(f"{kind} is no type a setting can have")


def _within(bounds: msgspec.Meta | None, value: Any) -> bool:
    if bounds is None:
        return True
    return not (
        (bounds.ge is not None and value < bounds.ge)
        or (bounds.gt is not None and value <= bounds.gt)
        or (bounds.le is not None and value > bounds.le)
        or (bounds.lt is not None and value >= bounds.lt)
    )


def _expected(annotation: Any) -> str:
    (kind,) = _alternatives(annotation)
    words = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "a text",
        Path: "a path",
        Secret: "a secret text",
        tuple[str, ...]: "a comma-separated list",
    }
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    bounds = _bounds(annotation)
    parts = [words[kind]]
    if bounds is not None:
        for bound, word in (
            (bounds.ge, "at least"),
            (bounds.gt, "above"),
            (bounds.le, "at most"),
            (bounds.lt, "below"),
        ):
            if bound is not None:
                parts.append(f"{word} {bound}")
    return ", ".join(parts)


_told_unknown: set[str] = set()
"""As many as the environment has: a program that waits at its start reads its settings each time
it looks again, and says this once."""


def _warn_of_unknown(prefix: str, environ: Mapping[str, str], known: set[str]) -> None:
    unknown = sorted(
        name
        for name in environ
        if name.startswith(f"{prefix}_")
        and name not in known
        and not name.endswith(_SERVICE_LINKS)
        and name not in _told_unknown
    )
    _told_unknown.update(unknown)
    if not unknown:
        return
    from difflib import get_close_matches

    for name in unknown:
        close = get_close_matches(name, known, n=1, cutoff=0.8)
        logging.getLogger(__name__).warning(
            "%s is no setting of this program%s",
            name,
            f"; did you mean {close[0]}?" if close else "",
        )
