"""Secrets that are renewed under a run: files as of a mounted Secret, read when a program starts.

On a cluster a program is told of its secrets by files, and whoever is started again reads what they
hold then. `make run` hands them on in the environment, which stays as it was. So a file in this
folder, named after a variable, takes the variable's place in each program that is started from then
on: `sitecustomize` on the programs' path tells the program to read the file instead.
"""

from pathlib import Path

FOLDER_VARIABLE = "MOUNTED_SECRETS_OF_THE_RUN"

_READ_THE_FILES = f'''
"""Has each secret of which there is a file read from there."""

import os

_folder = os.environ.get("{FOLDER_VARIABLE}", "")
for _name in os.listdir(_folder) if _folder else ():
    if os.environ.pop(_name, ""):
        os.environ[f"{{_name}}_FILE"] = os.path.join(_folder, _name)
'''


class MountedSecrets:
    """What programs of a run find mounted when they are started."""

    def __init__(self, folder: Path) -> None:
        """Nothing yet: the run's own secrets hold."""
        self._files, self._path = folder / "files", folder / "path"
        self._files.mkdir(parents=True)
        self._path.mkdir()
        (self._path / "sitecustomize.py").write_text(_READ_THE_FILES)

    def write(self, variable: str, value: str) -> None:
        """Renew one; programs that run are told nothing."""
        file = self._files / variable
        file.touch(mode=0o600)
        file.write_text(f"{value}\n")

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a run whose programs look there."""
        return {FOLDER_VARIABLE: str(self._files), "PYTHONPATH": str(self._path)}
