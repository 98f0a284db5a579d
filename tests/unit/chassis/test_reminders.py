"""The log has what stays as it is once a minute, and what is new at once."""

from chassis.reminders import TELL_AGAIN_SECONDS, Reminders


def test_the_same_is_told_once_a_minute() -> None:
    """Whoever opens the log now finds it."""
    reminders = Reminders()
    due = [now for now in range(150) if reminders.is_due(float(now), "no schema")]
    assert due == [0, TELL_AGAIN_SECONDS, 2 * TELL_AGAIN_SECONDS]


def test_what_is_new_is_told_at_once() -> None:
    """Of somebody else, or another reason."""
    reminders = Reminders()
    assert reminders.is_due(0.0, "away", "main")
    assert reminders.is_due(0.5, "away", "fast")
    assert reminders.is_due(1.0, "refused", "main")


def test_reasons_that_take_turns_are_no_news() -> None:
    """A server that comes up refuses, hangs, refuses: each line once."""
    reminders = Reminders()
    due = [now for now in range(50) if reminders.is_due(float(now), f"reason {now % 2}")]
    assert due == [0, 1]


def test_what_was_told_long_ago_takes_no_room() -> None:
    """A process runs for months."""
    reminders = Reminders()
    for now in range(1000):
        reminders.is_due(float(now), f"reason {now}")
    assert len(reminders._told_at) <= TELL_AGAIN_SECONDS
