"""Identities that never change: what an event, an order, a conversion and a person are called for ever.

The one rule: the same words give the same id on every machine and in every release, because claims, rows and other
people's systems keep them. Every text that is hashed is encoded injectively (each part carries its length), and every
purpose has its own BLAKE2b personalisation, so that an order can never be taken for an event.
"""

from binascii import b2a_base64
from collections.abc import Callable
from hashlib import blake2b, sha256
from typing import Final

DIGEST_BYTES: Final = 16
"""Of an event, order or adjustment digest: shard, bucket and claim are taken from disjoint bytes (`shards.py`)."""

VALUE_DIGEST_BYTES: Final = 3

TOKEN_BYTES: Final = 16
"""Kept of the HMAC-SHA-256: one in 10^20 pairs of a workspace with 10^9 identifiers collides."""

DERIVED_EVENT_PREFIX: Final = "d1:"
SYSTEM_EVENT_PREFIX: Final = "t1:"
CONVERSION_PREFIX: Final = "c1:"
PERSON_PREFIX: Final = "p1:"
FAMILY_PREFIX: Final = "k1:"
REDACTED_PREFIX: Final = "x1:"
"""Of what stands for an id that was somebody's e-mail address."""

RESERVED_EVENT_PREFIXES: Final = (DERIVED_EVENT_PREFIX, SYSTEM_EVENT_PREFIX)
"""Refused from callers: ids that Tributary makes itself."""

_EVENT = blake2b(digest_size=DIGEST_BYTES, person=b"trb event")
_ORDER = blake2b(digest_size=DIGEST_BYTES, person=b"trb order")
_ADJUSTMENT = blake2b(digest_size=DIGEST_BYTES, person=b"trb adjustment")
_FAMILY = blake2b(digest_size=DIGEST_BYTES, person=b"trb family")
_PERSON = blake2b(digest_size=DIGEST_BYTES, person=b"trb person")
_VALUE = blake2b(digest_size=VALUE_DIGEST_BYTES, person=b"trb value")


def encode_parts(*parts: str) -> bytes:
    """Writes texts one after another so that no other list of texts of the same length reads alike.

    >>> encode_parts("ab", "c") == encode_parts("a", "bc")
    False
    >>> encode_parts("shop", "o-1")
    b'4:shop3:o-1'
    """
    return "".join([f"{len(part)}:{part}" for part in parts]).encode()


def event_digest(workspace: str, event_id: str) -> bytes:
    """Returns the 16 bytes that stand for an event: they choose its shard, its bucket and its claim.

    Args:
        workspace: The credential's; ids of two workspaces never meet.
        event_id: The caller's text as it is; case and leading zeros count.

    >>> event_digest("shop", "000001") == event_digest("shop", "1")
    False
    """
    state = _EVENT.copy()
    state.update(encode_parts(workspace, event_id))
    return state.digest()


def event_digester(workspace: str) -> Callable[[str], bytes]:
    """Returns `event_digest` of one workspace: what is alike of all its events is hashed once."""
    beginning = _EVENT.copy()
    beginning.update(encode_parts(workspace))

    def digest(event_id: str) -> bytes:
        state = beginning.copy()
        state.update(f"{len(event_id)}:{event_id}".encode())
        return state.digest()

    return digest


def order_digest(workspace: str, name: str, store: str, order_id: str, cycle: str = "") -> bytes:
    """Returns the 16 bytes that stand for an order, whatever event ids it is observed under.

    Args:
        workspace: The credential's.
        name: The conversion's name.
        store: The shop that gave the number: order numbers repeat between shops. Empty if there is one.
        order_id: The order number, as it is.
        cycle: Of a subscription; empty otherwise: a subscription id is not one order.
    """
    state = _ORDER.copy()
    state.update(encode_parts(workspace, name, store, order_id, cycle))
    return state.digest()


def conversion_id(digest: bytes) -> str:
    """Returns the id of the conversion an order digest stands for or, without an order id, an event digest.

    >>> conversion_id(bytes(16))
    'c1:00000000000000000000000000000000'
    """
    return CONVERSION_PREFIX + digest.hex()


def adjustment_digest(workspace: str, conversion: str, reason: int, adjustment_id: str) -> bytes:
    """Returns the 16 bytes that stand for a refund, credit note or dispute, whoever reports it.

    The conversion is named by its id and not by the words of the report: the payment provider may know the order
    number and the bookkeeping our conversion id, and both mean one refund.

    Args:
        workspace: The credential's.
        conversion: The conversion's id.
        reason: The number of the `event.v1.AdjustmentReason`: a chargeback and its reversal share a dispute number and
            are two adjustments.
        adjustment_id: The refund, credit note or dispute number.
    """
    state = _ADJUSTMENT.copy()
    state.update(encode_parts(workspace, conversion, str(reason), adjustment_id))
    return state.digest()


def value_digest(currency_code: str, amount_micros: int) -> bytes:
    """Returns the 3 bytes that two equally ranked observers of an order must agree on.

    A conversion without a value has no value digest (empty bytes): it contradicts nobody.
    """
    state = _VALUE.copy()
    state.update(f"{currency_code}{amount_micros}".encode())
    return state.digest()


def family_id(name: str) -> str:
    """Returns the id of a lead or a subscription by its name (`families`); of an id, itself.

    No name that is made of what callers send begins like an id.
    """
    if name.startswith(FAMILY_PREFIX):
        return name
    state = _FAMILY.copy()
    state.update(name.encode())
    return FAMILY_PREFIX + state.hexdigest()


def person_id(workspace: str, identity_token: str) -> str:
    """Returns the id of the person whose first identifier, in event order, has this token."""
    state = _PERSON.copy()
    state.update(encode_parts(workspace, identity_token))
    return PERSON_PREFIX + state.hexdigest()


def derived_event_id(content_digest: bytes) -> str:
    """Returns the id of an event that was sent without one.

    Args:
        content_digest: Of all that was sent, event time included (`payloads.content_digest`): the same content at the
            same moment is the same event, a minute later it is another.
    """
    return DERIVED_EVENT_PREFIX + content_digest.hex()


def token_maker(pepper: bytes) -> Callable[[str, bytes], str]:
    """Returns the function that makes the identity tokens of a workspace.

    A token is `<type>:` and HMAC-SHA-256(pepper, SHA-256 of the normalised value), its first 16 bytes in base64url.
    Because the inner value is the plain SHA-256, an e-mail address and its `*_sha256` give one token. Without the
    pepper a token says nothing, so the pepper is never rotated: everybody would become a stranger.

    Args:
        pepper: The workspace's secret, any length.

    Returns:
        A function of (type, 32 bytes of SHA-256) -> token.
    """
    key = (sha256(pepper).digest() if len(pepper) > 64 else pepper).ljust(64, b"\0")
    inner = sha256(key.translate(_INNER_PAD))
    outer = sha256(key.translate(_OUTER_PAD))

    def make(kind: str, value_sha256: bytes) -> str:
        first = inner.copy()
        first.update(value_sha256)
        second = outer.copy()
        second.update(first.digest())
        text = b2a_base64(second.digest()[:TOKEN_BYTES], newline=False)
        return f"{kind}:{text[:_TOKEN_CHARACTERS].translate(_URL_SAFE).decode()}"

    return make


# HMAC by RFC 2104, its two keyed states made once per workspace: a third of the cost of `hmac.digest` per token.
_TOKEN_CHARACTERS: Final = 22
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))
