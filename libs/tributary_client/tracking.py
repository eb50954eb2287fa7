"""The methods by which events are tracked: the same for the blocking and the asyncio client.

The one rule: tracking only puts an event down. What becomes of it is told to `on_verdict`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar, Unpack

from tributary.event.v1.event_pb2 import Event
from tributary_client import events
from tributary_client.fields import AdjustmentFields, ConversionFields, EventFields, TouchpointFields, TouchpointKind

Put = TypeVar("Put", covariant=True)
"""What tracking returns: the event's id, or for asyncio a promise of it."""


class Tracking(ABC, Generic[Put]):
    """Ways to put an event down. Each returns the event's id.

    All take the keyword arguments of `tributary_client.fields`, and may raise:

    * TypeError, ValueError: an argument that there is not, or that cannot be written.
    * EventTooLargeError: more than `Batching.bytes`.
    * BufferFullError: no room within `Buffering.block_seconds`, with `WhenFull.BLOCK`.
    * ClosedError: the client is closed.
    """

    def track_touchpoint(self, kind: TouchpointKind = "visit", **fields: Unpack[TouchpointFields]) -> Put:
        """Tracks that somebody met the advertiser: a visit, a click, an ad seen, a mail opened."""
        return self._put(events.touchpoint(kind, fields, self._now_nanos()), fields)

    def track_conversion(self, name: str, **fields: Unpack[ConversionFields]) -> Put:
        """Tracks something of value: an order, a sign-up, a lead's next stage. `name` is the workspace's word."""
        return self._put(events.conversion(name, fields, self._now_nanos()), fields)

    def refund(self, conversion_name: str = "", **fields: Unpack[AdjustmentFields]) -> Put:
        """Takes `value` off a conversion: money went back. `conversion_name` is needed with `order_id`."""
        return self._adjust("refund", conversion_name, fields)

    def restate(self, conversion_name: str = "", **fields: Unpack[AdjustmentFields]) -> Put:
        """Gives a conversion another total, `value`, which absorbs every change before it."""
        return self._adjust("restatement", conversion_name, fields)

    def retract(self, conversion_name: str = "", **fields: Unpack[AdjustmentFields]) -> Put:
        """Says that a conversion never was one."""
        return self._adjust("retraction", conversion_name, fields)

    def chargeback(self, conversion_name: str = "", **fields: Unpack[AdjustmentFields]) -> Put:
        """Takes `value` off a conversion: the bank took it back."""
        return self._adjust("chargeback", conversion_name, fields)

    def reverse(self, conversion_name: str = "", **fields: Unpack[AdjustmentFields]) -> Put:
        """Adds `value` to a conversion again: an earlier refund or chargeback was undone."""
        return self._adjust("reversal", conversion_name, fields)

    def identify(self, **fields: Unpack[EventFields]) -> Put:
        """Says that the identifiers given are one person's: a log-in, a newsletter sign-up."""
        return self._put(events.identify(fields, self._now_nanos()), fields)

    def change_consent(self, **fields: Unpack[EventFields]) -> Put:
        """Tracks a person's decision, `consent`."""
        return self._put(events.consent_change(fields, self._now_nanos()), fields)

    @abstractmethod
    def track(self, event: Event, *, traceparent: str | None = None) -> Put:
        """Tracks an event made by hand, which stays as it is; one without an id is given one.

        Args:
            event: As the contract has it, with its `event_time`.
            traceparent: W3C; None: that of OpenTelemetry's current span, if there is one.
        """

    @abstractmethod
    def _put(self, event: Event, fields: EventFields) -> Put:
        """Puts down an event that was made of these fields."""

    @abstractmethod
    def _now_nanos(self) -> int:
        """Returns the time of an event that has none."""

    def _adjust(self, reason: str, conversion_name: str, fields: AdjustmentFields) -> Put:
        return self._put(events.adjustment(reason, conversion_name, fields, self._now_nanos()), fields)
