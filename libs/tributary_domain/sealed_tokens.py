"""Seals tokens that all processes of a credential share, under a key that only who has the credential can make.

The one rule: nothing is kept that could be used without the secrets of `workspaces.yaml`; other secrets there, and what
was sealed is as good as gone. Keys are derived as RFC 5869 says (HKDF-SHA-256), contents encrypted with AES-256-GCM.
"""

from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_PURPOSE: Final = b"tributary shared token 1"


class TokenSeal:
    """Seals and opens what belongs to one credential.

    Args:
        address: Where its tokens are obtained.
        secrets: The credential: what is long and secret among it makes the key.

    Attributes:
        name: Tells the credential from others; no secret.
    """

    __slots__ = ("_aead", "name")

    def __init__(self, address: str, *secrets: str) -> None:
        material = "\0".join((address, *secrets)).encode()
        self.name = blake2b(material, digest_size=16, person=b"trb shared token").hexdigest()
        self._aead = AESGCM(HKDF(SHA256(), _KEY_BYTES, None, _PURPOSE).derive(material))

    def seal(self, plain: bytes, nonce: bytes) -> bytes:
        """Returns the nonce, 12 bytes of chance that were never used before, and what is sealed under it."""
        return nonce + self._aead.encrypt(nonce, plain, self.name.encode())

    def open(self, sealed: bytes) -> bytes | None:
        """Returns what was sealed; None: it was changed, or another credential sealed it."""
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], self.name.encode())
        except (InvalidTag, ValueError):
            return None
