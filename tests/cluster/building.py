"""Puts a house together: servers of its own, an operator, what stands beside, workers, people."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from tests.chaos.crowd import SYMBOLS
from tests.chaos.run import MARKET, PLANS
from tests.chaos.telegram import Telegram
from tests.chaos.watching import PlacementWatch, PriceWatch
from tests.cluster.api import KubernetesApi
from tests.cluster.beside import standing_beside
from tests.cluster.cluster_watch import ClusterWatch
from tests.cluster.control_plane import ControlPlane
from tests.cluster.figures import Figures
from tests.cluster.house import SPEC, House
from tests.cluster.judging import Judge
from tests.cluster.namespaces import define, kubectl_in, new_namespace, operators_in
from tests.cluster.scenario import NOTE_DEPARTURES, Scenario
from tests.cluster.servers import Servers, own_servers
from tests.cluster.subject import Subject
from tests.cluster.users import Users
from tests.history.records import HistoryFile


@asynccontextmanager
async def standing_house(
    control_plane: ControlPlane,
    folder: Path,
    figures: Figures,
    operator_settings: Mapping[str, str],
) -> AsyncIterator[House]:
    """A house whose people have signed up; gone with the context."""
    async with AsyncExitStack() as stack:
        servers = await stack.enter_async_context(own_servers(folder / "servers"))
        scenario = await _bring_up(stack, control_plane, servers, folder, operator_settings)
        beside = scenario.beside
        http = await stack.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))
        )
        history = stack.enter_context(HistoryFile(folder / "history.jsonl"))
        market = PriceWatch(beside.addresses["PURSER_PRICING_ADDRESS"], SYMBOLS, history)
        users = Users(Telegram(beside.chat_url, http, history), market.prices)

        async def connect() -> Any:
            return await asyncpg.connect(servers.database.owner_url)

        cluster = ClusterWatch(scenario.api, scenario.namespace)
        placement = PlacementWatch(connect, history)
        judge = Judge(history, connect, folder)
        house = House(scenario, servers, users, cluster, placement, history, figures, judge)
        await scenario.come_up(servers.database, servers.redis_url, SPEC, **PLANS)
        stack.push_async_callback(house.close)
        for watched in (users.follow(), placement.watch(), cluster.watch(), market.watch()):
            house.watch(watched)
        await users.move_in()
        yield house


async def _bring_up(
    stack: AsyncExitStack,
    control_plane: ControlPlane,
    servers: Servers,
    folder: Path,
    operator_settings: Mapping[str, str],
) -> Scenario:
    """The definition, the rights, an operator that leads, and everything beside the cluster."""
    database, redis_url = servers.database, servers.redis_url
    namespace = stack.enter_context(new_namespace(control_plane))
    kubectl = kubectl_in(control_plane, namespace)
    define(kubectl)
    operators = stack.enter_context(
        operators_in(control_plane, kubectl, namespace, database, redis_url, folder)
    )
    operator = operators.start(**operator_settings)
    beside = await stack.enter_async_context(
        standing_beside(folder, database, redis_url, f"{namespace}.main", environ=MARKET)
    )
    api = await stack.enter_async_context(KubernetesApi.from_kubeconfig(control_plane.kubeconfig))
    owner = await stack.enter_async_context(
        asyncpg.create_pool(database.owner_url, min_size=0, max_size=2)
    )
    await owner.execute(NOTE_DEPARTURES)
    await operator.until("leading")
    return Scenario(
        namespace,
        api,
        kubectl,
        Subject(api, namespace),
        operators,
        beside,
        owner,
        control_plane.logs,
    )
