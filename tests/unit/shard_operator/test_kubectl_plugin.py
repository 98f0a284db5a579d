"""kubectl purser: what it hands to kubectl, and what it keeps to itself."""

import json
from pathlib import Path

import pytest

from shard_operator.errors import ArgumentsClash
from shard_operator.kubectl_plugin import in_pod, run

KUBECTL = """\
#!/bin/sh
case "$*" in
*nowhere*) echo "error: no context exists with the name nowhere" >&2; exit 1 ;;
*config*) echo '{"contexts": [{"context": {"namespace": "trading"}}]}' ;;
*) echo "$@" > "$0.asked"; exit 7 ;;
esac
"""


@pytest.fixture
def kubectl(tmp_path: Path) -> Path:
    """A program that notes what it was asked."""
    file = tmp_path / "kubectl"
    file.write_text(KUBECTL)
    file.chmod(0o755)
    return file


def asked(kubectl: Path) -> str:
    """The arguments of the last command that did something."""
    return Path(f"{kubectl}.asked").read_text().strip()


def test_without_a_database_the_verb_is_run_in_the_pod(kubectl: Path) -> None:
    """In the context's namespace, with everything that was typed but the plugin's own flags; the
    exit status is the pod's."""
    status = run(
        ["describe", "--context", "prod", "main", "--shard", "3"], {"PATH": str(kubectl.parent)}
    )

    assert 7 == status
    assert (
        "--context=prod exec --namespace trading deployment/purser-operator --"
        " env COLUMNS=120 python -m shard_operator describe main --shard 3"
    ) == asked(kubectl)


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (["describe", "-n", "vip"], {}, "vip"),
        (["describe", "-n", "vip"], {"OPERATOR_NAMESPACE": "ops"}, "vip"),
        (["describe"], {"OPERATOR_NAMESPACE": "ops"}, "ops"),
    ],
)
def test_the_namespace_is_what_is_said_first(
    kubectl: Path, arguments: list[str], environ: dict[str, str], expected: str
) -> None:
    """The flag, the environment, the context."""
    run(arguments, {"PATH": str(kubectl.parent), **environ})

    assert f"--namespace {expected} " in asked(kubectl)


def test_another_workload_can_be_named(kubectl: Path) -> None:
    """Where the chart was given another name."""
    run(["describe", "--operator", "pod/op-0"], {"PATH": str(kubectl.parent)})

    assert " pod/op-0 -- " in asked(kubectl)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["describe", "--context", "nowhere"], "no context exists with the name nowhere"),
        (["record", "main", "-f", "trace.csv"], "write `kubectl purser record … > trace.csv`"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(kubectl: Path, arguments: list[str], words: str) -> None:
    """kubectl's own, where it has one."""
    with pytest.raises(ArgumentsClash, match=words):
        run(arguments, {"PATH": str(kubectl.parent)})


def test_without_kubectl_it_says_so() -> None:
    """It is a plugin, after all."""
    with pytest.raises(ArgumentsClash, match="no kubectl on PATH"):
        run(["describe"], {"PATH": "/nonexistent"})


@pytest.mark.parametrize("verb", ["serve", "migrate"])
def test_it_neither_serves_nor_migrates(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Those need what nobody has at a desk."""
    with pytest.raises(SystemExit) as ended:
        run([verb], {})

    assert 2 == ended.value.code
    assert "invalid choice" in capsys.readouterr().err


def test_nothing_typed_reaches_a_shell() -> None:
    """Arguments stay arguments."""
    command = in_pod("kubectl", [], "a", "b", ["describe", "$(reboot); x"], 80)

    assert "describe" == command[-2]
    assert "$(reboot); x" == command[-1]
    assert json.dumps(command).count("COLUMNS=80") == 1
