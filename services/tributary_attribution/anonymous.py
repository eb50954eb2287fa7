"""A conversion whose person is erased -> what stands in for it in its family. Pure.

The one rule: what is copied is listed, so that what a later release adds to a conversion names nobody here either.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from tributary.attribution.v1.conversion_pb2 import ConversionState, MatchResolution, SameOrder
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import CreditedTouch, TouchSource
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.adjustment_pb2 import AdjustmentReason
from tributary_attribution.seen import Seen
from tributary_domain.conversion import ConversionFacts
from tributary_domain.stand_ins import to_the_minute
from tributary_storage.clickhouse.names import micros, timestamp
from tributary_storage.codec.event_references import event_reference

_BACKEND: Final = 2
_COPIED: Final = (
    *("name", "value", "original_value", "value_source", "counted", "not_counted_reason", "retracted"),
    *("value_pending", "models", "origin", "customer_type", "settings_version", "reporting_value", "rate_date"),
    *("findings", "rate_picos", "traffic", "role", "secondary"),
)
"""Of a state: what totals are made of, and what nobody is recognised by."""
_SAID: Final = (
    *("name", "order_id", "store", "value", "amounts", "recurrence", "lead", "customer_type", "items", "value_source"),
)
"""Of an observation: what its conversion is, whoever saw it."""
_CHANGED: Final = ("adjustment_id", "reason", "amount", "amounts", "items")
"""Of an adjustment."""
_TARGET: Final = ("conversion_name", "store", "order_id", "event_id", "conversion_id", "cycle")
"""Of an adjustment: what it changes."""
_SOURCE: Final = ("channel", "sub_channel", "source", "medium", "campaign", "campaign_id", "rule")


def anonymous_events(
    stand_in_id: str,
    families: Sequence[str],
    place_micros: int,
    seen: Seen,
    facts: ConversionFacts,
    like: AdmittedEvent,
) -> list[AdmittedEvent]:
    """Returns what would be said of a stand-in: once, with what it was worth first, and what became of that.

    Args:
        stand_in_id: Its id, of its event too.
        families: Ids of its families.
        place_micros: When it happened.
        seen: What its conversion's own parts say.
        facts: Likewise, on the basis that it is credited on.
        like: What observed it.
    """
    rank = facts.valued_by.source_rank if facts.valued_by else _BACKEND
    observed = AdmittedEvent(conversion_id=stand_in_id, source_rank=rank, family_ids=families)
    event = observed.event
    event.event_id = stand_in_id
    event.event_time.CopyFrom(timestamp(place_micros))
    event.origin = like.event.origin
    conversion = event.conversion
    conversion.name, conversion.store = like.event.conversion.name, like.event.conversion.store
    if seen.stage:
        conversion.lead.stage = seen.stage
    if seen.kind:
        conversion.recurrence.kind = seen.kind  # type: ignore[assignment]  # the numbers are the contract's
    if facts.original_amount_micros is not None:
        conversion.value.currency_code = facts.currency_code
        conversion.value.amount_micros = facts.original_amount_micros
    if not facts.is_retracted and facts.amount_micros in (None, facts.original_amount_micros):
        return [observed]
    changed = AdmittedEvent(conversion_id=stand_in_id)
    changed.event.event_id = f"{stand_in_id}-value"
    changed.event.event_time.CopyFrom(timestamp(place_micros))
    adjustment = changed.event.adjustment
    adjustment.conversion_id, adjustment.reason = stand_in_id, AdjustmentReason.ADJUSTMENT_REASON_RETRACTION
    if not facts.is_retracted:
        adjustment.reason = AdjustmentReason.ADJUSTMENT_REASON_RESTATEMENT
        adjustment.amount.currency_code, adjustment.amount.amount_micros = facts.currency_code, facts.amount_micros or 0
    return [observed, changed]


def anonymous_revision(
    published: bytes, stand_in_id: str, place_micros: int, seen: Seen, hashes: Mapping[str, int]
) -> ConversionRevised:
    """Returns a published revision as that of a stand-in.

    Args:
        published: It, without differences of credit.
        stand_in_id: The stand-in.
        place_micros: When it happened.
        seen: What its conversion's own parts say.
        hashes: Random hashes by reference of a touch's event.
    """
    before = ConversionRevised.FromString(published)
    after = ConversionRevised(
        workspace=before.workspace, revision=before.revision, previous_revision=before.previous_revision
    )
    old, state = before.state, after.state
    for field, value in old.ListFields():
        if field.name in _COPIED:
            _copy(state, field.name, value)
    state.conversion_id = stand_in_id
    state.order_key.store = old.order_key.store
    state.conversion_time.CopyFrom(timestamp(place_micros))
    state.first_accept_time.CopyFrom(timestamp(to_the_minute(micros(old.first_accept_time))))
    state.observation_event_ids.append(stand_in_id)
    if seen.stage:
        state.lead.stage = seen.stage
    if seen.kind:
        state.recurrence.kind = seen.kind  # type: ignore[assignment]  # the numbers are the contract's
    state.touches.extend(anonymous_touch(touch, hashes) for touch in old.touches)
    return after


def anonymous_touch(touch: CreditedTouch, hashes: Mapping[str, int]) -> CreditedTouch:
    """Returns a touch without what names its event, or tells when it was: its credit and where it came from stay."""
    own = CreditedTouch(
        event_id=event_reference(hashes[touch.event_id]),
        touch_time=timestamp(to_the_minute(micros(touch.touch_time))),
        kind=touch.kind,
        credits=touch.credits,
        just_after_conversion=touch.just_after_conversion,
        spend_join_step=touch.spend_join_step,
    )
    _take_source(own.source, touch.source)
    return own


def anonymous_heir(
    revised: ConversionRevised,
    ids: Mapping[str, str],
    hashes: Mapping[str, int],
    people: Collection[str],
    *,
    was_theirs: bool,
) -> ConversionRevised:
    """Returns a revision of somebody else's, without what names the touches of those whose credit it has, or had.

    Args:
        revised: Its credit is another conversion's, whose person is erased, or came from there, or was so before it.
        ids: Random ids by that of an erased conversion.
        hashes: Random hashes by reference of the erased person's touches.
        people: Ids of the erased person.
        was_theirs: Whether its conversion was the erased person's before it was another's: it may tell of both.
    """
    after = ConversionRevised()
    after.CopyFrom(revised)
    origin = after.state.inherited_from
    if was_theirs or origin.conversion_id in ids or any(touch.event_id in hashes for touch in after.state.touches):
        for name in ("match", "causing_event_ids", "traceparent", "cause_accept_time"):
            after.ClearField(name)
    if after.state.person_id in people:
        after.state.ClearField("person_id")
    rename_others(after.state, ids)
    if origin.conversion_id in ids:
        origin.conversion_id = ids[origin.conversion_id]
        origin.conversion_time.CopyFrom(timestamp(to_the_minute(micros(origin.conversion_time))))
    for touch in after.state.touches:
        if touch.event_id in hashes:
            touch.CopyFrom(anonymous_touch(touch, hashes))
    for delta in after.deltas:
        if delta.touch_event_id in hashes:
            delta.touch_event_id = event_reference(hashes[delta.touch_event_id])
            delta.touch_time.CopyFrom(timestamp(to_the_minute(micros(delta.touch_time))))
            whole = TouchSource()
            whole.CopyFrom(delta.source)
            delta.ClearField("source")
            _take_source(delta.source, whole)
    return after


def match_without(match: MatchResolution, now: MatchResolution, people: Collection[str]) -> MatchResolution:
    """Returns by what a conversion of somebody else's was recognised, as far as it still is by the same.

    Args:
        match: Of a revision that was published when an erased person had told it, too, or was taken for its person.
        now: Of its newest one, which knows nothing of them.
        people: Ids of the erased person.
    """
    after = MatchResolution()
    after.CopyFrom(match)
    for name in ("click_ids", "sealed_match_keys", "person_keys", "denied_vendors", "person_ids"):
        after.ClearField(name)
    after.click_ids.extend(one for one in match.click_ids if one in now.click_ids)
    after.sealed_match_keys.extend(one for one in match.sealed_match_keys if one in now.sealed_match_keys)
    after.person_keys.extend(one for one in match.person_keys if one in now.person_keys)
    after.denied_vendors.extend(one for one in match.denied_vendors if one in now.denied_vendors)
    after.person_ids.extend(one for one in match.person_ids if one not in people)
    for ids, held_ids in ((after.browser_ids, now.browser_ids), (after.pixel_event_ids, now.pixel_event_ids)):
        for name in [name for name, value in ids.items() if held_ids.get(name) != value]:
            del ids[name]
            after.browser_id_times.pop(name, None)
    if after.pixel_event_id != now.pixel_event_id:
        after.ClearField("pixel_event_id")
    if after.sealed_device_keys != now.sealed_device_keys:
        after.ClearField("sealed_device_keys")
        after.ClearField("device_time")
    after.ClearField("consent")
    if now.HasField("consent"):
        after.consent.CopyFrom(now.consent)
    return after


def rename_others(state: ConversionState, ids: Mapping[str, str]) -> None:
    """Takes from a conversion by what those are known whose person is erased and that count in place of it, or not.

    Their random ids stay.

    Args:
        state: Of the conversion.
        ids: As of `anonymous_heir`.
    """
    for name in ("merged_into", "merged_from"):
        if state.HasField(name) and getattr(state, name).conversion_id in ids:
            getattr(state, name).CopyFrom(SameOrder(conversion_id=ids[getattr(state, name).conversion_id]))
    state.superseded_by = ids.get(state.superseded_by, state.superseded_by)


def _take_source(own: TouchSource, source: TouchSource) -> None:
    """Takes over where a touch came from, as far as totals are made of it."""
    for name in _SOURCE:
        setattr(own, name, getattr(source, name))
    if source.HasField("ad"):
        own.ad.destination, own.ad.account_id = source.ad.destination, source.ad.account_id
        own.ad.campaign_id = source.ad.campaign_id


def _copy(state: object, name: str, value: object) -> None:
    """Copies a field, whatever its kind."""
    field = getattr(state, name)
    if hasattr(field, "CopyFrom"):
        field.CopyFrom(value)
    elif hasattr(field, "extend"):
        field.extend(value)
    else:
        setattr(state, name, value)


def anonymous_observation(admitted: AdmittedEvent) -> AdmittedEvent:
    """Returns what an event says of somebody else's conversion, or changes of it, without whose event it was."""
    said = admitted.event
    kept = AdmittedEvent(
        verdict=admitted.verdict, conversion_id=admitted.conversion_id, source_rank=admitted.source_rank
    )
    event = kept.event
    event.event_id, event.traffic, event.origin = said.event_id, said.traffic, said.origin
    event.event_time.CopyFrom(said.event_time)
    event.context.observed_by = said.context.observed_by
    if said.WhichOneof("kind") == "adjustment":
        event.adjustment.SetInParent()
    for field, value in said.conversion.ListFields():
        if field.name in _SAID:
            _copy(event.conversion, field.name, value)
    for field, value in said.adjustment.ListFields():
        if field.name in (*_TARGET, *_CHANGED):
            _copy(event.adjustment, field.name, value)
    return kept


def anonymous_entry(admitted: AdmittedEvent, gone: Collection[str], order: str = "") -> AdmittedEvent:
    """Returns what an observation of an erased person's conversion is in the journey of whoever observed it.

    Args:
        admitted: It.
        gone: Identifiers of the erased person.
        order: The random id of what it observed: several of one are told apart from those of another, and nothing
            leads anywhere. Empty: it is not known any more.
    """
    said = admitted.event
    tokens = [token for token in admitted.identity_tokens if token not in gone]
    kept = AdmittedEvent(verdict=admitted.verdict, identity_tokens=tokens, conversion_id=order)
    event = kept.event
    event.event_id, event.session_id, event.traffic = said.event_id, said.session_id, said.traffic
    event.event_time.CopyFrom(said.event_time)
    if said.HasField("consent"):
        event.consent.CopyFrom(said.consent)
    event.conversion.name = said.conversion.name
    return kept


def anonymous_change(admitted: AdmittedEvent, stand_in_id: str) -> AdmittedEvent:
    """Returns what an adjustment says of an order, as it is kept with what stands in for one of its conversions."""
    said = admitted.event
    kept = AdmittedEvent(verdict=admitted.verdict, conversion_id=stand_in_id, of_order=True)
    event = kept.event
    event.event_id, event.traffic = said.event_id, said.traffic
    event.event_time.CopyFrom(said.event_time)
    event.adjustment.conversion_id = stand_in_id
    for field, value in said.adjustment.ListFields():
        if field.name in _CHANGED:
            _copy(event.adjustment, field.name, value)
    return kept
