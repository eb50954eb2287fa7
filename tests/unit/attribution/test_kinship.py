"""Which conversions are looked at again whenever one of them changes."""

from __future__ import annotations

import pytest

from tests.support.attribution import NOON, Admitted, Events
from tests.support.families import Families
from tributary.event.v1.event_pb2 import Traffic
from tributary_attribution.affected import Affected
from tributary_attribution.kinship import kin_of
from tributary_attribution.memberships import members_of
from tributary_domain.event_order import event_hash
from tributary_domain.lead_stages import StageStanding
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.conversion_parts import pack_part
from tributary_storage.redis.conversions import StoredConversion
from tributary_storage.redis.journey_layout import event_field

WORKSPACE = Workspace.model_validate({"id": "shop", "pepper": {"value": "a pepper of the tests"}})


def known(*told: Admitted) -> Affected:
    """Returns a conversion of which some parts are known."""
    one = Affected(WORKSPACE, told[0][1].conversion_id)
    parts = {event_field(event_hash(part.event.event_id)): pack_part(part, NOON) for _, part, *_ in told}
    one.take(StoredConversion(one.key, parts, 0, 0, b"", {}, NOON))
    return one


@pytest.mark.parametrize(
    ("told_plainly", "is_looked_at"),
    [
        pytest.param("plain", True, id="told without its cycle too"),
        pytest.param("refund", False, id="so far only adjusted"),
        pytest.param("", False, id="told with its cycle alone"),
    ],
)
def test_a_first_cycle_brings_its_order_along_only_where_somebody_told_it_plainly(
    told_plainly: str, *, is_looked_at: bool
) -> None:
    events = Events(WORKSPACE.id)
    cycle = known(Families(events).cycle(kind="FIRST", cycle="1", name="purchase", order_id="o-1"))
    plain = {"plain": events.order(order_id="o-1"), "refund": events.refund(5, order_id="o-1")}
    members = list(members_of(WORKSPACE, cycle.conversion_id, cycle.parts[0].event.conversion))
    found = {cycle.conversion_id: cycle}
    plain_id = plain["plain"][1].conversion_id
    assert plain_id in {member.conversion_id for member in members}
    if told_plainly:
        found[plain_id] = known(plain[told_plainly])
    assert kin_of(cycle, members, found.get).relatives == ((plain_id,) if is_looked_at else ())


def test_orders_count_each_for_itself_where_every_stage_of_the_lead_they_are_of_was_taken_back() -> None:
    events = Events(WORKSPACE.id)
    families = Families(events)
    stages = [
        families.stage(stage=f"stage {number}", lead_id="l-1", root=f"o-{number}", name="purchase") for number in (1, 2)
    ]
    told = [known(stage, families.adjusted(events.retraction(), stage)) for stage in stages]
    orders = [known(events.order(order_id=f"o-{number}", at=NOON + number)) for number in (1, 2)]
    members = [
        member for one in told for member in members_of(WORKSPACE, one.conversion_id, one.parts[0].event.conversion)
    ]
    found = {one.conversion_id: one for one in (*told, *orders)}
    assert [kin_of(one, members, found.get).standing for one in orders] == [None, None]
    living = {**found, told[0].conversion_id: known(stages[0])}
    standings = [kin_of(one, members, living.get).standing for one in orders]
    assert standings == [StageStanding.SUPERSEDED] * 2


@pytest.mark.parametrize("kind", ["FIRST", "UPGRADE"])
def test_a_test_or_another_kind_of_cycle_has_nothing_of_an_order_that_others_told_in_two_ways(kind: str) -> None:
    events = Events(WORKSPACE.id)
    families = Families(events)
    named = {"name": "purchase", "order_id": "o-1"}
    first = known(families.cycle(kind="FIRST", cycle="1", **named))
    says_first = families.cycle(kind="FIRST", cycle="2", rank=1, **named)
    if kind == "FIRST":
        says_first[1].event.traffic = Traffic.TRAFFIC_TEST
        other = known(says_first)
    else:
        other = known(says_first, families.cycle(kind=kind, cycle="2", **named))
    plain = known(events.order(order_id="o-1", rank=1, at=NOON - 1))
    found = {one.conversion_id: one for one in (first, other, plain)}
    members = [
        member
        for one in (first, other)
        for part in one.parts
        for member in members_of(WORKSPACE, one.conversion_id, part.event.conversion)
    ]
    assert kin_of(first, members, found.get).origin is plain
    assert kin_of(other, members, found.get).origin is None
