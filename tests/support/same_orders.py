"""An order that was told plainly, and then counts as the first cycle of a subscription."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.batches import a_purchase, publish
from tests.support.delivery import Rig
from tests.support.revisions import Revision
from tributary.attribution.v1.conversion_pb2 import (
    NOT_COUNTED_REASON_MERGED_ORDER,
    NOT_COUNTED_REASON_RETRACTED,
    REVISION_CAUSE_OBSERVATION_MERGED,
    REVISION_CAUSE_RETRACTION,
)
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import Delivery
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED
from tributary.event.v1.conversion_pb2 import RECURRENCE_KIND_FIRST
from tributary_storage.redis.delivery_job import Lane

PLAIN, CYCLE = "c1:0000", "c1:0001"
UNIT = 1_000_000


class AnOrder:
    """An order of 90 that turns out to be a first cycle of 70, at one destination.

    Args:
        rig: Stores.
        workspace: Whose.
        kind: Of the destination.
        pixels: By what browser tags told both; "": by nothing.
        number: Which of several.
    """

    def __init__(
        self, rig: Rig, workspace: str, kind: str, pixels: tuple[str, str] = ("", ""), number: int = 0
    ) -> None:
        self.is_apart = False
        """Whether nobody knows yet that they are one."""
        self.is_denied = False
        """Whether its person says so with what is told from now on."""
        self.rig, self.lane, self.pixels, self.number = rig, Lane(workspace, kind.replace("_", "-")), pixels, number
        self.plain = a_purchase(self.lane, 2 * number, value_micros=90 * UNIT)
        self.cycle = a_purchase(self.lane, 2 * number + 1, value_micros=70 * UNIT, kind=RECURRENCE_KIND_FIRST)

    async def told(self, revision: Revision, *, is_planned: bool = True) -> list[ConversionRevised]:
        """Publishes a revision of either."""
        return await publish(self.rig, self.lane, [revision], self.as_it_is(revision), is_planned=is_planned)

    async def merge(self) -> None:
        """Publishes both as they are once it is known that they are one."""
        self.plain = self.plain.then(counted=False, cause=REVISION_CAUSE_OBSERVATION_MERGED)
        await self.told(self.cycle)
        await self.told(self.plain)

    async def lines(self, conversion_id: str) -> list[Delivery]:
        return await self.rig.deliveries(self.lane, conversion_id)

    def as_it_is(self, revision: Revision) -> Callable[[ConversionRevised], None]:
        plain, cycle = self.plain.conversion_id, self.cycle.conversion_id
        is_plain = revision.conversion_id == plain

        def change(message: ConversionRevised) -> None:
            state, match = message.state, message.match
            state.order_key.order_id, match.pixel_event_id = f"{1001 + self.number}", self.pixels[0 if is_plain else 1]
            if self.is_denied:
                match.consent.ad_user_data = CONSENT_STATE_DENIED
            state.observation_event_ids.append(f"event of {revision.conversion_id}")
            click = match.click_ids.add(family="msclkid", value="a-click" + self.number * "x")
            click.click_time.FromMicroseconds(state.conversion_time.ToMicroseconds() - UNIT)
            if not is_plain:
                state.order_key.cycle = "1"
                if not self.is_apart:
                    state.merged_from.conversion_id, state.merged_from.pixel_event_id = plain, self.pixels[0]
            elif not revision.counted and not self.is_apart:
                state.merged_into.conversion_id, state.merged_into.pixel_event_id = cycle, self.pixels[1]
                is_taken_back = revision.cause == REVISION_CAUSE_RETRACTION
                reasons = (NOT_COUNTED_REASON_MERGED_ORDER, NOT_COUNTED_REASON_RETRACTED)
                state.not_counted_reason = reasons[is_taken_back]

        return change
