"""What an observation says of the family of its conversion -> what is kept of it, and where. Pure.

A lead that is named by an order waits at that order: whichever conversion turns out to have that number finds there
whose first it is. Names that it may have are those that the workspace declares and that of the stage. A first cycle
waits at the order that it is without the cycle, likewise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from tributary.event.v1.conversion_pb2 import Conversion
from tributary_domain import ids
from tributary_domain.business_keys import plain_order
from tributary_domain.families import Member, Membership, first_name, lead_names, order_name, subscription_name
from tributary_domain.renewals import decides
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.family_members import family_field, pack_member
from tributary_storage.redis.conversions import conversion_key


def is_related(conversion: Conversion) -> bool:
    """Tells whether a conversion has a family."""
    return conversion.HasField("lead") or conversion.HasField("recurrence")


def family_key(workspace_id: str, name: str) -> str:
    """Returns what a family is kept under."""
    return conversion_key(workspace_id, ids.family_id(name))


def kept_of(member: Member, workspace_id: str) -> dict[str, dict[bytes, bytes]]:
    """Returns what is kept of a member, by key: in its family under each of its names, and at itself if it tells none.

    A root, and an order without its cycle, know nothing of their family.
    """
    field, value = pack_member(member)
    kept = {family_key(workspace_id, name): {field: value} for name in member.names}
    if member.role in (Membership.ROOT, Membership.PLAIN):
        fields = {family_field(name): name.encode() for name in member.names}
        kept[conversion_key(workspace_id, member.conversion_id)] = fields
    return kept


def memberships(
    workspace: Workspace, conversion_id: str, conversion: Conversion
) -> Mapping[str, Mapping[bytes, bytes]]:
    """Returns what is kept of an observation's family, by key.

    Args:
        workspace: Whose.
        conversion_id: What it observes.
        conversion: What it says of it.
    """
    kept: dict[str, dict[bytes, bytes]] = defaultdict(dict)
    for member in members_of(workspace, conversion_id, conversion):
        for key, fields in kept_of(member, workspace.id).items():
            kept[key] |= fields
    return kept


def members_of(workspace: Workspace, conversion_id: str, conversion: Conversion) -> Iterable[Member]:
    """Yields what a conversion is to its families, and what its lead's first conversion or its plain order would be."""
    if conversion.HasField("recurrence"):
        recurrence = conversion.recurrence
        if recurrence.subscription_id:  # else it was a placeholder
            role = Membership.CYCLE if decides(recurrence.kind) else Membership.RENEWAL
            yield Member(conversion_id, role, (subscription_name(conversion.store, recurrence.subscription_id),))
        if plain := plain_order(workspace.id, conversion):
            order_id, plain_id = plain
            yield from told_twice(conversion_id, plain_id, first_name(conversion.name, conversion.store, order_id))
    if conversion.HasField("lead"):
        lead = conversion.lead
        names = lead_names(lead.lead_id, conversion.store, lead.root_order_id)
        if names:  # likewise
            yield Member(conversion_id, Membership.STAGE, names)
        if lead.root_order_id:
            yield from roots_of(workspace, conversion.name, conversion.store, lead.root_order_id)


def told_twice(conversion_id: str, plain_id: str, name: str) -> Iterable[Member]:
    """Yields what both are to their order: the first cycle that it was told as, and what it would be without the cycle.

    The cycle has its subscription's name apart from this: who pays again later is nothing to the order.
    """
    yield Member(conversion_id, Membership.CYCLE, (name,))
    yield Member(plain_id, Membership.PLAIN, (name,))


def roots_of(workspace: Workspace, stage_name: str, store: str, order_id: str) -> Iterable[Member]:
    """Yields what would be the first conversion of a lead that an order names.

    Args:
        workspace: Whose.
        stage_name: The conversion name of the stage that names it.
        store: Of the stage.
        order_id: Of the first conversion.
    """
    for name in sorted({stage_name, *(one.name for one in workspace.conversions)}):
        digest = ids.order_digest(workspace.id, name, store, order_id)
        yield Member(ids.conversion_id(digest), Membership.ROOT, (order_name(store, order_id),))
