"""What the door seals: orders of people, and the data keys of a workspace."""

from __future__ import annotations

import base64

import redis.asyncio

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.event_pb2 import Event
from tributary_ingestion.intake import take_all
from tributary_ingestion.match_keys import Sealed, Sealing
from tributary_ingestion.packed import Packed
from tributary_ingestion.workspace_rules import WorkspaceRules, compile_rules
from tributary_runtime.clock import SystemClock
from tributary_runtime.settings import DurabilityMode
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.lazy_data_keys import LazyDataKeys

KEY = bytes(range(32))
NOW = 1_795_000_000_000_000


def rules(key: bytes = KEY, *previous: bytes) -> WorkspaceRules:
    first, *rest = ({"value": base64.b64encode(one).decode()} for one in (key, *previous))
    workspace = {"id": "shop", "pepper": {"value": "p" * 16}, "data_key": first, "previous_data_keys": rest}
    return compile_rules(Workspace.model_validate(workspace))


def orders(*emails: str) -> list[Packed]:
    events = []
    for email in emails:
        event = Event()
        event.event_time.FromMicroseconds(NOW)
        event.conversion.name = "purchase"
        event.identifiers.email = email
        events.append(event)
    return take_all(events, rules(), NOW, backfill=False)


class Hurried(SystemClock):
    """A clock by which so many seconds more have passed."""

    ahead = 0.0

    def monotonic_seconds(self) -> float:
        return super().monotonic_seconds() + self.ahead


def a_sealing(
    client: redis.asyncio.Redis, mode: DurabilityMode = DurabilityMode.FSYNC, clock: Hurried | None = None
) -> Sealing:
    clock = clock or Hurried()
    return Sealing(LazyDataKeys(client, clock, mode).open, clock)


def sealed(fields: Sealed) -> list[bytes]:
    return [AdmittedEvent.FromString(field).sealed_match_keys for field in fields.fields]
