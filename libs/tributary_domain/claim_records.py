"""What the door tells dedup of an event, and what dedup answers, as records of fixed width.

The one rule: these are the bytes that `dedup.v1.CallerEvents.claims` and `AdmitEventsResponse.outcomes` describe, and
both sides read and write them with what stands here. A message per event would cost both sides several times more than
all they do with it.
"""

from struct import Struct
from typing import Final, NamedTuple

CLAIM_RECORD: Final = Struct(">16s3scI20s")
"""Event digest, payload mark, what the door decided, bytes of the event, order (see `order_part`)."""

EVENT_DIGEST_BYTES: Final = 16
MARK_AT: Final = EVENT_DIGEST_BYTES
DECISION_AT: Final = 19
"""Where in a claim record the door's decision stands."""

ACCEPTED: Final = b"A"
QUARANTINED: Final = b"Q"
REJECTED: Final = b"R"

NO_ORDER: Final = bytes(20)
"""The order of an event that has none."""

OUTCOME_RECORD: Final = Struct(">BHBq")
"""Verdict, reason, first verdict, first accept time in microseconds."""

BEST_RANK: Final = 4
"""There are four kinds of observers, and so at most four ranks."""
_RANKS: Final = {rank: bytes([rank]) for rank in range(1, BEST_RANK + 1)}

MARK_VERSIONS: Final = 3
"""Versions of the payload digest that a mark tells apart: 1 to 3."""

_FIRST_BYTE: Final = tuple(
    tuple(bytes([version << 6 | first >> 2]) for first in range(256)) for version in range(MARK_VERSIONS + 1)
)


class OrderPart(NamedTuple):
    """The last bytes of a claim record: the order an event observes."""

    digest: bytes
    """16 bytes."""
    rank: int
    """Of the observer that states a value, 1 to `BEST_RANK`; 0: states none."""
    value_digest: bytes
    """3 bytes; zeros if no value is stated."""


def payload_mark(version: int, digest: bytes) -> bytes:
    r"""Returns what is kept of a payload digest with a claim: 3 bytes.

    Args:
        version: Of the digest; one that is not 1 to 3 gives a mark that equals every other.
        digest: At least 3 bytes.

    >>> payload_mark(1, b"\xff\xff\xff").hex(), payload_mark(9, b"\xff\xff\xff").hex()
    ('7fffff', '000000')
    """
    if 1 <= version <= MARK_VERSIONS:
        return _FIRST_BYTE[version][digest[0]] + digest[1:3]
    return b"\0\0\0"


def order_part(digest: bytes, rank: int, value_digest: bytes) -> bytes:
    """Returns the last 20 bytes of the claim record of an event with an order.

    Args:
        digest: 16 bytes of the order or adjustment.
        rank: Of the observer, 1 to `BEST_RANK`.
        value_digest: 3 bytes; empty if no value is stated.
    """
    if not value_digest:
        return digest + b"\0\0\0\0"
    return digest + value_digest + _RANKS.get(rank, b"\1")


def read_order(part: bytes) -> OrderPart:
    """Reads the last 20 bytes of a claim record."""
    return OrderPart(part[:16], part[19], part[16:19])
