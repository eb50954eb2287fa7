"""What new edges change about people: merges and splits as facts, each with what takes it back.

The one rule: what changed is the difference of two partitions, both computed from edges alone, so that a crash between
computing and storing loses nothing: the same edges over what was stored before give the same changes again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tributary_domain.identity import Cluster, IdentityLimits, Person, Ties, clusters_of, linked, missing
from tributary_domain.plain_clusters import plain_clusters
from tributary_domain.ties import OperatorWord, Tie, join, shared_since, telling


class PersonChangeKind(StrEnum):
    """What became of some people."""

    MERGED = "merged"
    """Several became one."""
    SPLIT = "split"
    """One became several."""
    REGROUPED = "regrouped"
    """Several became several others: a late edge made others first."""
    RENAMED = "renamed"
    """The same identifiers, with another first one: the person id changes, and the old one forwards."""


Undo = tuple[str, str, OperatorWord]
"""What an operator has to say of two identifiers (`ties.operator_edge`)."""


@dataclass(frozen=True, slots=True)
class PersonChange:
    """One fact: these people became those."""

    kind: PersonChangeKind
    before: tuple[Person, ...]
    """Sorted; an identifier that was seen alone so far is a person too."""
    after: tuple[Person, ...]
    """Sorted; of the same identifiers."""
    undo: tuple[Undo, ...]
    """Takes it back: pairs that were seen together for the first time are separated, so that all is as if they had not
    been; an operator's word gives way to the one before it. Where the pairs were known, and only earlier edges of them
    came, the people before are separated or joined."""


@dataclass(frozen=True, slots=True)
class Relinked:
    """What edges made of people."""

    ties: Mapping[str, tuple[Tie, ...]]
    """Identifier -> all its ties, of each identifier the edges name: to be stored in place of the old ones, with the
    changes or after them. Empty: nothing new is known."""
    clusters: tuple[Cluster, ...]
    """Every cluster that the edges touched, as it is now; none where the edges could change nothing."""
    changes: tuple[PersonChange, ...]
    """Sorted by the people before."""


def missing_to_relink(ties: Ties, edges: Sequence[Tie], limits: IdentityLimits) -> set[str]:
    """Returns the identifiers whose ties must be read before `relink` can answer; ask again until there are none."""
    named = {token for edge in edges for token in edge.pair}
    lacking = named - ties.keys()
    if lacking:
        return lacking
    own = _joined(ties, edges, limits)
    if _is_old_news(ties, own, limits):
        return set()
    after = {**ties, **own}
    plain, lacking = plain_clusters(after, named, limits)
    if plain is not None or lacking:
        return lacking  # what is plain with the edges was so without them, and is no larger
    lacking = missing(ties, named, limits) | missing(after, named, limits)
    if lacking:
        return lacking - ties.keys()
    touched = _touched(ties, after, edges, limits)
    return (missing(ties, touched, limits) | missing(after, touched, limits)) - ties.keys()


def relink(ties: Ties, edges: Sequence[Tie], limits: IdentityLimits) -> Relinked:
    """Applies edges, however late, to what is kept.

    Whatever changes, changes through a link of an identifier that an edge names. So the clusters of these and of all
    that they linked before or link now are looked at, and no others.

    Args:
        ties: What was kept before; nothing may be `missing_to_relink`.
        edges: New ones, in any order, with any repeats; known ones change nothing.
        limits: The workspace's.
    """
    plainly = relink_plainly(ties, edges, limits)
    if plainly is not None:
        return plainly
    own = _joined(ties, edges, limits)
    known = {**ties, **own}
    touched = _touched(ties, known, edges, limits)
    return _relinked(ties, edges, own, clusters_of(ties, touched, limits), clusters_of(known, touched, limits))


def relink_plainly(ties: Ties, edges: Sequence[Tie], limits: IdentityLimits) -> Relinked | None:
    """Does so where no limit can bite, as nearly always, whatever has been read; None: it takes `relink`, or reading.

    Args: as for `relink`; here everything may be `missing_to_relink`.
    """
    if not all(token in ties for edge in edges for token in edge.pair):
        return None
    own = _joined(ties, edges, limits)
    if _is_old_news(ties, own, limits):
        return Relinked({token: found for token, found in own.items() if found != ties[token]}, (), ())
    plain, _ = plain_clusters({**ties, **own}, sorted(own), limits)
    if plain is None:
        return None
    before, _ = plain_clusters(ties, [token for cluster in plain for token in cluster.tokens], limits)
    return None if before is None else _relinked(ties, edges, own, before, plain)


def _relinked(
    ties: Ties,
    edges: Sequence[Tie],
    own: Mapping[str, tuple[Tie, ...]],
    before: Iterable[Cluster],
    after: Iterable[Cluster],
) -> Relinked:
    changes = tuple(
        PersonChange(_kind(*change), *change, _undo(change, ties, edges)) for change in _changes(before, after)
    )
    return Relinked(ties=own, clusters=tuple(after), changes=changes)


def _is_old_news(ties: Ties, own: Mapping[str, Sequence[Tie]], limits: IdentityLimits) -> bool:
    """Tells whether edges leave all as it is, which nearly every event does: known pairs, in event order."""
    if any(len(found) != len(ties[token]) for token, found in own.items()):
        return False

    def told(token: str, known: Sequence[Tie]) -> object:
        end = shared_since(known, token, limits.shared_device_customers, limits.shared_device_days)
        return end, sorted((tie.pair, tie.key, tie.word, tie.word_key) for tie in known)

    return all(found == ties[token] or told(token, found) == told(token, ties[token]) for token, found in own.items())


def _touched(before: Ties, after: Ties, edges: Sequence[Tie], limits: IdentityLimits) -> set[str]:
    """Returns every identifier whose person edges may have changed, with all of its person before and after."""
    named = {token for edge in edges for token in edge.pair}
    touched = linked(before, named, limits) | linked(after, named, limits)
    while True:
        grown = touched.union(
            *(cluster.tokens for ties in (before, after) for cluster in clusters_of(ties, touched, limits))
        )
        if grown == touched:
            return touched
        touched = grown


def _joined(ties: Ties, edges: Sequence[Tie], limits: IdentityLimits) -> dict[str, tuple[Tie, ...]]:
    """Returns all ties of the identifiers that the edges name."""
    named = {token for edge in edges for token in edge.pair}
    known = {tie[:2]: tie for token in named for tie in ties.get(token, ())}
    own: dict[str, list[Tie]] = {token: [] for token in named}
    for _, tie in sorted(join(edges, limits.shared_device_days, known.values()).items()):
        for token in tie.pair:
            if token in own:
                own[token].append(tie)
    return {token: tuple(found) for token, found in own.items()}


_People = tuple[tuple[Person, ...], tuple[Person, ...]]
"""Those before and those after, of the same identifiers."""


def _changes(before: Iterable[Cluster], after: Iterable[Cluster]) -> list[_People]:
    """Returns the smallest groups of people that differ and share identifiers."""
    old = {person for cluster in before for person in cluster.persons}
    new = {person for cluster in after for person in cluster.persons}
    old_of = {token: person for person in old - new for token in person.tokens}
    new_of = {token: person for person in new - old for token in person.tokens}
    changes: list[_People] = []
    seen: set[str] = set()
    for person in sorted(old - new):
        if person.tokens[0] in seen:
            continue
        group: set[str] = set()
        waiting = list(person.tokens)
        while waiting:
            token = waiting.pop()
            if token not in group:
                group.add(token)
                waiting += old_of[token].tokens if token in old_of else ()
                waiting += new_of[token].tokens if token in new_of else ()
        seen |= group
        sides = ({own[token] for token in group if token in own} for own in (old_of, new_of))
        one, other = (tuple(sorted(side)) for side in sides)
        changes.append((one, other))
    return changes


def _kind(before: Sequence[Person], after: Sequence[Person]) -> PersonChangeKind:
    if len(before) == len(after) == 1:
        return PersonChangeKind.RENAMED
    if len(after) == 1:
        return PersonChangeKind.MERGED
    return PersonChangeKind.SPLIT if len(before) == 1 else PersonChangeKind.REGROUPED


def _undo(change: _People, ties: Ties, edges: Iterable[Tie]) -> tuple[Undo, ...]:
    """Returns what takes a change back."""
    before, after = change
    tokens = {token for person in before for token in person.tokens}
    undo: set[Undo] = set()
    for edge in edges:
        if not tokens & {*edge.pair}:
            continue
        known = next((tie for tie in ties.get(edge.first, ()) if tie.second == edge.second), None)
        if edge.word_key[0] >= 0:
            undo.add((*edge.pair, known.word if known else OperatorWord.WITHDRAWN))
        elif known is None or (not known.spans and known.word is OperatorWord.WITHDRAWN):
            undo.add((*edge.pair, OperatorWord.SEPARATED))
    if not undo:
        undo = {*_pairs(before, after, OperatorWord.SEPARATED), *_pairs(after, before, OperatorWord.JOINED)}
    return tuple(sorted(undo))


def _pairs(parts: Iterable[Person], wholes: Iterable[Person], word: OperatorWord) -> Iterable[Undo]:
    """Says a word of the first identifiers of parts that share a whole."""
    for whole in wholes:
        inside = sorted((set(part.tokens) & set(whole.tokens) for part in parts), key=sorted)
        heads = [min(shared, key=telling) for shared in inside if shared]
        for head in heads[1:]:
            first, second = sorted((heads[0], head), key=telling)
            yield first, second, word
