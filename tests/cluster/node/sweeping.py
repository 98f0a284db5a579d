"""Takes away everything a node has left on the machine, whoever left it: the run that ends, or one
that was killed.

In this order: processes in the node's control groups, containerd's shims (they outlive it by
design), mounts below the folder, control groups, the network, the folder. The settings of the
kernel that kubelet writes are the whole machine's: they are kept beside the folder before it starts
and put back at the end.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster.node.cgroups import processes_in_cgroups, remove_cgroups
from tests.cluster.node.network import take_network_away
from tests.cluster.node.places import FOLDER, SOCKET

KERNEL_SETTINGS = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
"""What kubelet writes (its `setupKernelTunables`)."""
KEPT_SETTINGS = FOLDER.with_suffix(".sysctl")
END_SECONDS_MAX = 10.0


def keep_kernel_settings() -> None:
    """Write down how the machine was, unless a killed run has left what it had found."""
    if not KEPT_SETTINGS.exists():
        found = {name: Path("/proc/sys", name).read_text() for name in KERNEL_SETTINGS}
        KEPT_SETTINGS.write_text(json.dumps(found))


def sweep() -> None:
    """Leave the machine as it was; safe to call when there is nothing."""
    deadline = time.monotonic() + END_SECONDS_MAX
    while (left := [*processes_in_cgroups(), *_shims()]) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    for mount in _mounts():
        subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)
    remove_cgroups()
    take_network_away()
    shutil.rmtree(FOLDER, ignore_errors=True)
    _put_kernel_settings_back()


def _put_kernel_settings_back() -> None:
    if KEPT_SETTINGS.exists():
        for name, value in json.loads(KEPT_SETTINGS.read_text()).items():
            setting = Path("/proc/sys", name)
            if setting.read_text() != value:
                setting.write_text(value)
        KEPT_SETTINGS.unlink()


def _shims() -> Iterator[int]:
    """containerd's shims of this node, known by the socket they were told."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (process / "cmdline").read_bytes().split(b"\0")
            if b"shim" in arguments[0] and str(SOCKET).encode() in arguments:
                yield int(process.name)


def _mounts() -> list[str]:
    """Mount points below the folder, the innermost first."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    ours = [point for point in points if Path(point).is_relative_to(FOLDER)]
    return sorted(ours, key=len, reverse=True)
