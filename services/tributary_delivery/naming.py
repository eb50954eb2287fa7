"""By what a destination knows a conversion: as it was sent first; else as is decided here, once, before it is.

The one rule: the same for ever. Whoever sends it again, or tells of a change, takes it from the job or the ledger.
"""

from __future__ import annotations

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary_delivery.attempt import Attempt
from tributary_delivery.destinations.adapter import Policy
from tributary_delivery.sent_values import written
from tributary_delivery.visible_ids import object_id, visible_id
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.crm_destinations import CrmDestination
from tributary_storage.redis.delivery_job import KnownAs, Lane


class Naming:
    """Names the conversions of one lane.

    Args:
        lane: Which.
        settings: Of the destination.
        policy: What it asks.
    """

    def __init__(self, lane: Lane, settings: BatchDestination, policy: Policy) -> None:
        self._lane = lane
        self._settings = settings
        self._policy = policy

    def known_as(self, attempt: Attempt) -> KnownAs:
        """Returns by what a conversion is known: as it was sent first, in whatever job or ledger know of that."""
        name = attempt.revised.state.name
        before = attempt.known_as or KnownAs(self.visible_id(attempt.revised))
        return KnownAs(
            before.visible_id,
            before.name or self._settings.name_of(name) or name,
            before.account or self._settings.account,
            before.told or written(attempt.told, attempt.revised.state),
            before.time_micros,
        )

    def visible_id(self, revised: ConversionRevised, *, with_store: bool = True) -> str:
        """Returns the id by which the destination knows a conversion that it is told of first."""
        policy, state, destination = self._policy, revised.state, self._lane.destination
        most = policy.most_id_characters
        if isinstance(self._settings, CrmDestination) and with_store:  # else it is one of an earlier version
            kind = self._settings.object_of(state.name, is_stage=state.HasField("lead"))
            return object_id(revised, destination, kind, most_characters=most)
        name = state.name if with_store and self._settings.shares_name(state.name) else ""
        return visible_id(
            revised, destination, id_is_order=policy.id_is_order, most_characters=most, with_store=with_store, name=name
        )
