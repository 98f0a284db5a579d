"""`make jobs`: the worker's own `jobs`, told where the gateways of the living run are."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from devbox.data_folder import DataFolder
from devbox.errors import CannotBegin
from devbox.processes import POOL, gateways_target


def become_jobs(
    folder: DataFolder, arguments: Sequence[str], environ: Mapping[str, str]
) -> NoReturn:
    """Replace this process by `python -m user_worker jobs`. Raises `CannotBegin` without a run."""
    argv, variables = plan_jobs(folder, arguments)
    os.execve(sys.executable, argv, {**environ, **variables})  # noqa: S606 (no shell on purpose)


def plan_jobs(folder: DataFolder, arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Give the command and what it needs of the environment. Raises `CannotBegin`."""
    report = folder.read_report()
    if report is None or folder.running_pid() is None:
        raise CannotBegin(f"Purser does not run from {folder.root}. `make run` starts it.")
    gateways = [port for name, port in report.ports.items() if name.startswith("gateway-")]
    variables = {
        "USER_WORKER_GATEWAY_ADDRESS": gateways_target(gateways),
        "USER_WORKER_POOL": POOL,
    }
    return [sys.executable, "-P", "-m", "user_worker", "jobs", *arguments], variables
