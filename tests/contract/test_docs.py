"""The pages name nothing that is not there."""

import re
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
PAGES = sorted((TREE / "docs").glob("*.md"))
SOURCES = [
    file.read_text()
    for folder in ("services", "operator")
    for file in sorted((TREE / folder).glob("**/src/**/*.py"))
]
ALL_SOURCE = "\n".join(SOURCES)
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
        logged = rf'\.(?:debug|info|warning|error|exception|critical)\(\s*"{event}"'
        assert re.search(logged, ALL_SOURCE), event


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
    elsewhere = {"OOMKilled", "StatefulSet", "UserShard", "NetworkPolicy", "PodDisruptionBudget"}
    for word in set(re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", text)) - elsewhere:
        assert word in known, word
