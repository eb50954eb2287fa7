"""Families: conversions that decide about each other though they may be different people's: leads and subscriptions.

The one rule: a family is named by what callers send, so that whoever comes first, the next finds it by the same name.
The stages of a lead are named by the lead, or by the order that was its first conversion, or by both, which makes both
one family. So does a conversion that is known by several names: an order that tells its lead's id and that later stages
name, or a stage of which two observers call the lead differently. Whoever must not be told names it by its id
(`ids.family_id`), which leads to the same. An order that is the first cycle of a subscription is named as whoever tells
it without the cycle would name it.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final, NamedTuple


class Membership(IntEnum):
    """What a conversion is in a family. Stored: never renumbered."""

    STAGE = 1
    ROOT = 2
    """It would be the lead's first conversion, if it were observed."""
    CYCLE = 3
    """A cycle of a subscription that decided something: others may inherit from it."""
    RENEWAL = 4
    """A cycle that decided nothing: it inherits, or is a trial."""
    PLAIN = 5
    """It would be the order of a first cycle as it is told without the cycle, if it were observed."""


LEADING: Final = (Membership.STAGE, Membership.ROOT)
"""As what a conversion makes all families that it is in one: it is of one lead."""

_NO_LEADS: Final = ("subscription:", "first:")
"""How names begin that are no lead's."""


class Member(NamedTuple):
    """A conversion in a family."""

    conversion_id: str
    role: Membership
    names: tuple[str, ...]
    """All names by which it belongs to the family; ids of families in place of those that nobody shall read."""


def lead_names(lead_id: str, store: str, root_order_id: str) -> tuple[str, ...]:
    """Returns the names of a stage's lead; none if both were placeholders, and it is of no lead.

    >>> lead_names("L-1", "de", "7")
    ('lead:L-1', 'order:2:de:7')
    """
    return (*([f"lead:{lead_id}"] if lead_id else []), *([order_name(store, root_order_id)] if root_order_id else []))


def order_name(store: str, order_id: str) -> str:
    """Returns the name of a lead by the order that was its first conversion; order numbers repeat between shops."""
    return f"order:{len(store)}:{store}:{order_id}"


def subscription_name(store: str, subscription_id: str) -> str:
    """Returns the name of a subscription; likewise."""
    return f"subscription:{len(store)}:{store}:{subscription_id}"


def first_name(name: str, store: str, order_id: str) -> str:
    """Returns the name of an order that is the first cycle of a subscription; orders of other names are others.

    Args:
        name: Of the conversion.
        store: Its shop.
        order_id: Its number.
    """
    return f"first:{len(name)}:{name}:{len(store)}:{store}:{order_id}"


def may_be_lead(name: str) -> bool:
    """Tells whether a name may be that of a lead; an id may."""
    return not name.startswith(_NO_LEADS)


def unread(names: Iterable[str], members: Mapping[str, Iterable[Member]]) -> set[str]:
    """Returns the names of families that members lead on to and whose own are not known yet; none: all are.

    Args:
        names: Where reading began.
        members: By name, as far as they were read.
    """
    return {*names, *(name for own in members.values() for member in own for name in member.names)} - members.keys()


def whole(members: Mapping[str, Iterable[Member]]) -> dict[str, set[str]]:
    """Returns by each name all names of its family, as far as its members are known.

    Args:
        members: By name.
    """
    families = {name: {name} for name in members}
    known_by: dict[str, str] = {}
    for name, own in members.items():
        for member in own:
            for other in member.names:
                _join(families, name, other)
            if member.role in LEADING:
                _join(families, name, known_by.setdefault(member.conversion_id, name))
    return families


def _join(families: dict[str, set[str]], name: str, other: str) -> None:
    """Makes the families of two names one."""
    larger, smaller = families[name], families.setdefault(other, {other})
    if larger is smaller:
        return
    if len(larger) < len(smaller):
        larger, smaller = smaller, larger
    larger |= smaller
    families.update(dict.fromkeys(smaller, larger))


class NamedBy(NamedTuple):
    """What a name says."""

    kind: str
    """"lead", "order", "subscription" or "first"."""
    store: str
    """Empty of a lead."""
    text: str
    name: str = ""
    """Of the conversion, where that is part of it."""


def parse_name(name: str) -> NamedBy:
    """Reads a name.

    >>> parse_name("order:2:de:7")
    NamedBy(kind='order', store='de', text='7', name='')
    >>> parse_name("first:8:purchase:2:de:7")
    NamedBy(kind='first', store='de', text='7', name='purchase')
    """
    kind, _, rest = name.partition(":")
    if kind == "lead":
        return NamedBy(kind, "", rest)
    conversion_name = ""
    if kind == "first":
        conversion_name, rest = _counted(rest)
    store, text = _counted(rest)
    return NamedBy(kind, store, text, conversion_name)


def _counted(rest: str) -> tuple[str, str]:
    """Returns a part that says how long it is, and what follows."""
    length, _, rest = rest.partition(":")
    return rest[: int(length)], rest[int(length) + 1 :]
