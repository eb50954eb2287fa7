"""What the application is handed can be logged without a thought."""

from __future__ import annotations

from tributary.event.v1.verdict_pb2 import EventVerdict
from tributary_client.entry import Decision, Loss
from tributary_client.errors import BufferFullError


def test_an_event_does_not_show_in_the_log_of_who_prints_what_became_of_it() -> None:
    body = b"ann@example.com"
    for told in (Decision(EventVerdict(event_id="e-1"), body), Loss(body, BufferFullError("full"))):
        assert "ann" not in repr(told)
        assert told.body == body
