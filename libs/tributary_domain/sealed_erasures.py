"""Seals what is kept of an erasure beside the state store until it is finished: tokens, and the secret of random ids.

The one rule: without the workspace's pepper nobody can read it, and it opens as the erasure that it was sealed as only.
"""

from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tributary_domain.ids import encode_parts
from tributary_domain.sealing import NONCE_BYTES, SealError

_PERSON: Final = b"trb unfinished"


def erasures_key(workspace: str, pepper: bytes) -> bytes:
    """Returns the 32 bytes that a workspace's unfinished erasures are sealed under.

    Args:
        workspace: Whose they are.
        pepper: Its secret, which is never rotated.
    """
    return blake2b(encode_parts(workspace) + pepper, digest_size=32, person=_PERSON).digest()


def seal_erasure(key: bytes, erasure_id: str, plain: bytes, nonce: bytes) -> bytes:
    """Returns what may be stored.

    Args:
        key: Of the workspace.
        erasure_id: Whose it is.
        plain: What to seal.
        nonce: 12 bytes of chance, never used before with this key.
    """
    return nonce + AESGCM(key).encrypt(nonce, plain, erasure_id.encode())


def open_erasure(key: bytes, erasure_id: str, sealed: bytes) -> bytes:
    """Returns what was sealed; raises `SealError`: under another key, of another erasure, or changed since."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], erasure_id.encode())
    except (InvalidTag, ValueError) as error:
        raise SealError("the sealed erasure was changed, or sealed under another key") from error
