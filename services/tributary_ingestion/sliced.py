"""Requests parsed one level deep: most parts of an event stay bytes until somebody asks for them.

Parts repeat from event to event (the campaign, the kind of touch), and what is known of their bytes need not be found
out again. The classes are made from the contract's own descriptors. The one rule: a sliced request means what the whole
one means. That holds where each part stands in its event once and nothing else does, which is so if the request is as
long as what was read of it; any other is parsed as a whole.
"""

from functools import cache
from typing import Any, Final, TypeVar

from google.protobuf import descriptor_pb2, message_factory, timestamp_pb2
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from tributary.event.v1 import context_pb2
from tributary.event.v1.event_pb2 import Event
from tributary.ingestion.v1.ingestion_service_pb2 import IngestEventsRequest, StreamEventsRequest

Request = TypeVar("Request", IngestEventsRequest, StreamEventsRequest)

SlicedEvent = Any
"""An `Event` whose parts, but for its times and its context, are bytes; empty ones where they are not set."""

_PACKAGE: Final = "tributary.sliced"
_WHOLE: Final = frozenset(("event_time", "sent_time", "context"))
"""Parts of an event that no two events share: they are parsed with it."""


def parse(kind: type[Request], body: bytes) -> Request:
    """Returns a request, its events sliced where that is the same.

    Args:
        kind: Of the request.
        body: Serialised.

    Returns:
        A request whose `events` are `Event` or all `SlicedEvent`.

    Raises:
        DecodeError: The bytes are no such request. What is wrong within a part of a sliced event shows later.
    """
    sliced = _classes()[f"{_PACKAGE}.{kind.DESCRIPTOR.name}"].FromString(body)
    sliced.DiscardUnknownFields()
    if sliced.ByteSize() == len(body):
        whole: Request = sliced
        return whole
    return kind.FromString(body)


def whole_event(event: SlicedEvent) -> Event:
    """Returns a sliced event as the event it is; one that is whole already is returned as it is.

    Raises:
        DecodeError: One of its parts is malformed.
    """
    return event if isinstance(event, Event) else Event.FromString(event.SerializeToString())


@cache
def _classes() -> dict[str, Any]:
    pool = DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(name="tributary/sliced.proto", package=_PACKAGE, syntax="proto3")
    for known in (timestamp_pb2.DESCRIPTOR, context_pb2.DESCRIPTOR):
        copied = descriptor_pb2.FileDescriptorProto()
        known.CopyToProto(copied)
        pool.Add(copied)
        file.dependency.append(known.name)
    file.message_type.append(_sliced(Event, _WHOLE))
    for request in (IngestEventsRequest, StreamEventsRequest):
        message = _sliced(request, frozenset(("events", "sent_time")))
        for field in message.field:
            if field.name == "events":
                field.type_name = f".{_PACKAGE}.{Event.DESCRIPTOR.name}"
        file.message_type.append(message)
    pool.Add(file)
    return message_factory.GetMessageClassesForFiles([file.name], pool)


def _sliced(kind: type[Any], whole: frozenset[str]) -> DescriptorProto:
    """Returns a message like another one in which every part but those named is bytes, and every enum a number."""
    message = DescriptorProto()
    kind.DESCRIPTOR.CopyToProto(message)
    for field in message.field:
        if field.type == FieldDescriptorProto.TYPE_MESSAGE and field.name not in whole:
            field.type = FieldDescriptorProto.TYPE_BYTES
            field.ClearField("type_name")
        elif field.type == FieldDescriptorProto.TYPE_ENUM:
            field.type = FieldDescriptorProto.TYPE_INT32
            field.ClearField("type_name")
    del message.nested_type[:]
    return message
