"""The helm commands of the pages are ones that the chart takes, as they are typed."""

import argparse
import re
import shlex
from typing import Any

import helm_python
import pytest
import yaml
from tests.contract.rendering import TREE, Manifest, of_kind, render_texts

PAGES = (*sorted((TREE / "docs").glob("*.md")), TREE / "README.md")
CLOCK = "$(date +%s)"
NOW, LATER = "1790000000", "1790000001"
YOURS = "mine.yaml"
"""The reader's own file; here there is nothing in it."""

COMMANDS = [
    line
    for page in PAGES
    for line in re.findall(
        r"^ +(helm (?:template|install|upgrade) \S+ charts/purser .*)$",
        page.read_text().replace("\\\n", " "),
        re.MULTILINE,
    )
]
JOBS = [line for line in COMMANDS if "-s templates/migrations/job.yaml" in line]


def rendered_by(line: str, now: str) -> list[Manifest]:
    """What helm gives for a command that is typed at this time."""
    told = _arguments(line.replace(CLOCK, now))
    values: dict[str, Any] = {}
    for file in told.files:
        _put_over(values, {} if file == YOURS else yaml.safe_load((TREE / file).read_text()))
    for setting in told.settings:
        _put_over(values, setting)
    texts = render_texts(values, release=told.release)
    shown = [name for name in texts if name.endswith(told.template or ".yaml")]
    return [found for name in shown for found in yaml.safe_load_all(texts[name]) if found]


def _arguments(line: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    for name in ("program", "verb", "release", "chart"):
        parser.add_argument(name)
    parser.add_argument("-n", dest="namespace")
    parser.add_argument("-f", dest="files", action="append", default=[])
    parser.add_argument("-s", dest="template")
    parsing = {
        "--set": helm_python.parse_set_string,
        "--set-string": helm_python.parse_set_string_values,
    }
    for flag, parse in parsing.items():
        parser.add_argument(flag, dest="settings", action="append", default=[], type=parse)
    words = shlex.split(re.split(r" [|>] ", line)[0])
    return parser.parse_args(words)


def _put_over(values: dict[str, Any], others: dict[str, Any]) -> None:
    for name, other in others.items():
        if isinstance(other, dict) and isinstance(values.get(name), dict):
            _put_over(values[name], other)
        else:
            values[name] = other


def test_they_are_found() -> None:
    """Or nothing below would be asked of any."""
    assert len(COMMANDS) >= 6
    assert len(JOBS) == 2


@pytest.mark.parametrize("line", COMMANDS)
def test_the_chart_takes_it(line: str) -> None:
    """A number where the schema wants a text is refused, and `--set` makes one of digits."""
    assert rendered_by(line, NOW)


@pytest.mark.parametrize("line", JOBS)
def test_a_job_of_a_restore_is_another_one_each_time(line: str) -> None:
    """Under the name of one that is Complete nothing would run, on a server that knows no roles."""
    now, later = (of_kind(rendered_by(line, when), "Job") for when in (NOW, LATER))
    assert len(now) == len(later) == 1
    assert now.keys() != later.keys()


def test_the_first_job_of_a_restore_migrates_and_the_second_one_fences_off_besides() -> None:
    """As the last of its steps."""
    pods = [job["spec"]["template"]["spec"] for line in JOBS for job in rendered_by(line, NOW)]
    assert [pod["containers"][-1]["args"] for pod in pods] == [["migrate"], ["after-restore"]]
