"""What a backend imports to send events to Tributary: needs grpcio and protobuf, nothing else.

One rule: an event keeps its id over every attempt, so that a retry after a lost answer is a DUPLICATE and never a
second conversion. An event without an id gets a UUIDv7 before the first attempt.

    from tributary_client import Tributary

    with Tributary("ingest.example.com:443", api_key=key, tls=Tls()) as tributary:
        tributary.track_conversion("purchase", order_id="1001", value="49.90", currency="EUR", customer_id="c-17")

Tracked events are sent in the background, in batches, until the server has decided on each; `on_verdict` is told what
became of them, `spool` keeps them over a restart. `ingest` sends events at once and returns their verdicts.
"""

from tributary_client import forks as _forks  # noqa: F401  # isort: skip - before gRPC is imported
from tributary_client.aio import AsyncTributary
from tributary_client.buffering import Buffering, WhenFull
from tributary_client.client import TransportKind
from tributary_client.connection import Tls
from tributary_client.counters import Counters
from tributary_client.dispatch import Batching
from tributary_client.entry import Decision, Loss
from tributary_client.errors import (
    BufferFullError,
    CallError,
    ClosedError,
    EventTooLargeError,
    InvalidBatchError,
    NotAllowedError,
    OverdueError,
    SpoolDamagedError,
    SpoolError,
    TributaryClientError,
)
from tributary_client.event_ids import new_event_id
from tributary_client.retry import RetryPolicy
from tributary_client.spool import Spooling
from tributary_client.sync import Tributary

__all__ = [
    "AsyncTributary",
    "Batching",
    "BufferFullError",
    "Buffering",
    "CallError",
    "ClosedError",
    "Counters",
    "Decision",
    "EventTooLargeError",
    "InvalidBatchError",
    "Loss",
    "NotAllowedError",
    "OverdueError",
    "RetryPolicy",
    "SpoolDamagedError",
    "SpoolError",
    "Spooling",
    "Tls",
    "TransportKind",
    "Tributary",
    "TributaryClientError",
    "WhenFull",
    "new_event_id",
]
