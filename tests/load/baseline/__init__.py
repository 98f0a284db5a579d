"""The single-process bot that Purser is compared with: what one competent developer writes first.

One process, one event loop: aiogram polls Telegram and starts a task per update; SQLite in WAL mode
keeps everything; each user's request asks the exchange for its price; wallet keys are sealed with
one Fernet key. It is no straw man: statements are prepared once by SQLite's cache, look-ups have
indexes, money is Decimal, a confirmation is one transaction and works once, a rate limit is waited
out once before the user is told. What it lacks is what a single process lacks: an update is
acknowledged when its task starts, so what is under way dies with the process.

It speaks the part of Purser's conversation that `tests/load/basic_conversation.py` holds both to.
"""
