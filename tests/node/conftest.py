"""Fixtures for tests on real pods: one node, or the cluster that PURSER_TEST_KUBECONFIG names, and
one installation for the session.

A cluster of one's own must find the images (`make images` writes archives; `kind load
image-archive` takes them). The tests run in the order of the files: the house is taken down by the
last one.
"""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from tests.cluster.control_plane import ControlPlane, running_control_plane
from tests.cluster.errors import NodeImpossible
from tests.cluster.figures import Figures
from tests.cluster.images.parts import PARTS, archives
from tests.cluster.node.keeping import Node, running_node
from tests.node.house import NodeHouse, standing_house
from tests.node.release import Release
from tests.node.version_before import version_before

BEFORE = pytest.StashKey[Path | None]()
"""The charts of the version before."""
FIGURES = Figures(Path("build/node/figures.jsonl"))


@pytest.fixture(scope="session")
def figures() -> Figures:
    """What this session measures; told at its end."""
    return FIGURES


@pytest.fixture(scope="session")
def own_node(
    figures: Figures, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    """A node of this session's, with the images loaded."""
    if os.environ.get("PURSER_TEST_KUBECONFIG"):
        pytest.skip("PURSER_TEST_KUBECONFIG names a cluster; this test needs a node of its own.")
    if len(built := archives()) < len(PARTS):
        pytest.skip("The images are not built: run `make images`.")
    with ExitStack() as stack:
        try:
            node = stack.enter_context(running_node())
        except NodeImpossible as missing:
            pytest.skip(str(missing))
        figures.note("node", "from nothing to Ready with DNS, s", node.seconds, 20)
        folder = tmp_path_factory.mktemp("version") / "before"
        pytestconfig.stash[BEFORE] = stack.enter_context(version_before(folder))
        for archive in built:
            node.load(archive)
        yield node


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """The API of a cluster that runs pods."""
    if os.environ.get("PURSER_TEST_KUBECONFIG"):
        with running_control_plane() as named:
            yield named
    else:
        node: Node = request.getfixturevalue("own_node")
        yield node.control_plane


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(
    cluster: ControlPlane,
    figures: Figures,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[NodeHouse]:
    """Purser, installed, with people who trade."""
    folder = tmp_path_factory.mktemp("house")
    before = pytestconfig.stash.get(BEFORE, None)
    release = Release(cluster.kubeconfig, f"purser-{uuid.uuid4().hex[:6]}", folder, before)
    async with standing_house(release, folder, figures) as standing:
        yield standing


def pytest_configure(config: pytest.Config) -> None:
    """A new session measures anew."""
    FIGURES.begin(config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures, after everything else."""
    FIGURES.tell(terminalreporter)
