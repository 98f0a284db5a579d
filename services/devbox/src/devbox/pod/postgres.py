"""PostgreSQL as the one program of a pod.

The cluster is made at the first start, with the database `purser` in it, in a folder beside that is
renamed when whole. The owner's password is whatever its file holds *now*: it is set again at each
start, by PostgreSQL's single-user mode and as a verifier, so that a Secret made anew opens an old
volume. Everybody else comes by TCP and scram.

This process stays in front of PostgreSQL to translate: a pod is told to end by SIGTERM, which
PostgreSQL takes as "wait until everybody has left", whereas SIGINT is its fast shutdown. A second
SIGTERM makes it an immediate one.

A lock on the volume, which the kernel drops when the holder dies, keeps a second server out; a
process id that the server before left in its pid file means nothing in another container.
"""

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from devbox.database import SALT_BYTES, scram_verifier
from devbox.errors import CannotBegin, ServerFailed
from devbox.programs import launched
from devbox.servers.postgresql import (
    DURABLE,
    INITDB_TIMEOUT_SECONDS,
    MAJOR_VERSION,
    OWNER,
    SETTINGS,
    initdb_command,
    postgres_command,
    postgres_program,
)

DATABASE = "purser"
CONNECTIONS_MAX = 200
"""Every part at its default number of connections, several replicas of each."""
ACCESS = "host all all all scram-sha-256\n"
"""pg_hba.conf: by TCP from anywhere the network policies let through, with a password."""
SINGLE_USER_TIMEOUT_SECONDS = 120.0
"""It may have to recover from a crash first."""

# What a signal to this process tells PostgreSQL, first time and later.
FAST, IMMEDIATE = signal.SIGINT, signal.SIGQUIT


def serve_postgres(folder: Path, password: str, port: int) -> int:
    """Serve until told to stop; PostgreSQL's exit status. Raises CannotBegin, ServerFailed."""
    if os.geteuid() == 0:
        raise CannotBegin("PostgreSQL refuses to run as root: run this as another user.")
    _ensure_folder(folder)
    with _locked(folder):
        cluster = folder / "cluster"
        if not cluster.exists():
            _make_cluster(cluster, password)
        version = (cluster / "PG_VERSION").read_text().strip()
        if version != MAJOR_VERSION:
            raise CannotBegin(
                f"The data in {cluster} was written by PostgreSQL {version}, this is "
                f"{MAJOR_VERSION}: dump it with the old one and begin with an empty volume."
            )
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        (cluster / "pg_hba.conf").write_text(ACCESS)
        verifier = scram_verifier(password, secrets.token_bytes(SALT_BYTES))
        _single_user(cluster, [f"ALTER ROLE {OWNER} PASSWORD '{verifier}'"])
        return _serve(cluster, port)


def server_settings(port: int) -> dict[str, str]:
    """What the server runs with: the one-machine run's settings, for a network."""
    reach = {"listen_addresses": "*", "port": str(port), "max_connections": str(CONNECTIONS_MAX)}
    return SETTINGS | DURABLE | reach


def _serve(cluster: Path, port: int) -> int:
    # Blocked until PostgreSQL is there to be told: a signal in between is kept, not lost.
    awaited = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    server = subprocess.Popen(
        launched(postgres_command(cluster, server_settings(port)), FAST, "same"),
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, []),  # noqa: PLW1509  # one thread
    )
    telling = FAST
    while (status := server.poll()) is None:
        if signal.sigwait(awaited) != signal.SIGCHLD:
            server.send_signal(telling)
            telling = IMMEDIATE
    return status if status >= 0 else 128 - status


def _make_cluster(cluster: Path, password: str) -> None:
    new, password_file = cluster.with_suffix(".new"), cluster.with_suffix(".password")
    shutil.rmtree(new, ignore_errors=True)
    password_file.unlink(missing_ok=True)
    password_file.touch(mode=0o600)
    try:
        password_file.write_text(password)
        done = subprocess.run(
            initdb_command(new, password_file), timeout=INITDB_TIMEOUT_SECONDS, check=False
        )
    finally:
        password_file.unlink()
    if done.returncode != 0:
        raise ServerFailed("PostgreSQL's initdb failed; it said why above.")
    _single_user(new, [f"CREATE DATABASE {DATABASE}"])
    new.rename(cluster)


def _single_user(cluster: Path, statements: Sequence[str]) -> None:
    """Run statements on standard input, where no process list shows them."""
    # -j: a statement ends at a semicolon with an empty line, not at the end of its line. The last
    # word is the database. An error's statement is kept out of the log: a verifier may stand in it.
    words = ["--single", "-j", "-D", str(cluster), "-c", "log_min_error_statement=panic"]
    done = subprocess.run(
        [postgres_program("postgres"), *words, "postgres"],
        input="".join(f"{statement};\n\n" for statement in statements),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=SINGLE_USER_TIMEOUT_SECONDS,
        check=False,
    )
    if done.returncode != 0 or "ERROR:" in done.stderr:
        said = done.stderr.strip().splitlines()
        raise ServerFailed(f"PostgreSQL could not be prepared: {said[-1] if said else 'no word'}.")


def _ensure_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise CannotBegin(f"{folder} cannot be made: {error.strerror}.") from None


def _locked(folder: Path) -> IO[bytes]:
    """Hold the volume until this process ends."""
    lock = (folder / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise CannotBegin(f"Another server works in {folder}: end it first.") from None
    return lock
