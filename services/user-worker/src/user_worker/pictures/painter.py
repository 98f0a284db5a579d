"""The process that turns SVG into PNG: it reads pictures from its input, writes them to its output,
one after the other, and ends when the input does or after a while without work.

It is run by its path and imports nothing of the worker, nor pathlib nor typing (2.4 MB), so that it
stays small: most of its memory is the canvas and what compresses it. A request is 4
bytes of length, big end first, and that much SVG; an answer is one byte (PNG, or FAILED: then the
rest is a reason), 4 bytes of length and that many bytes.

It steps back behind every other process: on busy cores a picture may take its time, an answer
without one may not.
"""

import io
import os
import select
import struct
import sys

REQUEST = struct.Struct(">I")
ANSWER = struct.Struct(">BI")
PNG, FAILED = 0, 1
SVG_BYTES_MAX = 1_048_576
"""Ten times what the fullest picture takes."""
REASON_CHARACTERS_MAX = 500
NICENESS = 10
"""Some tenth of the processor time of a process that is not nice, where both want it."""

FONT_FILES = [
    f"{__file__.removesuffix('painter.py')}fonts/Inter-{style}.ttf"
    for style in ("Regular", "SemiBold")
]


def paint(svg: str) -> bytes:
    """Give the picture as PNG; raises ValueError for what is no SVG."""
    import resvg_py

    return resvg_py.svg_to_bytes(
        svg_string=svg,
        skip_system_fonts=True,  # the same bytes on every machine
        font_files=FONT_FILES,
        font_family="Inter",
    )


def serve(requests: io.FileIO, answers: io.BufferedIOBase, idle_seconds: float) -> None:
    """Paint until the requests end or none has come for so long."""
    while select.select([requests], [], [], idle_seconds)[0]:
        header = _read(requests, REQUEST.size)
        if header is None:
            return
        svg = _read(requests, REQUEST.unpack(header)[0])
        if svg is None:
            return
        try:
            kind, answer = PNG, paint(svg.decode())
        except ValueError as error:
            kind, answer = FAILED, str(error)[:REASON_CHARACTERS_MAX].encode()
        answers.write(ANSWER.pack(kind, len(answer)) + answer)
        answers.flush()


def _read(stream: io.FileIO, count: int) -> bytes | None:
    parts, missing = [], count
    while missing:
        part = stream.read(missing)
        if not part:
            return None
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


if __name__ == "__main__":
    os.nice(NICENESS)
    try:
        with open(0, "rb", buffering=0) as source, open(1, "wb") as target:  # pipes
            serve(source, target, float(sys.argv[1]))
    except BrokenPipeError:
        sys.exit()  # the worker is gone, and nobody wants the picture
