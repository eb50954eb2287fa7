"""Seals what a destination can recognise a person by, under a key that can be destroyed.

The one rule: what is sealed can be read only with the person's data key, and a data key only with its workspace's. So
destroying one key of a few bytes erases every copy of what it sealed, in streams, append-only files and backups
(crypto-shredding). Data keys are wrapped as RFC 3394 says, contents encrypted with AES-256-GCM (NIST SP 800-38D).

| bytes of a sealed field | hold                                         |
|-------------------------|----------------------------------------------|
| 0                       | version, 1                                   |
| 1-8                     | name of the data key                         |
| 9-20                    | nonce, never used twice with one key         |
| 21-                     | ciphertext, ending with 16 bytes of tag      |
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

KEY_BYTES: Final = 32
NAME_BYTES: Final = 8
NONCE_BYTES: Final = 12

_VERSION: Final = b"\x01"
_HEADER_BYTES: Final = 1 + NAME_BYTES
_CIPHERTEXT: Final = _HEADER_BYTES + NONCE_BYTES
_PERSON: Final = b"trb data key 1"


class SealError(ValueError):
    """Cannot be read: not sealed by us, changed since, or sealed under another key."""


def key_name(workspace: str, identity_token: str) -> bytes:
    """Returns the 8 bytes that name the data key of an identity token.

    >>> key_name("shop", "customer:00").hex()
    '8842ded79b839259'
    """
    return blake2b(f"{workspace}\0{identity_token}".encode(), digest_size=NAME_BYTES, person=_PERSON).digest()


def name_of(sealed: bytes) -> bytes:
    """Returns the name of the data key that a field is sealed under.

    Raises:
        SealError: It is no sealed field, or of a version that is not known here.
    """
    if len(sealed) <= _CIPHERTEXT or sealed[:1] != _VERSION:
        raise SealError("not a sealed field of a known version")
    return sealed[1:_HEADER_BYTES]


def wrap(data_key: bytes, workspace_key: bytes) -> bytes:
    """Returns a data key as it may be stored: 40 bytes."""
    return aes_key_wrap(workspace_key, data_key)


class DataKey:
    """The data key of one identity token, ready to use.

    Args:
        workspace: Whose events it seals.
        name: From `key_name`.
        wrapped: As stored.
        workspace_keys: The workspace's now, then those before it; 32 bytes each.
        plain: What is wrapped, under the workspace's key of now, where that is known: then it is not unwrapped.

    Raises:
        SealError: None of these wrapped it.

    Attributes:
        plain: What is wrapped.
        rewrapped: The same key as it should be stored instead, because an earlier workspace key had wrapped it; else
            None.
    """

    __slots__ = ("_aead", "_associated", "_header", "plain", "rewrapped")

    def __init__(
        self, workspace: str, name: bytes, wrapped: bytes, workspace_keys: Sequence[bytes], plain: bytes = b""
    ) -> None:
        position = 0
        if not plain:
            position, plain = _unwrap(wrapped, workspace_keys)
        self.plain = plain
        self._aead = AESGCM(plain)
        self.rewrapped = wrap(plain, workspace_keys[0]) if position else None
        self._header = _VERSION + name
        self._associated = workspace.encode() + b"\0" + self._header

    def seal(self, plain: bytes, nonce: bytes) -> bytes:
        """Returns a sealed field.

        Args:
            plain: What to seal.
            nonce: 12 bytes of chance, never used before with this key.
        """
        return self._header + nonce + self._aead.encrypt(nonce, plain, self._associated + nonce)

    def open(self, sealed: bytes) -> bytes:
        """Returns what was sealed.

        Raises:
            SealError: Another key sealed it, or it was changed since.
        """
        nonce = sealed[_HEADER_BYTES:_CIPHERTEXT]
        if sealed[:_HEADER_BYTES] != self._header or len(nonce) != NONCE_BYTES:
            raise SealError("sealed under another data key")
        try:
            return self._aead.decrypt(nonce, sealed[_CIPHERTEXT:], self._associated + nonce)
        except InvalidTag as error:
            raise SealError("the sealed field was changed, or belongs to another workspace") from error


def _unwrap(wrapped: bytes, workspace_keys: Sequence[bytes]) -> tuple[int, bytes]:
    """Returns which workspace key wrapped a data key, and that data key."""
    for position, workspace_key in enumerate(workspace_keys):
        try:
            return position, aes_key_unwrap(workspace_key, wrapped)
        except InvalidUnwrap:
            continue
    raise SealError("the data key was wrapped under another workspace key")
