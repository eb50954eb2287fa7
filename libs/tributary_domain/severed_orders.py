"""Orders of people who were erased, told again by others: by what the severed conversion is recognised, and no more.

The one rule: what is kept is a digest under a key of the workspace's own, which is kept nowhere beside it. Order
numbers are few: whoever has no key could try them all.
"""

from functools import lru_cache
from hashlib import blake2b, sha256
from typing import Final

from tributary_domain.ids import encode_parts

SEVERED_ORDER_PREFIX: Final = "o1:"
_DIGITS: Final = 32


@lru_cache(maxsize=1024)
def severed_key(workspace: str, pepper: bytes) -> bytes:
    """Returns the 32 bytes that a workspace's digests are made under.

    Args:
        workspace: Whose orders these are.
        pepper: Its secret, which is never rotated.
    """
    return blake2b(encode_parts(workspace) + pepper, digest_size=32, person=b"trb severed").digest()


def deal_key(pepper: bytes) -> tuple[int, int]:
    """Returns the two numbers of 64 bits that digests of numbers are made under by which deals name erased conversions.

    Args:
        pepper: The workspace's secret.
    """
    key = blake2b(pepper, digest_size=16, person=b"trb deal numbers").digest()
    return int.from_bytes(key[:8]), int.from_bytes(key[8:])


def severed_digest(key: bytes, name: str) -> str:
    """Returns by what an order is recognised that was severed; ClickHouse makes the same.

    Args:
        key: Of the workspace.
        name: A conversion id, or the name of an order as `families.first_name` gives it.

    >>> severed_digest(bytes(32), "c1:00")
    'o1:01ae4270c03caca1d39a787b32349a8a'
    """
    return SEVERED_ORDER_PREFIX + sha256(key + name.encode()).hexdigest()[:_DIGITS]
