"""JSON Lines of events: one `tributary.event.v1.Event` per line, in protobuf's JSON mapping.

A line that is none is said with its number and the field to blame, and never stops the others. An event without an id
gets one from its content, so that a file that is sent again is known again.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from google.protobuf import json_format

from tributary.event.v1.event_pb2 import Event

_STEP = re.compile(r"Failed to parse (\w+) field: ")
_UNKNOWN = re.compile(r'has no field named "([^"]*)" at "Event\.?([^"]*)"')
_ONEOF = re.compile(r'should not have multiple "(\w+)" oneof fields')
_PLACE = re.compile(r" at Event\.?([\w.\[\]]*)$")


@dataclass(frozen=True, slots=True)
class EventLine:
    """A line that is an event."""

    number: int
    """Its line in the file, from 1."""
    event: Event
    """The event."""


@dataclass(frozen=True, slots=True)
class UnreadableLine:
    """A line that is no event."""

    number: int
    """Its line in the file, from 1."""
    field: str
    """Path of the field to blame; empty if the line is no JSON object at all."""
    message: str
    """What is wrong with it."""


def read_event_lines(lines: Iterable[bytes]) -> Iterator[EventLine | UnreadableLine]:
    """Yields what each line is, in order; empty lines are passed over."""
    for number, line in enumerate(lines, start=1):
        if text := (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).strip():
            yield _read_line(number, text)


def _read_line(number: int, text: bytes) -> EventLine | UnreadableLine:
    if not text.startswith(b"{"):
        return UnreadableLine(number, "", "is no JSON object")
    event = Event()
    try:
        json_format.Parse(text, event)
    except json_format.ParseError as error:
        return UnreadableLine(number, *_read_complaint(str(error)))
    except (ValueError, RecursionError) as error:  # no UTF-8, or nested without end
        return UnreadableLine(number, "", str(error))
    if not event.event_id:
        event.event_id = _id_of(event)
    return EventLine(number, event)


def _id_of(event: Event) -> str:
    content = event.SerializeToString(deterministic=True)
    return f"file-{hashlib.blake2b(content, digest_size=16).hexdigest()}"


def _read_complaint(complaint: str) -> tuple[str, str]:
    """Splits what protobuf's JSON parser says into the path of the field and what is wrong with it.

    >>> _read_complaint("Failed to parse utm field: Failed to parse source field: expected a string..")
    ('utm.source', 'expected a string')
    """
    complaint = complaint.partition("\n")[0].rstrip(".")
    if unknown := _UNKNOWN.search(complaint):
        name, parent = unknown.groups()
        return ".".join(step for step in (parent, name) if step), "is no field of an event"
    if oneof := _ONEOF.search(complaint):
        return oneof[1], "is given more than once, but an event is of one kind"
    message = _STEP.sub("", complaint).removeprefix("Failed to load JSON: ").removeprefix("Failed to parse JSON: ")
    if place := _PLACE.search(message):  # names the whole path, but is not always there
        return place[1].rstrip("."), message[: place.start()].rstrip(".")
    return ".".join(_STEP.findall(complaint)), message
