"""The doors of the gateway: read the message, ask the use case, write the answer."""

import re
from datetime import UTC, datetime, timedelta

import grpc.aio

from chassis.errors import CallerMistake, read_field
from chassis.telemetry import get_logger
from gateway.application import (
    Delivery,
    Forgetter,
    JobReader,
    Notices,
    Replaying,
    SetAsideStore,
)
from gateway.domain import Ending, PageMark, SetAsideFilter, answers_a_press
from gateway.reply_limits import problem_of
from kernel.identifiers import parse_uuid
from kernel.malformed import Malformed
from kernel.sharding import Claim, ShardKey, check_pool
from purser.gateway.v1 import gateway_pb2, gateway_pb2_grpc

ERROR_CHARACTERS_MAX = 2000
CLAIMS_MAX = 256
JOBS_PER_SHARD_MAX = 500
JOBS_PER_SHARD_DEFAULT = 100
NOTICES_MAX = 100
PAGE_JOBS_MAX = 200
PAGE_JOBS_DEFAULT = 50

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TOKEN = re.compile(r"([0-9]{1,16})\.([0-9a-f-]{36})")
"""Where a page ends: microseconds since 1970 and a job's id."""

_log = get_logger(__name__)


class GatewayServicer(gateway_pb2_grpc.GatewayServiceServicer):
    """The GatewayService."""

    def __init__(
        self,
        delivery: Delivery,
        jobs: JobReader,
        notices: Notices,
        forgetter: Forgetter,
        set_aside: SetAsideStore,
        replaying: Replaying,
    ) -> None:
        self._delivery = delivery
        self._jobs = jobs
        self._forgetter = forgetter
        self._notices = notices
        self._set_aside = set_aside
        self._replaying = replaying

    async def Deliver(  # noqa: N802 (gRPC's name)
        self,
        request: gateway_pb2.DeliverRequest,
        context: grpc.aio.ServicerContext[gateway_pb2.DeliverRequest, gateway_pb2.DeliverResponse],
    ) -> gateway_pb2.DeliverResponse:
        """End a job."""
        already = await self._delivery.deliver(_ending(request))
        return gateway_pb2.DeliverResponse(already_delivered=already)

    async def FetchJobs(  # noqa: N802
        self,
        request: gateway_pb2.FetchJobsRequest,
        context: grpc.aio.ServicerContext[
            gateway_pb2.FetchJobsRequest, gateway_pb2.FetchJobsResponse
        ],
    ) -> gateway_pb2.FetchJobsResponse:
        """Read what shards have to do."""
        if not 1 <= len(request.claims) <= CLAIMS_MAX:
            raise CallerMistake(f"claims: 1 to {CLAIMS_MAX} are allowed")
        if request.jobs_per_shard_max > JOBS_PER_SHARD_MAX:
            raise CallerMistake(f"jobs_per_shard_max: at most {JOBS_PER_SHARD_MAX}")
        shards = await self._jobs.fetch(
            [
                read_field(f"claims[{place}]", Claim.of, claim)
                for place, claim in enumerate(request.claims)
            ],
            request.jobs_per_shard_max or JOBS_PER_SHARD_DEFAULT,
            cursors=request.include_cursors,
        )
        return gateway_pb2.FetchJobsResponse(
            shards=shards, stream_key=self._jobs.stream_key if request.include_cursors else b""
        )

    async def ReadJob(  # noqa: N802
        self,
        request: gateway_pb2.ReadJobRequest,
        context: grpc.aio.ServicerContext[gateway_pb2.ReadJobRequest, gateway_pb2.ReadJobResponse],
    ) -> gateway_pb2.ReadJobResponse:
        """Read one job as the inbox has it."""
        job = await self._jobs.read(
            read_field("claim", Claim.of, request.claim),
            read_field("job_id", parse_uuid, request.job_id),
        )
        return gateway_pb2.ReadJobResponse(job=job)

    async def ForgetUser(  # noqa: N802
        self,
        request: gateway_pb2.ForgetUserRequest,
        context: grpc.aio.ServicerContext[
            gateway_pb2.ForgetUserRequest, gateway_pb2.ForgetUserResponse
        ],
    ) -> gateway_pb2.ForgetUserResponse:
        """Erase what is kept of a user."""
        await self._forgetter.forget(
            read_field("claim", Claim.of, request.claim),
            read_field("user_id", parse_uuid, request.user_id),
        )
        return gateway_pb2.ForgetUserResponse()

    async def Notify(  # noqa: N802
        self,
        request: gateway_pb2.NotifyRequest,
        context: grpc.aio.ServicerContext[gateway_pb2.NotifyRequest, gateway_pb2.NotifyResponse],
    ) -> gateway_pb2.NotifyResponse:
        """Put notices into the bulk lane."""
        if not 1 <= len(request.notices) <= NOTICES_MAX:
            raise CallerMistake(f"notices: 1 to {NOTICES_MAX} are allowed")
        notices = []
        for place, notice in enumerate(request.notices):
            field = f"notices[{place}]"
            problem = problem_of(notice.replies, at_least=1)
            if problem is not None:
                raise CallerMistake(f"{field}.{problem}")
            notices.append(
                (
                    read_field(f"{field}.event_id", parse_uuid, notice.event_id),
                    read_field(f"{field}.user_id", parse_uuid, notice.user_id),
                    list(notice.replies),
                )
            )
        return gateway_pb2.NotifyResponse(results=await self._notices.put(notices))

    async def ListSetAsideJobs(  # noqa: N802
        self,
        request: gateway_pb2.ListSetAsideJobsRequest,
        context: grpc.aio.ServicerContext[
            gateway_pb2.ListSetAsideJobsRequest, gateway_pb2.ListSetAsideJobsResponse
        ],
    ) -> gateway_pb2.ListSetAsideJobsResponse:
        """List jobs that were set aside."""
        if request.page_size > PAGE_JOBS_MAX:
            raise CallerMistake(f"page_size: at most {PAGE_JOBS_MAX}")
        jobs, mark = await self._set_aside.list(
            _filter(request),
            request.page_size or PAGE_JOBS_DEFAULT,
            read_field("page_token", _mark, request.page_token) if request.page_token else None,
        )
        return gateway_pb2.ListSetAsideJobsResponse(jobs=jobs, next_page_token=_token(mark))

    async def ReadSetAsideJob(  # noqa: N802
        self,
        request: gateway_pb2.ReadSetAsideJobRequest,
        context: grpc.aio.ServicerContext[
            gateway_pb2.ReadSetAsideJobRequest, gateway_pb2.ReadSetAsideJobResponse
        ],
    ) -> gateway_pb2.ReadSetAsideJobResponse:
        """Read one job that was set aside."""
        job_id = read_field("job_id", parse_uuid, request.job_id)
        job, accepted = await self._set_aside.read(job_id, include_input=request.include_input)
        if accepted is not None:
            _log.info("set_aside_input_read", job_id=str(job_id), user_id=job.user_id)
        return gateway_pb2.ReadSetAsideJobResponse(job=job, input=accepted)

    async def ReplayJob(  # noqa: N802
        self,
        request: gateway_pb2.ReplayJobRequest,
        context: grpc.aio.ServicerContext[
            gateway_pb2.ReplayJobRequest, gateway_pb2.ReplayJobResponse
        ],
    ) -> gateway_pb2.ReplayJobResponse:
        """Have a job that was set aside worked again."""
        replayed = await self._replaying.replay(read_field("job_id", parse_uuid, request.job_id))
        return gateway_pb2.ReplayJobResponse(
            job_id=str(replayed.job_id),
            already_replayed=replayed.job is None,
            done=replayed.is_done,
        )


def _filter(request: gateway_pb2.ListSetAsideJobsRequest) -> SetAsideFilter:
    """Read which jobs are wanted; MalformedRequest names the field."""
    pool = read_field("pool", check_pool, request.pool)
    shard = request.shard if request.HasField("shard") else None
    if shard is not None:
        read_field("shard", lambda number: ShardKey(pool, number), shard)
    user_id = read_field("user_id", parse_uuid, request.user_id) if request.user_id else None
    return SetAsideFilter(pool, shard, user_id)


def _token(mark: PageMark | None) -> str:
    if mark is None:
        return ""
    return f"{(mark.at - _EPOCH) // _MICROSECOND}.{mark.job_id}"


def _mark(token: str) -> PageMark:
    """Read what `_token` wrote. Raises Malformed."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        raise Malformed("expected a next_page_token")
    return PageMark(_EPOCH + int(found[1]) * _MICROSECOND, parse_uuid(found[2]))


def _ending(request: gateway_pb2.DeliverRequest) -> Ending:
    """Read a Deliver call; CallerMistake names the field that breaks a limit."""
    if request.outcome not in (
        gateway_pb2.JOB_OUTCOME_DONE,
        gateway_pb2.JOB_OUTCOME_SET_ASIDE,
    ):
        raise CallerMistake("outcome: must be JOB_OUTCOME_DONE or JOB_OUTCOME_SET_ASIDE")
    if len(request.error) > ERROR_CHARACTERS_MAX:
        raise CallerMistake(f"error: at most {ERROR_CHARACTERS_MAX} characters")
    problem = problem_of(request.replies)
    if problem is not None:
        raise CallerMistake(problem)
    return Ending(
        claim=read_field("claim", Claim.of, request.claim),
        job_id=read_field("job_id", parse_uuid, request.job_id),
        outcome=request.outcome,
        # PostgreSQL keeps it as text, where NUL cannot be.
        error=request.error.replace("\0", "\ufffd") or None,
        replies=list(request.replies),
        press_answered=answers_a_press(request.replies),
    )
