"""Pricing as a process."""

import asyncio
import os
import sys

from tests.integration.stores import run_program

from devbox.database import Database


async def test_it_serves_and_a_sigterm_ends_it_well(database: Database, redis_url: str) -> None:
    """Says `ready` with its address; status 0."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "pricing",
        env={
            **os.environ,
            "PRICING_DATABASE_URL": database.url("purser_pricing"),
            "PURSER_REDIS_URL": redis_url,
        },
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert program.stderr is not None
    try:
        async with asyncio.timeout(30):
            line = await program.stderr.readline()
    finally:
        program.terminate()
        await program.communicate()

    assert b'"ready"' in line
    assert b'"address":"127.0.0.1:' in line
    assert program.returncode == 0


async def test_it_refuses_a_market_nobody_can_read(database: Database, redis_url: str) -> None:
    """Exit status 1 and one sentence that shows a right one."""
    status, output = await run_program(
        "pricing",
        PRICING_DATABASE_URL=database.url("purser_pricing"),
        PRICING_REDIS_URL=redis_url,
        PRICING_SIMULATION_INSTRUMENTS="BTC:64000.00:55,ETH=1",
    )

    assert (status, output.strip().count("\n")) == (1, 0)
    assert "'ETH=1' is not SYMBOL:BASE_PRICE:PERCENT_PER_YEAR" in output
