"""Trying a destination out: a made-up conversion, and what its answer to that must be.

The one rule: nothing of a trial is counted anywhere. It is validated, shown in a test view, or refused: an example that
lacks what every event must have is refused as a whole, after the credential was checked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_CREATE
from tributary.event.v1.event_pb2 import ORIGIN_WEB
from tributary_delivery.destinations.adapter import Answer, Outgoing, Permits, PersonKeys, Verdict
from tributary_delivery.destinations.destination import OK, PERMANENT, SPLIT, UNKNOWN, Outcome
from tributary_domain.consent import GRANTED

REFUSAL: Final = "an example that lacks what every event needs was refused, after the credential was checked"
_PERSON: Final = PersonKeys(
    emails=("tributary-test@example.com",),
    customer_id="tributary-test",
    client_ip="192.0.2.1",
    user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
)
_AGE_MICROS: Final = 60_000_000
_AMOUNT_MICROS: Final = 1_000_000
_CURRENCY: Final = "USD"

Classify = Callable[[Answer, int], Verdict]


def example(name: str, conversion_name: str, now_micros: int) -> Outgoing:
    """Returns a conversion of nobody's, of a minute ago.

    Args:
        name: What the destination calls it.
        conversion_name: What we do.
        now_micros: Now.
    """
    visible_id = f"tributary-test-{now_micros}"
    revised = ConversionRevised(revision=now_micros)
    state = revised.state
    state.conversion_id, state.name, state.origin, state.counted = visible_id, conversion_name, ORIGIN_WEB, True
    state.order_key.order_id = visible_id
    state.conversion_time.FromMicroseconds(now_micros - _AGE_MICROS)
    return Outgoing(
        revised=revised,
        operation=DELIVERY_OPERATION_CREATE,
        name=name,
        visible_id=visible_id,
        amount_micros=_AMOUNT_MICROS,
        currency=_CURRENCY,
        keys=_PERSON,
        permits=Permits(GRANTED, GRANTED),
        click_ids={},
        now_micros=now_micros,
    )


def without(event: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Returns an event that lacks something."""
    return {name: value for name, value in event.items() if name not in names}


def taken(classify: Classify, events: int) -> Callable[[Answer], Outcome]:
    """Returns how the answer is read to examples that must be taken."""

    def read(answer: Answer) -> Outcome:
        verdict = classify(answer, events)
        outcomes = [verdict.of(place) for place in range(events)]
        return next((one for one in outcomes if not one.is_ok), outcomes[0])

    return read


def refused(classify: Classify) -> Callable[[Answer], Outcome]:
    """Returns how the answer is read to an example that must be refused, and with it all of its request."""

    def read(answer: Answer) -> Outcome:
        return _turned(classify(answer, 1).whole, SPLIT)

    return read


def row_refused(classify: Classify) -> Callable[[Answer], Outcome]:
    """Returns how the answer is read to an example whose row must be refused."""

    def read(answer: Answer) -> Outcome:
        verdict = classify(answer, 1)
        return _turned(verdict.rows[0], PERMANENT) if 0 in verdict.rows else _turned(verdict.whole, UNKNOWN)

    return read


def _turned(outcome: Outcome, wanted: int) -> Outcome:
    """Returns OK for what was to come, and no OK for what was not to be taken."""
    if outcome.outcome == wanted:
        return replace(outcome, outcome=OK)
    if outcome.is_ok:
        why = "It took an example that it should have refused; nothing tells whether it looked at the credential."
        return replace(outcome, outcome=UNKNOWN, message=why)
    return outcome
