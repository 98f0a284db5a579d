"""Pools, shards and claims: only those that can exist can be made."""

# ruff: noqa: D103 (a test's name is its claim)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernel.malformed import Malformed
from kernel.names import (
    bucket_key,
    jobs_stream,
    pause_key,
    quote_key,
    session_key,
    turn_key,
)
from kernel.sharding import (
    EPOCH_MAX,
    SHARD_MAX,
    Claim,
    MalformedPool,
    MalformedShard,
    ShardKey,
    check_pool,
    pool_name,
)


def test_a_pool_is_named_after_its_usershard() -> None:
    assert pool_name("default", "main") == "default.main"


def test_the_longest_names_kubernetes_allows_fit() -> None:
    assert len(pool_name("n" * 63, "m" * 253)) == 317


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("", "main"),
        ("a.b", "main"),
        ("n" * 64, "main"),
        ("default", ""),
        ("default", "Main"),
        ("-a", "m"),
    ],
)
def test_names_no_usershard_can_have_make_no_pool(namespace: str, name: str) -> None:
    with pytest.raises(MalformedPool):
        pool_name(namespace, name)


@given(st.text(max_size=330))
def test_a_checked_pool_never_holds_what_would_break_a_key(text: str) -> None:
    try:
        pool = check_pool(text)
    except MalformedPool:
        return
    assert not set(pool) & set("{}/:@ \n\0")


@pytest.mark.parametrize(
    ("shard", "epoch"), [(-1, 1), (SHARD_MAX + 1, 1), (0, -1), (0, EPOCH_MAX + 1)]
)
def test_numbers_the_database_could_not_hold_are_refused(shard: int, epoch: int) -> None:
    with pytest.raises(MalformedShard):
        Claim("default.main", shard, epoch)


def test_a_message_without_an_epoch_makes_a_claim_that_only_the_fence_refuses() -> None:
    assert Claim("default.main", 0, 0).epoch == 0


def test_a_claim_knows_its_shard_and_how_to_be_shown() -> None:
    claim = Claim("default.main", 7, 3)
    assert claim.key == ShardKey("default.main", 7)
    assert str(claim) == "default.main/7@3"


def test_each_kind_of_name_is_built_as_the_contract_says() -> None:
    assert jobs_stream(ShardKey("default.main", 7)) == "purser:{default.main/7}:jobs"
    assert quote_key("BTC-USDT") == "purser:quote:BTC-USDT"
    assert bucket_key("inbound", "42") == "purser:bucket:inbound:42"
    assert turn_key("exchanges") == "purser:turn:exchanges"
    assert pause_key("kraken") == "purser:pause:kraken"
    assert session_key("u") == "purser:session:u"


@given(*(st.text(alphabet="ab:", max_size=3) for _ in range(4)))
def test_two_buckets_never_share_a_name(kind: str, who: str, kind2: str, who2: str) -> None:
    try:
        one, other = bucket_key(kind, who), bucket_key(kind2, who2)
    except Malformed:
        return
    assert (one == other) == ((kind, who) == (kind2, who2))


@pytest.mark.parametrize("kind", ["", "a:b", ":"])
def test_a_kind_that_could_be_taken_for_another_with_its_caller_is_refused(kind: str) -> None:
    with pytest.raises(Malformed):
        bucket_key(kind, "c")
