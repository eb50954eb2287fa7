from dataclasses import replace
from typing import Any

import pytest

from tributary_domain.attribution import attribute
from tributary_domain.conversion import conversion_facts
from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation, Standing
from tributary_domain.journey import JourneyTouch
from tributary_domain.revision import Cause, Change, Snapshot, compare, next_revision, snapshot
from tributary_domain.settings import DAY, MODELS, AttributionModel, AttributionSettings
from tributary_domain.windows import CreditableConversion

NOW = 1_000 * DAY
ORDER = Observation(event_id="o-1", event_time_micros=NOW, amount_micros=100, currency_code="EUR")
AD = JourneyTouch(NOW - 2 * DAY, 1, descriptor=1)
NEWSLETTER = JourneyTouch(NOW - DAY, 2, descriptor=2)


def published(
    touches: tuple[JourneyTouch, ...] = (AD,),
    observations: tuple[Observation, ...] = (ORDER,),
    adjustments: tuple[Adjustment, ...] = (),
    person_id: str = "p-1",
    **settings: Any,
) -> Snapshot:
    state = conversion_facts(observations, adjustments)
    chosen = AttributionSettings(**settings)
    conversion = CreditableConversion(
        event_time_micros=state.conversion_time_micros, amount_micros=state.counted_amount_micros
    )
    attribution = attribute(touches, conversion, chosen)
    return snapshot(state, attribution, person_id=person_id, settings_version=chosen.version)


def adjusted(kind: AdjustmentKind, amount: int | None = 30) -> Adjustment:
    return Adjustment(event_id=kind.value, event_time_micros=NOW + DAY, kind=kind, amount_micros=amount)


def change(displaced: Snapshot | None, new: Snapshot, *known: Cause) -> Change:
    found = compare(displaced, new, known)
    assert found is not None
    return found


QUARANTINED = replace(ORDER, standing=Standing.QUARANTINED)
LATER = replace(ORDER, event_id="backend", event_hash=0, event_time_micros=NOW + 1)


@pytest.mark.parametrize(
    ("displaced", "new", "causes"),
    [
        pytest.param(None, published(), [Cause.INITIAL], id="the first"),
        pytest.param(published(), published((AD, NEWSLETTER)), [Cause.LATE_TOUCHPOINT], id="a touch joins"),
        pytest.param(published(()), published((AD,)), [Cause.LATE_TOUCHPOINT], id="the first touch joins"),
        pytest.param(
            published(), published(observations=(ORDER, LATER)), [Cause.OBSERVATION_MERGED], id="a second observer"
        ),
        pytest.param(
            published(), published(adjustments=(adjusted(AdjustmentKind.REFUND),)), [Cause.REFUND], id="refund"
        ),
        pytest.param(
            published(),
            published(adjustments=(adjusted(AdjustmentKind.RESTATEMENT),)),
            [Cause.RESTATEMENT],
            id="restatement",
        ),
        pytest.param(
            published(),
            published(adjustments=(adjusted(AdjustmentKind.RETRACTION),)),
            [Cause.RETRACTION],
            id="retraction",
        ),
        pytest.param(
            published(adjustments=(adjusted(AdjustmentKind.CHARGEBACK),)),
            published(adjustments=(adjusted(AdjustmentKind.CHARGEBACK), adjusted(AdjustmentKind.REVERSAL))),
            [Cause.REVERSAL],
            id="reversal",
        ),
        pytest.param(
            published(),
            published((AD, NEWSLETTER), person_id="p-2"),
            [Cause.IDENTITY_MERGE],
            id="a merge that brings a touch",
        ),
        pytest.param(
            published(observations=(QUARANTINED,)),
            published(),
            [Cause.QUARANTINE_RELEASE],
            id="released from quarantine",
        ),
        pytest.param(
            published((AD, NEWSLETTER)),
            published((AD, NEWSLETTER), half_life_hours=24),
            [Cause.SETTINGS_CHANGE],
            id="other settings, other credit",
        ),
        pytest.param(
            published(),
            published((AD._replace(descriptor=9),)),
            [Cause.RECLASSIFICATION],
            id="a touch's source changed",
        ),
        pytest.param(
            published(),
            published((AD, NEWSLETTER), adjustments=(adjusted(AdjustmentKind.REFUND),)),
            [Cause.LATE_TOUCHPOINT, Cause.REFUND],
            id="two things at once",
        ),
    ],
)
def test_a_change_names_its_causes(displaced: Snapshot | None, new: Snapshot, causes: list[Cause]) -> None:
    assert list(change(displaced, new).causes) == causes


def test_what_the_caller_knows_takes_the_place_of_a_guess() -> None:
    found = change(published((AD, NEWSLETTER)), published((AD,)), Cause.CONSENT_WITHDRAWN)
    assert found.causes == (Cause.CONSENT_WITHDRAWN,)


def test_a_split_that_the_caller_knows_is_no_merge() -> None:
    found = change(published((AD, NEWSLETTER)), published((AD,), person_id="p-2"), Cause.IDENTITY_UNMERGE)
    assert found.causes == (Cause.IDENTITY_UNMERGE,)


def test_no_change_is_no_revision_whatever_the_caller_says() -> None:
    assert compare(published(), published(), [Cause.OPERATOR]) is None


def test_the_same_credit_under_other_settings_is_no_revision() -> None:
    assert compare(published(), published(half_life_hours=24)) is None


def test_other_facts_alone_are_a_revision_without_deltas() -> None:
    found = change(published(), replace(published(), facts_digest="other"))
    assert found.deltas == ()


def deltas(found: Change, model: AttributionModel) -> list[tuple[int, str, int, int]]:
    return [
        (delta.descriptor, delta.reason, delta.credit_micros, delta.amount_micros)
        for delta in found.deltas
        if delta.model is model
    ]


def test_deltas_are_new_minus_old_per_model_and_touch() -> None:
    found = change(published((AD,)), published((AD, NEWSLETTER)))
    assert deltas(found, AttributionModel.FIRST_TOUCH) == []
    assert deltas(found, AttributionModel.LAST_TOUCH) == [(1, "", -1_000_000, -100), (2, "", 1_000_000, 100)]
    assert deltas(found, AttributionModel.LINEAR) == [(1, "", -500_000, -50), (2, "", 500_000, 50)]


def test_a_touch_takes_from_unattributed_what_it_earns() -> None:
    found = change(published(()), published((AD,)))
    for model in MODELS:
        assert deltas(found, model) == [(0, "no_touchpoint", -1_000_000, -100), (1, "", 1_000_000, 100)]


def test_a_refund_moves_money_and_no_credit() -> None:
    found = change(published(), published(adjustments=(adjusted(AdjustmentKind.REFUND, 30),)))
    for model in MODELS:
        assert deltas(found, model) == [(1, "", 0, -30)]


def test_a_retraction_takes_back_everything() -> None:
    found = change(published(), published(adjustments=(adjusted(AdjustmentKind.RETRACTION, None),)))
    for model in MODELS:
        assert deltas(found, model) == [(1, "", -1_000_000, -100)]


def test_a_corrected_currency_goes_out_in_the_old_and_in_with_the_new() -> None:
    found = change(published(), published(observations=(replace(ORDER, currency_code="USD"),)))
    first = [delta for delta in found.deltas if delta.model is AttributionModel.FIRST_TOUCH]
    assert [(delta.currency_code, delta.amount_micros) for delta in first] == [("EUR", -100), ("USD", 100)]


@pytest.mark.parametrize(
    ("observation", "moves"),
    [
        pytest.param(replace(LATER, event_time_micros=NOW - 1), True, id="earlier"),
        pytest.param(LATER, False, id="later"),
    ],
)
def test_an_earlier_observation_moves_the_conversion(observation: Observation, moves: bool) -> None:
    assert change(published(), published(observations=(ORDER, observation))).moves is moves


@pytest.mark.parametrize(("last", "time", "expected"), [(0, 500, 500), (500, 500, 501), (900, 500, 901)])
def test_a_revision_is_the_time_but_always_above_the_last(last: int, time: int, expected: int) -> None:
    assert next_revision(last, time) == expected


@pytest.mark.parametrize(("ahead", "expected"), [(0, 0), (7, 7), (300_000_000, 300_000_000), (10**12, 300_000_000)])
def test_a_revision_is_not_before_what_caused_it_was_accepted_but_follows_no_wrong_clock(
    ahead: int, expected: int
) -> None:
    assert next_revision(1, 10**15, 10**15 + ahead) == 10**15 + expected


def test_a_late_touchpoint_that_gives_its_person_another_id_is_no_merge() -> None:
    before, after = published((AD,)), published((AD, NEWSLETTER), person_id="p-2")
    found = compare(before, after, arrived=[NEWSLETTER.event_hash])
    assert found is not None
    assert found.causes == (Cause.LATE_TOUCHPOINT,)


def test_a_merge_and_a_late_touchpoint_at_once_are_both_named() -> None:
    found = compare(published((AD,)), published((AD, NEWSLETTER)), [Cause.IDENTITY_MERGE], [NEWSLETTER.event_hash])
    assert found is not None
    assert found.causes == (Cause.LATE_TOUCHPOINT, Cause.IDENTITY_MERGE)


REFUND = replace(adjusted(AdjustmentKind.REFUND), event_hash=3)


@pytest.mark.parametrize(
    ("displaced", "new", "released", "causes"),
    [
        pytest.param(None, published(), {ORDER.event_hash}, [Cause.INITIAL, Cause.QUARANTINE_RELEASE], id="an order"),
        pytest.param(None, published(), {99}, [Cause.INITIAL], id="something else"),
        pytest.param(
            published(),
            published((AD, NEWSLETTER)),
            {NEWSLETTER.event_hash},
            [Cause.QUARANTINE_RELEASE],
            id="a touch",
        ),
        pytest.param(
            published(()),
            published((AD, NEWSLETTER)),
            {NEWSLETTER.event_hash},
            [Cause.LATE_TOUCHPOINT, Cause.QUARANTINE_RELEASE],
            id="a touch beside a late one",
        ),
        pytest.param(
            published(),
            published(adjustments=(REFUND,)),
            {REFUND.event_hash},
            [Cause.REFUND, Cause.QUARANTINE_RELEASE],
            id="a refund",
        ),
    ],
)
def test_what_was_released_is_a_cause_where_it_changed_something(
    displaced: Snapshot | None, new: Snapshot, released: set[int], causes: list[Cause]
) -> None:
    found = compare(displaced, new, arrived={AD.event_hash, NEWSLETTER.event_hash, *released}, released=released)
    assert found is not None
    assert list(found.causes) == causes
