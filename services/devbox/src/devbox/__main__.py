"""`python -m devbox run|status|scale|jobs|stop`: the one-machine run of Purser.

`postgres`, `valkey` and `passwords` are for the pods of a trial on a cluster, `cluster-secrets` is
for whoever sets one up.
"""

import argparse
import asyncio
import contextlib
import datetime as dt
import os
import signal
import sys
import time

from chassis.errors import BadSettings
from devbox.data_folder import DataFolder
from devbox.errors import DevboxError
from devbox.pod.verbs import POD_VERBS, add_pod_verbs, do_in_pod
from devbox.settings import WORKERS_MAX, load_settings

STOP_TIMEOUT_SECONDS = 60.0
STOP_POLL_SECONDS = 0.1
EXIT_FAILED = 1
EXIT_NOT_RUNNING = 3
EXIT_INTERRUPTED = 130

ENVIRONMENT = """\
environment (each also with the prefix DEVBOX_):
  PURSER_DATA_DIR       where everything is kept (.data)
  PURSER_PORT           port of the chat page (8081)
  TELEGRAM_BOT_TOKEN    talk to Telegram instead of the simulator
  PURSER_DATABASE_URL   a PostgreSQL of yours, as a role that may create roles and schemas
  PURSER_REDIS_URL      a Redis of yours
"""


def main() -> None:
    """Do the verb; every expected failure is one sentence and an exit status."""
    try:
        sys.exit(_do(_parser().parse_args()))
    except KeyboardInterrupt:  # so early that nothing was started
        sys.exit(EXIT_INTERRUPTED)
    except (DevboxError, BadSettings) as error:
        print(error, file=sys.stderr)  # noqa: T201  # the sentence a person reads
        sys.exit(EXIT_FAILED)


def _do(asked: argparse.Namespace) -> int:
    if asked.verb == "run":
        return _run(asked)
    if asked.verb in POD_VERBS:
        return do_in_pod(asked)
    if asked.verb == "cluster-secrets":
        return _cluster_secrets(asked)
    folder = DataFolder(load_settings(data_dir=asked.data_dir).data_dir)
    if asked.verb == "jobs":
        from devbox.jobs import become_jobs

        become_jobs(folder, asked.arguments, os.environ)
    if asked.verb == "status":
        from devbox.status import render_status

        table, alive = render_status(folder)
        _say(table)
        return 0 if alive else EXIT_NOT_RUNNING
    if asked.verb == "scale":
        return _scale(folder, asked.workers)
    return _stop(folder)


def _run(asked: argparse.Namespace) -> int:
    from devbox.run import run

    settings = load_settings(
        data_dir=asked.data_dir, port=asked.port, gateways=asked.gateways, workers=asked.workers
    )
    asyncio.run(run(settings, os.environ, _say))
    return 0


def _cluster_secrets(asked: argparse.Namespace) -> int:
    """Make the Secrets the chart expects where they are absent."""
    from devbox.cluster_secrets import ensure_cluster_secrets
    from devbox.cluster_secrets.kubectl import Kubectl
    from devbox.telegram.world import SIMULATOR_TOKEN

    given = load_settings().bot_token
    cluster = Kubectl(
        asked.namespace, asked.kubeconfig, asked.context, os.environ.get("KUBECTL") or "kubectl"
    )
    token = given.reveal() if given else SIMULATOR_TOKEN
    ensure_cluster_secrets(cluster, token, dt.datetime.now(dt.UTC), _say)
    return 0


def _scale(folder: DataFolder, workers: str) -> int:
    """Note how many workers there shall be; the control loop reads it within its period."""
    if folder.running_pid() is None:
        _say("Nothing runs; `make run` starts everything.")
        return EXIT_NOT_RUNNING
    if workers == "auto":
        folder.pin_workers(None)
        _say("The number of workers follows the backlog again.")
        return 0
    if not (workers.isdecimal() and 1 <= int(workers) <= WORKERS_MAX):
        raise DevboxError(f"How many workers? A number from 1 to {WORKERS_MAX}, or auto.")
    folder.pin_workers(int(workers))
    _say(f"There will be {int(workers)} workers within seconds; `make status` lists them.")
    return 0


def _stop(folder: DataFolder) -> int:
    """Stop a run that is alive, or what a killed one left."""
    pid = folder.running_pid()
    if pid is None:
        from devbox.servers.leftovers import end_servers

        ended = asyncio.run(end_servers(folder))
        _say("Stopped what a killed run left." if ended else "Nothing runs.")
        return 0
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
    while folder.running_pid() == pid:
        if time.monotonic() > deadline:
            raise DevboxError(
                f"The run (process {pid}) has not stopped yet; look at {folder.logs}."
            )
        time.sleep(STOP_POLL_SECONDS)
    _say("Stopped.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="devbox",
        description=__doc__,
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    starting = verbs.add_parser("run", help="start everything; Ctrl-C stops it")
    starting.add_argument("--port", type=int, help="port of the chat page; 0 takes a free one")
    starting.add_argument("--gateways", type=int, help="how many gateways (1)")
    starting.add_argument("--workers", type=int, help="the fewest user-workers (2)")
    showing = verbs.add_parser("status", help="list the processes with their memory (PSS)")
    scaling = verbs.add_parser("scale", help="hold the number of user-workers, or leave it again")
    scaling.add_argument("workers", help="how many, or auto: as the backlog asks for")
    stopping = verbs.add_parser("stop", help="stop the run, or what a killed one left")
    asking = verbs.add_parser(
        "jobs", help="list, show and replay jobs that were set aside (jobs -- --help)"
    )
    asking.add_argument("arguments", nargs="*", help="as for python -m user_worker jobs, after --")
    for verb in (starting, showing, scaling, asking, stopping):
        verb.add_argument("--data-dir", help="the data folder (.data)")
    making = verbs.add_parser(
        "cluster-secrets", help="make the Secrets the chart expects where they are absent"
    )
    making.add_argument("--namespace", "-n", default="", help="kubectl's own unless said")
    making.add_argument("--kubeconfig", default="", help="kubectl's own unless said")
    making.add_argument("--context", default="", help="kubectl's own unless said")
    add_pod_verbs(verbs)
    return parser


def _say(line: str) -> None:
    """Tell the person; a terminal that went away is no reason to stop."""
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)  # noqa: T201  # the sentences a person reads


if __name__ == "__main__":
    main()
