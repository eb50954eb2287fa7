"""An entry of the event log is taken apart, or refused as a whole."""

from __future__ import annotations

import pytest

from tributary.dedup.v1.admitted_events_pb2 import Admission, AdmittedEvents
from tributary_runtime.errors import PoisonEvent
from tributary_storage.redis.log_entry import LogEntry


def test_letters_count_over_all_admissions() -> None:
    payload = AdmittedEvents(
        admissions=[Admission(workspace="a", events=[b"1", b"2"]), Admission(workspace="b", events=[b"3"])]
    )
    events = list(LogEntry(0, "live", "1-0", 1, payload.SerializeToString(), "ADQ", 1, 1).events())
    assert [(event.position, event.letter, event.admission.workspace, event.admitted) for event in events] == [
        (0, "A", "a", b"1"),
        (1, "D", "a", b"2"),
        (2, "Q", "b", b"3"),
    ]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (LogEntry(0, "live", "1-0", 2, b"", "", 1, 1), "SCHEMA_UNKNOWN"),
        (LogEntry(0, "live", "1-0", 1, b"\xff", "", 1, 1), "ENTRY_UNREADABLE"),
        (LogEntry(0, "live", "1-0", 1, b"", "A", 1, 1), "MASK_MISMATCH"),
    ],
)
def test_an_entry_of_another_version_or_damaged_is_poison(entry: LogEntry, reason: str) -> None:
    with pytest.raises(PoisonEvent) as raised:
        entry.admissions()
    assert raised.value.reason == reason
