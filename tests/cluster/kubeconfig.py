"""Kubeconfig files: writing one for a caller of the test control plane, reading one to call any
cluster.

JSON is YAML, so what is written here is plain JSON. What is read may come from kind or k3s: client
certificates and tokens, inline or in files. Plugins that fetch credentials are not run.
"""

import base64
import json
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.cluster.certificates import Credentials, write_private


@dataclass(frozen=True)
class Access:
    """How to call one cluster as one user."""

    server: str
    tls: ssl.SSLContext = field(repr=False)
    token: str | None = field(default=None, repr=False)
    authority: bytes = field(default=b"", repr=False)


def write_kubeconfig(
    file: Path,
    server: str,
    authority: bytes,
    identity: Credentials | str,
    namespace: str = "default",
) -> Path:
    """Writes a kubeconfig (mode 0600) for the holder of a client certificate or a bearer token."""
    if isinstance(identity, str):
        user = {"token": identity}
    else:
        user = {
            "client-certificate-data": base64.b64encode(identity.certificate).decode(),
            "client-key-data": base64.b64encode(identity.key).decode(),
        }
    cluster = {
        "server": server,
        "certificate-authority-data": base64.b64encode(authority).decode(),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [
            {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}
        ],
        "current-context": "test",
    }
    write_private(file, json.dumps(content, indent=1).encode())
    return file


def read_kubeconfig(file: Path) -> Access:
    """The current context of a kubeconfig. Raises ValueError when its user cannot be had from the
    file.
    """
    content = yaml.safe_load(file.read_text())
    context = _named(content["contexts"], content["current-context"])["context"]
    cluster = _named(content["clusters"], context["cluster"])["cluster"]
    user = _named(content["users"], context["user"])["user"]
    if "exec" in user or "auth-provider" in user:
        raise ValueError(f"{file}: the user's credentials come from a plugin; use a token instead")

    authority = _data(cluster, "certificate-authority", file)
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if certificate := _data(user, "client-certificate", file):
        # The ssl module reads a client's key from files only.
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(certificate + b"\n" + (_data(user, "client-key", file) or b""))
            pair.flush()
            tls.load_cert_chain(pair.name)
    token = user.get("token")
    if token is None and "tokenFile" in user:
        token = Path(user["tokenFile"]).read_text().strip()
    return Access(cluster["server"].rstrip("/"), tls, token, authority or b"")


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _data(section: dict[str, Any], key: str, file: Path) -> bytes | None:
    if inline := section.get(f"{key}-data"):
        return base64.b64decode(str(inline))
    if named := section.get(key):
        return (file.parent / str(named)).read_bytes()
    return None
