"""The gateway: where jobs come from and end."""

from collections.abc import Sequence
from uuid import UUID

import grpc
import grpc.aio

from kernel.seals import KEY_BYTES
from kernel.sharding import Claim
from purser.gateway.v1 import gateway_pb2, gateway_pb2_grpc
from user_worker.clients.asked import asked, is_claim_lost, told
from user_worker.domain.jobs import Job
from user_worker.domain.replies import Reply
from user_worker.errors import ClaimLost, DependencyDown, JobUnknown, RepliesRefused, TooMuch
from user_worker.ports import Outcome, UndoneJobs
from user_worker.trading_ports import Notice
from user_worker.wire import claim_to, cursors_of, job_of, reply_to

_OUTCOMES = {
    Outcome.DONE: gateway_pb2.JOB_OUTCOME_DONE,
    Outcome.SET_ASIDE: gateway_pb2.JOB_OUTCOME_SET_ASIDE,
}


class GatewayInbox:
    """The gateway's inbox and outbox."""

    def __init__(self, channel: grpc.aio.Channel, timeout_seconds: float) -> None:
        self._stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        self._timeout_seconds = timeout_seconds
        self.stream_key: bytes | None = None
        """What seals stream entries; None until the first answer with cursors."""

    async def fetch_jobs(
        self, claims: Sequence[Claim], jobs_per_shard_max: int, *, include_cursors: bool
    ) -> Sequence[UndoneJobs]:
        """Read shards' undone jobs, one answer per claim, in order. May raise TooMuch."""
        request = gateway_pb2.FetchJobsRequest(
            claims=[claim_to(claim) for claim in claims],
            jobs_per_shard_max=jobs_per_shard_max,
            include_cursors=include_cursors,
        )
        try:
            response = await self._stub.FetchJobs(request, timeout=self._timeout_seconds)
        except grpc.aio.AioRpcError as error:
            is_much = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            raise (TooMuch if is_much else DependencyDown)("gateway", told(error)) from None
        if len(response.stream_key) == KEY_BYTES:
            self.stream_key = response.stream_key
        return [
            UndoneJobs(
                claim=claim,
                is_stale=shard.stale,
                jobs=tuple(job for job in map(job_of, shard.jobs) if job is not None),
                next_seqs=(
                    cursors_of([(c.user_id, c.next_user_seq) for c in shard.cursors])
                    if include_cursors
                    else None
                ),
            )
            for claim, shard in zip(claims, response.shards, strict=False)
        ]

    async def deliver(
        self, claim: Claim, job_id: UUID, replies: Sequence[Reply], outcome: Outcome, error: str
    ) -> None:
        """End a job. Raises JobUnknown and RepliesRefused too. Safe to repeat."""
        try:
            request = gateway_pb2.DeliverRequest(
                claim=claim_to(claim),
                job_id=str(job_id),
                replies=[reply_to(reply) for reply in replies],
                outcome=_OUTCOMES[outcome],
                error=error,
            )
        except ValueError as malformed:
            raise RepliesRefused(type(malformed).__name__) from malformed
        try:
            await self._stub.Deliver(request, timeout=self._timeout_seconds)
        except grpc.aio.AioRpcError as refusal:
            if is_claim_lost(refusal):
                raise ClaimLost(str(claim)) from None
            if refusal.code() is grpc.StatusCode.NOT_FOUND:
                raise JobUnknown(str(job_id)) from None
            if refusal.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise RepliesRefused(refusal.details() or "no details") from None
            # Whatever else it says, the job is not lost: ask again until the claim is.
            raise DependencyDown("gateway", told(refusal)) from None

    async def read_job(self, claim: Claim, job_id: UUID) -> Job:
        """Read one undone job as the inbox has it. Raises JobUnknown."""
        request = gateway_pb2.ReadJobRequest(claim=claim_to(claim), job_id=str(job_id))
        try:
            response = await self._stub.ReadJob(request, timeout=self._timeout_seconds)
        except grpc.aio.AioRpcError as refusal:
            if is_claim_lost(refusal):
                raise ClaimLost(str(claim)) from None
            if refusal.code() is grpc.StatusCode.NOT_FOUND:
                raise JobUnknown(str(job_id)) from None
            raise DependencyDown("gateway", told(refusal)) from None
        job = job_of(response.job)
        if job is None:
            raise JobUnknown(str(job_id))
        return job

    async def forget_user(self, claim: Claim, user_id: UUID) -> None:
        """Erase what the gateway keeps of the user beyond what it needs to go on."""
        await asked(
            "gateway",
            self._stub.ForgetUser(
                gateway_pb2.ForgetUserRequest(claim=claim_to(claim), user_id=str(user_id)),
                timeout=self._timeout_seconds,
            ),
        )

    async def notify(self, notices: Sequence[Notice]) -> None:
        """Put 1 to 100 notices into the outbox, or drop those for users who cannot be reached."""
        request = gateway_pb2.NotifyRequest(
            notices=[
                gateway_pb2.Notice(
                    event_id=str(notice.event_id),
                    user_id=str(notice.user_id),
                    replies=[reply_to(reply) for reply in notice.replies],
                )
                for notice in notices
            ]
        )
        response = await asked("gateway", self._stub.Notify(request, timeout=self._timeout_seconds))
        if len(response.results) != len(notices):
            raise DependencyDown("gateway", "it did not answer for each notice")
