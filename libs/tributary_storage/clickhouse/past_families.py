"""Leads, subscriptions, orders told twice as ClickHouse knows them: which published conversions belong to which."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, NamedTuple

from tributary_domain.business_keys import STAGE, plain_id
from tributary_domain.families import (
    Member,
    Membership,
    NamedBy,
    first_name,
    lead_names,
    parse_name,
    subscription_name,
)
from tributary_domain.ids import family_id
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.stand_ins import StandInRecords
from tributary_storage.clickhouse.statements import statement

_DECIDING: Final = ("FIRST", "UPGRADE", "REACTIVATION")
_NONE: Final = "\0"
"""What nothing is called: an empty list is no list to SQL."""


class PastMember(NamedTuple):
    """A conversion that was published."""

    member: Member
    name: str
    """The conversion's name, of a plain order that of the cycle; empty of a stand-in."""


class PastFamilies:
    """Reads them."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        """Reads through this client."""
        self._clickhouse = clickhouse
        self._stand_ins = StandInRecords(clickhouse)

    async def of_names(self, workspace: str, names: Collection[str]) -> list[PastMember]:
        """Returns the members of families that were ever published.

        Args:
            workspace: Whose.
            names: Of families; ids of those that nobody shall read. Stand-ins are found by either, and have no name.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        ids = [family_id(name) for name in names]
        asked_by = {*ids, *names}  # an older release wrote names
        stand_ins = [PastMember(one, "") for one in await self._stand_ins.of_families(workspace, asked_by)]
        wanted = set(names).difference(ids)
        asked = [parse_name(name) for name in wanted]
        parameters = {
            "workspace": workspace,
            "leads": [one.text for one in asked if one.kind == "lead"] or [_NONE],
            "subscriptions": _pairs(asked, "subscription"),
            "orders": _pairs(asked, "order"),
            "firsts": [(one.name, one.store, one.text) for one in asked if one.kind == "first"] or [(_NONE,) * 3],
            "stage": STAGE,
        }
        rows = await self._clickhouse.execute(statement("past_families"), parameters) if asked else []
        subscriptions = [one.text for one in asked if one.kind == "subscription"]
        if subscriptions:
            parameters["names"] = subscriptions
            rows += await self._clickhouse.execute(statement("past_subscriptions"), parameters)
        found = [PastMember(member, row[1]) for row in rows for member in _members(workspace, row)]
        if any(one.kind in ("lead", "order") for one in asked):
            parameters["roots"] = [one.text for one in asked if one.kind == "order"] or [_NONE]
            said = await self._clickhouse.execute(statement("past_leads"), parameters)
            found += [
                PastMember(Member(conversion_id, Membership.STAGE, lead_names(lead_id, store, root)), name)
                for conversion_id, name, store, lead_id, root in said
            ]
        return stand_ins + [one for one in dict.fromkeys(found) if wanted.intersection(one.member.names)]


def _pairs(asked: Sequence[NamedBy], kind: str) -> list[tuple[str, str]]:
    return [(one.store, one.text) for one in asked if one.kind == kind] or [(_NONE, _NONE)]


def _members(workspace: str, row: Sequence[Any]) -> Iterator[Member]:
    """Yields what a conversion is to the families that it names, and what its order is without the cycle."""
    conversion_id, name, store, order_id, cycle, lead_id, subscription_id, kind, root = row
    if subscription_id:
        role = Membership.CYCLE if kind in _DECIDING else Membership.RENEWAL
        yield Member(conversion_id, role, (subscription_name(store, subscription_id),))
    if kind == "FIRST" and cycle and order_id not in ("", subscription_id):
        family = (first_name(name, store, order_id),)
        yield Member(conversion_id, Membership.CYCLE, family)
        yield Member(plain_id(workspace, name, store, order_id), Membership.PLAIN, family)
    is_stage = cycle.startswith(STAGE) and not subscription_id
    if lead_id or is_stage or root:
        root = root or (order_id if is_stage and not lead_id else "")
        yield Member(conversion_id, Membership.STAGE, lead_names(lead_id, store, root))
