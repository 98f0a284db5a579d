"""What the pages have a person type at the database is understood by today's schema."""

import re
from pathlib import Path

import asyncpg

from devbox.database import Database

RUNBOOK = Path(__file__).parents[3] / "docs/what-to-do-when.md"


async def test_the_runbooks_questions_find_nothing_in_books_that_are_right(
    database: Database,
) -> None:
    """Each is asked by the owner of the database, as it stands there."""
    questions = re.findall(r"\bSELECT\b[^;`]+;", RUNBOOK.read_text())
    assert len(questions) >= 4
    owner = await asyncpg.connect(database.owner_url)
    try:
        for question in questions:
            assert [] == await owner.fetch(question), question
    finally:
        await owner.close()
