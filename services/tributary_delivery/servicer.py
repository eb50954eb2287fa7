"""`DeliveryService`: from the contract to the use cases and back, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import grpc

from tributary.delivery.v1 import delivery_service_pb2, delivery_service_pb2_grpc
from tributary_delivery.operations import Operations
from tributary_delivery.trial_runs import DestinationTests
from tributary_domain.personal import without_personal
from tributary_domain.personal_devices import holds_device
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.errors import FieldViolation, InvalidRequestError, NotFoundError
from tributary_runtime.interceptors import INTERNAL, Access
from tributary_runtime.settings_digest import DigestOf
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.delivery_jobs import DeliveryJobs
from tributary_storage.redis.destination_states import DestinationStates
from tributary_storage.redis.warehouse_progress import WarehouseProgress

_DEFAULT_PAGE, _MOST_PER_PAGE = 100, 1_000
_MOST_REASON = 256
_MOST_CODE = 64


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
        operations: What an operator does about deliveries.
        tests: Tries destinations out.
        warehouses: How far exports are.
        clock: Tells whether a pause is over.
    """

    service_name = "tributary.delivery.v1.DeliveryService"
    rules: Mapping[str, Access] = {
        "ListDestinations": INTERNAL,
        "TestDestination": INTERNAL,
        "PauseDestination": INTERNAL,
        "ResumeDestination": INTERNAL,
        "ListDeliveries": INTERNAL,
        "ReplayDeliveries": INTERNAL,
    }

    def __init__(
        self,
        workspaces: Workspaces,
        jobs: DeliveryJobs,
        states: DestinationStates,
        operations: Operations,
        tests: DestinationTests,
        warehouses: WarehouseProgress,
        clock: Clock,
        digest_of: DigestOf,
    ) -> None:
        self._warehouses = warehouses
        self._workspaces = workspaces
        self._jobs = jobs
        self._states = states
        self._operations = operations
        self._tests = tests
        self._clock = clock
        self._digest_of = digest_of

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers with the server."""
        delivery_service_pb2_grpc.add_DeliveryServiceServicer_to_server(self, server)

    async def ListDestinations(
        self, request: delivery_service_pb2.ListDestinationsRequest, context: object
    ) -> delivery_service_pb2.ListDestinationsResponse:
        """Lists the destinations of a workspace, by id."""
        size = _page_size(request.page_size)
        destinations = sorted(self._workspaces.get(request.workspace).destinations, key=lambda one: one.id)
        later = [one for one in destinations if one.id > request.page_token]
        response = delivery_service_pb2.ListDestinationsResponse()
        for destination in later[:size]:
            response.destinations.append(await self._status(request.workspace, destination))
        if len(later) > size:
            response.next_page_token = later[size - 1].id
        return response

    async def TestDestination(
        self, request: delivery_service_pb2.TestDestinationRequest, context: object
    ) -> delivery_service_pb2.TestDestinationResponse:
        """Tries a destination out."""
        destination = self._find(request.workspace, request.destination_id)
        code = request.test_code
        if len(code) > _MOST_CODE or not (code.isascii() and code.isprintable()):
            violation = FieldViolation("test_code", f"Must be at most {_MOST_CODE} printable ASCII characters.")
            raise InvalidRequestError("The code cannot be.", [violation])
        return await self._tests.test(Lane(request.workspace, destination.id), destination, code)

    async def PauseDestination(
        self, request: delivery_service_pb2.PauseDestinationRequest, context: object
    ) -> delivery_service_pb2.PauseDestinationResponse:
        """Lets nobody call a destination until it is resumed."""
        destination = self._find(request.workspace, request.destination_id)
        if len(request.reason) > _MOST_REASON:
            violation = FieldViolation("reason", f"Say it in at most {_MOST_REASON} characters.")
            raise InvalidRequestError("The reason is too long.", [violation])
        await self._states.hold(Lane(request.workspace, destination.id), _kept(request.reason))
        status = await self._status(request.workspace, destination)
        return delivery_service_pb2.PauseDestinationResponse(destination=status)

    async def ResumeDestination(
        self, request: delivery_service_pb2.ResumeDestinationRequest, context: object
    ) -> delivery_service_pb2.ResumeDestinationResponse:
        """Ends every pause but that of the file."""
        destination = self._find(request.workspace, request.destination_id)
        await self._states.release(Lane(request.workspace, destination.id))
        status = await self._status(request.workspace, destination)
        return delivery_service_pb2.ResumeDestinationResponse(destination=status)

    async def ListDeliveries(
        self, request: delivery_service_pb2.ListDeliveriesRequest, context: object
    ) -> delivery_service_pb2.ListDeliveriesResponse:
        """Lists what waits, where that is asked for, and deliveries, last attempted first."""
        size = _page_size(request.page_size)
        declared = sorted(one.id for one in self._workspaces.get(request.workspace).destinations)
        page = await self._operations.page(request.workspace, request.filter, request.page_token, size, declared)
        return delivery_service_pb2.ListDeliveriesResponse(
            deliveries=page.deliveries, next_page_token=page.next_token, waiting=page.waiting
        )

    async def ReplayDeliveries(
        self, request: delivery_service_pb2.ReplayDeliveriesRequest, context: object
    ) -> delivery_service_pb2.ReplayDeliveriesResponse:
        """Has deliveries sent again."""
        how = {"dry_run": request.dry_run, "risk_duplicates": request.risk_duplicates}
        return await self._operations.replay(request.workspace, request.filter, **how, token=request.page_token)

    def _find(self, workspace_id: str, destination_id: str) -> DestinationSettings:
        destination = self._workspaces.get(workspace_id).destination(destination_id)
        if destination is None:
            message = "The workspace has no such destination; ListDestinations names those it has."
            raise NotFoundError(message, resource_type="destination", resource_name=destination_id)
        return destination

    async def _status(self, workspace: str, destination: DestinationSettings) -> delivery_service_pb2.DestinationStatus:
        lane, paused = Lane(workspace, destination.id), destination.paused
        state = await self._states.read(lane)
        if destination.is_sent_each:
            pending, oldest = await self._jobs.waiting(lane), await self._jobs.oldest_plan_micros(lane)
        else:
            place = await self._warehouses.read(lane)
            pending, oldest = place.waiting, place.oldest_micros
        reason = ""
        if paused:
            reason = "Paused in workspaces.yaml."
        elif state.held_reason is not None:
            reason = state.held_reason or "Paused by an operator."
        elif state.is_paused(self._clock.unix_micros() // 1000, self._digest_of(workspace, destination)):
            reason = state.pause_reason or "Paused."
        status = delivery_service_pb2.DestinationStatus(
            destination_id=destination.id,
            type=destination.type,
            paused=bool(reason),
            pause_reason=reason,
            pending=pending,
            dead=await self._jobs.dead(lane, self._clock.unix_micros() // 1000),
            last_outcome=state.last_outcome,  # type: ignore[arg-type] # kept as its number
            reports_later=destination.reports_later,
        )
        if oldest:
            status.oldest_plan_time.FromMicroseconds(oldest)
        if state.last_attempt_micros:
            status.last_attempt_time.FromMicroseconds(state.last_attempt_micros)
        return status


def _page_size(asked: int) -> int:
    if asked < 0:
        violation = FieldViolation("page_size", "Must not be negative; 0 takes the default.")
        raise InvalidRequestError("The page size is negative.", [violation])
    return min(asked or _DEFAULT_PAGE, _MOST_PER_PAGE)


def _kept(reason: str) -> str:
    """Returns what may be kept of a reason: it is for people, and of nobody."""
    return "-" if holds_device(reason) else without_personal(reason)
