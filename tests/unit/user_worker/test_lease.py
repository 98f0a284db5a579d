"""How long a worker may believe that it owns its shards."""

from user_worker.domain.lease import Lease


def test_a_lease_counts_from_before_the_heartbeat_was_sent() -> None:
    """However long the answer took, this side ends before the database does."""
    lease = Lease(length_seconds=3.0, margin_seconds=0.25)
    lease.renewed(sent_at=100.0)

    assert 102.75 == lease.ends_at
    assert not lease.is_over(102.7)
    assert lease.is_over(102.75)
    assert 0.75 == lease.remaining(102.0)


def test_a_late_answer_never_shortens_a_lease() -> None:
    """Two heartbeats may be answered out of order."""
    lease = Lease(length_seconds=3.0, margin_seconds=0.25)
    lease.renewed(sent_at=101.0)
    lease.renewed(sent_at=100.0)

    assert 103.75 == lease.ends_at


def test_a_lease_that_was_never_granted_is_over() -> None:
    """Nothing is owned before the first answer."""
    lease = Lease(length_seconds=3.0, margin_seconds=0.25)

    assert lease.is_over(-1e12)
    assert 0.0 == lease.remaining(0.0)
