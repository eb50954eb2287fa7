"""Which conversions are looked at again whenever one of them changes."""

from __future__ import annotations

import pytest

from tests.support.attribution import NOON, Admitted, Events
from tests.support.families import Families
from tributary_attribution.affected import Affected
from tributary_attribution.kinship import kin_of
from tributary_attribution.memberships import members_of
from tributary_domain.event_order import event_hash
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
