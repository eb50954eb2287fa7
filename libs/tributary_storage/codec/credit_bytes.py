"""Credit -> the bytes of its messages, to be merged into theirs at once.

A conversion has some sixty shares and half as many differences. Made one by one, as messages, they were a third of
what crediting costs; here what is said of a touch is written once, and of each model two numbers. The one rule: these
are the bytes that the messages would be serialised to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised, CreditDelta
from tributary.attribution.v1.credit_pb2 import CreditedTouch, ModelCredit, TouchSource
from tributary_domain import revision as domain
from tributary_domain.attribution import Attribution
from tributary_domain.settings import EVERY_MODEL
from tributary_storage.codec.event_references import event_reference

SourceOf = Callable[[int], TouchSource]
"""Descriptor -> source of a touch."""

_CACHED: Final = 1 << 12
_UNSIGNED: Final = (1 << 64) - 1
_LENGTH_DELIMITED: Final = 2
_NUMBERS: Final = frozenset(
    {
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_BOOL,
        FieldDescriptor.CPPTYPE_ENUM,
    }
)
"""What is written as a number; all else here is a text or a message."""


def touches_bytes(attribution: Attribution, source_of: SourceOf, conversion_time_micros: int) -> bytes:
    """Returns `ConversionState.touches`.

    Args:
        attribution: The credit of a conversion.
        source_of: Descriptor -> source of a touch.
        conversion_time_micros: When it happened.
    """
    sources: dict[int, bytes] = {}
    shares = zip(zip(*attribution.credits, strict=True), zip(*attribution.amounts, strict=True), strict=True)
    written = []
    for (time, event_hash, kind, descriptor, *_), (credits, amounts) in zip(attribution.touches, shares, strict=True):
        source = sources.get(descriptor)
        if source is None:
            source = sources[descriptor] = _field(_TOUCH_SOURCE, source_of(descriptor).SerializeToString())
        touch = b"".join(
            (
                _field(_TOUCH_EVENT, event_reference(event_hash).encode()),
                _field(_TOUCH_TIME, _time(time)),
                _number(_TOUCH_KIND, kind),
                source,
                *map(_share, credits, amounts),
                _number(_TOUCH_JUST_AFTER, int(time > conversion_time_micros)),
            )
        )
        written.append(_field(_TOUCHES, touch))
    return b"".join(written)


def deltas_bytes(deltas: Iterable[domain.CreditDelta], source_of: SourceOf) -> bytes:
    """Returns `ConversionRevised.deltas`.

    Args:
        deltas: How the credit of each touch changed.
        source_of: Descriptor -> source of a touch.
    """
    touches: dict[tuple[int, int, int], bytes] = {}
    written = []
    for model, _, time, event_hash, descriptor, reason, credit, amount in deltas:
        touch = b""
        if not reason:
            key = time, event_hash, descriptor
            known = touches.get(key)
            if known is None:
                known = touches[key] = b"".join(
                    (
                        _field(_DELTA_SOURCE, source_of(descriptor).SerializeToString()),
                        _field(_DELTA_EVENT, event_reference(event_hash).encode()),
                        _field(_DELTA_TIME, _time(time)),
                    )
                )
            touch = known
        delta = b"".join((_DELTA_MODELS[model], touch, _number(_DELTA_CREDIT, credit), _number(_DELTA_VALUE, amount)))
        written.append(_field(_DELTAS, delta))
    return b"".join(written)


def _tag(message: Any, name: str) -> bytes:
    """Returns what a field begins with."""
    field = message.DESCRIPTOR.fields_by_name[name]
    return _varint(field.number << 3 | (0 if field.cpp_type in _NUMBERS else _LENGTH_DELIMITED))


def _varint(number: int) -> bytes:
    """Returns a number as protobuf writes it; a negative one takes ten bytes."""
    if 0 <= number < 1 << 7:
        return bytes((number,))
    if 0 <= number < 1 << 14:
        return bytes((number & 127 | 128, number >> 7))
    if 0 <= number < 1 << 21:
        return bytes((number & 127 | 128, number >> 7 & 127 | 128, number >> 14))
    number &= _UNSIGNED
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    written.append(number)
    return bytes(written)


_LENGTHS: Final = tuple(_varint(length) for length in range(1024))


def _field(tag: bytes, content: bytes) -> bytes:
    """Returns a text or a message."""
    length = len(content)
    return tag + (_LENGTHS[length] if length < 1024 else _varint(length)) + content


def _number(tag: bytes, number: int) -> bytes:
    """Returns a number; zeros are not written."""
    return tag + _varint(number) if number else b""


@lru_cache(maxsize=_CACHED)
def _share(credit: int, amount: int) -> bytes:
    """Returns one of `CreditedTouch.credits`; most are nothing, everything, or equal parts."""
    return _field(_TOUCH_CREDITS, _number(_SHARE_CREDIT, credit) + _number(_SHARE_VALUE, amount))


def _time(micros: int) -> bytes:
    seconds, rest = divmod(micros, 1_000_000)
    return _number(_SECONDS, seconds) + _number(_NANOS, rest * 1_000)


_SECONDS, _NANOS = _tag(Timestamp, "seconds"), _tag(Timestamp, "nanos")
_TOUCHES: Final = _tag(ConversionState, "touches")
_TOUCH_EVENT, _TOUCH_TIME, _TOUCH_KIND, _TOUCH_SOURCE, _TOUCH_CREDITS, _TOUCH_JUST_AFTER = (
    _tag(CreditedTouch, name)
    for name in ("event_id", "touch_time", "kind", "source", "credits", "just_after_conversion")
)
_SHARE_CREDIT, _SHARE_VALUE = _tag(ModelCredit, "credit_micros"), _tag(ModelCredit, "value_micros")
_DELTAS: Final = _tag(ConversionRevised, "deltas")
_DELTA_SOURCE, _DELTA_EVENT, _DELTA_TIME, _DELTA_CREDIT, _DELTA_VALUE = (
    _tag(CreditDelta, name) for name in ("source", "touch_event_id", "touch_time", "credit_micros", "value_micros")
)
_DELTA_MODELS: Final = tuple(_field(_tag(CreditDelta, "model"), model.value.encode()) for model in EVERY_MODEL)
