"""Assertions by which an application proves who it is, signed with its own key (RFC 7523, RFC 7515 with RS256).

The one rule: an assertion holds for minutes, so that one that was seen is soon worth nothing.
"""

import base64
import json
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

LIFE_SECONDS: Final = 180
"""As long as every receiver allows: Salesforce takes three minutes at most, Google an hour."""
_LEAST_BITS: Final = 2048


class SigningKey:
    """A private key, as PEM or as the JSON file of a Google service account.

    Args:
        text: The one or the other.

    Raises:
        ValueError: It is neither, or too weak. The message does not repeat it.
    """

    __slots__ = ("_key", "_key_id")

    def __init__(self, text: str) -> None:
        self._key_id = ""
        if text.lstrip().startswith("{"):
            text, self._key_id = _of_account(text)
        try:
            key = load_pem_private_key(text.encode(), None)
        except (ValueError, TypeError) as error:
            raise ValueError("is no private key in PEM without a password, nor a service account's JSON") from error
        if not isinstance(key, RSAPrivateKey) or key.key_size < _LEAST_BITS:
            raise ValueError(f"is no RSA key of at least {_LEAST_BITS} bits")
        self._key = key

    def sign(self, issuer: str, audience: str, now_seconds: int, *, subject: str = "", scope: str = "") -> str:
        """Returns an assertion that holds from now on for `LIFE_SECONDS`.

        Args:
            issuer: Who the application is.
            audience: For whom the assertion is.
            now_seconds: Unix.
            subject: For whom the application asks; "": for itself.
            scope: What it asks for; "": nothing is named.
        """
        header = {"alg": "RS256", "typ": "JWT", **({"kid": self._key_id} if self._key_id else {})}
        claims: dict[str, Any] = {"iss": issuer, "aud": audience, "iat": now_seconds, "exp": now_seconds + LIFE_SECONDS}
        claims |= {name: value for name, value in (("sub", subject), ("scope", scope)) if value}
        signed = f"{_encoded(_json(header))}.{_encoded(_json(claims))}"
        return f"{signed}.{_encoded(self._key.sign(signed.encode(), PKCS1v15(), SHA256()))}"


def _of_account(text: str) -> tuple[str, str]:
    """Returns the key of a service account's file, and its id."""
    try:
        account = json.loads(text)
    except ValueError:
        account = None
    key = account.get("private_key") if isinstance(account, dict) else None
    if not isinstance(key, str):
        raise ValueError("is JSON without a private_key")
    return key, str(account.get("private_key_id") or "")


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
