"""`kubectl purser …`: describe, record and simulate from where kubectl is.

kubectl runs the program `kubectl-purser` it finds on PATH, with what was typed after `purser` and
no flag of its own, so `-n`, `--context` and `--kubeconfig` are read here. PostgreSQL and Redis are
inside the cluster. With OPERATOR_DATABASE_URL in the environment (a port-forward, a VPN) they are
asked from here; without it the verb is run where the settings are, in the operator's pod, by
`kubectl exec`: whoever may do that needs no password. A secret is never an argument.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from chassis.terminal import complain
from shard_operator import describing, simulating
from shard_operator.errors import ArgumentsClash

EXIT_FAILED = 1
EXIT_MISTAKE = 2
OPERATOR = "deployment/purser-operator"
KUBECTL_TIMEOUT_SECONDS = 10.0
"""For reading its configuration; an `exec` may take as long as it likes."""
COLUMNS_DEFAULT = 120
"""A pod knows nothing of this terminal, and here it is no terminal."""
DATABASE_VARIABLES = tuple(
    f"{prefix}_DATABASE_URL{suffix}"
    for prefix in ("OPERATOR", "PURSER")
    for suffix in ("", "_FILE")
)

DESCRIPTION = """\
What a UserShard's operator knows and decides. With OPERATOR_DATABASE_URL (and
OPERATOR_REDIS_URL) in the environment PostgreSQL and Redis are asked from here,
through a port-forward say; without it describe and record are run in the
operator's pod by `kubectl exec`."""


def main() -> NoReturn:
    """Do what was typed and end the process."""
    try:
        status = run(sys.argv[1:], os.environ)
    except ArgumentsClash as clash:
        complain(str(clash))
        status = EXIT_MISTAKE
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        complain(f"kubectl cannot be asked: {error}.")
        status = EXIT_FAILED
    sys.exit(status)


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what the arguments say; the exit status. Raises ArgumentsClash, OSError, SystemExit."""
    own, rest = _own_flags().parse_known_args(arguments)
    parsed = _parser().parse_args(rest)
    if parsed.verb == "simulate":
        parsed.do(parsed)
    kubectl = shutil.which("kubectl", path=environ.get("PATH"))
    if kubectl is None:
        raise ArgumentsClash("There is no kubectl on PATH.")
    flags = _kubectl_flags(own)
    # As everywhere, an empty variable counts as unset.
    namespace = parsed.namespace or environ.get("OPERATOR_NAMESPACE")
    if not namespace:
        namespace = _namespace_of(_configuration(kubectl, flags))
    if not any(environ.get(name) for name in DATABASE_VARIABLES):
        if getattr(parsed, "file", None) is not None:
            raise ArgumentsClash(
                "In the operator's pod --file would be a file of the pod's: write"
                " `kubectl purser record … > trace.csv`."
            )
        return subprocess.call(
            in_pod(kubectl, flags, namespace, own.operator, rest, _columns(environ))
        )
    os.environ["OPERATOR_NAMESPACE"] = os.environ.get("OPERATOR_NAMESPACE") or namespace
    with tempfile.TemporaryDirectory(prefix="kubectl-purser-") as folder:
        if own.context is not None:
            os.environ["KUBECONFIG"] = str(_one_context(kubectl, flags, Path(folder)))
        elif own.kubeconfig is not None:
            os.environ["KUBECONFIG"] = own.kubeconfig
        parsed.do(parsed)
    raise AssertionError("a verb ends the process")


def in_pod(
    kubectl: str,
    flags: Sequence[str],
    namespace: str,
    operator: str,
    arguments: Sequence[str],
    columns: int,
) -> list[str]:
    """The command that runs a verb in the operator's pod."""
    verb = ["env", f"COLUMNS={columns}", "python", "-m", "shard_operator", *arguments]
    return [kubectl, *flags, "exec", "--namespace", namespace, operator, "--", *verb]


def _own_flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    cluster = parser.add_argument_group("the cluster (anywhere among the arguments)")
    cluster.add_argument("--context", metavar="NAME", help="as kubectl's")
    cluster.add_argument("--kubeconfig", metavar="FILE", help="as kubectl's")
    cluster.add_argument(
        "--operator",
        default=OPERATOR,
        metavar="WORKLOAD",
        help=f"where to run a verb without OPERATOR_DATABASE_URL ({OPERATOR})",
    )
    return parser


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kubectl purser",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # Only for the help: by then they have been taken out.
        parents=[_own_flags()],
    )
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", dest="verb", required=True)
    describing.add_verb(verbs)
    simulating.add_verbs(verbs)
    return parser


def _kubectl_flags(own: argparse.Namespace) -> list[str]:
    values = {"context": own.context, "kubeconfig": own.kubeconfig}
    return [f"--{name}={value}" for name, value in values.items() if value is not None]


def _configuration(kubectl: str, flags: Sequence[str]) -> bytes:
    """The context in use, as JSON without its secrets."""
    return _asked([kubectl, *flags, "config", "view", "--minify", "--output=json"])


def _namespace_of(configuration: bytes) -> str:
    contexts = json.loads(configuration).get("contexts") or [{}]
    return str((contexts[0].get("context") or {}).get("namespace") or "default")


def _one_context(kubectl: str, flags: Sequence[str], folder: Path) -> Path:
    """A kubeconfig of one context: whoever reads it next looks at its current one only."""
    file = folder / "config"
    whole = _asked([kubectl, *flags, "config", "view", "--raw", "--minify", "--flatten"])
    file.touch(mode=0o600)
    file.write_bytes(whole)
    return file


def _asked(command: Sequence[str]) -> bytes:
    finished = subprocess.run(
        command, capture_output=True, timeout=KUBECTL_TIMEOUT_SECONDS, check=False
    )
    if finished.returncode:
        raise ArgumentsClash(finished.stderr.decode(errors="replace").strip())
    return finished.stdout


def _columns(environ: Mapping[str, str]) -> int:
    if environ.get("COLUMNS") or sys.stdout.isatty():
        return shutil.get_terminal_size((COLUMNS_DEFAULT, 24)).columns
    return COLUMNS_DEFAULT
