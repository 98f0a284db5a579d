"""What orders by rule: each run of a plan is one order at most, and none is overdue; each trade of
a leader is dealt with, and each copy of it is one order at most.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.history.books import Books, Order

OVERDUE_SECONDS = 60.0
"""A due run is looked for each second; one without a price is tried again for a while. No fault is
in the way for so long."""


def rules_order_once(books: Books) -> Iterator[str]:
    """No run of a plan has two orders, and no trade is copied twice by one copy."""
    orders = Counter(draft.rule_id for draft in books.drafts if draft.rule_id is not None)
    for plan in books.plans:
        if orders[plan.plan_id] > plan.runs:
            yield f"plan {plan.plan_id}: {orders[plan.plan_id]} orders in {plan.runs} runs"
    marks = Counter(mark.copy_id for mark in books.copied)
    for copy in books.copies:
        if orders[copy.copy_id] > marks[copy.copy_id]:
            yield (
                f"copy {copy.copy_id}: {orders[copy.copy_id]} orders for "
                f"{marks[copy.copy_id]} trades of its leader"
            )


def rules_are_followed(books: Books) -> Iterator[str]:
    """No plan that goes on is overdue; no trade of a leader was passed over in silence."""
    late = books.read_at - OVERDUE_SECONDS
    for plan in books.plans:
        if plan.state == "active" and plan.next_at is not None and plan.next_at < late:
            yield f"plan {plan.plan_id}: run {plan.runs + 1} is overdue since {plan.next_at:.0f}"
    copied_orders = {draft.draft_id for draft in books.drafts if draft.rule == "copy"}
    trades: defaultdict[int, list[Order]] = defaultdict(list)
    for order in books.orders:
        if order.state == "filled" and order.order_id not in copied_orders:
            trades[order.user].append(order)
    marked = {(mark.copy_id, mark.leader_order_id) for mark in books.copied}
    for copy in books.copies:
        for order in trades[copy.leader]:
            assert order.ended_at is not None
            is_meant = copy.began_at is not None and order.accepted_at >= copy.began_at
            is_over = copy.state != "active" or order.ended_at > late
            if is_meant and not is_over and (copy.copy_id, order.order_id) not in marked:
                yield f"copy {copy.copy_id} knows nothing of the trade {order.order_id}"
