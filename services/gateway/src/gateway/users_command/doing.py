"""Asks the database, prints what it says, gives the exit status."""

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from chassis.errors import BadSettings, CannotStart, NotFound, Refused, ServiceError
from chassis.migrations import folder_of, require_applied, require_placement
from chassis.postgres import describe, open_pool
from chassis.settings import load
from gateway.errors import RoomsDisagree
from gateway.postgres import Moves, Users, only_bot
from gateway.settings import UsersSettings
from gateway.users_command import showing
from gateway.users_command.moving import MovePace, Moving

PREFIX = "GATEWAY_USERS"

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_SETTINGS = 2
EXIT_NOT_FOUND = 3
EXIT_NOTHING_DONE = 4
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Hands:
    """What the actions are done with."""

    users: Users
    moving: Moving


def do(parsed: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """Do what was asked for; every expected failure is one sentence on stderr and a status."""
    try:
        settings = load(UsersSettings, PREFIX, environ, warn_of_unknown=False)
        return asyncio.run(_do(parsed, settings))
    except BadSettings as error:
        return _fail(str(error), EXIT_BAD_SETTINGS)
    except NotFound as error:
        return _fail(f"Nothing was done: {error}.", EXIT_NOT_FOUND)
    except Refused as error:
        return _fail(f"Nothing was done: {error}.", EXIT_NOTHING_DONE)
    except CannotStart as error:
        return _fail(str(error), EXIT_FAILED)
    except ServiceError as error:
        return _fail(
            f"It failed, and the same command again goes on where it was: {error}.", EXIT_FAILED
        )
    except RoomsDisagree as error:
        return _fail(f"Nothing was moved: {error}. Look at why before you try again.", EXIT_FAILED)
    except asyncpg.InsufficientPrivilegeError as error:
        return _fail(
            f"PostgreSQL refuses ({describe(error)}): look at whether {PREFIX}_DATABASE_URL logs in"
            " with the role purser_user_mover.",
            EXIT_FAILED,
        )
    except asyncpg.PostgresError as error:
        return _fail(f"PostgreSQL refuses ({describe(error)}): look at its log.", EXIT_FAILED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read has enough; Python must not try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE


async def _do(parsed: argparse.Namespace, settings: UsersSettings) -> int:
    async with _hands(settings) as hands:
        match parsed.action:
            case "show":
                return await _show(hands, parsed.telegram_id)
            case "admit":
                await hands.users.invite(parsed.telegram_id, parsed.pool)
                _tell(f"{parsed.telegram_id} will be admitted to {parsed.pool}.")
                return EXIT_DONE
            case "list":
                users = await hands.users.list(parsed.pool, parsed.limit, parsed.after)
                invited = await hands.users.invited(parsed.pool, showing.INVITED_SHOWN_MAX + 1)
                _tell(showing.page(users, invited, is_full=len(users) == parsed.limit))
                return EXIT_DONE
            case _ if parsed.source is None:
                return await _move_one(hands, parsed.telegram_id, parsed.pool)
            case _:
                return await _move_many(hands, parsed.source, parsed.pool, parsed.limit)


async def _show(hands: Hands, telegram_id: int) -> int:
    user = await hands.users.read(telegram_id)
    if user is not None:
        _tell(showing.one(user))
        return EXIT_DONE
    invited_to = await hands.users.invitation(telegram_id)
    if invited_to is None:
        raise NotFound(f"nobody with the Telegram id {telegram_id} has been admitted or invited")
    _tell(f"{telegram_id} has never written, and is invited to {invited_to}.")
    return EXIT_DONE


async def _move_one(hands: Hands, telegram_id: int, pool: str) -> int:
    moved = await hands.moving.move_user(telegram_id, pool)
    if moved is None:
        _tell(f"Nothing was done: {telegram_id} is in {pool} already.")
        return EXIT_NOTHING_DONE
    _tell(showing.moved(moved))
    return EXIT_DONE


async def _move_many(hands: Hands, source: str, pool: str, users_max: int) -> int:
    count = 0
    async for moved in hands.moving.move_pool(source, pool, users_max):
        count += len(moved.users)
        _tell(f"{showing.moved(moved)} {count} so far.")
    if not count:
        _tell(f"Nothing was done: nobody of {source} is to be moved to {pool}.")
        return EXIT_NOTHING_DONE
    _tell(f"Done: {count} moved from {source} to {pool}.")
    return EXIT_DONE


@asynccontextmanager
async def _hands(settings: UsersSettings) -> AsyncIterator[Hands]:
    async with AsyncExitStack() as stack:
        pool = await open_pool(settings.postgres, "purser-gateway-users")
        stack.push_async_callback(pool.close)
        await require_applied(pool, "gateway", folder_of("gateway"))
        await require_placement(pool)
        bot_id = settings.bot_id or await only_bot(pool)
        pace = MovePace(
            users_at_once_max=settings.at_once_max,
            tries_max=settings.move_tries_max,
            pause_seconds=settings.move_pause_seconds,
            pause_seconds_max=settings.move_pause_seconds_max,
            owners_wait_seconds=settings.owners_wait_seconds,
            rest_seconds=settings.move_rest_seconds,
        )
        yield Hands(Users(pool, bot_id), Moving(Moves(pool), bot_id, pace))


def _tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201 (for the person who typed it)


def _fail(sentence: str, status: int) -> int:
    print(sentence, file=sys.stderr)  # noqa: T201
    return status
