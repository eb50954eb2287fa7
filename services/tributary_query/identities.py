"""Who is one person: asked of attribution, which owns it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary.attribution.v1 import attribution_service_pb2 as attribution
from tributary.query.v1.query_service_pb2 import (
    GetIdentityRequest,
    GetIdentityResponse,
    UndoIdentityChangeRequest,
    UndoIdentityChangeResponse,
)
from tributary_query.violations import refuse

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.attribution.v1.attribution_service_pb2_grpc import AttributionServiceAsyncStub


class Identities:
    """Forwards to attribution; its errors are passed on as they are.

    Args:
        attribution_stub: Over a channel that carries the internal token.
    """

    def __init__(self, attribution_stub: AttributionServiceAsyncStub) -> None:
        self._attribution = attribution_stub

    async def get(self, request: GetIdentityRequest, workspace: str) -> GetIdentityResponse:
        """Returns who an identifier is.

        Raises:
            InvalidRequestError: It does not say whose.
            grpc.aio.AioRpcError: What attribution said; the interceptor passes it on.
        """
        asked = attribution.GetIdentityRequest(workspace=workspace)
        match request.WhichOneof("person"):
            case "person_id":
                asked.person_id = request.person_id
            case "identifiers":
                asked.identifiers.CopyFrom(request.identifiers)
            case _:
                raise refuse("person", "Name a person by id or by identifiers.")
        return GetIdentityResponse(identity=(await self._attribution.GetIdentity(asked)).identity)

    async def undo(self, request: UndoIdentityChangeRequest, workspace: str) -> UndoIdentityChangeResponse:
        """Takes a change of people back.

        Raises:
            InvalidRequestError: It does not say which.
            grpc.aio.AioRpcError: What attribution said; the interceptor passes it on.
        """
        if not request.change_id:
            raise refuse("change_id", "Name the change, as `GetIdentity` does.")
        asked = attribution.UndoIdentityChangeRequest(workspace=workspace, change_id=request.change_id)
        return UndoIdentityChangeResponse(changes=(await self._attribution.UndoIdentityChange(asked)).changes)
