"""Credit -> the bytes of its messages, to be merged into theirs at once.

A conversion has some sixty shares and half as many differences. Made one by one, as messages, they were a third of
what crediting costs; here what is said of a touch is written once, and of each model two numbers. The one rule: these
are the bytes that the messages would be serialised to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised, CreditDelta
from tributary.attribution.v1.credit_pb2 import CreditedTouch, ModelCredit, TouchSource
from tributary_domain import revision as domain
from tributary_domain.attribution import Attribution
from tributary_domain.settings import EVERY_MODEL
from tributary_storage.codec.event_references import event_reference

Sources = Mapping[int, bytes]
"""Descriptor -> source of a touch, serialised."""


class WrittenSources(dict[int, bytes]):
    """Sources of touches, each serialised once, when it is asked for.

    Args:
        source_of: Descriptor -> source of a touch.
    """

    def __init__(self, source_of: Callable[[int], TouchSource]) -> None:
        super().__init__()
        self._source_of = source_of

    def __missing__(self, descriptor: int) -> bytes:
        """Serialises one."""
        source = self._source_of(descriptor)
        known = _SOURCES.get(descriptor)
        if known is None or known[0] is not source:
            if len(_SOURCES) >= _CACHED:
                _SOURCES.clear()
            known = _SOURCES[descriptor] = source, source.SerializeToString()
        self[descriptor] = known[1]
        return known[1]


_SOURCES: Final[dict[int, tuple[TouchSource, bytes]]] = {}
"""Descriptor -> the source that was written last, and its bytes: sources repeat, and nobody changes them."""


class Credited(NamedTuple):
    """The credit of a conversion as it was computed: who has it reads nothing of it back from messages."""

    attribution: Attribution
    sources: Sources
    """Of its touches."""


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


def touches_bytes(attribution: Attribution, sources: Sources, conversion_time_micros: int) -> bytes:
    """Returns `ConversionState.touches`.

    Args:
        attribution: The credit of a conversion.
        sources: Of its touches.
        conversion_time_micros: When it happened.
    """
    shares = zip(zip(*attribution.credits, strict=True), zip(*attribution.amounts, strict=True), strict=True)
    written: list[bytes] = []
    for (time, event_hash, kind, descriptor, *_), (credits, amounts) in zip(attribution.touches, shares, strict=True):
        event, moment = _named(time, event_hash)
        source = sources[descriptor]
        touch = [_TOUCH_EVENT, event, _TOUCH_TIME, moment, _kind(kind), _TOUCH_SOURCE, _length(source), source]
        touch += map(_share, credits, amounts)
        if time > conversion_time_micros:
            touch.append(_JUST_AFTER)
        content = b"".join(touch)
        written += _TOUCHES, _length(content), content
    return b"".join(written)


def deltas_bytes(deltas: Iterable[domain.CreditDelta], sources: Sources) -> bytes:
    """Returns `ConversionRevised.deltas`.

    Args:
        deltas: How the credit of each touch changed.
        sources: Of these touches.
    """
    touches: dict[tuple[int, int, int], bytes] = {}
    written: list[bytes] = []
    for model, _, time, event_hash, descriptor, reason, credit, amount in deltas:
        touch = b""
        if not reason:
            key = time, event_hash, descriptor
            known = touches.get(key)
            if known is None:
                event, moment = _named(time, event_hash)
                source = _field(_DELTA_SOURCE, sources[descriptor])
                known = touches[key] = b"".join((source, _DELTA_EVENT, event, _DELTA_TIME, moment))
            touch = known
        name, change = _DELTA_MODELS[model], _change(credit, amount)
        length = len(name) + len(touch) + len(change)
        written += _DELTAS, _LENGTHS[length] if length < _SHORT else _varint(length), name, touch, change
    return b"".join(written)


def state_bytes(state: bytes) -> bytes:
    """Returns `ConversionRevised.state`.

    Args:
        state: The same, serialised.
    """
    return _field(_STATE, state)


def _tag(message: Any, name: str) -> bytes:
    """Returns what a field begins with."""
    field = message.DESCRIPTOR.fields_by_name[name]
    return _varint(field.number << 3 | (0 if field.cpp_type in _NUMBERS else _LENGTH_DELIMITED))


def _varint(number: int) -> bytes:
    """Returns a number as protobuf writes it; a negative one takes ten bytes."""
    if number < 0:
        number &= _UNSIGNED
    if number < _TABLE:
        return _LAST[number]
    if number < _TABLE_SQUARED:
        return _NOT_LAST[number & _LOW] + _LAST[number >> _TABLE_BITS]
    return _NOT_LAST[number & _LOW] + _varint(number >> _TABLE_BITS)


def _varint_of_bits(number: int) -> bytes:
    """Does so seven bits at a time, for the tables."""
    written = bytearray()
    while number > 127:
        written.append(number & 127 | 128)
        number >>= 7
    written.append(number)
    return bytes(written)


_TABLE_BITS: Final = 14
_TABLE: Final = 1 << _TABLE_BITS
_TABLE_SQUARED: Final = _TABLE * _TABLE
_LOW: Final = _TABLE - 1
_LAST: Final = [_varint_of_bits(number) for number in range(_TABLE)]
"""Numbers of two bytes at most."""
_NOT_LAST: Final = [bytes((number & 127 | 128, number >> 7 | 128)) for number in range(_TABLE)]
"""The two lowest bytes of larger numbers."""

_SHORT: Final = 1024
_LENGTHS: Final = tuple(_varint(length) for length in range(_SHORT))


def _length(content: bytes) -> bytes:
    """Returns what says how long a text or a message is."""
    length = len(content)
    return _LENGTHS[length] if length < _SHORT else _varint(length)


def _field(tag: bytes, content: bytes) -> bytes:
    """Returns a text or a message."""
    return tag + _length(content) + content


def _number(tag: bytes, number: int) -> bytes:
    """Returns a number; zeros are not written."""
    return tag + _varint(number) if number else b""


@lru_cache
def _kind(kind: int) -> bytes:
    """Returns `CreditedTouch.kind`."""
    return _number(_TOUCH_KIND, kind)


@lru_cache(maxsize=_CACHED)
def _share(credit: int, amount: int) -> bytes:
    """Returns one of `CreditedTouch.credits`; most are nothing, everything, or equal parts."""
    return _field(_TOUCH_CREDITS, _number(_SHARE_CREDIT, credit) + _number(_SHARE_VALUE, amount))


@lru_cache(maxsize=_CACHED)
def _change(credit: int, amount: int) -> bytes:
    """Returns the numbers of one of `ConversionRevised.deltas`."""
    return _number(_DELTA_CREDIT, credit) + _number(_DELTA_VALUE, amount)


@lru_cache(maxsize=_CACHED)
def _named(time_micros: int, event_hash: int) -> tuple[bytes, bytes]:
    """Returns the name and the time of an event, with their lengths: written several times of each touch."""
    seconds, rest = divmod(time_micros, 1_000_000)
    moment = _number(_SECONDS, seconds) + _number(_NANOS, rest * 1_000)
    return _field(b"", event_reference(event_hash).encode()), _field(b"", moment)


_SECONDS, _NANOS = _tag(Timestamp, "seconds"), _tag(Timestamp, "nanos")
_TOUCHES: Final = _tag(ConversionState, "touches")
_TOUCH_EVENT, _TOUCH_TIME, _TOUCH_KIND, _TOUCH_SOURCE, _TOUCH_CREDITS = (
    _tag(CreditedTouch, name) for name in ("event_id", "touch_time", "kind", "source", "credits")
)
_JUST_AFTER: Final = _number(_tag(CreditedTouch, "just_after_conversion"), 1)
_SHARE_CREDIT, _SHARE_VALUE = _tag(ModelCredit, "credit_micros"), _tag(ModelCredit, "value_micros")
_STATE: Final = _tag(ConversionRevised, "state")
_DELTAS: Final = _tag(ConversionRevised, "deltas")
_DELTA_SOURCE, _DELTA_EVENT, _DELTA_TIME, _DELTA_CREDIT, _DELTA_VALUE = (
    _tag(CreditDelta, name) for name in ("source", "touch_event_id", "touch_time", "credit_micros", "value_micros")
)
_DELTA_MODELS: Final = tuple(_field(_tag(CreditDelta, "model"), model.value.encode()) for model in EVERY_MODEL)
