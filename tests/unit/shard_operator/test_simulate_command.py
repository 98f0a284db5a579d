"""What is typed after `simulate`: flags over a file over the defaults; mistakes are sentences."""

from collections.abc import Callable
from pathlib import Path

import pytest

from chassis import command_line
from shard_operator import simulating
from shard_operator.simulating.doing import (
    LINE_CHARACTERS_MAX,
    LINES_MAX,
    MANIFEST_CHARACTERS_MAX,
)

Simulate = Callable[..., int]

BACKLOG = "time_seconds,backlog\n0,900\n600,0\n"
ARRIVALS = "time_seconds,arrivals,finished,workers\n0,,,2\n10,900,300,2\n60,0,600,2\n"
MANIFEST = """\
apiVersion: v1
kind: ConfigMap
---
apiVersion: purser.dev/v1alpha1
kind: UserShard
metadata: {name: main}
spec:
  scaleTargetRef: {name: purser-user-worker}
  workers: {minReplicas: 3, maxReplicas: 7}
"""


@pytest.fixture
def simulate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Simulate:
    """Run the verb on a trace, in a folder of the test's own; the exit status."""
    monkeypatch.chdir(tmp_path)

    async def serve(_stop: object) -> None:
        raise AssertionError("the verb must not serve")

    def run(text: str | None, *arguments: str, file: str = "trace.csv") -> int:
        trace = tmp_path / file
        if text is not None:
            trace.write_text(text)
        with pytest.raises(SystemExit) as ended:
            command_line.run(
                ["simulate", str(trace), *arguments],
                package="shard_operator",
                prefix="OPERATOR",
                serve=serve,
                add_verbs=simulating.add_verbs,
            )
        assert isinstance(ended.value.code, int)
        return ended.value.code

    return run


def test_the_spec_is_the_default_or_a_files_or_what_flags_say(
    simulate: Simulate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Flags win, one field at a time."""
    manifest = tmp_path / "main.yaml"
    manifest.write_text(MANIFEST)
    told = []
    for more in ([], ["--usershard", str(manifest)]):
        for flags in ([], ["--max-replicas", "4"]):
            assert 0 == simulate(BACKLOG, *more, *flags)
            told.append(capsys.readouterr().out)

    counts = [text.split("workers:")[1].split(",")[0].strip() for text in told]
    assert ["2 to 9", "2 to 4", "3 to 7", "3 to 4"] == counts


@pytest.mark.parametrize(
    ("text", "arguments", "status", "words"),
    [
        (None, [], 1, "trace.csv: No such file or directory."),
        ("rubbish\n", [], 2, "trace.csv: line 1: 'rubbish' is no column"),
        (BACKLOG, ["-p", "x.gif"], 2, "must end in .svg or .png, not be x.gif"),
        (BACKLOG, ["--min-replicas", "30"], 2, "minReplicas must not exceed"),
        (BACKLOG, ["--loop", "closed"], 2, "needs a column arrivals"),
        (ARRIVALS, ["--loop", "open"], 2, "needs a column backlog"),
        (ARRIVALS, [], 2, "needs --worker-rate"),
        (ARRIVALS, [], 2, "In this trace a worker did up to 15."),
        ("time_seconds,arrivals\n0,\n1e-9,5\n", ["--worker-rate", "5"], 2, "it lasts less than"),
        (BACKLOG, ["--usershard", "none.yaml"], 1, "none.yaml: No such file"),
        (BACKLOG, ["-p", "none/x.svg"], 1, "none/x.svg: No such file"),
        (BACKLOG, ["--shards", "0"], 2, "a whole number from 1"),
        (BACKLOG, ["--job-seconds", "nan"], 2, "a number above 0"),
    ],
)
def test_a_mistake_is_a_sentence_and_a_status(
    simulate: Simulate,
    capsys: pytest.CaptureFixture[str],
    text: str | None,
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    """Never a stack trace."""
    assert status == simulate(text, *arguments)
    errors = capsys.readouterr().err
    assert words in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is no YAML"),
        ("kind: Pod", "holds no UserShard"),
        ("kind: \xff", "is no YAML"),
        ("kind: UserShard\nspec: {replicas: 2021-13-45}", "is no YAML: month must be in 1..12"),
        (f"kind: UserShard\nspec: {{replicas: {'9' * 5000}}}", "is no YAML"),
        (f"kind: UserShard\nspec: {'[' * 20_000}", "nested too deeply"),
        (f"kind: UserShard\n#{' ' * MANIFEST_CHARACTERS_MAX}", "more than 1,048,576 characters"),
        ("kind: UserShard\nmetadata: main", "metadata must be a mapping"),
        ("kind: UserShard\nspec: [1]", "spec must be a mapping"),
        ("kind: UserShard\nspec: {workers: [1]}", "got `array` - at `spec.workers`"),
        ("kind: UserShard\nmetadata: {name: [], generation: x}", "expected a pool as"),
        ('kind: UserShard\nmetadata: {name: "a\\x1b[31mb"}\nspec: {replicas: 0}', r"a\x1b[31mb"),
    ],
    ids=range(12),
)
def test_a_file_without_a_user_shard_is_refused(
    simulate: Simulate, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    """With its name, whatever is in it."""
    manifest = tmp_path / "other.yaml"
    manifest.write_text(text, encoding="latin-1")

    assert 2 == simulate(BACKLOG, "--usershard", str(manifest), "--max-replicas", "9")
    errors = capsys.readouterr().err
    assert words in errors
    assert "other.yaml" in errors or "UserShard default/" in errors


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{BACKLOG}{' ' * LINE_CHARACTERS_MAX}1,1\n", "line 4: longer than 65,536 characters"),
        (f"{BACKLOG}{chr(10) * LINES_MAX}", "more than 2,000,000 lines"),
    ],
    ids=["a line", "lines"],
)
def test_a_trace_without_end_is_refused(
    simulate: Simulate, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    """Before it is in memory."""
    assert 2 == simulate(text)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a\x1b[31mb", "a\udcffb"], ids=["escape", "no UTF-8"])
def test_a_file_of_any_name_is_drawn(
    simulate: Simulate, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The name is escaped, on the terminal as in the picture."""
    for picture in (f"{name}.svg", f"{name}.png"):
        assert 0 == simulate(BACKLOG, "-p", picture, file=f"{name}.csv")
        assert (tmp_path / picture).exists()
    assert name not in capsys.readouterr().out


def test_a_trace_with_arrivals_closes_the_loop(
    simulate: Simulate, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The picture is beside it."""
    assert 0 == simulate(ARRIVALS, "--worker-rate", "20")
    assert "900 accepted, 900 ended, 0 left" in capsys.readouterr().out
    assert (tmp_path / "trace.svg").exists()
