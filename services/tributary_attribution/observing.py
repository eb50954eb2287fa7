"""What events say about conversions, written where it belongs; also what names an order by the id of one of its events.

An adjustment that names an event is kept under the conversion that this event would be by itself. Where the event
observed an order, a forwarding entry stands there: each of the two writes its own and then reads what is there, in one
step, so that one of them always sees both and brings the adjustment to the order. What Redis has lost of that is asked
of ClickHouse.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Protocol

from tributary_attribution.affected import Affected, affected_at, joined
from tributary_attribution.arrivals import Arrival
from tributary_attribution.credit_settings import conversion_life_seconds
from tributary_attribution.memberships import memberships
from tributary_runtime.workspaces import Workspace
from tributary_storage.redis.conversions import FORWARD, Conversions, conversion_key
from tributary_storage.redis.journey_layout import event_field

_Parts = dict[str, dict[bytes, bytes]]


class Orders(Protocol):
    """What ClickHouse knows of the events of orders."""

    async def conversion_of_event(self, workspace: str, event_id: str) -> str:
        """Returns the id of the conversion that an event observed; empty if there is none.

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...

    async def conversion_as_sent(self, workspace: str, own_id: str, sent_hash: int) -> str:
        """Returns the same of an event that is stored under its id as it was sent, though a token stands for that now.

        Args:
            workspace: Whose.
            own_id: The conversion that the event would be by itself.
            sent_hash: `event_hash` of the id.

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...


class Observing:
    """Writes what events say about conversions. May run twice, and at once in several processes.

    Args:
        conversions: Keeps it.
        orders: Knows the events that Redis has forgotten.
    """

    def __init__(self, conversions: Conversions, orders: Orders) -> None:
        self._conversions = conversions
        self._orders = orders

    async def observe(self, arrivals: Sequence[Arrival], workspaces: Mapping[str, Workspace]) -> dict[str, Affected]:
        """Writes the parts of conversions and reads all parts of those.

        Returns:
            By conversion key, those that the events observed or adjusted.

        Raises:
            StorageUnavailableError: A store did not answer; run the same again.
        """
        affected: dict[str, Affected] = {}
        parts: _Parts = defaultdict(dict)
        for arrival in arrivals:
            if arrival.part:
                one = affected_at(affected, workspaces[arrival.workspace], arrival.conversion_id)
                one.note([joined(arrival)])
                if arrival.claims_conversion:
                    one.claim_micros = arrival.accept_time_micros
                parts[one.key][event_field(arrival.event_hash)] = arrival.part
            if arrival.related is not None:
                workspace = workspaces[arrival.workspace]
                for key, fields in memberships(workspace, arrival.conversion_id, arrival.related).items():
                    parts[key].update(fields)
            if arrival.own_conversion_id:
                own = conversion_key(arrival.workspace, arrival.own_conversion_id)
                parts[own][FORWARD] = arrival.named_conversion_id.encode()
        if not parts:
            return affected
        life_seconds = conversion_life_seconds(workspaces.values())
        moved = await self._write(parts, affected, workspaces, life_seconds)
        moved.update(await self._forgotten(affected))
        if moved:
            await self._write(self._forward(moved, affected), affected, workspaces, life_seconds)
        return affected

    async def _write(
        self,
        parts: Mapping[str, Mapping[bytes, bytes]],
        affected: dict[str, Affected],
        workspaces: Mapping[str, Workspace],
        life_seconds: int,
    ) -> dict[str, tuple[Affected, str]]:
        """Writes and reads; returns what was adjusted under the id of an event -> the order that the event observed."""
        moved: dict[str, tuple[Affected, str]] = {}
        for key, stored in (await self._conversions.observe(parts, life_seconds)).items():
            one = affected.get(key)
            if stored.forward and stored.parts:
                if one is None:
                    workspace_id, _, conversion_id = key.partition("|")
                    one = Affected(workspaces[workspace_id], conversion_id)
                moved[key] = one, stored.forward
            if one is not None:
                one.take(stored)
        return moved

    async def _forgotten(self, affected: Mapping[str, Affected]) -> dict[str, tuple[Affected, str]]:
        """Returns the same of what was observed in another life of the state store."""
        moved: dict[str, tuple[Affected, str]] = {}
        for key, one in affected.items():
            if one.stored is None or one.stored.forward or any(part.is_observation for part in one.parts):
                continue
            named, sent_hash = next(
                ((part.event.adjustment.event_id, part.admitted.sent_target_hash) for part in one.parts), ("", 0)
            )
            if named:
                order = await self._orders.conversion_of_event(one.workspace.id, named)
                if not order and sent_hash:
                    order = await self._orders.conversion_as_sent(one.workspace.id, one.conversion_id, sent_hash)
                if order and order != one.conversion_id:
                    moved[key] = one, order
        return moved

    def _forward(self, moved: Mapping[str, tuple[Affected, str]], affected: dict[str, Affected]) -> _Parts:
        """Returns the parts of orders that were kept elsewhere; orders take the place of what named them."""
        parts: _Parts = defaultdict(dict)
        for key, (one, order) in moved.items():
            affected.pop(key, None)
            target = affected_at(affected, one.workspace, order)
            target.take_over(one)
            parts[target.key].update({} if one.stored is None else one.stored.parts)
            parts[key][FORWARD] = order.encode()
        return parts
