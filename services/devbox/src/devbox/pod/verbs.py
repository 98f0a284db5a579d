"""`python -m devbox postgres|valkey|passwords`: what the pods of a trial run."""

import argparse
from pathlib import Path
from typing import Any

from chassis.command_line import whole_number
from devbox.keyring import read_password

POD_VERBS = ("postgres", "valkey", "passwords")
PORT_MAX = 65535
MEMORY_MEGABYTES_RANGE = (8, 65536)
MEMORY_MEGABYTES_DEFAULT = 256


def add_pod_verbs(verbs: Any) -> None:
    """Add the verbs to argparse's subparsers."""
    port = whole_number(1, PORT_MAX)
    postgres = verbs.add_parser("postgres", help="serve PostgreSQL in a pod; not for production")
    postgres.add_argument("--port", type=port, default=5432, help="port (5432)")
    valkey = verbs.add_parser("valkey", help="serve Valkey in a pod; not for production")
    valkey.add_argument("--port", type=port, default=6379, help="port (6379)")
    valkey.add_argument(
        "--memory-megabytes",
        type=whole_number(*MEMORY_MEGABYTES_RANGE),
        default=MEMORY_MEGABYTES_DEFAULT,
        help=f"beyond it writes are refused, nothing is evicted ({MEMORY_MEGABYTES_DEFAULT})",
    )
    for server in (postgres, valkey):
        server.add_argument("--data", type=Path, required=True, help="folder in the volume")
        server.add_argument("--password-file", type=Path, required=True, help="mounted Secret")
    passwords = verbs.add_parser(
        "passwords", help="let the database roles log in, after the migrations"
    )
    passwords.add_argument(
        "--folder", type=Path, required=True, help="where a file per role holds its password"
    )


def do_in_pod(asked: argparse.Namespace) -> int:
    """Do one of POD_VERBS; an exit status. Raises DevboxError."""
    if asked.verb == "passwords":
        from devbox.pod.passwords import give_passwords

        give_passwords(asked.folder)
        return 0
    password = read_password(asked.password_file)
    if asked.verb == "valkey":
        from devbox.pod.valkey import become_valkey

        become_valkey(asked.data, password, asked.port, asked.memory_megabytes)
    from devbox.pod.postgres import serve_postgres

    return serve_postgres(asked.data, password, asked.port)
