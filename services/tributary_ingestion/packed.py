"""What the door makes of an event.

The one rule: whatever is decided on later, by dedup or in the answer, is here; the event itself is bytes by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from tributary.event.v1 import verdict_pb2
from tributary_domain.business_keys import BusinessKey
from tributary_domain.conversion_parts import SourceRank
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.velocity import Count
from tributary_ingestion.human_checks import Token
from tributary_ingestion.match_keys import PlainMatchKeys

FRONT_RANK: Final = int(SourceRank.FRONT)
BACKEND_RANK: Final = int(SourceRank.BACKEND)


UTM_IGNORED: Final = Reason(
    ReasonCode.UTM_ON_OWN_SITE,
    "context.page_url",
    "Campaign parameters on a link inside the own site were ignored: they would hide where the visitor came from.",
)


class Packed(NamedTuple):
    """An event that dedup can decide on."""

    event_id: str
    """As sent or derived."""
    verdict: verdict_pb2.Verdict.ValueType
    """ACCEPTED, QUARANTINED or REJECTED, as far as the door can say."""
    reasons: list[Reason]
    """Why, and warnings; those that decided come first."""
    event_digest: bytes
    """What is claimed; of a derived id where the caller's cannot be used."""
    payload_digest: bytes
    key: BusinessKey
    """What else is claimed, and the conversion the event is of."""
    source_rank: int
    admitted: bytes
    """A serialised `AdmittedEvent`, without its sealed match keys."""
    match_keys: PlainMatchKeys | None = None
    """What is still to be sealed."""
    counts: Sequence[Count] = ()
    """Senders of a conversion that are still to be held against their limits."""
    token: Token | None = None
    """A human-check token that is still to be verified."""
    is_late: bool = False
    """Whether it happened longer ago than claims live."""
    if_known: Packed | None = None
    """What it is should its event id be known, of an event that is refused for nothing but its time."""
