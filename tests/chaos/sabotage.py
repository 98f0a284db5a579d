"""Ways to break Purser on purpose, from outside: what a run must then be found guilty of.

Nothing in Purser knows of them. The database is changed under a run that has just started, as the
owner of everything may, or workers are told lies by a module on their path (`stubborn/`).
"""

from pathlib import Path

from tests.e2e.live_run import LiveRun

STUBBORN = {"PYTHONPATH": str(Path(__file__).parent / "stubborn")}
"""The environment of a run whose workers believe in no lease."""

NO_FENCE = """
CREATE OR REPLACE FUNCTION placement.fence(p_pool text, p_shard integer, p_epoch bigint)
RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS 'BEGIN END';
CREATE OR REPLACE FUNCTION placement.fence_batch(
    p_pools text[], p_shards integer[], p_epochs bigint[]
) RETURNS boolean[] LANGUAGE sql VOLATILE SECURITY DEFINER
AS 'SELECT array_agg(true) FROM unnest(p_pools)';
"""
"""Every claim is taken for the newest."""

NO_DEDUPLICATION = """
CREATE FUNCTION gateway.forget_it() RETURNS trigger LANGUAGE plpgsql AS '
BEGIN
    DELETE FROM gateway.updates_seen WHERE bot_id = NEW.bot_id AND update_id = NEW.update_id;
    RETURN NULL;
END';
CREATE TRIGGER forget_it AFTER INSERT ON gateway.updates_seen
    FOR EACH ROW EXECUTE FUNCTION gateway.forget_it();
"""
"""No update is remembered, so one that Telegram repeats is news."""


async def sabotage(run: LiveRun, statements: str) -> None:
    """Change the database of a run."""
    connection = await run.database()
    try:
        await connection.execute(statements)
    finally:
        await connection.close()
