"""Secrets through kubectl: values travel on standard input and output, never as arguments."""

import base64
import binascii
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from devbox.errors import CannotBegin

KUBECTL_TIMEOUT_SECONDS = 60.0
OPAQUE, TLS = "Opaque", "kubernetes.io/tls"


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl towards one namespace; empty words leave the choice to its configuration."""

    namespace: str = ""
    kubeconfig: str = ""
    context: str = ""
    program: str = "kubectl"

    def chosen_namespace(self) -> str:
        """The namespace that is meant, asked of kubectl's configuration when none was named."""
        if self.namespace:
            return self.namespace
        path = "jsonpath={..namespace}"
        return self._ask(["config", "view", "--minify", "--output", path]).strip() or "default"

    def secret_names(self) -> set[str]:
        """Every Secret of the namespace."""
        listed = self._ask(["get", "secrets", "--output", "name"])
        return {line.removeprefix("secret/") for line in listed.split()}

    def read(self, name: str) -> dict[str, str]:
        """Read one Secret. Raises CannotBegin when it is not there or no text."""
        secret = json.loads(self._ask(["get", "secret", name, "--output", "json"]))
        try:
            return {
                key: base64.b64decode(value).decode()
                for key, value in (secret.get("data") or {}).items()
            }
        except (binascii.Error, UnicodeDecodeError):
            raise CannotBegin(f"The Secret {name} holds something that is no text.") from None

    def create(self, name: str, kind: str, values: Mapping[str, str]) -> None:
        """Create a Secret; one that appeared meanwhile stays as it is and is an error."""
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "labels": {
                    "app.kubernetes.io/part-of": "purser",
                    "app.kubernetes.io/managed-by": "cluster-secrets",
                },
            },
            "type": kind,
            "stringData": dict(values),
        }
        self._ask(["create", "--filename", "-"], json.dumps(secret))

    def _ask(self, words: Sequence[str], said: str = "") -> str:
        where = [
            *(["--namespace", self.namespace] if self.namespace else []),
            *(["--kubeconfig", self.kubeconfig] if self.kubeconfig else []),
            *(["--context", self.context] if self.context else []),
        ]
        try:
            done = subprocess.run(
                [self.program, *where, *words],
                input=said,
                capture_output=True,
                text=True,
                timeout=KUBECTL_TIMEOUT_SECONDS,
                check=False,
            )
        except FileNotFoundError:
            raise CannotBegin(
                "This needs kubectl: install it, or say where with KUBECTL=…"
            ) from None
        except subprocess.TimeoutExpired:
            raise CannotBegin(
                f"kubectl gave no answer within {KUBECTL_TIMEOUT_SECONDS:.0f} s: is the cluster up?"
            ) from None
        if done.returncode != 0:
            told = done.stderr.strip().splitlines()
            raise CannotBegin(f"kubectl {words[0]} failed: {told[-1] if told else 'no word why'}")
        return done.stdout
