"""Reads the trace and the UserShard, simulates, writes the picture, prints the summary."""

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import yaml

from chassis.terminal import complain, printable, tell
from shard_operator.errors import ArgumentsClash, InvalidUserShard, MalformedTrace
from shard_operator.simulating.arguments import SHARDS
from shard_operator.simulating.drawing import draw
from shard_operator.simulating.outcome import Outcome
from shard_operator.simulating.pool_model import PoolFigures
from shard_operator.simulating.recorded import ROWS_MAX, Trace, parse_trace
from shard_operator.simulating.replay import replay_closed, replay_open
from shard_operator.simulating.scaler import PurserScaler
from shard_operator.simulating.telling import clock, tell_outcome
from shard_operator.usershard import KIND, UserShardSpec, parse_user_shard

EXIT_DONE = 0
EXIT_FILE = 1
EXIT_MISTAKE = 2
MANIFEST_CHARACTERS_MAX = 1_048_576
LINE_CHARACTERS_MAX = 65_536
"""A line of a trace has eight numbers. A file without a new line must not be taken in whole."""
LINES_MAX = 2 * ROWS_MAX
"""Empty ones included, which are no rows."""
WIDTH_MIN, WIDTH_MAX = 80, 120


def simulate(parsed: argparse.Namespace) -> int:
    """Do what was asked for; every expected failure is one sentence on stderr and a status."""
    picture: Path = parsed.picture or parsed.trace.with_suffix(".svg")
    try:
        _check_picture(picture)
        spec = _spec(parsed)
        with parsed.trace.open(encoding="utf-8", newline="") as file:
            trace = parse_trace(_lines(file))
        replicas = parsed.replicas or trace.rows[0].workers or spec.workers.min_replicas
        outcome, figures = _replay(parsed, trace, spec, replicas)
        _draw(outcome, spec, parsed.trace.name, picture)
    except (ArgumentsClash, InvalidUserShard) as mistake:
        complain(str(mistake))
        return EXIT_MISTAKE
    except (MalformedTrace, UnicodeDecodeError) as malformed:
        complain(f"{parsed.trace}: {malformed}.")
        return EXIT_MISTAKE
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}.")
        return EXIT_FILE
    width = min(max(shutil.get_terminal_size((WIDTH_MAX, 24)).columns, WIDTH_MIN), WIDTH_MAX)
    tell(tell_outcome(outcome, figures, width, everything=parsed.all))
    tell(f"\npicture: {printable(str(picture))}")
    return EXIT_DONE


def _lines(file: TextIO) -> Iterator[str]:
    """A file's lines, none of them long, and not without end. Raises `MalformedTrace`."""
    number = 0
    while line := file.readline(LINE_CHARACTERS_MAX + 1):
        number += 1
        if len(line) > LINE_CHARACTERS_MAX:
            raise MalformedTrace(f"line {number}: longer than {LINE_CHARACTERS_MAX:,} characters")
        if number > LINES_MAX:
            raise MalformedTrace(f"more than {LINES_MAX:,} lines")
        yield line


def _check_picture(picture: Path) -> None:
    """Before the work, not after it."""
    if picture.suffix not in (".svg", ".png"):
        raise ArgumentsClash(f"The picture's name must end in .svg or .png, not be {picture.name}.")


def _replay(
    parsed: argparse.Namespace, trace: Trace, spec: UserShardSpec, replicas: int
) -> tuple[Outcome, PoolFigures | None]:
    shards = parsed.shards or trace.highest("shards") or SHARDS
    loop = parsed.loop or ("open" if "backlog" in trace.columns else "closed")
    if loop == "open":
        if "backlog" not in trace.columns:
            raise ArgumentsClash(
                "An open loop needs a column backlog; this trace has arrivals only."
            )
        scaler = PurserScaler(spec)
        return replay_open(trace, scaler, replicas, shards, parsed.start_seconds), None
    if "arrivals" not in trace.columns:
        raise ArgumentsClash("A closed loop needs a column arrivals; this trace has none.")
    if parsed.worker_rate is None:
        raise ArgumentsClash(
            "A closed loop needs --worker-rate, the jobs a worker can begin in a second."
            + _hint(trace)
        )
    figures = PoolFigures(
        rate=parsed.worker_rate,
        job_seconds=parsed.job_seconds,
        start_seconds=parsed.start_seconds,
        shards=shards,
        late_seconds=float(spec.scaling.target_oldest_job_seconds),
    )
    return replay_closed(trace, PurserScaler(spec), figures, replicas), figures


def _hint(trace: Trace) -> str:
    """What the trace itself knows of it: no more than a lower bound."""
    rates = [
        row.finished / row.workers / (row.seconds - before.seconds)
        for before, row in zip(trace.rows, trace.rows[1:], strict=False)
        if row.finished and row.workers
    ]
    return f" In this trace a worker did up to {max(rates):.3g}." if rates else ""


def _spec(parsed: argparse.Namespace) -> UserShardSpec:
    metadata: dict[str, Any] = {"namespace": "default", "name": "main"}
    spec: dict[str, Any] = {"scaleTargetRef": {"name": "purser-user-worker"}}
    if parsed.usershard:
        body = _manifest(parsed.usershard)
        given = _part(parsed.usershard, body, "metadata")
        metadata |= {name: given[name] for name in metadata if name in given}
        spec |= _part(parsed.usershard, body, "spec")
    for dotted, value in vars(parsed).items():
        part, dot, name = dotted.partition(".")
        # A part that is no mapping is refused below, with its name.
        if dot and value is not None and isinstance(spec.get(part) or {}, dict):
            spec[part] = {**(spec.get(part) or {}), name: value}
    return parse_user_shard({"metadata": metadata, "spec": spec}).spec


def _manifest(file: Path) -> dict[str, Any]:
    """The first UserShard of a YAML file."""
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(MANIFEST_CHARACTERS_MAX + 1)
        if len(text) > MANIFEST_CHARACTERS_MAX:
            raise ArgumentsClash(f"{file} has more than {MANIFEST_CHARACTERS_MAX:,} characters.")
        documents = list(yaml.safe_load_all(text))
    except RecursionError:
        raise ArgumentsClash(f"{file} is nested too deeply.") from None
    except (yaml.YAMLError, ValueError) as error:
        # ValueError: no UTF-8, a date or a number that cannot be.
        raise ArgumentsClash(f"{file} is no YAML: {str(error).splitlines()[0]}.") from None
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == KIND:
            return document
    raise ArgumentsClash(f"{file} holds no {KIND}.")


def _part(file: Path, body: dict[str, Any], name: str) -> dict[str, Any]:
    """One of the mappings a manifest is made of; empty when it is not there."""
    part = body.get(name) or {}
    if not isinstance(part, dict):
        raise ArgumentsClash(f"{file}: {name} must be a mapping.")
    return part


def _draw(outcome: Outcome, spec: UserShardSpec, name: str, picture: Path) -> None:
    scaling, workers = spec.scaling, spec.workers
    subtitle = (
        f"{'closed' if outcome.jobs else 'open'} loop, {clock(outcome.seconds)};"
        f" {workers.min_replicas} to {workers.max_replicas} workers,"
        f" {scaling.target_backlog_per_replica} jobs each, oldest"
        f" {scaling.target_oldest_job_seconds} s, every {scaling.poll_period_seconds} s,"
        f" down after {scaling.scale_down_stabilization_seconds} s"
    )
    svg = draw(
        outcome,
        f"What the scaler does with {printable(name)}",
        subtitle,
        scaling.target_oldest_job_seconds,
    )
    if picture.suffix == ".svg":
        picture.write_text(svg, encoding="utf-8")
        return
    import resvg_py

    picture.write_bytes(resvg_py.svg_to_bytes(svg_string=svg))
