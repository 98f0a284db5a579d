"""What the kernel is told about a process that sees private keys.

No core dump (a crash must not write keys to a disk), and not dumpable: no other process of the same
user may attach a debugger or read /proc/<pid>/mem. A side effect: /proc/<pid>/smaps_rollup is
closed to the same user as well, so memory is read from VmRSS in /proc/<pid>/status.
"""

import ctypes
import resource
import sys

from wallet.errors import CannotHarden

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def forbid_dumps() -> None:
    """Forbid core dumps and debuggers. Raises CannotHarden."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise CannotHarden(f"the kernel refused to forbid core dumps (errno {ctypes.get_errno()})")
