"""Which requests for accounts make sense."""

import pytest

from chassis.errors import MalformedRequest
from ledger.domain.accounts import ASSETS_PER_CALL_MAX, check_asset_ids


def test_asset_ids_keep_the_order_of_the_request() -> None:
    """Answers are matched to requests by place, so the order must survive, repeats included."""
    assert check_asset_ids(["paper:USDT", "paper:BTC", "paper:USDT"]) == (
        "paper:USDT",
        "paper:BTC",
        "paper:USDT",
    )


@pytest.mark.parametrize("count", [0, ASSETS_PER_CALL_MAX + 1, 1000])
def test_too_few_or_too_many_assets_are_refused_naming_the_field(count: int) -> None:
    """The contract's 1 to 32 is checked before anything is asked of the database."""
    with pytest.raises(MalformedRequest, match=rf"^asset_ids: .* got {count}$"):
        check_asset_ids(["paper:USDT"] * count)


@pytest.mark.parametrize(
    "hostile",
    ["", "x", "USDT", "paper:", ":USDT", "paper:US DT", "paper:\u202eTDSU", "p" * 129, "paper:\0"],
)
def test_a_malformed_asset_id_is_named_by_its_place_and_not_repeated(hostile: str) -> None:
    """The sentence tells which one it is, and never echoes text that may be long or hostile."""
    with pytest.raises(MalformedRequest) as refusal:
        check_asset_ids(["paper:USDT", hostile])

    assert str(refusal.value) == (
        "asset_ids[1]: expected an asset id like 'paper:USDT', 3 to 128 characters"
    )
