"""`DeliveryService`: from the contract to the use cases and back, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import grpc

from tributary.delivery.v1 import delivery_service_pb2, delivery_service_pb2_grpc
from tributary_runtime.clock import Clock
from tributary_runtime.errors import FieldViolation, InvalidRequestError
from tributary_runtime.interceptors import INTERNAL, Access
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.delivery_jobs import DeliveryJobs, Lane
from tributary_storage.redis.destination_states import DestinationStates

_DEFAULT_PAGE, _MOST_PER_PAGE = 100, 1_000


class Workspaces(Protocol):
    """The workspaces as they are now."""

    def get(self, workspace_id: str) -> Workspace:
        """Returns a workspace.

        Raises:
            NotFoundError: There is none.
        """
        ...


class DeliveryServicer(delivery_service_pb2_grpc.DeliveryServiceServicer):
    """The gRPC face of delivery; for Tributary's own services only.

    Args:
        workspaces: Whose destinations.
        jobs: What waits.
        states: How destinations are doing.
        clock: Tells whether a pause is over.
    """

    service_name = "tributary.delivery.v1.DeliveryService"
    rules: Mapping[str, Access] = {"ListDestinations": INTERNAL}

    def __init__(self, workspaces: Workspaces, jobs: DeliveryJobs, states: DestinationStates, clock: Clock) -> None:
        self._workspaces = workspaces
        self._jobs = jobs
        self._states = states
        self._clock = clock

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers with the server."""
        delivery_service_pb2_grpc.add_DeliveryServiceServicer_to_server(self, server)

    async def ListDestinations(
        self, request: delivery_service_pb2.ListDestinationsRequest, context: object
    ) -> delivery_service_pb2.ListDestinationsResponse:
        """Lists the destinations of a workspace, by id."""
        if request.page_size < 0:
            violation = FieldViolation("page_size", "Must not be negative; 0 takes the default.")
            raise InvalidRequestError("The page size is negative.", [violation])
        size = min(request.page_size or _DEFAULT_PAGE, _MOST_PER_PAGE)
        destinations = sorted(self._workspaces.get(request.workspace).destinations, key=lambda one: one.id)
        later = [one for one in destinations if one.id > request.page_token]
        response = delivery_service_pb2.ListDestinationsResponse()
        for destination in later[:size]:
            status = await self._status(Lane(request.workspace, destination.id), destination.paused)
            status.destination_id, status.type = destination.id, destination.type
            response.destinations.append(status)
        if len(later) > size:
            response.next_page_token = later[size - 1].id
        return response

    async def _status(self, lane: Lane, paused: bool) -> delivery_service_pb2.DestinationStatus:
        state = await self._states.read(lane)
        pending, oldest = await self._jobs.waiting(lane), await self._jobs.oldest_plan_micros(lane)
        paused_now = state.paused_until_millis > self._clock.unix_micros() // 1000
        status = delivery_service_pb2.DestinationStatus(
            paused=paused or paused_now,
            pause_reason="Paused in workspaces.yaml." if paused else state.pause_reason if paused_now else "",
            pending=pending,
            dead=state.dead,
            last_outcome=state.last_outcome,  # type: ignore[arg-type] # kept as its number
        )
        if oldest:
            status.oldest_plan_time.FromMicroseconds(oldest)
        if state.last_attempt_micros:
            status.last_attempt_time.FromMicroseconds(state.last_attempt_micros)
        return status
