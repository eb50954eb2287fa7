"""Who was seen with whom -> ties, and what that changes about people, as facts.

Called for events with two identifiers or more; a pair that this process has seen through is not asked for again. Step
by step; each may run twice, in several processes at once, and a crash between any two leaves what the next run of the
event, or of any other event with one of its identifiers, finishes:

1. An identifier's ties are read, with the links that are not finished.
2. The new ones are written, at the event's most telling identifier together with the *link*: what was added and what
   that displaced; then at the others. Each only if nobody wrote there since it was read, else all again from 1. From
   here on the people are others, whoever asks.
3. What changed follows from the ties with and without the link: people before, people after.
4. Their conversions are credited, or put off (`attributor`): what is published later has other causes. So that is noted
   of the link, in this process at once, for others beside what comes next.
5. The facts are stored in ClickHouse, under names that are the same in every run.
6. The link is forgotten.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from tributary_attribution.steps import together
from tributary_attribution.tie_view import TieView
from tributary_domain.identifiers import CUSTOMER
from tributary_domain.person_changes import PersonChange, missing_to_relink, relink, relink_plainly
from tributary_domain.ties import Span, Tie, telling, type_of
from tributary_runtime.errors import Backpressure
from tributary_storage.clickhouse.identity_changes import IdentityFact
from tributary_storage.redis.journey_homes import Regrouped
from tributary_storage.redis.people import LimitsOf
from tributary_storage.redis.tie_layout import HeldTies, Link, Said
from tributary_storage.redis.ties import IdentityTies, Place

_ATTEMPTS: Final = 20
"""How often ties that others write at the same time are read again before the batch waits."""
_KNOWN: Final = 50_000
"""Pairs that a process remembers."""

Cause = tuple[str, str]
"""Workspace and event id: what made a link."""

Field = tuple[str, bytes]
"""Workspace, and what a link is kept under."""

_Pair = tuple[str, str, str]
"""Workspace and both identifiers."""


class Seen(NamedTuple):
    """Identifiers that were seen together."""

    workspace: str
    said: Said
    edges: Sequence[Tie]


class Facts(Protocol):
    """Where changes of people are stored."""

    async def write(self, facts: Iterable[IdentityFact]) -> None:
        """Returns when all are stored; may run twice.

        Raises:
            StorageUnavailableError: Some may be stored; the same are written again.
        """
        ...


@dataclass(slots=True)
class Linked:
    """What a batch of edges led to, until its conversions are credited."""

    facts: list[IdentityFact] = field(default_factory=list)
    regrouped: dict[Place, Regrouped] = field(default_factory=dict)
    """Identifiers whose person has changed."""
    said: dict[Place, list[Said]] = field(default_factory=dict)
    """What changed them."""
    links: list[tuple[str, Link]] = field(default_factory=list)
    """To be forgotten at the end."""
    credited: Collection[Field] = ()
    """Those of them whose changes others have credited: they are only stored."""
    known: dict[_Pair, tuple[Span, ...]] = field(default_factory=dict)
    """To be remembered then."""
    ties: dict[Place, HeldTies] = field(default_factory=dict)
    """Of the identifiers whose person has changed, as they were written: nobody has to read them again."""


class _Moved(Exception):
    """Somebody else wrote meanwhile."""


class Linking:
    """Links identifiers. Every method may run twice, and at once in several processes.

    Args:
        ties: Keeps who was seen with whom.
        facts: Stores what changes.
        limits_of: Knows what keeps people apart.
        loss_micros: Tells when the last confirmed loss of the state store was; 0: there was none.
    """

    def __init__(
        self, ties: IdentityTies, facts: Facts, limits_of: LimitsOf, loss_micros: Callable[[], int] = lambda: 0
    ) -> None:
        self._ties = ties
        self._facts = facts
        self._limits_of = limits_of
        self._loss_micros = loss_micros
        self._lost_micros = 0
        self._known: dict[_Pair, tuple[Span, ...]] = {}
        self._credited: Counter[Field] = Counter()
        """Links whose changes are credited, of batches that are being stored."""

    async def link(
        self, seen: Sequence[Seen], ties_seconds: int, own: Collection[Cause] = frozenset(), *, anew: bool = False
    ) -> Linked:
        """Writes ties and says what they changed, and what others left unfinished.

        Args:
            seen: In any order.
            ties_seconds: How long ties live after this.
            own: The events of this batch: what they linked is seen through again, whoever has credited it.
            anew: Whether pairs that were seen through are looked at again: somebody has lost what was known of them.

        Raises:
            Backpressure: Others wrote the same ties again and again.
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        loss_micros = self._loss_micros()
        if loss_micros != self._lost_micros:
            self._known, self._lost_micros = {}, loss_micros
        fresh = [one for one in seen if anew or not all(self._knows(one.workspace, edge) for edge in one.edges)]
        if not fresh:
            return Linked()
        fresh.sort(key=lambda one: one.said[1:3])
        for _ in range(_ATTEMPTS):
            try:
                return await self._link(fresh, ties_seconds, own)
            except _Moved:
                continue
        raise Backpressure("Ties moved while they were written.", pause_seconds=0.2)

    @contextmanager
    def credited(self, linked: Linked) -> Iterator[None]:
        """While what changed about people is stored: lets the next batch of this process know that it is credited."""
        fields = [(workspace, link.field) for workspace, link in linked.links]
        self._credited.update(fields)
        try:
            yield
        finally:
            self._credited -= Counter(fields)

    async def store(self, linked: Linked) -> None:
        """Stores what changed about people, and beside that lets other processes know that it is credited.

        Raises:
            StorageUnavailableError: A store did not answer; run all of it again.
        """
        facts = [self._facts.write(linked.facts)] if linked.facts else []
        noted = [self._ties.credit(linked.links)] if linked.links else []
        await together(*noted, *facts)

    async def finish(self, linked: Linked) -> None:
        """Forgets the links: once what they changed is stored and the conversions are credited, or noted to be.

        Raises:
            StorageUnavailableError: The state store did not answer; run all of it again.
        """
        if linked.links:
            await self._ties.finish(linked.links)
        if len(self._known) > _KNOWN:
            self._known.clear()
        self._known.update(linked.known)

    def _knows(self, workspace: str, edge: Tie) -> bool:
        """Tells whether an edge was seen through: it adds nothing to what is kept of its pair."""
        if edge.word_key[0] >= 0:
            return False
        spans = self._known.get((workspace, *edge.pair))
        if not spans:
            return False
        (start, hashed, end) = edge.spans[0]
        if type_of(edge.first) != CUSTOMER:
            return spans[0][:2] <= (start, hashed)
        return any(span[:2] <= (start, hashed) and end <= span.end_time_micros for span in spans)

    async def _link(self, fresh: Sequence[Seen], ties_seconds: int, own: Collection[Cause]) -> Linked:
        here = set(self._credited)
        held, pending = await self._read(fresh)
        here |= self._credited.keys()
        others = {(where, link.field) for where, link in pending if (where, link.said.event_id) not in own}
        pending = [(where, link) for where, link in pending if (where, link.field) not in here & others]
        noted = {(where, name) for (where, _), found in held.items() for name in found.credited}
        views: dict[str, TieView] = {}
        for workspace in {place[0] for place in held}:
            ties_of = {token: found for (where, token), found in held.items() if where == workspace}
            views[workspace] = TieView(ties_of, self._limits_of(workspace))
        for workspace, link in pending:
            views[workspace].add(link.edges)  # of some of its ends nothing may be written yet
        links = list(pending)
        for workspace, said, edges in fresh:
            view = views[workspace]
            displaced = view.add(edges)
            if displaced:
                pairs = sorted(displaced.items(), key=lambda pair: (telling(pair[0].first), telling(pair[0].second)))
                new, before = zip(*pairs, strict=True)
                links.append((workspace, Link(new[0].first, said, new, before)))
        written = await self._write(views, links[len(pending) :], held, ties_seconds)
        linked = Linked(links=links, credited=noted & others)
        for workspace, _, edges in fresh:
            view = views[workspace]
            linked.known.update(((workspace, *edge.pair), view.spans(edge.pair)) for edge in edges)
        for workspace, view in views.items():
            await self._tell_changes(workspace, view, [link for where, link in links if where == workspace], linked)
        for place in linked.regrouped.keys() & held.keys():
            version = held[place].version + (place in written)
            linked.ties[place] = HeldTies(version, views[place[0]].ties(place[1]))
        return linked

    async def _read(self, fresh: Sequence[Seen]) -> tuple[dict[Place, HeldTies], list[tuple[str, Link]]]:
        """Reads the ties of all identifiers, and of those that unfinished links name."""
        held: dict[Place, HeldTies] = {}
        links: dict[tuple[str, bytes], Link] = {}
        wanted = {(one.workspace, token) for one in fresh for edge in one.edges for token in edge.pair}
        while wanted:
            read = await self._ties.read(wanted)
            held |= read
            for (workspace, _), found in read.items():
                links.update(((workspace, name), link) for name, link in found.links.items())
            named = {
                (workspace, token)
                for (workspace, _), link in links.items()
                for edge in link.edges
                for token in edge.pair
            }
            wanted = named - held.keys()
        ordered = sorted(links.items(), key=lambda own: own[1].said[1:3])
        return held, [(workspace, link) for (workspace, _), link in ordered]

    async def _write(
        self,
        views: Mapping[str, TieView],
        links: Sequence[tuple[str, Link]],
        held: Mapping[Place, HeldTies],
        ties_seconds: int,
    ) -> Collection[Place]:
        """Writes what is new: first where the links are kept, then the rest; returns whose ties have a new version.

        Raises:
            _Moved: Somebody else wrote meanwhile, or there is more: all has to be read again.
        """
        of_home: dict[Place, list[Link]] = defaultdict(list)
        for workspace, link in links:
            of_home[workspace, link.home].append(link)
        changes = {
            (workspace, token): ties for workspace, view in views.items() for token, ties in view.changed().items()
        }
        first = {place: (held[place].version, changes.pop(place, ()), own) for place, own in of_home.items()}
        rest = {place: (held[place].version, ties, ()) for place, ties in changes.items()}
        for step in (first, rest):
            if step and await self._ties.write(step, ties_seconds):
                raise _Moved
        return first.keys() | rest.keys()

    async def _tell_changes(self, workspace: str, view: TieView, links: Sequence[Link], linked: Linked) -> None:
        """Says what links changed about people, one after another, as if each had come alone and in this order."""
        ties = view.without(links)
        for link in links:
            relinked = relink_plainly(ties, link.edges, view.limits)
            if relinked is None:
                while lacking := missing_to_relink(ties, link.edges, view.limits):
                    read = await self._ties.read({(workspace, token) for token in lacking})
                    ties.update((token, found.ties) for (_, token), found in read.items())
                relinked = relink(ties, link.edges, view.limits)
            ties.update(relinked.ties)
            for change in relinked.changes:
                linked.facts.append(IdentityFact(workspace, link, change))
                if (workspace, link.field) in linked.credited:
                    tokens = [token for person in change.after for token in person.tokens]
                    _look_again([(workspace, token) for token in tokens], linked)
                else:
                    _regroup(workspace, link.said, change, linked)


def _look_again(places: Iterable[Place], linked: Linked) -> None:
    """Notes whose conversions are looked at again: whoever has credited that they changed may have died since."""
    for place in places:
        linked.regrouped[place] = linked.regrouped.get(place, Regrouped(False, False))._replace(is_again=True)


def _regroup(workspace: str, said: Said, change: PersonChange, linked: Linked) -> None:
    """Notes whose person has changed, and how."""
    for person in change.after:
        tokens = set(person.tokens)
        sources = [before for before in change.before if tokens & {*before.tokens}]
        is_split = any(not tokens.issuperset(before.tokens) for before in sources)
        for token in person.tokens:
            place = workspace, token
            known = linked.regrouped.get(place, Regrouped(False, False))
            is_merged = known.is_merged or not is_split or len(sources) > 1
            linked.regrouped[place] = Regrouped(is_merged, known.is_split or is_split, known.is_again)
            linked.said.setdefault(place, []).append(said)
