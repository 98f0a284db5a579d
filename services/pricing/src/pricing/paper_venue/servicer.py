"""The doors of the paper venue: read the message, ask the use case, write the answer."""

import grpc.aio

from chassis.errors import read_field
from kernel.identifiers import parse_uuid
from kernel.sharding import Claim
from pricing.paper_venue.application import Venue
from pricing.paper_venue.wire import (
    outcome_to_message,
    preview_to_message,
    read_order,
    read_preview,
)
from purser.venue.v1 import venue_pb2, venue_pb2_grpc


class VenueServicer(venue_pb2_grpc.VenueServiceServicer):
    """The VenueService."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    async def PreviewOrder(  # noqa: N802 (gRPC's name)
        self,
        request: venue_pb2.PreviewOrderRequest,
        context: grpc.aio.ServicerContext[
            venue_pb2.PreviewOrderRequest, venue_pb2.PreviewOrderResponse
        ],
    ) -> venue_pb2.PreviewOrderResponse:
        """Say what an order would do."""
        side, symbol, size = read_preview(request, self._venue.instruments)
        return preview_to_message(self._venue.preview(side, symbol, size))

    async def SubmitOrder(  # noqa: N802 (gRPC's name)
        self,
        request: venue_pb2.SubmitOrderRequest,
        context: grpc.aio.ServicerContext[
            venue_pb2.SubmitOrderRequest, venue_pb2.SubmitOrderResponse
        ],
    ) -> venue_pb2.SubmitOrderResponse:
        """Execute an order once."""
        outcome = await self._venue.submit(
            read_field("claim", Claim.of, request.claim),
            read_order(request, self._venue.instruments),
        )
        return venue_pb2.SubmitOrderResponse(outcome=outcome_to_message(outcome))

    async def InquireOrder(  # noqa: N802 (gRPC's name)
        self,
        request: venue_pb2.InquireOrderRequest,
        context: grpc.aio.ServicerContext[
            venue_pb2.InquireOrderRequest, venue_pb2.InquireOrderResponse
        ],
    ) -> venue_pb2.InquireOrderResponse:
        """Tell what became of an order."""
        order_id = read_field("order_id", parse_uuid, request.order_id)
        outcome = await self._venue.inquire(order_id)
        return venue_pb2.InquireOrderResponse(outcome=outcome_to_message(outcome))

    async def TombstoneOrder(  # noqa: N802 (gRPC's name)
        self,
        request: venue_pb2.TombstoneOrderRequest,
        context: grpc.aio.ServicerContext[
            venue_pb2.TombstoneOrderRequest, venue_pb2.TombstoneOrderResponse
        ],
    ) -> venue_pb2.TombstoneOrderResponse:
        """Give an order up."""
        outcome = await self._venue.tombstone(
            read_field("claim", Claim.of, request.claim),
            read_field("order_id", parse_uuid, request.order_id),
        )
        return venue_pb2.TombstoneOrderResponse(outcome=outcome_to_message(outcome))
