"""Who is one person, for operators: shown with what made them so, and taken apart where that was wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Protocol

from tributary.attribution.v1 import identity_pb2, journey_pb2
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary_attribution.beginnings import Beginnings
from tributary_attribution.directory import Directory
from tributary_attribution.journeys import tokens_to_find
from tributary_attribution.linking import Linked, Seen
from tributary_domain.event_order import event_hash
from tributary_domain.identity import Cluster, Person
from tributary_domain.ids import person_id
from tributary_domain.ties import most_telling, operator_edge
from tributary_runtime.clock import Clock
from tributary_runtime.errors import Backpressure, NotFoundError, PreconditionError, RevisionMovedError
from tributary_runtime.workspaces import Workspace
from tributary_storage.clickhouse.identity_changes import StoredChange
from tributary_storage.clickhouse.identity_words import StoredWord
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.redis.people import People
from tributary_storage.redis.tie_layout import Said

MAX_CONNECTED: Final = 500
"""Other people of one cluster that are shown."""

_PREFIX: Final = "t1:"
"""Of the ids of events that no caller sent."""


class Changes(Protocol):
    """The changes of people that are stored. Every method raises `StorageUnavailableError` if they cannot be read."""

    async def of_tokens(self, workspace: str, tokens: Sequence[str]) -> list[StoredChange]:
        """Returns those that concerned identifiers, newest first."""
        ...

    async def get(self, workspace: str, change_id: str) -> StoredChange | None:
        """Returns one of them."""
        ...


class Words(Protocol):
    """Where what operators say is stored."""

    async def write(self, workspace: str, words: Sequence[StoredWord]) -> None:
        """Returns when all are stored; may run twice.

        Raises:
            StorageUnavailableError: Some may be stored.
        """
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an identifier is."""

    token: str
    cluster: Cluster
    """All that is connected with it."""
    changes: Sequence[StoredChange]
    """Newest first."""
    beginning: journey_pb2.Beginning
    """How the person that it belongs to began."""
    has_journey: bool
    """Whether the person has one."""

    @property
    def is_known(self) -> bool:
        """Tells whether anything was ever heard of it and is not forgotten."""
        is_alone = len(self.cluster.tokens) == 1 and not self.changes
        return self.has_journey or not is_alone or self.beginning != journey_pb2.Beginning()

    @property
    def person(self) -> Person:
        """Returns the person that it belongs to."""
        return next(person for person in self.cluster.persons if self.token in person.tokens)


class Identities:
    """Shows people and takes changes of them back.

    Args:
        people: Knows who is one person.
        beginnings: Knows how people began.
        changes: What is stored of how they became so.
        words: Stores what an operator says.
        relink: Links identifiers and credits what that changes (`Attributor.relink`).
        directory: Knows the workspaces.
        clock: Tells when an operator said something.
    """

    def __init__(
        self,
        people: People,
        beginnings: Beginnings,
        changes: Changes,
        words: Words,
        relink: Callable[[Workspace, Sequence[Seen]], Awaitable[Linked]],
        directory: Directory,
        clock: Clock,
    ) -> None:
        self._people = people
        self._beginnings = beginnings
        self._changes = changes
        self._words = words
        self._relink = relink
        self._directory = directory
        self._clock = clock

    async def by_person_id(self, workspace_id: str, person_id: str) -> Identity:
        """Says who an identifier is, by the person id that was once made of it.

        Raises:
            NotFoundError: Nothing is known of it.
            StorageUnavailableError: A store did not answer.
        """
        token = await self._people.token_of(self._directory.get(workspace_id).id, person_id)
        if token is None:
            raise _nobody(person_id)
        return await self.show(workspace_id, token)

    async def by_identifiers(self, workspace_id: str, identifiers: Identifiers) -> Identity:
        """Says who the most telling of some identifiers is.

        Raises:
            NotFoundError: They name nobody.
            StorageUnavailableError: A store did not answer.
        """
        tokens = tokens_to_find(self._directory.get(workspace_id), identifiers)
        if not tokens:
            raise _nobody("")
        found = await self.show(workspace_id, most_telling(tokens))
        if not found.is_known:
            raise _nobody("")
        return found

    async def show(self, workspace_id: str, token: str) -> Identity:
        """Says who an identifier is.

        Raises:
            NotFoundError: There is no such workspace.
            StorageUnavailableError: A store did not answer.
        """
        workspace = self._directory.get(workspace_id)
        cluster = await self._people.cluster_of(workspace.id, token)
        changes = await self._changes.of_tokens(workspace.id, [token])
        own = next(person for person in cluster.persons if token in person.tokens)
        [journey] = await self._people.find_each([(workspace.id, token)])
        beginning = await self._beginnings.of(workspace, own.tokens, journey)
        return Identity(token, cluster, changes, beginning, journey is not None)

    async def undo(self, workspace_id: str, change_id: str) -> list[StoredChange]:
        """Takes a change of people back, for good: whatever events say of the same identifiers.

        May run twice: a run that was cut off is finished by the next one.

        Args:
            workspace_id: Whose people.
            change_id: Of a merge, a split, or an undoing.

        Returns:
            The changes that this made; none if it was taken back already.

        Raises:
            NotFoundError: There is no such change in the workspace.
            PreconditionError: It cannot be taken back.
            RevisionMovedError: Conversions moved again and again while they were computed; ask again.
            StorageUnavailableError: A store did not answer; run the same again.
        """
        workspace = self._directory.get(workspace_id)
        change = await self._changes.get(workspace.id, change_id)
        if change is None:
            message = "There is no such change of people in this workspace."
            raise NotFoundError(message, resource_type="identity_change", resource_name=change_id)
        if not change.undo:
            message = "Nothing is known that would take this change back."
            raise PreconditionError(message, subject=change_id, reason="CHANGE_NOT_UNDOABLE")
        now = self._clock.unix_micros()
        name = _PREFIX + blake2b(f"{change_id} {now}".encode(), digest_size=16, person=b"trb undo").hexdigest()
        said = Said(name, now, event_hash(name), now, undone_change_id=change_id)
        await self._words.write(workspace.id, [StoredWord(name, now, change_id, *undo) for undo in change.undo])
        edges = [operator_edge(first, second, word, now, said.event_hash) for first, second, word in change.undo]
        try:
            linked = await self._relink(workspace, [Seen(workspace.id, said, edges)])
        except Backpressure as moving:  # said is said: asked again, it goes on
            message = "Conversions of these people moved while they were computed; ask for the same again."
            raise RevisionMovedError(message) from moving
        made = {fact.change_id for fact in linked.facts}
        found = [await self._changes.get(workspace.id, one) for one in sorted(made)]
        return [one for one in found if one is not None]


def identity_message(workspace: str, identity: Identity) -> identity_pb2.Identity:
    """Returns what is known of an identifier as the contract has it."""
    own = identity.person
    others = [person for person in identity.cluster.persons if person is not own]
    return identity_pb2.Identity(
        person=_person(person_id(workspace, own.first), own.tokens),
        connected=[_person(person_id(workspace, other.first), other.tokens) for other in others[:MAX_CONNECTED]],
        flagged=identity.cluster.is_flagged,
        refused=identity.cluster.is_refused,
        changes=[change_message(change) for change in identity.changes],
        beginning=identity.beginning,
    )


def change_message(change: StoredChange) -> identity_pb2.IdentityChange:
    """Returns a change as the contract has it."""
    return identity_pb2.IdentityChange(
        change_id=change.change_id,
        change_time=timestamp(change.change_time_micros),
        kind=identity_pb2.IdentityChangeKind.Value(f"IDENTITY_CHANGE_KIND_{change.kind}"),
        before=map(_person, change.person_ids_before, change.tokens_before),
        after=map(_person, change.person_ids_after, change.tokens_after),
        causing_event_id=change.causing_event_id,
        undone_change_id=change.undone_change_id,
    )


def _person(name: str, tokens: Sequence[str]) -> identity_pb2.IdentifiedPerson:
    return identity_pb2.IdentifiedPerson(person_id=name, identity_tokens=tokens)


def _nobody(name: str) -> NotFoundError:
    message = "Nothing is known of such a person in this workspace, or not any more."
    return NotFoundError(message, resource_type="person", resource_name=name)
