"""Stand in front of a program: make it end with its parent, and never run it as root.

    python -I -S launch.py PARENT_PID DEATH_SIGNAL IDENTITY program [argument…]

The devbox starts every program through this file, in a fresh interpreter (10 ms) instead of a
function between fork and exec: the supervisor holds gRPC's threads, and forking those is asking for
a hang. It replaces itself by the program, so the pid stays.

IDENTITY says whom the program runs as:

``same``
    as whoever started it.
``namespace:NAME``
    in a user namespace of its own where the starter's uid is called NAME. PostgreSQL refuses to be
    root, and outside the namespace it still is: files keep their owner, a private home stays
    readable, no system user is added.
``user:NAME``
    as the system user NAME, for machines that forbid user namespaces. Only root can do this.

The death signal is set last, because a change of identity clears it. A parent may have died before
it was set: hence the look at the parent's pid afterwards. Setting it in a thread would tie the
program to that thread's life, so the devbox starts programs from its main thread only.
"""

import ctypes
import os
import pwd
import sys
from pathlib import Path

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


def enter_namespace(name: str) -> None:
    """Become the user called `name` inside a user namespace; outside nothing changes."""
    inner = pwd.getpwnam(name)
    outer_uid, outer_gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{inner.pw_uid} {outer_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{inner.pw_gid} {outer_gid} 1")


def become_user(name: str) -> None:
    """Give root up for the system user `name`, for good."""
    user = pwd.getpwnam(name)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def main(arguments: list[str]) -> None:
    """Take the identity, tie the life to the parent's, become the program."""
    parent, death_signal, identity, *program = arguments
    kind, _, name = identity.partition(":")
    if kind == "namespace":
        enter_namespace(name)
    elif kind == "user":
        become_user(name)
    libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != int(parent):
        sys.exit("the parent ended first")
    os.execv(program[0], program)  # noqa: S606  # no shell on purpose


if __name__ == "__main__":
    main(sys.argv[1:])
