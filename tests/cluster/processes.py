"""Which processes of this machine belong to a run: those that name its folder, or work in it."""

from pathlib import Path


def processes_about(folder: Path) -> list[str]:
    """The command lines of the processes that name a folder or work in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_text().replace("\0", " ")
            works_in = str((process / "cwd").readlink())
        except OSError:  # it ended meanwhile
            continue
        if str(folder) in command or works_in.startswith(str(folder)):
            found.append(command)
    return found
