"""An order by rule: a confirmed draft and its order, in the transaction that counts its reason."""

from uuid import UUID

from chassis.postgres import Connection
from kernel.sharding import Claim
from user_worker.domain.orders import Rule
from user_worker.postgres.drafts import insert_draft
from user_worker.postgres.orders import OrderLimits, has_room, insert_order, read_seen
from user_worker.rule_ports import Ruled
from user_worker.trading_ports import Offer, Seen


async def order_by_rule(
    connection: Connection,
    claim: Claim,
    ruled: Ruled,
    ordered_by: tuple[Rule, UUID],
    offer: Offer,
    limits: OrderLimits,
) -> Seen | None:
    """Accept an order; None, and nothing is changed, when there is no room for one more.

    The transaction has asked the fence and locked the rule's row, which a freeze cancels.
    """
    if not await has_room(connection, claim, ruled.user_id, limits):
        return None
    draft_id = await insert_draft(
        connection,
        claim,
        ruled.cause,
        ruled.user_id,
        offer,
        limits.submit_within_seconds,
        ordered_by,
    )
    await insert_order(
        connection, claim, ruled.user_id, draft_id, ruled.language, limits, tell_later=True
    )
    return await read_seen(connection, draft_id)
