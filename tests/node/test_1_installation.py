"""From nothing to a first answer, and what a rest costs."""

import pytest
from tests.node.house import FIRST_ANSWER_GOAL_SECONDS, NodeHouse

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

PARTS = {"gateway", "user-worker", "pricing", "wallet", "ledger", "operator"}


async def test_everything_comes_up_by_itself_and_answers(house: NodeHouse) -> None:
    """All pods are Ready, none was started twice, the UserShard is Ready; `helm test` passes."""
    await house.until_all_ready()
    pods = await house.release.pods()
    restarts = {
        pod["metadata"]["name"]: status["restartCount"]
        for pod in pods
        for status in pod["status"].get("containerStatuses", [])
    }
    assert PARTS <= {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in pods}
    assert set(restarts.values()) == {0}, restarts
    assert house.first_answer_seconds <= FIRST_ANSWER_GOAL_SECONDS
    await house.release.kubectl("wait", "--for=condition=Ready", "ush/main", "--timeout=60s")
    await house.release.helm("test", "purser")


async def test_people_trade_on_real_pods(house: NodeHouse, request: pytest.FixtureRequest) -> None:
    """Nothing else happens: what the rest is compared with."""
    async with house.under_load(request):
        await house.users.act()
        await house.users.act()


async def test_the_plugin_describes_from_inside_the_operator(house: NodeHouse) -> None:
    """`kubectl purser describe` without an address of the database asks the operator's pod."""
    for word in ("UserShard", "purser-user-worker-0"):
        assert word in await house.release.kubectl("purser", "describe", "main")
