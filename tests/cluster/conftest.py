"""Fixtures for tests against a real Kubernetes API: one cluster for each test process, a namespace
of its own for each test, a house with its crowd for each file that wants one.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from tests.cluster.api import KubernetesApi, resource_path
from tests.cluster.building import standing_house
from tests.cluster.control_plane import ControlPlane, running_control_plane
from tests.cluster.errors import BinariesMissing
from tests.cluster.figures import Figures
from tests.cluster.house import House
from tests.cluster.local_node import running_node
from tests.cluster.namespaces import Kubectl, define, kubectl_in, new_namespace, operators_in
from tests.cluster.operators import (
    OperatorFactory,
    PlayedWorkers,
    playing_workers,
    target_manifest,
)
from tests.cluster.subject import Subject

from devbox.database import Database

__all__ = ["Kubectl"]

FIGURES = Figures(Path("build/cluster/figures.jsonl"))


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A cluster's API: one started for this process, or the one PURSER_TEST_KUBECONFIG names."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(running_control_plane())
        except BinariesMissing as missing:
            pytest.skip(str(missing))
        yield running


@pytest.fixture(scope="session")
def node(control_plane: ControlPlane) -> Iterator[str]:
    """The name of the node whose pods run as local processes."""
    if control_plane.external:
        pytest.skip("The cluster that PURSER_TEST_KUBECONFIG names runs its pods itself: unset it.")
    with running_node(control_plane) as name:
        yield name


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """A new namespace in which pods can be created; it goes, with all it holds, when the test has
    ended.
    """
    with new_namespace(control_plane) as name:
        yield name


@pytest_asyncio.fixture
async def api(control_plane: ControlPlane) -> AsyncIterator[KubernetesApi]:
    """A client that may do everything."""
    async with KubernetesApi.from_kubeconfig(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """Runs kubectl in the test's namespace and gives what it prints; a failure fails the test with
    what it said.
    """
    return kubectl_in(control_plane, namespace)


@pytest.fixture
def defined(kubectl: Kubectl) -> None:
    """The definition, as kubectl applies it from the chart's own file."""
    define(kubectl)


@pytest.fixture
def operators(
    defined: None,
    kubectl: Kubectl,
    control_plane: ControlPlane,
    namespace: str,
    database: Database,
    redis_url: str,
    tmp_path: Path,
) -> Iterator[OperatorFactory]:
    """Operators under their own service account."""
    with operators_in(control_plane, kubectl, namespace, database, redis_url, tmp_path) as factory:
        yield factory


@pytest.fixture
async def target(api: KubernetesApi, namespace: str) -> None:
    """A StatefulSet whose pods nobody runs."""
    await api.create(resource_path("apps/v1", "statefulsets", namespace), target_manifest())


@pytest.fixture
async def workers(
    target: None, api: KubernetesApi, namespace: str, database: Database
) -> AsyncIterator[PlayedWorkers]:
    """The workers of the target, played."""
    async with playing_workers(api, namespace, database) as played:
        yield played


@pytest.fixture
def subject(defined: None, api: KubernetesApi, namespace: str) -> Subject:
    """The UserShard `main`, not made yet."""
    return Subject(api, namespace)


@pytest.fixture(scope="session")
def figures() -> Figures:
    """What this session measures; told at its end."""
    return FIGURES


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(
    control_plane: ControlPlane,
    node: str,
    figures: Figures,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> AsyncIterator[House]:
    """The whole house with people who trade, for the tests of one file; its OPERATOR_SETTINGS are
    the operator's, where it has them.
    """
    folder = tmp_path_factory.mktemp("house")
    settings = getattr(request.module, "OPERATOR_SETTINGS", {})
    async with standing_house(control_plane, folder, figures, settings) as standing:
        yield standing


def pytest_configure(config: pytest.Config) -> None:
    """A new session measures anew."""
    FIGURES.begin(config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures, after everything else."""
    FIGURES.tell(terminalreporter)
