"""What an erasure is: whom it concerns, until when, what stays; and how far it is.

The one rule: what happened until the moment of the erasure is gone, whenever it is heard of; what happens after it
under the same identifiers is somebody new (SEMANTICS section 13).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

SEVERED_PREFIX: Final = "s1:"
"""Of the ids of conversions whose person was erased: random, made of a secret that is destroyed with the person."""
_EVER: Final = 10_000_000_000_000_000
"""Later than anything is."""


class ErasureState(StrEnum):
    """How far an erasure is."""

    REQUESTED = "requested"
    """It will be done, whatever happens from now on."""
    DESTROYED = "destroyed"
    """All that was there is gone; what was on its way then is looked for once more."""
    FINISHED = "finished"
    """That is gone too, and the secret and the tokens with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """An erasure under way. It holds what it destroys last: tokens, conversions, and the secret of the random ids."""

    erasure_id: str
    workspace: str
    request_micros: int
    until_micros: int
    """What happened until then is gone."""
    removes: bool
    """Whether the conversions go too; else they stay under random ids."""
    tokens: tuple[str, ...]
    conversion_ids: tuple[str, ...] = ()
    told_again: tuple[tuple[str, int], ...] = ()
    """Ids of conversions that were among these until they were told again, and since when they are somebody new's: what
    was published before that and names them means the person's."""
    memberships: tuple[tuple[str, str], ...] = ()
    """What is kept of these at their leads and subscriptions: conversion key, and field in hexadecimal digits."""
    members: tuple[tuple[str, int, tuple[str, ...]], ...] = ()
    """What takes the place of that: conversion id, `families.Membership`, ids of the families."""
    places: tuple[tuple[str, int, int], ...] = ()
    """Of those that a family goes on with: conversion id, revision, and when they happened from now on."""
    deal_numbers: tuple[str, ...] = ()
    """Digests of the numbers by which deals name these: of orders that no other conversion has, and of leads."""
    severed_orders: tuple[str, ...] = ()
    """Digests by which the orders of these are recognised when somebody tells them again (`severed_orders`)."""
    severed_before: int = 0
    """Where the conversions go: how many an earlier erasure of the person, which was to leave them, had severed."""
    orders_over: tuple[str, ...] = ()
    """Ids of what stands in for conversions of orders of which nobody is left: what changed these is kept no more."""
    own_names: tuple[str, ...] = ()
    """By what else changes name the orders of these: ids of conversions, and of the names of orders (`families`)."""
    adjusted: tuple[str, ...] = ()
    """Ids of conversions beside these with which changes may be kept that name the person: others', or nobody's yet."""
    families: tuple[str, ...] = ()
    """Ids of what their leads are known by, where others keep that too."""
    is_asked_last: bool = False
    """Whether delivery was asked to forget these after all events of before were through."""
    relatives: tuple[str, ...] = ()
    """Ids of others' conversions that decide with these what counts, or that the person observed too."""
    joined: tuple[str, ...] = ()
    """Ids of those, likewise, of people who were once taken for one with the person."""
    touches: tuple[str, ...] = ()
    """References of the person's events, where there are such people: these may have been credited for them."""
    told_with: tuple[tuple[str, int], ...] = ()
    """Ids of others' conversions that destinations were told with what they recognise the person by, with each revision
    that had the person's match keys, and with 0."""
    secret: tuple[int, int] = (0, 0)
    """Two numbers of 64 bits of chance."""
    state: ErasureState = ErasureState.REQUESTED
    due_micros: int = 0
    """When it goes on."""
    through_micros: int = 0
    """When its last run was through; 0: none was, or an older release's."""
    is_behind: bool = False
    """Whether events from before it were still on their way when this run began. Of one that nobody asked for also
    whether something came back since that was noted, and may not be recorded yet."""
    destroyed: Mapping[str, int] = field(default_factory=dict)
    """Store -> how much of the person was destroyed there."""
    remaining: Mapping[str, int] = field(default_factory=dict)
    """Store -> how much was found there after it."""
    reason: str = ""
    requested_by: str = ""

    @property
    def is_severing(self) -> bool:
        """Tells whether conversions may have been severed: it is kept which they are right before that."""
        return not self.removes and bool(self.conversion_ids)

    @property
    def there_until_micros(self) -> int:
        """Returns until when what is accepted, or published, of its conversions is of what is to be destroyed.

        A later run finds of them what was late; what somebody else tells of their orders meanwhile is that one's.
        """
        return _EVER if self.state is ErasureState.REQUESTED else self.through_micros or self.due_micros

    def with_more(self, request_micros: int, until_micros: int) -> Erasure:
        """Returns the same with what came back meanwhile: due when it was, and not over with its next run."""
        until_micros = max(self.until_micros, until_micros)
        return replace(self, request_micros=request_micros, until_micros=until_micros, is_behind=True)

    def is_copy_before(self, other: Erasure) -> bool:
        """Tells whether this is how the erasure was before what another copy of it says."""
        if self.through_micros != other.through_micros:
            return self.through_micros < other.through_micros
        known = {*self.ever_theirs, *self.relatives}
        return not (known.issuperset(other.conversion_ids) and set(self.members).issuperset(other.members))

    @property
    def ever_theirs(self) -> tuple[str, ...]:
        """Returns the ids of its conversions, and of those that were until they were told again."""
        return tuple(sorted({*self.conversion_ids, *(name for name, _ in self.told_again)}))

    def told_again_by(self, revision: int) -> frozenset[str]:
        """Returns those of `ever_theirs` that somebody new had told by the time of a revision."""
        told = dict(sorted(self.told_again)).items()  # of one that is here twice, the last counts
        return frozenset(name for name, since in told if since <= revision).difference(self.conversion_ids)
