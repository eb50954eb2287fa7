"""Bursts: of whom a conversion is counted, and from how many on it is suspicious.

A conversion counts for each of its identity tokens, for the address that a browser or an app was seen with, and for
each click id that is unique to one click. The one rule: what is counted is the order, or the event where there is none.
A retry, or the same order from browser and backend, counts once.

Windows are of the time a conversion happened: what a phone held back for hours, and sends at once, is no burst. But
that time is the sender's word. So what comes later than one window counts once more, by when it came: a sender who
spreads the times of a burst has several times its limit, and not any number.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from tributary_domain.reasons import Reason, ReasonCode

_UNIQUE: Final = (
    "gclid dclid fbclid msclkid ttclid li_fat_id twclid epik sc_cid rdt_cid irclickid yclid awc cjevent ran_site_id "
    "sscid tblci dicbo qclid vmcid"
)
UNIQUE_CLICK_IDS: Final = frozenset(_UNIQUE.split())
"""Families whose every click has an id of its own; the others name a campaign, a mail or an aggregate of clicks."""

_LATE: Final = b"\0late"

COUNTER_BYTES: Final = 16
MEMBER_BYTES: Final = 8

LATE_LIMITS: Final = 4
"""Late conversions of one sender within one window of coming, in limits: what somebody offline may bring along."""

_MESSAGE: Final = "More conversions of this name than the workspace expects of one sender; it waits for a release."
OF_IDENTIFIER: Final = Reason(ReasonCode.VELOCITY, "identifiers", _MESSAGE)
OF_ADDRESS: Final = Reason(ReasonCode.VELOCITY, "context.client_ip", _MESSAGE)
OF_CLICK_ID: Final = Reason(ReasonCode.VELOCITY, "click_ids", _MESSAGE)


class Limit(NamedTuple):
    """How many conversions one sender may have in a sliding window."""

    at_most: int
    """0: no limit."""
    window_millis: int


class Limits(NamedTuple):
    """The limits of one conversion name."""

    identifier: Limit = Limit(5, 3_600_000)
    address: Limit = Limit(20, 3_600_000)
    click_id: Limit = Limit(3, 86_400_000)


class Count(NamedTuple):
    """One sender of one conversion: to be counted, and held against its limit."""

    counter: bytes
    """Stands for workspace, conversion name and sender; keyed, so that it tells nobody who it is."""
    member: bytes
    """Stands for what is counted once."""
    limit: Limit
    moment_millis: int
    """The windows are of this time: when it happened; of what counts because it came late, when it came."""
    reason: Reason
    """Why the conversion is suspicious beyond it."""


class VelocityRules:
    """The limits of one workspace.

    Args:
        key: Of the workspace; makes counters unguessable.
        default: For every name that has none of its own.
        by_name: Conversion name -> its limits.
    """

    __slots__ = ("_by_name", "_default", "_state")

    def __init__(self, key: bytes, default: Limits = Limits(), by_name: Mapping[str, Limits] | None = None) -> None:  # noqa: B008 - a tuple
        self._state = blake2b(digest_size=COUNTER_BYTES, key=key)
        self._default = default
        self._by_name = by_name or {}

    def counts(
        self,
        name: str,
        member: bytes,
        happened_millis: int,
        receive_millis: int,
        tokens: Iterable[str],
        address_token: str,
        click_ids: Mapping[str, str],
    ) -> Sequence[Count]:
        """Returns what is to be counted of one conversion.

        Args:
            name: The conversion's name.
            member: Its order digest, else its event digest.
            happened_millis: Its event time.
            receive_millis: When it came.
            tokens: Its identity tokens.
            address_token: Of the address that a browser or an app was seen with; empty for none.
            click_ids: Family to value.
        """
        limits = self._by_name.get(name, self._default)
        senders: list[tuple[str, Limit, Reason]] = []
        if limits.identifier.at_most:
            senders += [(token, limits.identifier, OF_IDENTIFIER) for token in tokens]
        if address_token and limits.address.at_most:
            senders.append((f"address:{address_token}", limits.address, OF_ADDRESS))
        if click_ids and limits.click_id.at_most:
            for family in UNIQUE_CLICK_IDS & click_ids.keys():
                senders.append((f"click:{family}:{click_ids[family]}", limits.click_id, OF_CLICK_ID))
        member, named = member[:MEMBER_BYTES], f"{len(name)}:{name}"
        found: list[Count] = []
        for sender, limit, reason in senders:
            state = self._state.copy()
            state.update(f"{named}{sender}".encode())
            found.append(Count(state.digest(), member, limit, happened_millis, reason))
            if receive_millis - happened_millis > limit.window_millis:
                state.update(_LATE)
                most = Limit(limit.at_most * LATE_LIMITS, limit.window_millis)
                found.append(Count(state.digest(), member, most, receive_millis, reason))
        return found
