"""Where this machine's pip finds packages, lent to a build as two secret files.

A build's secrets are mounted while a command runs and are in no layer, no history and no
Dockerfile: an image does not tell where it was made. The certificates that this machine trusts go
along, since a package index inside a company is often signed by its own authority.
"""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

LENT = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")
"""What says where packages are. Nothing else: folders of this machine do not exist in there."""
CERTIFICATES_INSIDE = "/run/secrets/ca.crt"
PIP_TIMEOUT_SECONDS = 60.0


def write_build_secrets(folder: Path) -> dict[str, Path]:
    """Write both files into `folder`, which only we may read; their names as the Dockerfile knows
    them.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        capture_output=True,
        text=True,
        timeout=PIP_TIMEOUT_SECONDS,
        check=False,
    )
    settings = folder / "pip.conf"
    settings.write_text(pip_configuration(listed.stdout.splitlines()))
    certificates = folder / "ca.crt"
    certificates.write_bytes(_trusted_here(os.environ))
    return {"pip.conf": settings, "ca.crt": certificates}


def pip_configuration(listed: Iterable[str]) -> str:
    """Make a pip.conf of what `pip config list` says; a later line wins, as it does in pip."""
    lent: dict[str, str] = {}
    for line in listed:
        name, _, value = line.partition("=")
        option = name.rpartition(".")[2]
        if option in LENT:
            lent[option.removeprefix("default-")] = value.strip("'\"")
    lines = [f"{option} = {value}" for option, value in sorted(lent.items())]
    return "\n".join(["[global]", f"cert = {CERTIFICATES_INSIDE}", *lines, ""])


def _trusted_here(environ: Mapping[str, str]) -> bytes:
    named = (environ.get(name) for name in ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"))
    candidates = [
        *named,
        ssl.get_default_verify_paths().cafile,
        "/etc/ssl/certs/ca-certificates.crt",
    ]
    for candidate in candidates:
        if candidate and Path(candidate).is_file():
            return Path(candidate).read_bytes()
    return b""
