"""Erasures of people: asked of attribution, which owns what is kept of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tributary.attribution.v1 import attribution_service_pb2 as attribution
from tributary.query.v1.query_service_pb2 import (
    ErasePersonRequest,
    ErasePersonResponse,
    GetErasureRequest,
    GetErasureResponse,
)
from tributary_query.violations import refuse

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.attribution.v1.attribution_service_pb2_grpc import AttributionServiceAsyncStub


class Erasures:
    """Forwards to attribution; its errors are passed on as they are.

    Args:
        attribution_stub: Over a channel that carries the internal token.
    """

    def __init__(self, attribution_stub: AttributionServiceAsyncStub) -> None:
        self._attribution = attribution_stub

    async def erase(self, request: ErasePersonRequest, workspace: str, key_id: str) -> ErasePersonResponse:
        """Erases a person, or says what that would destroy.

        Raises:
            InvalidRequestError: It does not say whom.
            grpc.aio.AioRpcError: What attribution said; the interceptor passes it on.
        """
        asked = attribution.ErasePersonRequest(
            workspace=workspace,
            mode=request.mode,
            reason=request.reason,
            dry_run=request.dry_run,
            requested_by=key_id,
        )
        match request.WhichOneof("person"):
            case "person_id":
                asked.person_id = request.person_id
            case "identifiers":
                asked.identifiers.CopyFrom(request.identifiers)
            case _:
                raise refuse("person", "Name a person by id or by identifiers.")
        return ErasePersonResponse(erasure=(await self._attribution.ErasePerson(asked)).erasure)

    async def get(self, request: GetErasureRequest, workspace: str) -> GetErasureResponse:
        """Returns how far an erasure is.

        Raises:
            InvalidRequestError: It does not say which.
            grpc.aio.AioRpcError: What attribution said; the interceptor passes it on.
        """
        if not request.erasure_id:
            raise refuse("erasure_id", "Name the erasure, as `ErasePerson` does.")
        asked = attribution.GetErasureRequest(workspace=workspace, erasure_id=request.erasure_id)
        return GetErasureResponse(erasure=(await self._attribution.GetErasure(asked)).erasure)
