"""What a destination is told that a conversion is worth: the value as sent, or what of it is credited."""

from __future__ import annotations

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.common.v1.money_pb2 import Money
from tributary_runtime.destination_settings import SentValue


def sent_value(state: ConversionState, told: SentValue = SentValue.FULL) -> Money | None:
    """Returns the value now, full or on its name's basis; None where none is known, which is not 0."""
    if told is SentValue.FULL and state.HasField("full_value"):
        return state.full_value
    return state.value if state.HasField("value") else None


def sent_micros(state: ConversionState, told: SentValue = SentValue.FULL) -> int:
    """Returns the same in micros; 0 where none is known."""
    value = sent_value(state, told)
    return 0 if value is None else value.amount_micros
