"""Reads the trace and the UserShard, simulates, writes the picture, prints the summary."""

import argparse
import shutil
from pathlib import Path
from typing import Any

import yaml

from chassis.terminal import complain, tell
from shard_operator.errors import ArgumentsClash, InvalidUserShard, MalformedTrace
from shard_operator.simulating.arguments import SHARDS
from shard_operator.simulating.drawing import draw
from shard_operator.simulating.outcome import Outcome
from shard_operator.simulating.pool_model import PoolFigures
from shard_operator.simulating.recorded import Trace, parse_trace
from shard_operator.simulating.replay import replay_closed, replay_open
from shard_operator.simulating.scaler import PurserScaler
from shard_operator.simulating.telling import clock, tell_outcome
from shard_operator.usershard import KIND, UserShardSpec, parse_user_shard

EXIT_DONE = 0
EXIT_FILE = 1
EXIT_MISTAKE = 2
MANIFEST_BYTES_MAX = 1_048_576
WIDTH_MIN, WIDTH_MAX = 80, 120


def simulate(parsed: argparse.Namespace) -> int:
    """Do what was asked for; every expected failure is one sentence on stderr and a status."""
    picture: Path = parsed.picture or parsed.trace.with_suffix(".svg")
    try:
        _check_picture(picture)
        spec = _spec(parsed)
        with parsed.trace.open(encoding="utf-8", newline="") as file:
            trace = parse_trace(file)
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
    tell(f"\npicture: {picture}")
    return EXIT_DONE


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
    body = _manifest(parsed.usershard) if parsed.usershard else {}
    metadata = {"namespace": "default", "name": "main"} | (body.get("metadata") or {})
    spec = {"scaleTargetRef": {"name": "purser-user-worker"}} | (body.get("spec") or {})
    for dotted, value in vars(parsed).items():
        part, dot, name = dotted.partition(".")
        if dot and value is not None:
            spec[part] = {**(spec.get(part) or {}), name: value}
    return parse_user_shard({"metadata": metadata, "spec": spec}).spec


def _manifest(file: Path) -> dict[str, Any]:
    """The first UserShard of a YAML file."""
    with file.open(encoding="utf-8") as opened:
        text = opened.read(MANIFEST_BYTES_MAX)
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError as error:
        raise ArgumentsClash(f"{file} is no YAML: {str(error).splitlines()[0]}.") from None
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == KIND:
            return document
    raise ArgumentsClash(f"{file} holds no {KIND}.")


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
        outcome, f"What the scaler does with {name}", subtitle, scaling.target_oldest_job_seconds
    )
    if picture.suffix == ".svg":
        picture.write_text(svg, encoding="utf-8")
        return
    import resvg_py

    picture.write_bytes(resvg_py.svg_to_bytes(svg_string=svg))
