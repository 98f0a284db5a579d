"""`make cluster`: Purser on a Kubernetes control plane, to try kubectl on, until Ctrl-C.

The operator runs under its own service account and is started again when it ends, as kubelet would;
the workers are pods of their StatefulSet, which the pod runner starts; PostgreSQL, Redis, the other
services and the simulated Telegram with its chat page stand beside. Everything keeps its data in
one temporary folder and listens on loopback, on free ports but for the chat page, so that two
playgrounds do not meet. All of it ends with this process, however that ends.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import structlog
from tests.cluster.api import resource_path
from tests.cluster.beside import Beside, standing_beside
from tests.cluster.binaries import component_path, ensure_available, kubernetes_version
from tests.cluster.certificates import write_private
from tests.cluster.control_plane import ControlPlane, running_control_plane
from tests.cluster.errors import ClusterError, StartFailed
from tests.cluster.local_node import running_node
from tests.cluster.operators import DEFINITION, RIGHTS, TARGET, TREE, OperatorFactory
from tests.cluster.servers import own_servers
from tests.cluster.waiting import eventually
from tests.cluster.worth_trying import exports, rendered, steps

from devbox.errors import DevboxError
from devbox.ports import choose_port
from devbox.programs import wait_for_end
from devbox.roles import Database

NAMESPACE = "default"
POOL = f"{NAMESPACE}.main"
PORT = 8082
"""Of the chat page: beside the one of `make run`."""
WORKERS = TREE / "k8s/dev/user-worker-statefulset.yaml"
POOL_FILE = Path(__file__).parent / "playground.yaml"
KUBECTL_TIMEOUT_SECONDS = 60.0
READY_SECONDS = 120.0
RESTART_PAUSE_SECONDS = 1.0
"""Before an operator that ended is started again."""


def main() -> None:
    """Builds what has to be built, starts everything, says what to try, waits for a signal."""
    parser = argparse.ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument(
        "--port", type=int, default=PORT, help="of the chat page; 0 takes a free one"
    )
    port = parser.parse_args().port
    # A shell starts background jobs deaf to SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # Migrations tell of each step; here one sentence is enough.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    began = time.monotonic()
    try:
        port = choose_port(port, "PORT")
        with ExitStack() as stack:
            ensure_available()
            _say("Starting Kubernetes …")
            plane = stack.enter_context(running_control_plane())
            if plane.external:
                raise StartFailed(
                    "PURSER_TEST_KUBECONFIG names a cluster; this one brings its own: unset it."
                )
            _say("Starting Purser …")
            asyncio.run(_stand(plane, port, began))
    except (ClusterError, DevboxError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        _say("Stopped.")


async def _stand(plane: ControlPlane, port: int, began: float) -> None:
    """Until a signal comes. Raises ClusterError (a service ended, too), DevboxError."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        async with _house(plane, port) as (beside, variables):
            _tell(plane, beside, variables, time.monotonic() - began)
            name = await beside.until_one_ends()
            raise StartFailed(f"{name} ended; the end of its log:\n{beside.log_tail(name)}")
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    except TimeoutError:
        raise StartFailed("Purser did not come up in time; is the machine busy?") from None


@asynccontextmanager
async def _house(plane: ControlPlane, port: int) -> AsyncIterator[tuple[Beside, dict[str, str]]]:
    """Everything but the control plane; gives what a shell must know."""
    folder = plane.folder / "purser"
    folder.mkdir()
    async with own_servers(folder / "servers") as servers:
        database, redis_url = servers.database, servers.redis_url
        _apply(plane, DEFINITION)
        _kubectl(plane, "wait", "--for=condition=Established", "crd/usershards.purser.dev")
        _apply(plane, RIGHTS)
        account = plane.kubeconfig_for(NAMESPACE, "purser-operator")
        operators = OperatorFactory(account, NAMESPACE, database, redis_url, folder)
        async with standing_beside(folder, database, redis_url, POOL, port) as beside:
            keeping = asyncio.create_task(_keep_operator(operators))
            try:
                with running_node(plane):
                    _apply_workers(plane, database, redis_url, beside)
                    await eventually(lambda: asyncio.to_thread(_is_ready, plane), READY_SECONDS)
                    yield beside, _variables(plane, folder, database, redis_url)
            finally:
                keeping.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await keeping
                operators.end_all()


async def _keep_operator(operators: OperatorFactory) -> None:
    while True:
        operator = operators.start()
        await wait_for_end(operator.process, None)
        _say(f"The operator ended ({operator.log}); it is started again.")
        await asyncio.sleep(RESTART_PAUSE_SECONDS)


def _apply_workers(plane: ControlPlane, database: Database, redis_url: str, beside: Beside) -> None:
    """What the workers need to know, their StatefulSet, and the UserShard."""
    urls = {"database-url": database.url("purser_worker"), "redis-url": redis_url}
    for kind, name, content in (
        ("Secret", TARGET, {"stringData": urls}),
        ("ConfigMap", "purser-addresses", {"data": beside.addresses}),
    ):
        body = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **content}
        _kubectl(plane, "apply", "-f", "-", given=json.dumps(body))
    _apply(plane, WORKERS)
    _apply(plane, POOL_FILE)


def _variables(
    plane: ControlPlane, folder: Path, database: Database, redis_url: str
) -> dict[str, str]:
    """For a shell. Passwords are in files that only their owner reads."""
    files = {
        "OPERATOR_DATABASE_URL_FILE": database.url("purser_operator"),
        "OPERATOR_REDIS_URL_FILE": redis_url,
    }
    variables = {"KUBECONFIG": str(plane.kubeconfig)}
    for name, content in files.items():
        file = folder / name.lower()
        write_private(file, content.encode())
        variables[name] = str(file)
    programs = f"{component_path('kubectl').parent}:{Path(sys.executable).parent}"
    return variables | {"PATH": f"{programs}:$PATH"}


def _tell(plane: ControlPlane, beside: Beside, variables: dict[str, str], seconds: float) -> None:
    version = kubernetes_version()
    lines = [
        f"Purser on Kubernetes {version} is ready after {seconds:.0f} s; Ctrl-C stops it all.",
        f"The chat page: {beside.chat_url}",
        f"Logs: {plane.logs}, {beside.logs}",
        "",
        *exports(variables),
        "",
        "Worth trying, in another terminal:",
        "",
        *rendered(steps(beside.chat_url, beside.pid_of("wallet"))),
        "",
    ]
    _say("\n".join(lines))


def _is_ready(plane: ControlPlane) -> bool:
    """Whether every shard is served."""
    path = resource_path("purser.dev/v1alpha1", "usershards", NAMESPACE, "main")
    conditions = plane.call("GET", path).get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _apply(plane: ControlPlane, file: Path) -> None:
    _kubectl(plane, "apply", "-f", str(file))


def _kubectl(plane: ControlPlane, *arguments: str, given: str | None = None) -> None:
    """Raises StartFailed with what kubectl said."""
    try:
        subprocess.run(
            [component_path("kubectl"), "--kubeconfig", plane.kubeconfig, *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=KUBECTL_TIMEOUT_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        raise StartFailed(f"kubectl {' '.join(arguments)}: {error.stderr}") from None


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
