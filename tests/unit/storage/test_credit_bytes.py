"""Credit as bytes is what the messages would be serialised to."""

from __future__ import annotations

import pytest

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary_domain.attribution import Attribution
from tributary_domain.journey import JourneyTouch, TouchKind
from tributary_domain.revision import CreditDelta
from tributary_domain.settings import EVERY_MODEL
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.codec.credit_bytes import WrittenSources, deltas_bytes, touches_bytes
from tributary_storage.codec.event_references import event_reference

NOON = 1_790_000_000_000_000
SOURCES = {0: TouchSource(channel="Direct", rule="direct"), 1: TouchSource(channel="Email", campaign="x" * 2_000)}
NUMBERS = (0, 1, -1, 127, 128, 16_383, 16_384, 333_333, 1_000_000, -1_000_000, 2**31 - 1)


@pytest.mark.parametrize("amount", [*NUMBERS, 2**63 - 1, -(2**63)])
def test_touches_as_bytes_are_the_touches_of_the_message(amount: int) -> None:
    times = NOON, NOON + 1, NOON + 1_000_000
    touches = tuple(JourneyTouch(time, 2**64 - 1 - time, TouchKind.CLICK, time % 2) for time in times)
    credits = tuple((credit, 0, 1_000_000) for credit in (0, 1, 127, 128, 250_000, 1_000_000))
    amounts = tuple((amount, 0, place) for place, _ in enumerate(credits))
    wanted = ConversionState()
    for place, touch in enumerate(touches):
        made = wanted.touches.add(event_id=event_reference(touch.event_hash), kind=touch.kind)
        made.touch_time.CopyFrom(timestamp(touch.event_time_micros))
        made.source.CopyFrom(SOURCES[touch.descriptor])
        made.just_after_conversion = touch.event_time_micros > NOON + 1
        for model, credit in enumerate(credits):
            made.credits.add(credit_micros=credit[place], value_micros=amounts[model][place])

    written = touches_bytes(
        Attribution(touches, credits, amounts, (None,) * 6, 5), WrittenSources(SOURCES.__getitem__), NOON + 1
    )

    assert written == wanted.SerializeToString(deterministic=True)


@pytest.mark.parametrize("credit", NUMBERS)
def test_differences_as_bytes_are_those_of_the_message(credit: int) -> None:
    differences = [
        CreditDelta(0, "EUR", 0, 0, 0, "no_touchpoint", credit, -5),
        CreditDelta(1, "EUR", NOON, 17, 1, "", credit, 2**62),
        CreditDelta(6, "EUR", NOON, 17, 1, "", -7, credit),
        CreditDelta(5, "EUR", NOON + 1, 17, 0, "", 0, 1),
    ]
    wanted = ConversionRevised()
    for one in differences:
        made = wanted.deltas.add(
            model=EVERY_MODEL[one.model_index].value, credit_micros=one.credit_micros, value_micros=one.amount_micros
        )
        if not one.reason:
            made.source.CopyFrom(SOURCES[one.descriptor])
            made.touch_event_id = event_reference(one.touch_hash)
            made.touch_time.CopyFrom(timestamp(one.touch_time_micros))

    assert deltas_bytes(differences, WrittenSources(SOURCES.__getitem__)) == wanted.SerializeToString(
        deterministic=True
    )
