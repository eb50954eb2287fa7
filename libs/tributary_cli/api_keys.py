"""Makes API keys: the caller gets the key once, `workspaces.yaml` only the hash of its secret."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

SCOPES = ("ingest", "backfill", "query", "admin")
"""What a key may be allowed to do."""

_SECRET_BYTES = 32
_ID_BYTES = 5


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """An API key at the one moment when its secret is known."""

    id: str
    """Names the key in `workspaces.yaml` and in logs; no secret."""
    text: str
    """What the caller sends: `trb_<id>_<secret>`."""
    secret_sha256: str
    """What `workspaces.yaml` keeps."""
    scopes: tuple[str, ...]
    """What it may be used for."""

    def as_entry(self) -> dict[str, object]:
        """Returns its entry under `api_keys` of a workspace."""
        return {"id": self.id, "sha256": self.secret_sha256, "scopes": list(self.scopes)}


def make_api_key(scopes: Iterable[str]) -> NewApiKey:
    """Makes a key from the system's randomness: 256 bits of secret, so that a plain SHA-256 keeps it."""
    key_id, secret = secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return NewApiKey(key_id, f"trb_{key_id}_{secret}", digest, tuple(scopes))
