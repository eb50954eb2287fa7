"""Erasures from the contract and back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from tributary.attribution.v1 import erasure_pb2
from tributary.attribution.v1.attribution_service_pb2 import ErasePersonRequest, ErasePersonResponse
from tributary.dedup.v1.decision_pb2 import ERASURE_MODE_REMOVE, ERASURE_MODE_SEVER, ERASURE_MODE_UNSPECIFIED
from tributary_attribution.erasing import Erasing
from tributary_attribution.erasure_plans import OWN_SECONDS
from tributary_domain.erasures import Erasure, ErasureState
from tributary_domain.personal_texts import names_somebody
from tributary_runtime.errors import Backpressure, FieldViolation, InvalidRequestError
from tributary_runtime.privacy_settings import ErasureMode
from tributary_storage.clickhouse.erasures import StoredErasure
from tributary_storage.clickhouse.names import timestamp

_SHARE: Final = 0.8
"""Of the caller's remaining time, how much is worked in: then it is told how far the erasure is, which goes on."""

_MAX_REASON: Final = 1024
_MAX_ID: Final = 128
_MODES: Final = {
    ERASURE_MODE_UNSPECIFIED: None,
    ERASURE_MODE_SEVER: ErasureMode.SEVER,
    ERASURE_MODE_REMOVE: ErasureMode.REMOVE,
}
_STATES: Final = {
    ErasureState.REQUESTED: erasure_pb2.ERASURE_STATE_REQUESTED,
    ErasureState.DESTROYED: erasure_pb2.ERASURE_STATE_DESTROYED,
    ErasureState.FINISHED: erasure_pb2.ERASURE_STATE_FINISHED,
}


async def erase(
    erasing: Erasing, request: ErasePersonRequest, remaining_seconds: float | None = None
) -> ErasePersonResponse:
    """Erases a person, or says what that would destroy.

    Once an erasure is asked for it happens. Where its caller does not wait for the end, the answer says how far it is.

    Args:
        erasing: Erases.
        request: Whom.
        remaining_seconds: How long the caller still waits; `None`: for ever. It is worked at for `OWN_SECONDS` at most.

    Raises:
        InvalidRequestError: It names nobody, or its reason names somebody.
        NotFoundError: Nothing is known of the person.
        PreconditionError: Orders of the person wait for a decision, and would be in no total.
        StorageUnavailableError: A store did not answer; what was begun goes on.
    """
    own_seconds = OWN_SECONDS if remaining_seconds is None else min(remaining_seconds * _SHARE, OWN_SECONDS)
    until = asyncio.get_running_loop().time() + own_seconds
    named_by = request.WhichOneof("person")
    if named_by is None or (named_by == "person_id" and not 1 <= len(request.person_id) <= _MAX_ID):
        raise _invalid("person", "Must be set: a person id, or identifiers.")
    if len(request.reason) > _MAX_REASON:
        raise _invalid("reason", f"Must have at most {_MAX_REASON} characters.")
    if names_somebody(request.reason):
        raise _invalid("reason", "Must hold no personal data: it is kept for ever.")
    identifiers = request.identifiers if named_by == "identifiers" else None
    tokens = await erasing.tokens_of(request.workspace, identifiers, request.person_id)
    mode = _MODES.get(request.mode)
    about: dict[str, Any] = {"reason": request.reason, "requested_by": request.requested_by}
    erasure = erasing.plan(request.workspace, tokens, mode, own_seconds=own_seconds, **about)
    if request.dry_run:
        erasure = await erasing.earlier.noted(erasure)
        message = _message(erasure, {}, await erasing.survey(erasure))
        message.ClearField("erasure_id")
        message.ClearField("state")
        message.kept_in_closed_books = await erasing.kept(erasure)
        return ErasePersonResponse(erasure=message)
    await erasing.may_sever(erasure)
    erasure = await erasing.request(erasure)
    with suppress(Backpressure, TimeoutError):  # it is asked for, and gone on with in a moment
        async with asyncio.timeout_at(until):
            erasure = await erasing.go_on(erasure, until)
    return ErasePersonResponse(erasure=_message(erasure, erasure.destroyed, erasure.remaining))


def stored_message(stored: StoredErasure) -> erasure_pb2.Erasure:
    """Returns an erasure as the contract has it."""
    return erasure_pb2.Erasure(
        erasure_id=stored.erasure_id,
        request_time=timestamp(stored.request_micros),
        until_time=timestamp(stored.until_micros),
        mode=ERASURE_MODE_REMOVE if stored.mode == ErasureMode.REMOVE.value else ERASURE_MODE_SEVER,
        state=_STATES[stored.state],
        identifiers=len(stored.person_keys),
        destroyed=stored.destroyed,
        remaining=stored.remaining,
        severed_before=stored.severed_before,
        reason=stored.reason,
        requested_by=stored.requested_by,
    )


def _message(erasure: Erasure, destroyed: Mapping[str, int], remaining: Mapping[str, int]) -> erasure_pb2.Erasure:
    return erasure_pb2.Erasure(
        erasure_id=erasure.erasure_id,
        request_time=timestamp(erasure.request_micros),
        until_time=timestamp(erasure.until_micros),
        mode=ERASURE_MODE_REMOVE if erasure.removes else ERASURE_MODE_SEVER,
        state=_STATES[erasure.state],
        identifiers=len(erasure.tokens),
        destroyed=destroyed,
        remaining=remaining,
        severed_before=erasure.severed_before,
        reason=erasure.reason,
        requested_by=erasure.requested_by,
    )


def _invalid(field: str, description: str) -> InvalidRequestError:
    return InvalidRequestError("The request cannot be answered as it is.", [FieldViolation(field, description)])
