"""How a lane's attempts become calls: one by one, or many in a request. And the webhook's way, which is one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DeliveryOperation, IneligibleReason
from tributary_delivery.attempt import Attempt
from tributary_delivery.destinations.destination import Destination, Message, Outcome
from tributary_delivery.lead_objects import LeadObjects
from tributary_delivery.turns import Turn
from tributary_storage.redis.delivery_job import KnownAs

ALL_OPERATIONS: Final = frozenset(number for number in DeliveryOperation.values() if number)
"""What a destination may be told that is told everything."""


@dataclass(frozen=True, slots=True)
class Refused:
    """An attempt that is not made: it cannot be said in the destination's language."""

    attempt: Attempt
    reason: IneligibleReason.ValueType
    message: str = ""


@dataclass(frozen=True, slots=True)
class Formed:
    """Attempts as they are sent together."""

    calls: list[list[Attempt]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    failed: list[tuple[Attempt, Outcome]] = field(default_factory=list)
    """We could not say them, for a bug of ours."""
    later: list[Attempt] = field(default_factory=list)
    """They change what another one here changes, which was planned before them."""


class Sender(Protocol):
    """How one destination of one workspace is sent what a lane has for it."""

    @property
    def most_per_call(self) -> int:
        """How many attempts one call may hold."""
        ...

    @property
    def most_calls(self) -> int:
        """How many calls may be under way at once, by one process."""
        ...

    @property
    def linger_seconds(self) -> float:
        """How long to wait for company after a call that could have held more."""
        ...

    @property
    def operations(self) -> frozenset[DeliveryOperation.ValueType]:
        """What the destination can be told."""
        ...

    @property
    def resend_seconds(self) -> float | None:
        """As `AttemptRules.resend_seconds`."""
        ...

    def forgets(self, revised: ConversionRevised) -> bool:
        """Tells whether a conversion is one that the destination would not know again: as `AttemptRules.forgets`."""
        ...

    @property
    def retracts_by_value(self) -> bool:
        """As `AttemptRules.retracts_by_value`."""
        ...

    @property
    def needs_grant(self) -> bool:
        """Whether silence about consent is a refusal."""
        ...

    @property
    def tcf_vendor(self) -> int | None:
        """The destination's number in the IAB's Global Vendor List; None: no consent string can name it."""
        ...

    @property
    def is_overtaken(self) -> bool:
        """Whether the destination takes what comes last for the newest, though it may have been sent before."""
        ...

    @property
    def unanswered_seconds(self) -> float:
        """For how long what got no answer may still be carried out there."""
        ...

    @property
    def account(self) -> str:
        """As `DestinationSettings.account`."""
        ...

    @property
    def leads(self) -> LeadObjects | None:
        """Names the objects of leads there; None: a lead is none there."""
        ...

    def visible_id(self, revised: ConversionRevised, *, with_store: bool = True) -> str:
        """Returns the id by which the destination knows a conversion that it is told of first.

        Args:
            revised: The conversion.
            with_store: As in `visible_ids`; false: as an earlier version did.
        """
        ...

    async def form(self, attempts: Sequence[Attempt]) -> Formed:
        """Says attempts in the destination's language and puts together what may go together.

        Raises:
            StorageUnavailableError: What is needed for it cannot be read.
        """
        ...

    async def send(self, call: Sequence[Attempt], turn: Turn) -> Sequence[Outcome]:
        """Makes one call; returns an outcome per attempt. Its turn is kept right before every request.

        May run twice with the same. A request takes at most a second more than its time-out.

        Raises:
            TurnLost: Nothing was sent, somebody else may have its jobs.
            PermitsChanged: Nothing was sent, some may not leave as they were formed.
            PlaceLost: Nothing was sent, the quota does not allow it now.
            UnavailableError: Nothing was sent, the lane is stopped or paused, or nobody can tell whose its jobs are.
        """
        ...

    async def aclose(self) -> None:
        """Closes its connections."""
        ...


class OneByOne:
    """A `Sender` for a destination that takes one conversion per call, and every change of it.

    Args:
        destination: How it is called.
    """

    most_per_call = 1
    most_calls = 1_000
    linger_seconds = 0.0
    operations = ALL_OPERATIONS
    resend_seconds = None
    retracts_by_value = False
    needs_grant = False
    tcf_vendor = None
    is_overtaken = False
    unanswered_seconds = 0.0
    account = ""
    leads = None

    def __init__(self, destination: Destination) -> None:
        self._destination = destination

    def forgets(self, revised: ConversionRevised) -> bool:
        """Tells that each message is known again by its id."""
        del revised
        return False

    def visible_id(self, revised: ConversionRevised, *, with_store: bool = True) -> str:
        """Returns the message's id."""
        del with_store  # it is none of the message's
        return self._destination.visible_id(revised)

    async def form(self, attempts: Sequence[Attempt]) -> Formed:
        """Returns a call per attempt."""
        return Formed([[replace(one, known_as=KnownAs(self.visible_id(one.revised)))] for one in attempts])

    async def send(self, call: Sequence[Attempt], turn: Turn) -> Sequence[Outcome]:
        """Makes the one call."""
        [one] = call
        await turn.keep()
        message = Message(one.revised, one.operation, one.taken, one.now_micros // 1_000_000)
        return [await self._destination.send(message)]

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._destination.aclose()
