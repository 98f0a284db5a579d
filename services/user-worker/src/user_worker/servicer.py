"""WorkerService: what this worker owns, for operators and tests."""

from typing import Any

import grpc.aio

from purser.worker.v1 import worker_pb2, worker_pb2_grpc
from user_worker.application.owning import Owner
from user_worker.application.shards import Shards


class WorkerServicer(worker_pb2_grpc.WorkerServiceServicer):
    """Reads memory only."""

    def __init__(self, owner: Owner, shards: Shards) -> None:
        self._owner = owner
        self._shards = shards

    async def ListShards(  # noqa: N802 (the proto's name)
        self,
        request: worker_pb2.ListShardsRequest,
        context: "grpc.aio.ServicerContext[Any, Any]",
    ) -> worker_pb2.ListShardsResponse:
        """What this worker owns right now."""
        return worker_pb2.ListShardsResponse(
            worker=self._owner.worker,
            incarnation=str(self._owner.incarnation or ""),
            shards=[
                worker_pb2.OwnedShard(
                    pool=shard.claim.pool,
                    shard=shard.claim.shard,
                    epoch=shard.claim.epoch,
                    waiting_jobs=shard.queue.waiting_jobs,
                    running_jobs=shard.queue.running_jobs,
                    draining=shard.draining.is_set(),
                )
                for shard in self._shards.all()
            ],
        )
