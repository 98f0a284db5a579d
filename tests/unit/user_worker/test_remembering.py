"""What a claim's holder remembers of its users' choices: read once, never wrong after a write."""

import pytest
from tests.unit.user_worker.fakes import ANN, CLAIM, FakePreferences

from user_worker.application.shards import RememberedPreferences
from user_worker.errors import DependencyDown


async def test_choices_are_read_once_and_follow_what_is_chosen() -> None:
    """None is an answer too."""
    stored = FakePreferences()
    remembered = RememberedPreferences(stored)
    assert await remembered.slippage_basis_points(ANN) is None
    stored.slippages[ANN] = 300
    assert await remembered.slippage_basis_points(ANN) is None
    await remembered.choose_slippage(CLAIM, ANN, 50)
    await remembered.choose_language(CLAIM, ANN, "de")

    assert 50 == await remembered.slippage_basis_points(ANN) == stored.slippages[ANN]
    assert "de" == await remembered.language(ANN) == stored.languages[ANN]


async def test_a_write_whose_answer_is_lost_leaves_the_choice_unknown_and_not_wrong() -> None:
    """It is read again."""
    stored = FakePreferences()
    remembered = RememberedPreferences(stored)
    await remembered.choose_slippage(CLAIM, ANN, 50)
    stored.failures = [DependencyDown("database", "lost the answer")]
    with pytest.raises(DependencyDown):
        await remembered.choose_slippage(CLAIM, ANN, 300)
    stored.slippages[ANN] = 300

    assert 300 == await remembered.slippage_basis_points(ANN)


async def test_what_is_forgotten_is_not_remembered() -> None:
    """Neither choice comes back."""
    stored = FakePreferences()
    remembered = RememberedPreferences(stored)
    await remembered.choose_slippage(CLAIM, ANN, 50)
    await remembered.choose_language(CLAIM, ANN, "de")
    await remembered.forget(CLAIM, ANN)

    assert await remembered.language(ANN) is None
    assert await remembered.slippage_basis_points(ANN) is None
    assert [ANN] == stored.forgotten
