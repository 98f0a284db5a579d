"""Asks the gateway, prints the answer, gives the exit status."""

import argparse
import asyncio
import os
from collections.abc import Mapping

from chassis.errors import BadSettings, CannotStart
from chassis.grpc_client import open_channel
from chassis.settings import load
from chassis.terminal import complain, tell
from purser.gateway.v1 import gateway_pb2
from user_worker.clients import SetAsideJobs
from user_worker.errors import DependencyDown, JobUnknown, RequestRefused
from user_worker.jobs_command import showing
from user_worker.settings import PREFIX, JobsSettings

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_BAD_SETTINGS = 2
EXIT_NOT_FOUND = 3
EXIT_NOTHING_DONE = 4
EXIT_INTERRUPTED = 130

Told = tuple[str, int]
"""What to print, and the exit status."""


def do(parsed: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """Do what was asked for; every expected failure is one sentence on stderr and a status."""
    try:
        settings = load(JobsSettings, PREFIX, environ, warn_of_unknown=False)
    except BadSettings as error:
        return _fail(str(error), EXIT_BAD_SETTINGS)
    try:
        text, status = asyncio.run(_ask(parsed, settings))
    except JobUnknown:
        return _fail(f"No job {parsed.job} is set aside.", EXIT_NOT_FOUND)
    except RequestRefused as refused:
        return _fail(f"The gateway refused: {refused.reason}.", EXIT_FAILED)
    except DependencyDown as outage:
        address = settings.gateway_address
        return _fail(f"The gateway at {address} does not answer: {outage.reason}", EXIT_FAILED)
    except CannotStart as lack:
        return _fail(str(lack), EXIT_FAILED)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    tell(text)
    return status


async def _ask(parsed: argparse.Namespace, settings: JobsSettings) -> Told:
    async with open_channel(settings.gateway_address, settings.client) as channel:
        jobs = SetAsideJobs(channel, settings.service_timeout_seconds)
        match parsed.action:
            case "show":
                shown = await jobs.read(parsed.job, include_input=parsed.with_text)
                return showing.one(shown, as_json=parsed.json), EXIT_DONE
            case "replay":
                replayed = await jobs.replay(parsed.job)
                status = EXIT_NOTHING_DONE if replayed.already_replayed else EXIT_DONE
                return showing.replay(replayed, as_json=parsed.json), status
            case _:
                page = await jobs.list(_list_request(parsed, settings.pool))
                return showing.page(page, as_json=parsed.json), EXIT_DONE


def _list_request(parsed: argparse.Namespace, pool: str) -> gateway_pb2.ListSetAsideJobsRequest:
    return gateway_pb2.ListSetAsideJobsRequest(
        pool=pool,
        shard=parsed.shard,
        user_id="" if parsed.user is None else str(parsed.user),
        page_size=parsed.page_size,
        page_token=parsed.page,
    )


def _fail(sentence: str, status: int) -> int:
    complain(sentence)
    return status
