"""What single events say about a conversion: observations, which report it, and adjustments, which change its value."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from tributary_domain.event_order import OrderKey, event_hash
from tributary_domain.value_bases import NO_PARTS, ValueParts


class SourceRank(IntEnum):
    """Whose word on value, currency and items counts: the higher, then the earlier in event order."""

    FRONT = 1
    """BROWSER, APP or FORWARDED."""
    BACKEND = 2


class Standing(StrEnum):
    """Whether a part counts."""

    GOOD = "good"
    QUARANTINED = "quarantined"
    """Waits for a release; holds nothing against a good part."""
    UNCOUNTED = "uncounted"
    """Stored and shown only: internal or test traffic, or rejected after quarantine."""


class AdjustmentKind(StrEnum):
    """How an adjustment changes the value."""

    REFUND = "refund"
    """Subtracts; without an amount all that is left."""
    CHARGEBACK = "chargeback"
    """Subtracts like a refund, but the customer's bank did it."""
    REVERSAL = "reversal"
    """Gives back what was subtracted before (a dispute that was won); without an amount all of it."""
    RESTATEMENT = "restatement"
    """States the value anew, absolute; absorbs every adjustment before it."""
    RETRACTION = "retraction"
    """It never was a conversion: it counts for nothing, unless restated later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One event that reports the conversion."""

    event_time_micros: int
    event_hash: int = 0
    """Derived from `event_id` when 0."""
    event_id: str
    accept_time_micros: int = 0
    """When the log accepted it."""
    source_rank: int = SourceRank.BACKEND
    amount_micros: int | None = None
    """The value it states. None = it states none, which is not 0."""
    parts: ValueParts = NO_PARTS
    """Of that value."""
    currency_code: str = ""
    identifiers: tuple[str, ...] = ()
    """Identity tokens."""
    click_ids: tuple[str, ...] = ()
    """`family:value`."""
    browser_ids: tuple[str, ...] = ()
    """`name:value`."""
    session: int = 0
    """64-bit hash of the caller's session id; 0 = none."""
    standing: Standing = Standing.GOOD

    def __post_init__(self) -> None:
        """Fills in the hash."""
        if not self.event_hash:
            object.__setattr__(self, "event_hash", event_hash(self.event_id))

    @property
    def order_key(self) -> OrderKey:
        """Its place in event order."""
        return self.event_time_micros, self.event_hash


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment:
    """One event that changes the value of a conversion."""

    event_time_micros: int
    event_id: str
    event_hash: int = 0
    """Derived from `event_id` when 0."""
    kind: AdjustmentKind
    adjustment_id: str = ""
    """Number of the refund, credit note or dispute: what makes two reports one. Empty: its event id."""
    amount_micros: int | None = None
    """Never negative, except for a restatement. None = all; required for a restatement."""
    parts: ValueParts = NO_PARTS
    """Of that amount."""
    currency_code: str = ""
    """Empty: the conversion's."""
    accept_time_micros: int = 0
    standing: Standing = Standing.GOOD

    def __post_init__(self) -> None:
        """Fills in the hash.

        Raises:
            ValueError: A restatement states no amount.
        """
        if self.kind is AdjustmentKind.RESTATEMENT and self.amount_micros is None:
            message = "A restatement states the new value."
            raise ValueError(message)
        if not self.event_hash:
            object.__setattr__(self, "event_hash", event_hash(self.event_id))

    @property
    def order_key(self) -> OrderKey:
        """Its place in event order."""
        return self.event_time_micros, self.event_hash

    @property
    def identity(self) -> tuple[str, str]:
        """What two reports of one adjustment share."""
        return (self.kind, "a:" + self.adjustment_id) if self.adjustment_id else (self.kind, "e:" + self.event_id)
