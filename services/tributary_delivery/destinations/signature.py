"""Signs webhooks as Standard Webhooks 1.0.0 asks: HMAC-SHA-256 over `{id}.{timestamp}.{body}`."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

_PREFIX = "whsec_"
_LEAST_BYTES = 24
"""Of a key after `whsec_`; of another secret, of its text."""


def signing_key(secret: str) -> bytes:
    """Returns the bytes that a secret stands for: of base64, `whsec_` before it or not, what it encodes; else the text.

    The libraries of receivers read base64 with and without the prefix, so what can be read as base64 is.

    Raises:
        ValueError: What follows `whsec_` is no base64, or it is shorter than the specification allows.
    """
    encoded = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError as error:  # binascii.Error is one, and so is what says that there are other letters than ASCII
        if encoded != secret:
            raise ValueError("the webhook secret is no base64 after whsec_") from error
        key = secret.encode()
    if len(key if encoded != secret else secret.encode()) < _LEAST_BYTES:
        raise ValueError(f"the webhook secret has less than {_LEAST_BYTES} bytes")
    return key


def sign(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """Returns the header `webhook-signature`: one signature per key, newest key first.

    Args:
        keys: Several while a secret is being replaced.
        message_id: Header `webhook-id`; holds no ".".
        timestamp: Header `webhook-timestamp`, Unix seconds of this attempt.
        body: The bytes that are sent.

    The example of the specification:

    >>> key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> sign([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return " ".join("v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in keys)
