"""Numbers of enums that this version does not know: a newer client's, or a mistake.

The one rule: taken as the contract says for each enum, told as a warning, and stored as what it was taken as, so that
nobody behind the door meets a number without a meaning. Enums to which no value will be added are not here: their
unknown numbers are REJECTED.
"""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.descriptor import EnumDescriptor

from tributary.event.v1.event_pb2 import Event
from tributary_domain.reasons import Reason, ReasonCode


class _Open:
    """An enum field to which values may be added.

    Args:
        field: Path into the event.
        stands_for: What an unknown number is taken as.
    """

    __slots__ = ("_known", "_name", "_part", "_stands_for", "_warning")

    def __init__(self, field: str, stands_for: str = "UNSPECIFIED") -> None:
        enum = _enum_of(field)
        prefix = enum.values[0].name.removesuffix("UNSPECIFIED")
        self._part, _, self._name = field.rpartition(".")
        self._known = frozenset(enum.values_by_number)
        self._stands_for = enum.values_by_name[prefix + stands_for].number
        message = f"This number is none of the values known here; taken as {stands_for}."
        self._warning = Reason(ReasonCode.VALUE_UNKNOWN, field, message)

    def settle(self, event: Event, found: list[Reason]) -> None:
        """Replaces an unknown number, and adds a warning."""
        part = event
        for name in self._part.split(".") if self._part else ():
            if not part.HasField(name):  # type: ignore[arg-type]
                return
            part = getattr(part, name)
        if getattr(part, self._name) not in self._known:
            setattr(part, self._name, self._stands_for)
            found.append(self._warning)


def _enum_of(field: str) -> EnumDescriptor:
    *parts, name = field.split(".")
    message: Any = Event.DESCRIPTOR
    for part in parts:
        message = message.fields_by_name[part].message_type
    enum: EnumDescriptor | None = message.fields_by_name[name].enum_type
    if enum is None:
        raise ValueError(f"{field} is no enum")
    return enum


_ORIGIN: Final = _Open("origin", "OTHER")
_OF_KIND: Final[Mapping[str | None, tuple[_Open, ...]]] = {
    "touchpoint": (_Open("touchpoint.kind", "VISIT"),),
    "adjustment": (_Open("adjustment.reason", "RESTATEMENT"),),
    "conversion": (_Open("conversion.value_source"), _Open("conversion.recurrence.kind", "RENEWAL")),
}


def settle_unknown_values(event: Event, kind: str | None, found: list[Reason]) -> None:
    """Replaces numbers that stand for nothing here.

    Args:
        event: Ours: it is changed.
        kind: `event.WhichOneof("kind")`.
        found: Where the warnings go.
    """
    if event.origin:
        _ORIGIN.settle(event, found)
    for field in _OF_KIND.get(kind, ()):
        field.settle(event, found)
