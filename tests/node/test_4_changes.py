"""The release is changed, spoilt, put back and taken away while people trade."""

import copy

import pytest
from tests.cluster.waiting import until
from tests.node.house import VALUES, NodeHouse
from tests.node.release import RELEASE, Values

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

ROLLED = ("gateway", "pricing", "wallet", "ledger", "operator")


def changed(**annotations: str) -> Values:
    """Values that replace every pod, as another image would."""
    values = copy.deepcopy(VALUES)
    for part in (*ROLLED[:-1], "operator", "userWorker"):
        values.setdefault(part, {})["podAnnotations"] = annotations
    return values


async def test_a_rolling_upgrade_fails_no_answer(
    house: NodeHouse, request: pytest.FixtureRequest
) -> None:
    """Every pod is replaced; everybody is answered in time, and nothing is lost."""
    await house.until_all_ready()
    impatient = house.users.impatient
    async with house.under_load(request):
        house.strike("roll", "release")
        await house.release.upgrade(changed(roll="1"))
        for part in ROLLED:
            status = ("rollout", "status", f"deployment/purser-{part}", "--timeout=120s")
            await house.release.kubectl(*status)
        status = ("rollout", "status", "statefulset/purser-user-worker", "--timeout=180s")
        await house.release.kubectl(*status)
        await house.until_all_ready()
    house.note("failed answers in a rolling upgrade", house.users.impatient - impatient, 0)
    assert house.users.impatient == impatient


async def test_an_upgrade_that_cannot_come_up_harms_nobody_and_is_rolled_back(
    house: NodeHouse, request: pytest.FixtureRequest
) -> None:
    """An image that does not exist: the old pods go on, `helm rollback` puts everything right."""
    await house.until_all_ready()
    async with house.under_load(request):
        values = changed(roll="1")
        for part in ("gateway", "wallet", "ledger", "pricing"):
            values[part]["image"] = {"tag": "of-which-there-is-none"}
        await house.release.upgrade(values)

        async def waiting() -> list[str]:
            return [
                reason
                for part in ("gateway", "wallet", "ledger", "pricing")
                for pod in await house.release.pods(part)
                for status in pod["status"].get("containerStatuses", [])
                if (reason := status["state"].get("waiting", {}).get("reason", ""))
            ]

        await until(waiting, lambda reasons: len(reasons) >= 4, "new pods cannot start")
        await house.users.act()
        await house.release.helm("rollback", RELEASE)
        await house.until_all_ready()


async def test_what_is_uninstalled_leaves_the_definition_and_the_secrets(
    house: NodeHouse,
) -> None:
    """The definition and its UserShards' kind stay, and the Secrets, which were there before."""
    await house.release.uninstall()
    assert await house.release.kubectl("get", "crd", "usershards.purser.dev")
    assert await house.release.secret("purser-wallet", "key-encryption-key")
