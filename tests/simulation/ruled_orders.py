"""An order by rule, as `user_worker.postgres.ruled_orders` makes it."""

from uuid import UUID

import asyncpg
from tests.simulation.trading import TradingTables

from kernel.sharding import Claim
from user_worker.domain.orders import Rule
from user_worker.rule_ports import Ruled
from user_worker.trading_ports import Offer, Seen


def order_by_rule(
    trading: TradingTables, claim: Claim, ruled: Ruled, ordered_by: tuple[Rule, UUID], offer: Offer
) -> Seen | None:
    """Accept an order; None, and nothing is changed, when there is no room for one more."""
    if not trading.has_room(claim.key, ruled.user_id):
        return None
    trading.check_order_insert(ruled.user_id)
    if ruled.cause in trading.of_jobs:
        # The draft of a cause there is already is not inserted; the order names it all the same.
        raise asyncpg.ForeignKeyViolationError("the order has no draft")
    lifetime = trading.limits.submit_within_seconds
    draft = trading.insert_draft(claim, ruled.cause, ruled.user_id, offer, lifetime, ordered_by)
    row = trading.drafts[draft.draft_id]
    trading.make_order(claim, row, ruled.language, tell_later=True)
    return trading.look(draft.draft_id)
