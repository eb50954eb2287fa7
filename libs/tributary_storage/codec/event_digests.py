"""What an admitted event is claimed by.

The one rule: a claim is made of the id as it was sent, and stays what it was when another text stands for the id.
"""

from __future__ import annotations

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_domain.ids import event_digest


def digest_of_event(workspace: str, admitted: AdmittedEvent) -> bytes:
    """Returns the 16 bytes that stand for an event: what `ids.event_digest` gives for the id that was sent."""
    return admitted.event_digest or event_digest(workspace, admitted.event.event_id)
