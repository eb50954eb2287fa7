"""A digest of what the file says of a destination, secrets included: tells settings apart, and not what they are.

The one rule: it is keyed by the workspace's pepper, so that whoever reads it where it is kept can try no secrets out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

from pydantic import BaseModel

from tributary_domain.ids import encode_parts
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.secret_references import SecretReference
from tributary_runtime.workspaces import Workspace

DigestOf = Callable[[str, DestinationSettings], str]
"""Workspace and settings of a destination of its -> their digest."""


def settings_digest(settings: DestinationSettings, key: bytes) -> str:
    """Returns the digest of settings: another whenever anything that the file says of them is, or a secret it names.

    Args:
        settings: Of a destination.
        key: A secret of the workspace, of any length.
    """
    said = encode_parts(settings.model_dump_json(exclude_defaults=True), *_secrets(settings))
    own = hashlib.blake2b(key, person=b"settings").digest()
    return hashlib.blake2b(said, key=own, digest_size=16).hexdigest()


def digests_by_id(find: Callable[[str], Workspace | None]) -> DigestOf:
    """Returns what makes them by workspace id; of one that is not known (any more), under no key."""

    def of(workspace_id: str, settings: DestinationSettings) -> str:
        workspace = find(workspace_id)
        return settings_digest(settings, b"" if workspace is None else workspace.pepper.reveal().encode())

    return of


def _secrets(value: object) -> Iterator[str]:
    """Yields the secrets that a part of the file names, in the order of their fields."""
    if isinstance(value, SecretReference):
        with suppress(ValueError):  # a file that was read without its secrets
            yield value.reveal()
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _secrets(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _secrets(part)
