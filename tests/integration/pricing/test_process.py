"""Pricing as a process."""

from tests.integration.stores import first_line_until_sigterm, run_program

from devbox.database import Database


async def test_it_serves_and_a_sigterm_ends_it_well(database: Database, redis_url: str) -> None:
    """Says `ready` with its address; status 0."""
    line, status = await first_line_until_sigterm(
        "pricing",
        PRICING_DATABASE_URL=database.url("purser_pricing"),
        PRICING_VENUE_DATABASE_URL=database.url("purser_venue"),
        PURSER_REDIS_URL=redis_url,
    )

    assert b'"ready"' in line
    assert b'"address":"127.0.0.1:' in line
    assert status == 0


async def test_it_refuses_a_market_nobody_can_read(database: Database, redis_url: str) -> None:
    """Exit status 1 and one sentence that shows a right one."""
    status, output = await run_program(
        "pricing",
        PRICING_DATABASE_URL=database.url("purser_pricing"),
        PRICING_VENUE_DATABASE_URL=database.url("purser_venue"),
        PRICING_REDIS_URL=redis_url,
        PRICING_SIMULATION_INSTRUMENTS="BTC:64000.00:55,ETH=1",
    )

    assert (status, output.strip().count("\n")) == (1, 0)
    assert "'ETH=1' is not SYMBOL:BASE_PRICE:PERCENT_PER_YEAR" in output
