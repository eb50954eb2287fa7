"""By what it is kept which conversion has which second of a click, so that whoever reads the store learns no click id.

The one rule: the digest is made under a key of the workspace's own, which is kept nowhere beside it. Whoever has no key
cannot tell whether a click id that they know is there.
"""

from hashlib import blake2b
from typing import Final

_DIGEST_BYTES: Final = 16


def click_key(pepper: bytes) -> bytes:
    """Returns the 32 bytes that digests of click ids are made under.

    Args:
        pepper: The workspace's secret, which is never rotated.
    """
    return blake2b(pepper, digest_size=32, person=b"trb click second").digest()


def click_digest(key: bytes, click_id: str) -> str:
    """Returns by what a click is found.

    Args:
        key: Of the workspace, as `click_key`.
        click_id: As it was sent.

    >>> click_digest(click_key(b"a pepper"), "a-click") == click_digest(click_key(b"another"), "a-click")
    False
    """
    return blake2b(click_id.encode(), digest_size=_DIGEST_BYTES, key=key).hexdigest()


def old_click_digest(click_id: str) -> str:
    """Returns by what an earlier version found a click: under no key."""
    return blake2b(click_id.encode(), digest_size=_DIGEST_BYTES).hexdigest()
