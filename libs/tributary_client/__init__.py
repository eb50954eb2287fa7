"""What a backend imports to send events to Tributary: needs grpcio and protobuf, nothing else.

One rule: an event keeps its id over every attempt, so that a retry after a lost answer is a DUPLICATE and never a
second conversion. An event without an id gets a UUIDv7 before the first attempt.

    from tributary_client import Tributary

    with Tributary("ingest.example.com:443", api_key=key) as tributary:
        verdicts = tributary.ingest(events)
"""

from tributary_client.aio import AsyncTributary
from tributary_client.errors import (
    InvalidBatchError,
    NotAllowedError,
    OverdueError,
    TributaryClientError,
)
from tributary_client.event_ids import new_event_id
from tributary_client.retry import RetryPolicy
from tributary_client.sync import Tributary

__all__ = [
    "AsyncTributary",
    "InvalidBatchError",
    "NotAllowedError",
    "OverdueError",
    "RetryPolicy",
    "Tributary",
    "TributaryClientError",
    "new_event_id",
]
