"""What a destination must be able to do, and what an attempt may come to. What it answered is a value, no exception."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Protocol

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    OUTCOME_CLASS_CONFIG,
    OUTCOME_CLASS_OK,
    OUTCOME_CLASS_PERMANENT,
    OUTCOME_CLASS_REAUTH,
    OUTCOME_CLASS_RETRY,
    OUTCOME_CLASS_SPLIT,
    OUTCOME_CLASS_THROTTLED,
    OUTCOME_CLASS_UNKNOWN,
    DeliveryOperation,
    OutcomeClass,
)
from tributary_runtime.destination_settings import WebhookDestination
from tributary_runtime.public_addresses import Lookup
from tributary_storage.redis.delivery_job import Taken


@dataclass(frozen=True, slots=True)
class Message:
    """What one call is about."""

    revised: ConversionRevised
    """What is sent."""
    operation: DeliveryOperation.ValueType
    taken: Taken | None
    """What the destination last took; None: nothing."""
    now_seconds: int
    """Of this attempt, Unix."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an attempt came to."""

    outcome: OutcomeClass.ValueType
    status_code: int = 0
    """HTTP status; 0: no answer was received."""
    message: str = ""
    """For people: what the destination said. No personal data, no secret."""
    retry_after_seconds: float = 0.0
    """For THROTTLED: how long the destination asked to wait."""
    request_id: str = ""
    """The destination's own id of the request."""
    is_untaken: bool = False
    """Whether it is certain that nothing was taken: of what else is no OK it is not known. A creation that was never
    taken needs no reversal and may carry other content next time; one that may have been needs both."""
    is_unsent: bool = False
    """Whether it could not leave: no connection was made, its address is not called, or there was no access token. So
    nothing was taken, and it is no attempt."""
    is_gone: bool = False
    """Whether the destination has the conversion no more, and takes no change of it: it was taken back before."""
    is_foreign: bool = False
    """Whether it was refused because the click is another account's."""

    is_answer: bool = True
    """Whether it speaks for a destination that works, by a status that would: no page of what stands before it, and not
    that nothing works now."""

    @property
    def is_ok(self) -> bool:
        """Whether it was taken."""
        return self.outcome == OUTCOME_CLASS_OK


OK = OUTCOME_CLASS_OK
RETRY = OUTCOME_CLASS_RETRY
THROTTLED = OUTCOME_CLASS_THROTTLED
PERMANENT = OUTCOME_CLASS_PERMANENT
CONFIG = OUTCOME_CLASS_CONFIG
REAUTH = OUTCOME_CLASS_REAUTH
SPLIT = OUTCOME_CLASS_SPLIT
UNKNOWN = OUTCOME_CLASS_UNKNOWN


class Destination(Protocol):
    """One destination of one workspace. Used by one lane; calls run concurrently."""

    def visible_id(self, revised: ConversionRevised) -> str:
        """Returns the id under which the destination knows a conversion: the same for all its revisions."""
        ...

    async def send(self, message: Message) -> Outcome:
        """Makes one attempt.

        May run twice with the same message; takes at most a second more than the call's time-out; never raises.
        """
        ...

    async def aclose(self) -> None:
        """Closes its connections."""
        ...


class MakeDestination(Protocol):
    """How a destination is made."""

    def __call__(
        self,
        settings: WebhookDestination,
        *,
        call_seconds: float,
        tls: ssl.SSLContext | None = None,
        lookup: Lookup | None = None,
    ) -> Destination:
        """Makes one; nothing connects.

        Args:
            settings: What `workspaces.yaml` says of it.
            call_seconds: How long one call may take.
            tls: How certificates are checked; made once for many destinations, it is slow to make.
            lookup: Asks the name server; the system's unless given.
        """
        ...
