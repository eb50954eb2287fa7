"""Orders that somebody tells again whose conversion was severed: the person whose it was is erased, and it counts.

The one rule: an order counts once. What is left of the severed conversion is frozen and counts on (SEMANTICS section
13); what is told again of it, by whom and in which way ever, is kept, shown, and not counted. An order may have several
first cycles: one that nobody told before is none of those that are severed, unless one of these is worth all of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from tributary_attribution.affected import Affected
from tributary_attribution.kinship import order_names
from tributary_attribution.seen import seen_of
from tributary_attribution.tombstones import Tombstones
from tributary_domain.conversion import conversion_facts
from tributary_domain.erasures import Erasure
from tributary_domain.families import Member, Membership, first_name
from tributary_domain.severed_orders import severed_digest, severed_key
from tributary_runtime.workspaces import Workspace


class SeveredOrders:
    """Knows them.

    Args:
        tombstones: Hold the digests.
    """

    def __init__(self, tombstones: Tombstones) -> None:
        """Asks these."""
        self._tombstones = tombstones

    async def note(self, affected: Iterable[Affected]) -> None:
        """Notes of conversions whether they were severed, as far as that is known by now.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        await self._tombstones.refresh()
        for one in affected:
            self.mark(one)

    def mark(self, one: Affected) -> None:
        """Notes the same of one with its parts, as far as that was known when it was looked for last.

        What the erased person said of an order is there until it is destroyed: that is no telling again.
        """
        if self._tombstones.has_orders:
            key = _key(one.workspace)
            digests = (severed_digest(key, name) for name in (one.conversion_id, *sorted(order_names(one))))
            erased = {until for digest in digests if (until := self._tombstones.severed_until(digest)) is not None}
            one.is_severed = any(not self._is_theirs(one, until) for until in erased)

    def _is_theirs(self, one: Affected, until_micros: int) -> bool:
        """Tells whether whoever is erased until a moment told a conversion by then."""
        said = (part for part in one.parts if part.is_observation and part.event_time_micros <= until_micros)
        tokens = (part.admitted.identity_tokens for part in said)
        return any(self._tombstones.are_erased(one.workspace.id, own, until_micros) for own in tokens)


def severed_orders(erasure: Erasure, workspace: Workspace, conversions: Iterable[Affected]) -> tuple[str, ...]:
    """Returns by what an erasure's conversions are recognised when they are told again, with those it knew before.

    Of those that count by themselves, or were taken back: another that counts in place of one goes on counting.

    Args:
        erasure: Whose.
        workspace: Likewise.
        conversions: With their parts and families.
    """
    if erasure.removes:
        return erasure.severed_orders
    key = _key(workspace)
    names = {name for one in conversions if _stays(one, erasure) for name in _names(one)}
    return tuple(sorted({*erasure.severed_orders, *(severed_digest(key, name) for name in names)}))


def are_severed(workspace: Workspace, names: Iterable[str], digests: Collection[str]) -> bool:
    """Tells whether any of the names of an order is one by which it is recognised as severed.

    Args:
        workspace: Whose.
        names: Conversion ids, and names of orders as `families.first_name` gives them.
        digests: Of all orders that were severed.
    """
    key = _key(workspace)
    return any(severed_digest(key, name) in digests for name in names)


def counts_on(one: Affected, erasure: Erasure) -> bool:
    """Tells whether an order that was told plainly counts as first cycles of which this erasure leaves some.

    Those of living people, or what is left of others: whoever tells the order plainly again is merged into it.
    """
    order = one.kin.order
    return order.merged_into is not None and not set(order.told_otherwise) <= set(erasure.conversion_ids)


def is_only_told_again(one: Affected, member: Member) -> bool:
    """Tells whether a conversion is a member only by what tells its order again: that does not count beside it."""
    is_own = member.conversion_id == one.conversion_id
    return is_own and member.role is Membership.PLAIN and one.kin.order.merged_into is None


def _stays(one: Affected, erasure: Erasure) -> bool:
    """Tells whether a conversion is, once severed, the one that stands for its order."""
    seen = seen_of(one)
    is_published = one.stored is not None and one.stored.revision > 0 and not one.is_severed
    return is_published and seen is not None and seen.is_observed and not counts_on(one, erasure)


def _names(one: Affected) -> Iterator[str]:
    """Yields its id and, where it stands for all of its order, how one finds that who tells it as a first cycle.

    One that was told plainly does unless it was told as first cycles, too: these stand for themselves, and what goes on
    counting must not be found so.
    """
    yield one.conversion_id
    if one.kin.order.merged_into is None:
        for part in one.parts:
            conversion = part.event.conversion
            if part.is_observation and conversion.order_id and not conversion.HasField("recurrence"):
                yield first_name(conversion.name, conversion.store, conversion.order_id)
    if _is_whole(one):
        yield from sorted(order_names(one))


def _is_whole(one: Affected) -> bool:
    """Tells whether a first cycle is worth what was said of its order as a whole, or was taken back with that."""
    order, own = one.kin.order, [part.observation() for part in one.parts if part.is_observation]
    alone, together = seen_of(one), seen_of(one, order.adjustments)
    if not order.valued or alone is None or alone.facts.is_retracted or together is None:
        return False
    valued_by = conversion_facts(own, told_plainly=[part.observation() for part in order.valued]).valued_by
    return together.facts.is_retracted or (valued_by is not None and valued_by not in own)


def _key(workspace: Workspace) -> bytes:
    return severed_key(workspace.id, workspace.pepper.reveal().encode())
