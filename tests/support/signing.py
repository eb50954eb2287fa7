"""A private key of an application, made once, and what it signs looked at."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


@cache
def private_key() -> RSAPrivateKey:
    """Returns the key."""
    return generate_private_key(65_537, 2048)


def pem(key: Any = None) -> str:
    """Returns a key, or the one, as a file has it."""
    held = key or private_key()
    text: bytes = held.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text.decode()


def read(assertion: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns header and claims of an assertion.

    Raises:
        InvalidSignature: Another key signed it.
    """
    head, claims, signature = assertion.split(".")
    private_key().public_key().verify(_decoded(signature), f"{head}.{claims}".encode(), PKCS1v15(), SHA256())
    return json.loads(_decoded(head)), json.loads(_decoded(claims))


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
