"""Leads, subscriptions, orders told twice: finds the conversions that decide about each other, whatever came first.

Every observation writes its own part, and that it is of a family, before the family is read: one of two that come at
once always sees both, and brings the other along. What Redis has never known of a family is asked of ClickHouse once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Protocol

from tributary_attribution.affected import NO_KIN, Affected
from tributary_attribution.credit_settings import conversion_life_seconds
from tributary_attribution.kinship import inherits, kin_of, names_as_lead, names_of, order_names
from tributary_attribution.memberships import family_key, kept_of, members_of, roots_of
from tributary_attribution.order_kin import lent_to
from tributary_attribution.restoration import Restoration
from tributary_attribution.severed_orders import SeveredOrders
from tributary_domain.families import LEADING, Member, Membership, parse_name, unread, whole
from tributary_domain.ids import family_id
from tributary_domain.stand_ins import is_stand_in
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.codec.family_members import unpack_members
from tributary_storage.redis.conversions import ASKED, Conversions, StoredConversion, conversion_key

_Members = dict[str, list[Member]]


class PastFamilies(Protocol):
    """What ClickHouse knows of families."""

    async def of_names(self, workspace: str, names: Collection[str]) -> Sequence[tuple[Member, str]]:
        """Returns the members of families that were ever published, each with the name of the conversion.

        Args:
            workspace: Whose.
            names: Of families; ids of those that nobody shall read. Stand-ins are found by either, and have no name.

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...


class Families:
    """Relates conversions. Every method may run twice, and at once in several processes.

    Args:
        conversions: Keeps parts and families.
        restoration: Restores what Redis has lost of conversions.
        past: Knows the families of before.
        severed: Knows which orders count as what is left of them.
        loss_micros: Tells when the last confirmed loss was; 0: there was none.
    """

    def __init__(
        self,
        conversions: Conversions,
        restoration: Restoration,
        past: PastFamilies,
        severed: SeveredOrders,
        loss_micros: Callable[[], int] = lambda: 0,
    ) -> None:
        self._conversions = conversions
        self._restoration = restoration
        self._past = past
        self._severed = severed
        self._loss_micros = loss_micros

    async def relate(self, affected: Sequence[Affected]) -> list[Affected]:
        """Says of conversions what their families are to them.

        Args:
            affected: With their parts; take it.

        Returns:
            Others whose credit they have; of these the parts are read, and nothing else.

        Raises:
            StorageUnavailableError: A store did not answer.
        """
        known = {one.key: one for one in affected}
        origins: dict[str, Affected] = {}
        own = set(known)
        pending = list(affected)
        while pending:
            related: dict[str, list[Affected]] = defaultdict(list)
            for one in pending:
                one.kin = NO_KIN
                if names_of(one):
                    related[one.workspace.id].append(one)
            pending = []
            for some in related.values():
                await self._relate(some, known)
                for one in some:
                    origin = one.kin.origin
                    if origin is not None and origin.key not in own and origin.key not in origins:
                        origins[origin.key] = origin
                        pending.append(origin)
        return list(origins.values())

    async def overtaken(self, published: Iterable[Affected]) -> list[Affected]:
        """Returns those whose family has become another one while they were computed and published.

        Raises:
            StorageUnavailableError: A store did not answer.
        """
        held = [one for one in published if names_of(one)]
        again = [replace(one, kin=NO_KIN) for one in held]
        await self.relate(again)
        return [one for one, now in zip(held, again, strict=True) if one.kin.told != now.kin.told]

    async def _relate(self, some: Sequence[Affected], known: dict[str, Affected]) -> None:
        """Relates conversions of one workspace; what is read of their relatives is known from then on."""
        workspace = some[0].workspace
        own = {one.key: names_of(one) for one in some}
        began = {family_id(name): name for one in some for name in (*own[one.key], *names_as_lead(one))}
        families = await self._lead_on(workspace, began, known)
        names_by = whole(families)
        theirs: dict[str, list[Member]] = {}
        for one in some:
            ids = set().union(*(names_by[family_id(name)] for name in own[one.key]))
            theirs[one.key] = [member for family in sorted(ids) for member in families[family]]

        def find(conversion_id: str) -> Affected | None:
            return known.get(conversion_key(workspace.id, conversion_id))

        renewed = {member for one in some if inherits(one) for member in theirs[one.key]}
        lent = await self._lent(workspace, renewed, known)
        for one in some:
            one.kin = kin_of(one, theirs[one.key], find, lent)

    async def _lent(
        self, workspace: Workspace, members: Iterable[Member], known: dict[str, Affected]
    ) -> dict[str, Sequence[ConversionPart]]:
        """Returns what changes first cycles through their orders, by id of the cycle: it decides whether they count."""
        cycles = {member.conversion_id for member in members if member.role is Membership.CYCLE}
        firsts = [
            (one, {family_id(name): name for name in names})
            for conversion_id in sorted(cycles)
            if (one := known[conversion_key(workspace.id, conversion_id)]) and (names := order_names(one))
        ]
        if not firsts:
            return {}
        families: _Members = {}
        is_new = await self._read(workspace, {key: name for _, own in firsts for key, name in own.items()}, families)
        await self._find(workspace, chain.from_iterable(families.values()), known, may_be_lost=is_new)

        def find(conversion_id: str) -> Affected | None:
            return known.get(conversion_key(workspace.id, conversion_id))

        return {
            one.conversion_id: lent_to(one, [member for family in own for member in families[family]], find)
            for one, own in firsts
        }

    async def _lead_on(self, workspace: Workspace, names: dict[str, str], known: dict[str, Affected]) -> _Members:
        """Returns the members of families, and of all that these and the conversions of leads lead to.

        What conversions are known by is read with them: nothing more is asked of a lead whose conversions have no other
        names than it was found by.

        Args:
            workspace: Whose.
            names: As of `_read`.
            known: By key; takes the members that decide something.
        """
        families: _Members = {}
        is_new = is_lacking = False
        while names or is_lacking:
            is_new = await self._read(workspace, names, families) or is_new
            members = list(chain.from_iterable(families.values()))
            await self._find(workspace, members, known, may_be_lost=is_new)
            ids = {member.conversion_id for member in members if member.role in LEADING}
            leading = [known[conversion_key(workspace.id, conversion_id)] for conversion_id in sorted(ids)]
            is_lacking = await self._give_back(workspace, leading, families)
            further = {family_id(name): name for one in leading for name in names_as_lead(one, is_member=True)}
            names = {family: name for family, name in further.items() if family not in families}
        return families

    async def _give_back(self, workspace: Workspace, leading: Iterable[Affected], families: _Members) -> bool:
        """Gives leads back the conversions that were restored; ClickHouse finds these by one observer's names only.

        Args:
            workspace: Whose.
            leading: Conversions of leads.
            families: As they were read; takes what they lack.

        Returns:
            Whether they lacked anything.
        """
        kept: dict[str, dict[bytes, bytes]] = defaultdict(dict)
        for one in leading:
            told = [part.event.conversion for part in one.parts if part.is_observation] if one.was_lost else []
            for member in chain.from_iterable(members_of(workspace, one.conversion_id, said) for said in told):
                ids = tuple(map(family_id, member.names))
                as_read = member._replace(names=ids)
                lacking = [family for family in ids if as_read not in families.get(family, (as_read,))]
                if member.role in LEADING and lacking:
                    for family in lacking:
                        families[family].append(as_read)
                    for key, fields in kept_of(member, workspace.id).items():
                        kept[key] |= fields
        if kept:
            await self._conversions.observe(kept, conversion_life_seconds([workspace]))
        return bool(kept)

    async def _read(self, workspace: Workspace, names: dict[str, str], families: _Members) -> bool:
        """Reads the members of families and of all that these lead to by their names.

        Args:
            workspace: Whose.
            names: Id of a family -> its name; the id where nobody shall read that. Takes what the members call theirs.
            families: By id; takes the members, which name theirs by ids, too.

        Returns:
            Whether any family is new to Redis.
        """
        is_new = False
        begun = list(names)
        while left := sorted(unread(begun, families)):
            keys = {family_key(workspace.id, family): family for family in left}
            read = await self._conversions.observe({key: {} for key in keys}, 0)
            loss = self._loss_micros()
            unasked = [key for key, stored in read.items() if loss not in stored.asked_after]
            is_new = is_new or bool(unasked)
            if unasked:
                read |= await self._recall(workspace, {key: names[keys[key]] for key in unasked}, loss)
            for key, family in keys.items():
                found: dict[Member, None] = {}
                for member in unpack_members(read[key].parts.values()):
                    ids = [family_id(name) for name in member.names]
                    names.update((one, name) for one, name in zip(ids, member.names, strict=True) if one != name)
                    names.update((one, one) for one in ids if one not in names)
                    found[member._replace(names=tuple(ids))] = None
                families[family] = list(found)
        return is_new

    async def _recall(self, workspace: Workspace, names: dict[str, str], loss: int) -> dict[str, StoredConversion]:
        """Gives families back what ClickHouse knows of them; returns what is kept of them then."""
        kept: dict[str, dict[bytes, bytes]] = {key: {ASKED + str(loss).encode(): str(loss).encode()} for key in names}
        for member, name in await self._past.of_names(workspace.id, sorted(names.values())):
            orders = [parse_name(one) for one in member.names if member.role is Membership.STAGE and name]
            roots = [
                root
                for order in orders
                if order.kind == "order"
                for root in roots_of(workspace, name, order.store, order.text)
            ]
            for one in (member, *roots):
                for key, fields in kept_of(one, workspace.id).items():
                    kept.setdefault(key, {}).update(fields)
        written = await self._conversions.observe(kept, conversion_life_seconds([workspace]))
        return {key: written[key] for key in names}

    async def _find(
        self, workspace: Workspace, members: Iterable[Member], known: dict[str, Affected], *, may_be_lost: bool
    ) -> None:
        """Reads those members that decide something and are not known yet.

        Args:
            workspace: Whose.
            members: Of families.
            known: By key; takes what is read.
            may_be_lost: Whether roots, and plain orders, that nobody observed as far as Redis knows are asked of
                ClickHouse.
        """
        missing: dict[str, Affected] = {}
        were_published: set[str] = set()
        for member in members:
            key = conversion_key(workspace.id, member.conversion_id)
            if key not in known and key not in missing and member.role is not Membership.RENEWAL:
                missing[key] = Affected(workspace, member.conversion_id, is_plain=member.role is Membership.PLAIN)
                is_sure = member.role not in (Membership.ROOT, Membership.PLAIN) or is_stand_in(member.conversion_id)
                if may_be_lost or is_sure:
                    were_published.add(key)
        if missing:
            for key, stored in (await self._conversions.observe({key: {} for key in missing}, 0)).items():
                missing[key].take(stored)
            await self._restoration.restore([one for key, one in missing.items() if one.parts or key in were_published])
            for one in missing.values():
                self._severed.mark(one)
            known.update(missing)
