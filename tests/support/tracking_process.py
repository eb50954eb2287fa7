"""A backend that tracks events, as a process to be killed: `python -m tests.support.tracking_process …`.

It writes each event id to standard output once tracking it has returned: from then on the event must not be lost.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from tributary_client import Batching, Buffering, RetryPolicy, Spooling, TransportKind, Tributary


def main(arguments: Sequence[str]) -> None:
    """Tracks `count` events named after `prefix`, then waits until all are decided."""
    target, api_key, directory, way, prefix, count = arguments
    client = Tributary(
        target,
        api_key=api_key,
        transport=TransportKind(way),
        spool=Spooling(directory, segment_bytes=64 * 1024),
        batching=Batching(events=20, linger_seconds=0.01),
        buffering=Buffering(max_events=500),
        retry=RetryPolicy(first_delay_seconds=0.05, max_delay_seconds=0.2, attempt_seconds=5),
    )
    with client:
        for number in range(int(count)):
            name = f"{prefix}-{number}"
            event_id = client.track_conversion("purchase", event_id=name, order_id=name, customer_id=f"c-{name}")
            os.write(1, f"{event_id}\n".encode())
        if not client.flush(60):
            raise SystemExit("not decided in time")


if __name__ == "__main__":
    main(sys.argv[1:])
