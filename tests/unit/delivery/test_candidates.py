"""What a destination is sent of a conversion, by what it has and by what holds now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from tests.support.batches import a_batch_destination
from tests.support.delivery import a_destination
from tests.support.revisions import Revision
from tributary.attribution.v1.conversion_pb2 import (
    NOT_COUNTED_REASON_MERGED_ORDER,
    NOT_COUNTED_REASON_RETRACTED,
    NOT_COUNTED_REASON_SUPERSEDED_STAGE,
    NOT_COUNTED_REASON_TRAFFIC,
    REVISION_CAUSE_LATE_TOUCHPOINT,
    REVISION_CAUSE_REFUND,
    REVISION_CAUSE_RESTATEMENT,
    REVISION_CAUSE_RETRACTION,
    NotCountedReason,
    RevisionCause,
)
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_CREDIT,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_OPERATION_TEST,
    INELIGIBLE_REASON_NO_CONSENT,
    INELIGIBLE_REASON_NO_PIXEL_ID,
    INELIGIBLE_REASON_NO_TEST_MODE,
    INELIGIBLE_REASON_NOT_COUNTED,
    INELIGIBLE_REASON_NOT_MAPPED,
    INELIGIBLE_REASON_OUT_OF_SCOPE,
    INELIGIBLE_REASON_RENEWAL,
    INELIGIBLE_REASON_TRAFFIC,
    INELIGIBLE_REASON_UNSPECIFIED,
    INELIGIBLE_REASON_VALUE_PENDING,
)
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED, CONSENT_STATE_GRANTED
from tributary.event.v1.conversion_pb2 import RecurrenceKind
from tributary.event.v1.event_pb2 import TRAFFIC_INTERNAL, TRAFFIC_TEST, Traffic
from tributary_delivery.candidates import consent_basis, decide
from tributary_storage.redis.delivery_job import PASSED_ON, UNKNOWN_VALUE, Taken

FULL = 90_000_000
BEFORE = Taken(1, FULL, counted=True)
TAKEN_BACK = Taken(1, FULL, counted=False)


def revised(
    *,
    denied: bool = False,
    traffic: Traffic.ValueType | None = None,
    pixel: str = "",
    pixels: Mapping[str, str] = MappingProxyType({}),
    **own: Any,
) -> ConversionRevised:
    message = Revision(workspace="shop", **({"counted": False} if traffic else {}), **own).message()
    message.match.pixel_event_id = pixel
    message.match.pixel_event_ids.update(pixels)
    if denied:
        message.match.consent.ad_user_data = CONSENT_STATE_DENIED
    if traffic:
        message.state.not_counted_reason, message.state.traffic = NOT_COUNTED_REASON_TRAFFIC, traffic
    return message


def test_another_value_is_one_as_sent_whatever_is_credited() -> None:
    message = revised(value_micros=80_000_000)
    message.state.full_value.amount_micros = FULL
    assert decide(message, a_destination(), BEFORE).operation == DELIVERY_OPERATION_CREDIT
    message.state.full_value.amount_micros = FULL - 1
    assert decide(message, a_destination(), BEFORE).operation == DELIVERY_OPERATION_RESTATE


@pytest.mark.parametrize(
    ("taken", "own", "operation"),
    [
        pytest.param(None, {}, DELIVERY_OPERATION_CREATE, id="new"),
        pytest.param(BEFORE, {"value_micros": 1}, DELIVERY_OPERATION_RESTATE, id="another value"),
        pytest.param(BEFORE, {}, DELIVERY_OPERATION_CREDIT, id="other credit only"),
        pytest.param(replace(BEFORE, currency="USD"), {}, DELIVERY_OPERATION_RESTATE, id="another currency"),
        pytest.param(replace(BEFORE, currency="EUR"), {}, DELIVERY_OPERATION_CREDIT, id="the same currency"),
        pytest.param(BEFORE, {"counted": False}, DELIVERY_OPERATION_RETRACT, id="no longer counted"),
        pytest.param(TAKEN_BACK, {}, DELIVERY_OPERATION_RESTATE, id="counted again"),
        pytest.param(TAKEN_BACK, {"counted": False}, DELIVERY_OPERATION_CREDIT, id="taken back already"),
        pytest.param(
            TAKEN_BACK, {"counted": False, "value_micros": 1}, DELIVERY_OPERATION_CREDIT, id="taken back, then refunded"
        ),
        pytest.param(Taken(1, UNKNOWN_VALUE, counted=True), {}, DELIVERY_OPERATION_RESTATE, id="value unknown"),
        pytest.param(
            replace(TAKEN_BACK, value_micros=UNKNOWN_VALUE),
            {"counted": False},
            DELIVERY_OPERATION_RETRACT,
            id="taken back, then maybe there again",
        ),
    ],
)
def test_the_operation_follows_from_what_was_taken(taken: Taken | None, own: dict[str, Any], operation: int) -> None:
    decision = decide(revised(**own), a_destination(), taken)
    assert decision.is_sent
    assert decision.operation == operation


@pytest.mark.parametrize(
    ("kind", "renewals", "reason"),
    [
        pytest.param("RENEWAL", False, INELIGIBLE_REASON_RENEWAL, id="a renewal"),
        pytest.param("RENEWAL", True, INELIGIBLE_REASON_UNSPECIFIED, id="a renewal that is mapped"),
        pytest.param("FIRST", False, INELIGIBLE_REASON_UNSPECIFIED, id="a first payment"),
        pytest.param("UPGRADE", False, INELIGIBLE_REASON_UNSPECIFIED, id="an upgrade"),
    ],
)
def test_a_renewal_is_sent_only_where_its_name_is_mapped_with_renewals(kind: str, renewals: bool, reason: int) -> None:
    message = revised(kind=RecurrenceKind.Value(f"RECURRENCE_KIND_{kind}"))
    destination = a_destination(conversions={"purchase": {"renewals": renewals}})
    for taken in (None, BEFORE):
        assert decide(message, destination, taken).reason == reason


def test_a_stage_that_was_superseded_stands_where_it_was_sent_and_is_sent_where_it_was_not() -> None:
    message = revised(counted=False)
    message.state.not_counted_reason = NOT_COUNTED_REASON_SUPERSEDED_STAGE
    assert decide(message, a_destination(), None).operation == DELIVERY_OPERATION_CREATE
    assert decide(message, a_destination(), None).is_sent
    assert decide(message, a_destination(), BEFORE).operation == DELIVERY_OPERATION_CREDIT
    message.state.not_counted_reason = NOT_COUNTED_REASON_RETRACTED
    assert decide(message, a_destination(), BEFORE).operation == DELIVERY_OPERATION_RETRACT


@pytest.mark.parametrize(("value", "is_passed_on"), [(PASSED_ON, True), (UNKNOWN_VALUE, False)])
def test_a_lead_that_is_lost_is_told_of_a_stage_of_which_only_the_value_is_not_known(
    value: int, *, is_passed_on: bool
) -> None:
    message = revised(counted=False, cause=REVISION_CAUSE_RETRACTION)
    message.state.lead.lead_id = "L-1"
    decision = decide(message, a_batch_destination("hubspot"), replace(BEFORE, value_micros=value))
    assert decision.is_passed_on == is_passed_on
    assert is_passed_on or decision.operation == DELIVERY_OPERATION_RETRACT


@pytest.mark.parametrize(
    ("reason", "own", "is_told"),
    [
        pytest.param(NOT_COUNTED_REASON_RETRACTED, (), True, id="the lead is lost"),
        pytest.param(
            NOT_COUNTED_REASON_RETRACTED, (REVISION_CAUSE_REFUND,), True, id="of a refunded one the lead is lost"
        ),
        pytest.param(NOT_COUNTED_REASON_RETRACTED, (REVISION_CAUSE_RETRACTION,), False, id="it is taken back alone"),
        pytest.param(
            NOT_COUNTED_REASON_RETRACTED,
            (REVISION_CAUSE_RETRACTION, REVISION_CAUSE_RESTATEMENT),
            True,
            id="it was taken back alone and restated, and the lead is lost",
        ),
        pytest.param(NOT_COUNTED_REASON_TRAFFIC, (), False, id="it is no real one"),
    ],
)
def test_a_stage_whose_object_a_later_one_has_takes_it_back_only_where_the_lead_is_lost(
    reason: NotCountedReason.ValueType, own: tuple[RevisionCause.ValueType, ...], *, is_told: bool
) -> None:
    message = revised(counted=False, cause=REVISION_CAUSE_LATE_TOUCHPOINT)
    message.state.lead.lead_id, message.state.not_counted_reason = "L-1", reason
    for at, cause in enumerate(own):
        message.state.adjustments.add(event_id=f"a-{at}", cause=cause)
    decision = decide(message, a_batch_destination("hubspot"), replace(BEFORE, value_micros=PASSED_ON))
    assert decision.is_passed_on == (not is_told)


@pytest.mark.parametrize(
    ("taken", "is_taken_back", "operation"),
    [
        pytest.param(BEFORE, True, DELIVERY_OPERATION_RETRACT, id="the lead is another object"),
        pytest.param(replace(BEFORE, value_micros=PASSED_ON), True, DELIVERY_OPERATION_RETRACT, id="it was passed on"),
        pytest.param(None, True, DELIVERY_OPERATION_RETRACT, id="it may be there"),
        pytest.param(TAKEN_BACK, True, DELIVERY_OPERATION_CREDIT, id="it is taken back already"),
        pytest.param(BEFORE, False, None, id="the lead is the same object"),
    ],
)
def test_a_superseded_stage_is_taken_back_where_its_lead_is_another_object(
    taken: Taken | None, operation: int | None, *, is_taken_back: bool
) -> None:
    message = revised(counted=False)
    message.state.not_counted_reason = NOT_COUNTED_REASON_SUPERSEDED_STAGE
    decision = decide(
        message, a_batch_destination("hubspot"), taken, maybe_taken=taken is None, is_taken_back=is_taken_back
    )
    assert decision.is_passed_on == (not is_taken_back)
    assert operation is None or decision.operation == operation


@pytest.mark.parametrize(
    ("taken", "is_passed_on", "operation"),
    [
        pytest.param(BEFORE, False, DELIVERY_OPERATION_RETRACT, id="both are there"),
        pytest.param(BEFORE, True, None, id="it is the other one's"),
        pytest.param(None, True, DELIVERY_OPERATION_CREATE, id="it may be there, and is the other one's then"),
    ],
)
def test_an_order_that_counts_with_its_cycle_is_taken_back_where_that_has_not_taken_its_place(
    taken: Taken | None, operation: int | None, *, is_passed_on: bool
) -> None:
    message = revised(counted=False)
    message.state.not_counted_reason = NOT_COUNTED_REASON_MERGED_ORDER
    settings = a_batch_destination("google")
    assert decide(message, settings, None).reason == INELIGIBLE_REASON_NOT_COUNTED
    decision = decide(message, settings, taken, maybe_taken=taken is None, is_passed_on=is_passed_on)
    assert decision.is_passed_on == (operation is None)
    assert decision.is_sent == (operation is not None)
    assert operation is None or decision.operation == operation


def test_what_may_have_been_taken_is_created_again_or_taken_back() -> None:
    assert decide(revised(), a_destination(), None, maybe_taken=True).operation == DELIVERY_OPERATION_CREATE
    back = decide(revised(counted=False), a_destination(), None, maybe_taken=True)
    assert back.is_sent
    assert back.operation == DELIVERY_OPERATION_RETRACT


def test_what_it_has_already_is_not_sent() -> None:
    message = revised()
    decision = decide(message, a_destination(), Taken(message.revision, FULL, counted=True))
    assert decision.is_known
    assert not decision.is_sent


@pytest.mark.parametrize(
    ("message", "settings", "reason"),
    [
        pytest.param({"name": "lead"}, {}, INELIGIBLE_REASON_NOT_MAPPED, id="another name"),
        pytest.param({"denied": True}, {}, INELIGIBLE_REASON_NO_CONSENT, id="denied"),
        pytest.param({"counted": False}, {}, INELIGIBLE_REASON_NOT_COUNTED, id="retracted before"),
        pytest.param({"traffic": TRAFFIC_TEST}, {}, INELIGIBLE_REASON_TRAFFIC, id="test traffic"),
        pytest.param(
            {"traffic": TRAFFIC_INTERNAL}, {"send_test_traffic": True}, INELIGIBLE_REASON_TRAFFIC, id="internal traffic"
        ),
        pytest.param({"value_pending": True}, {}, INELIGIBLE_REASON_VALUE_PENDING, id="strange value"),
        pytest.param({}, {"pixel": "shared_id"}, INELIGIBLE_REASON_NO_PIXEL_ID, id="no shared id"),
        pytest.param(
            {"pixels": {"crm": ""}}, {"pixel": "shared_id"}, INELIGIBLE_REASON_NO_PIXEL_ID, id="an empty shared id"
        ),
        pytest.param(
            {"pixel": "undefined"}, {"pixel": "shared_id"}, INELIGIBLE_REASON_NO_PIXEL_ID, id="a shared id of nothing"
        ),
        pytest.param({}, {"send_scope": "with_own_click"}, INELIGIBLE_REASON_OUT_OF_SCOPE, id="no click of its own"),
        pytest.param(
            {},
            {"send_scope": "channel_credited", "channels": ["Email"]},
            INELIGIBLE_REASON_OUT_OF_SCOPE,
            id="another channel's",
        ),
        pytest.param({"pixel": "p-1"}, {"pixel": "shared_id"}, INELIGIBLE_REASON_UNSPECIFIED, id="a shared id"),
        pytest.param(
            {"traffic": TRAFFIC_TEST}, {"send_test_traffic": True}, INELIGIBLE_REASON_UNSPECIFIED, id="tests wanted"
        ),
        pytest.param(
            {},
            {"send_scope": "channel_credited", "channels": ["Paid Search"]},
            INELIGIBLE_REASON_UNSPECIFIED,
            id="its channel's",
        ),
    ],
)
def test_every_reason_has_its_case(message: dict[str, Any], settings: dict[str, Any], reason: int) -> None:
    decision = decide(revised(**message), a_destination(**settings), None)
    assert decision.reason == reason
    assert decision.is_sent == (reason == INELIGIBLE_REASON_UNSPECIFIED)


def test_a_correction_goes_out_where_a_first_message_would_not() -> None:
    assert decide(revised(value_pending=True), a_destination(), BEFORE).is_sent
    assert decide(revised(counted=False), a_destination(), BEFORE).is_sent


def test_nothing_is_sent_against_a_persons_will_not_even_a_correction() -> None:
    assert decide(revised(denied=True), a_destination(), BEFORE).reason == INELIGIBLE_REASON_NO_CONSENT


@pytest.mark.parametrize("wanted", [True, False])
def test_what_was_sent_for_real_and_is_only_a_test_is_taken_back(*, wanted: bool) -> None:
    test, settings = revised(traffic=TRAFFIC_TEST), a_destination(send_test_traffic=wanted)
    assert decide(test, settings, BEFORE).operation == DELIVERY_OPERATION_RETRACT
    assert decide(test, settings, TAKEN_BACK).operation == DELIVERY_OPERATION_CREDIT
    assert decide(test, settings, None, maybe_taken=True).operation == DELIVERY_OPERATION_RETRACT


@pytest.mark.parametrize(
    ("kind", "own", "has_test_mode"),
    [
        pytest.param("google", {}, True, id="google validates"),
        pytest.param("google_ads", {}, True, id="google_ads validates"),
        pytest.param("pinterest", {}, True, id="pinterest checks"),
        pytest.param("snap", {}, True, id="snap validates"),
        pytest.param("meta", {"test_event_code": "T1"}, True, id="meta with a code"),
        pytest.param("meta", {}, False, id="meta without"),
        pytest.param("tiktok", {"test_event_code": "T1"}, True, id="tiktok with a code"),
        pytest.param("tiktok", {}, False, id="tiktok without"),
        pytest.param("reddit", {"test_id": "t1"}, True, id="reddit with an id"),
        pytest.param("reddit", {}, False, id="reddit without"),
        pytest.param("linkedin", {}, False, id="linkedin has none"),
        pytest.param("microsoft", {}, False, id="microsoft has none"),
        pytest.param("hubspot", {}, False, id="hubspot has none"),
        pytest.param("salesforce", {}, False, id="salesforce has none"),
    ],
)
def test_a_test_goes_out_by_a_test_mode_or_not_at_all(kind: str, own: dict[str, Any], has_test_mode: bool) -> None:
    decision = decide(revised(traffic=TRAFFIC_TEST), a_batch_destination(kind, send_test_traffic=True, **own), None)
    assert decision.is_sent == has_test_mode
    if has_test_mode:
        assert decision.operation == DELIVERY_OPERATION_TEST
    else:
        assert decision.reason == INELIGIBLE_REASON_NO_TEST_MODE


def test_silence_is_not_refusal_and_the_ledger_says_which() -> None:
    granted = revised()
    granted.match.consent.ad_user_data = CONSENT_STATE_GRANTED
    bases = [consent_basis(one) for one in (revised(), granted, revised(denied=True))]
    assert bases == ["not_asked", "granted", "denied"]
    assert decide(revised(), a_destination(), None).is_sent
