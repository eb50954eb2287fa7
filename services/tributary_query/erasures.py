"""Erasures of people: asked of attribution, which owns what is kept of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import grpc

from tributary.attribution.v1 import attribution_service_pb2 as attribution
from tributary.query.v1.query_service_pb2 import (
    ErasePersonRequest,
    ErasePersonResponse,
    GetErasureRequest,
    GetErasureResponse,
)
from tributary_query.violations import refuse
from tributary_runtime.errors import UnavailableError
from tributary_runtime.remote_errors import error_of

if TYPE_CHECKING:  # the asynchronous stub is known to type checkers only
    from tributary.attribution.v1.attribution_service_pb2_grpc import AttributionServiceAsyncStub


CALL_SECONDS: Final = 60.0
"""Of an erasure whose caller says nothing of how long to wait: ClickHouse rewrites what it has of the person."""
_GOES_ON: Final = (
    "Whether the erasure was begun is not known; if it was, it goes on by itself. To ask again does no harm, and once "
    "it is done a dry run finds nothing of the person."
)
_MARGIN: Final = 0.9
"""Share of the caller's remaining time that attribution gets, so that our own answer still arrives."""


class Erasures:
    """Forwards to attribution; its errors are passed on as they are.

    Args:
        attribution_stub: Over a channel that carries the internal token.
    """

    def __init__(self, attribution_stub: AttributionServiceAsyncStub) -> None:
        self._attribution = attribution_stub

    async def erase(
        self, request: ErasePersonRequest, workspace: str, key_id: str, remaining_seconds: float | None
    ) -> ErasePersonResponse:
        """Erases a person, or says what that would destroy.

        Args:
            request: Whom.
            workspace: Of the caller.
            key_id: Of the caller.
            remaining_seconds: How long the caller still waits; `None`: for ever.

        Raises:
            InvalidRequestError: It does not say whom.
            UnavailableError: Attribution did not answer in time, or could not reach a store.
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
        timeout = CALL_SECONDS if remaining_seconds is None else remaining_seconds * _MARGIN
        try:
            return ErasePersonResponse(erasure=(await self._attribution.ErasePerson(asked, timeout=timeout)).erasure)
        except grpc.aio.AioRpcError as failure:
            error = error_of(failure)
            if asked.dry_run or not isinstance(error, UnavailableError):
                raise
            raise UnavailableError(
                f"{error.message} {_GOES_ON}",
                retry_delay_seconds=error.retry_delay_seconds,
                reason=error.reason,
                metadata=error.metadata,
            ) from failure

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
