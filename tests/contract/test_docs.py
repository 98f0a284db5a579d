"""The pages name nothing that is not there, and the runbook's entries say all they have to."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.contract.rendering import CHART, pods, rendered

TREE = Path(__file__).parents[2]
PAGES = sorted((TREE / "docs").glob("*.md"))
SOURCES = [
    file.read_text()
    for folder in ("services", "operator")
    for file in sorted((TREE / folder).glob("**/src/**/*.py"))
]
ALL_SOURCE = "\n".join(SOURCES)
ALL_SQL = "\n".join(
    file.read_text()
    for folder in ("services", "operator")
    for file in sorted((TREE / folder).glob("**/migrations/*.sql"))
)
RUNBOOK = TREE / "docs/what-to-do-when.md"
EVERY_ENTRY = ["Seen", "Money", "Do", "Over when"]
PREFIXES = r"(?:PURSER|GATEWAY|USER_WORKER|PRICING|WALLET|LEDGER|OPERATOR)"
_ROLES = {
    f"purser_{room}" for room in ("gateway", "worker", "pricing", "venue", "wallet", "ledger")
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """To files of the tree, and to headings of pages."""
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        found = page.parent / target if target else page
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in headings}
            assert anchor in slugs


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    """In the words of the tree's root."""
    pattern = r"\b((?:docs|tests|services|operator|charts|k8s)/[\w./-]+\.(?:md|py|yaml))\b"
    missing = {name for name in re.findall(pattern, page.read_text()) if not (TREE / name).exists()}
    assert set() == missing


def test_metrics_of_the_pages_are_series_that_somebody_exposes() -> None:
    """A name that nobody measures would never raise an alert. A counter's series ends in _total."""
    named = {
        name for page in PAGES for name in re.findall(r"`(purser_[a-z]+_[a-z_]+)", page.read_text())
    }
    assert len(named) > 8
    schemas_roles_and_streams = {"purser_user_mover", "purser_shard_owner", "purser_migrations"}
    for name in named - schemas_roles_and_streams - _ROLES:
        assert name in _series(), name


def test_log_events_of_the_status_page_are_logged() -> None:
    """By a call of a logger, under that very name."""
    events = {
        event
        for line in (TREE / "docs/status.md").read_text().partition("## Logs")[2].splitlines()
        if line.startswith("| `")
        for event in re.findall(r"`([a-z_]+)`", line.split("|")[1])
    }
    assert len(events) > 8
    for event in events:
        assert _is_logged(event), event


@pytest.mark.parametrize("name", ["what-to-do-when.md", "renew-secrets.md"])
def test_words_of_a_log_or_a_table_are_those_of_the_code(name: str) -> None:
    """In code's letters with an underscore: an event that is logged, or a name of the schema."""
    words = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", (TREE / "docs" / name).read_text()))
    assert words
    for word in words - _series() - {"pg_stat_activity"}:  # PostgreSQL's own
        assert _is_logged(word) or re.search(rf"\b{word}\b", ALL_SQL), word


def _series() -> set[str]:
    """The names under which the programs' figures are read."""
    made = re.findall(r'\b(Counter|Gauge|Histogram)\(\s*"([^"]+)"', ALL_SOURCE)
    named = set()
    for kind, name in made:
        named.add(f"{name.removesuffix('_total')}_total" if kind == "Counter" else name)
    return named


@pytest.mark.parametrize("name", ["scale.md", "status.md", "what-to-do-when.md"])
def test_conditions_and_reasons_are_the_operators_own(name: str) -> None:
    """Words in the form of a reason that stand in the operator's README."""
    text = (TREE / "docs" / name).read_text()
    known = (TREE / "operator/README.md").read_text() + ALL_SOURCE
    elsewhere = {"OOMKilled", "StatefulSet", "UserShard", "NetworkPolicy", "NetworkPolicies"}
    elsewhere |= {"PodDisruptionBudget"}
    for word in set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", text)) - elsewhere:
        assert word in known, word


def test_each_entry_of_the_runbook_says_its_four_things() -> None:
    """How it is seen, what it means for money, what to do, and which word says that it is over."""
    entries = re.split(r"^## ", RUNBOOK.read_text(), flags=re.MULTILINE)[1:]
    assert len(entries) > 15
    for entry in entries:
        title = entry.partition("\n")[0]
        found = re.findall(r"^- \*\*([^*]+):\*\* \S", entry, re.MULTILINE)
        assert found == EVERY_ENTRY, title
        end = entry.partition("**Over when:**")[2]
        assert re.search(r"`[^`]+`|\b(?:READY|BACKLOG|OLDEST|Degraded)\b", end), title


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_variables_of_the_pages_are_settings(page: Path) -> None:
    """A misspelt one would be warned of by the program, in the middle of the night."""
    for name in set(re.findall(rf"\b{PREFIXES}_[A-Z_]*[A-Z]\b", page.read_text())):
        assert _is_setting(name.removesuffix("_FILE").split("_")), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_values_of_the_pages_are_the_charts(page: Path) -> None:
    """Those written with their path."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for path in set(re.findall(r"`([a-zA-Z]+(?:\.[a-zA-Z]+)+)\b", page.read_text())):
        is_of_another_kind = path in ALL_SQL or path in ("tls.crt", "tls.key")
        if path.partition(".")[0] in values and not is_of_another_kind:
            assert _is_value(values, path.split(".")), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_objects_the_commands_name_are_the_charts(page: Path) -> None:
    """For the release and the namespace `purser`, as the pages say."""
    objects = [*rendered("dev"), *rendered("everything")]
    made = {(found["kind"].lower(), found["metadata"]["name"]) for found in objects}
    for _, pod in pods(objects):
        for volume in pod["spec"].get("volumes", []):
            made.add(("secret", volume.get("secret", {}).get("secretName", "")))
    text = page.read_text().replace("put purser-", "secret purser-")
    kinds = "deployment|statefulset|service|secret"
    for kind, name in re.findall(rf"\b({kinds})[/ ](purser-[a-z-]*[a-z])\b", text):
        assert (kind, name) in made, f"{kind}/{name}"


def _is_logged(event: str) -> bool:
    """By a call of a logger, under that very name."""
    logged = rf'\.(?:debug|info|warning|error|exception|critical)\(\s*"{event}"'
    return re.search(logged, ALL_SOURCE) is not None


def _is_setting(words: list[str]) -> bool:
    """Whether a program reads settings with a prefix of these words, and the rest is a field."""
    ways = [("_".join(words[:cut]), "_".join(words[cut:]).lower()) for cut in range(1, len(words))]
    return any(
        f'"{prefix}"' in ALL_SOURCE and re.search(rf"^ +{field}: ", ALL_SOURCE, re.MULTILINE)
        for prefix, field in ways
    )


def _is_value(values: Any, path: list[str]) -> bool:
    """Whether the chart knows it; below what is empty by default it may have any name."""
    for key in path:
        if not isinstance(values, dict) or not values:
            return values in ({}, "")
        if key not in values:
            return False
        values = values[key]
    return True
