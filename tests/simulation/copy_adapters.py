"""The worker's ports in front of copied trades in memory."""

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from uuid import UUID

from tests.simulation.copies import CopyTables
from tests.simulation.network import Network
from tests.simulation.trading_adapters import Port

from kernel.sharding import Claim
from user_worker.domain.orders import Refusal, Refused
from user_worker.domain.rules import Copy, CopyProblem, Share, Stakes, TooMany
from user_worker.errors import ClaimLost
from user_worker.rule_ports import Held, LeaderTrade
from user_worker.trading_ports import Offer, Seen


class _CopyPort(Port):
    def __init__(self, network: Network, tables: CopyTables) -> None:
        super().__init__(network, tables.trading)
        self._copies = tables


class SimulatedShares(_CopyPort):
    """rule_ports.Shares"""

    async def share(self, claim: Claim, user_id: UUID) -> Share:
        """See rule_ports."""
        return await self._call("share", lambda: self._copies.share(claim, user_id))

    async def stop(self, claim: Claim, user_id: UUID) -> bool:
        """See rule_ports."""
        return await self._call("unshare", lambda: self._copies.stop_sharing(claim, user_id))

    async def of_user(self, user_id: UUID) -> Share | None:
        """See rule_ports."""
        return await self._call("shared", lambda: self._copies.share_of_user(user_id))


class SimulatedCopies(_CopyPort):
    """rule_ports.Copies"""

    async def of_job(self, user_id: UUID, job_id: UUID) -> Copy | None:
        """See rule_ports."""
        return await self._call("copy", lambda: self._copies.of_job(user_id, job_id))

    async def offer(
        self,
        claim: Claim,
        job_id: UUID,
        user_id: UUID,
        code: str,
        spend: Decimal,
        slippage_basis_points: int,
    ) -> Copy | CopyProblem | Refusal:
        """See rule_ports."""
        terms = (code, spend, slippage_basis_points)
        return await self._call(
            "offer a copy", lambda: self._copies.offer(claim, job_id, user_id, *terms)
        )

    async def confirm(
        self, claim: Claim, user_id: UUID, copy_id: UUID, language: str
    ) -> Copy | CopyProblem | TooMany | Refusal | None:
        """See rule_ports."""
        return await self._call(
            f"accept copy {copy_id} under {claim}",
            lambda: self._copies.confirm(claim, user_id, copy_id, language),
        )

    async def end(self, claim: Claim, user_id: UUID, copy_id: UUID) -> Copy | None:
        """See rule_ports."""
        return await self._call(
            f"end copy {copy_id}", lambda: self._copies.end(claim, user_id, copy_id)
        )

    async def of_user(self, user_id: UUID) -> Sequence[Copy]:
        """See rule_ports."""
        return await self._call("copies", lambda: self._copies.of_user(user_id))

    async def to_take(
        self, claims: Sequence[Claim], back_seconds: float, count_max: int
    ) -> Sequence[LeaderTrade]:
        """See rule_ports."""
        return await self._call(
            "to take", lambda: self._copies.to_take(claims, back_seconds, count_max)
        )

    async def stakes(self, trade: LeaderTrade) -> Stakes | None:
        """See rule_ports."""
        return await self._call("stakes", lambda: self._copies.stakes(trade))

    async def take(self, trade: LeaderTrade, offer: Offer) -> Seen | Held:
        """See rule_ports."""
        return await self._call(
            f"record copy of {trade.leader_order_id} under {trade.claim}",
            lambda: self._copies.take(trade, offer),
        )

    async def skip(self, trade: LeaderTrade, reason: Refused | None) -> None:
        """See rule_ports."""
        await self._call("skip a trade", lambda: self._copies.skip(trade, reason))

    async def pass_over(self, claims: Sequence[Claim]) -> int:
        """See rule_ports."""
        told = 0
        for claim in await self._call(
            "to pass over", lambda: self._copies.with_copies_or_marks(claims)
        ):
            with suppress(ClaimLost):
                told += await self._pass_over(claim)
        return told

    async def _pass_over(self, claim: Claim) -> int:
        return await self._call("pass over", lambda: self._copies.pass_over(claim))
