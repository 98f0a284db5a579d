"""Stopping, continuing and killing processes of this machine, with all they have started.

Whatever is stopped is let go again, whatever happens: nobody finds a frozen process afterwards.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped]  # carries no types


def signal_tree(process: psutil.Process, how: signal.Signals) -> None:
    """Signal a process and its descendants (a server's sessions are processes of their own); those
    that have gone meanwhile are no error.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        for one in [process, *process.children(recursive=True)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one.pid, how)


@contextmanager
def frozen(process: psutil.Process) -> Iterator[None]:
    """The process neither answers nor ends for as long as the context lasts."""
    signal_tree(process, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_tree(process, signal.SIGCONT)


@contextmanager
def pod_runner_frozen() -> Iterator[None]:
    """Nobody plays the kubelet for as long as the context lasts: pods go on, whatever is asked."""
    runner = next(
        process
        for process in psutil.Process().children()
        if "tests.cluster.podrunner" in process.cmdline()
    )
    runner.suspend()
    try:
        yield
    finally:
        runner.resume()


def find_worker(namespace: str, name: str) -> psutil.Process | None:
    """The youngest process of a pod that runs a worker; None while there is none.

    Found by what it was started with: the namespace is a test's own, so nobody else's is met.
    """
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[-2:] != ["-m", "user_worker"]:
                continue
            environ = process.environ()
            mine = (environ.get("POD_NAMESPACE"), environ.get("USER_WORKER_NAME"))
            if mine == (namespace, name) and process.status() != psutil.STATUS_ZOMBIE:
                found.append((process.create_time(), process))
    return max(found, key=lambda pair: pair[0])[1] if found else None
