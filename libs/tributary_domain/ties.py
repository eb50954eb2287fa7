"""Who was seen with whom: what is kept of the edges between identifiers, per pair.

The one rule: a tie is a pure function of the *set* of its edges. Joining ties is commutative, associative and
idempotent, so neither the order nor the number of arrivals can matter.

An edge is one event that carried both identifiers. Of all edges of a pair only the first in event order is kept; where
one of the two is a customer id also when they were seen together, as spans without a gap of `days` or more, because
an identifier that meets many customers within so many days is a shared device.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import combinations
from typing import Final, NamedTuple

from tributary_domain.event_order import OrderKey
from tributary_domain.identifiers import CUSTOMER, DEVICE, EMAIL, OTHER, PHONE, VISITOR

_TELLING: Final = {CUSTOMER: 0, EMAIL: 1, PHONE: 2, VISITOR: 3, DEVICE: 4, OTHER: 5}
"""Type of identifier -> its rank, the most telling first; a type that is not known ranks last."""


class OperatorWord(StrEnum):
    """What an operator said of a pair of identifiers. Of several words on one pair the latest in event order counts."""

    JOINED = "joined"
    """They are one person: before any edge, and beyond every limit but those on customer ids and on the cluster."""
    SEPARATED = "separated"
    """They are two people, whatever edges say."""
    WITHDRAWN = "withdrawn"
    """Takes the word before back: edges alone decide."""


class Span(NamedTuple):
    """A time in which the two were seen together again and again."""

    start_time_micros: int
    start_hash: int
    """Of the event that began it: with the time its place in event order."""
    end_time_micros: int


class Tie(NamedTuple):
    """What is known of a pair of identifiers; the more telling one first."""

    first: str
    second: str
    spans: tuple[Span, ...] = ()
    """Oldest first. Empty: only an operator ever named them together."""
    word: OperatorWord = OperatorWord.WITHDRAWN
    word_key: OrderKey = (-1, 0)
    """Event order of the operator's word."""

    @property
    def key(self) -> OrderKey:
        """Its place in event order: the first edge, else the operator's word."""
        return self.spans[0][:2] if self.spans else self.word_key

    @property
    def pair(self) -> tuple[str, str]:
        """The identifiers, the more telling one first."""
        return self.first, self.second

    def other(self, token: str) -> str:
        """Returns the identifier that is not this one."""
        return self.second if token == self.first else self.first


def type_of(token: str) -> str:
    """Returns the type of an identity token.

    >>> type_of("customer:x1")
    'customer'
    """
    return token.partition(":")[0]


@lru_cache(maxsize=1 << 13)
def telling(token: str) -> tuple[int, str]:
    """Returns what identifiers are ordered by within one event: the most telling type first, then the text."""
    return _TELLING.get(type_of(token), len(_TELLING)), token


def most_telling(tokens: Sequence[str]) -> str:
    """Returns the identifier that an event belongs to: of those that tell most the first in the alphabet.

    >>> most_telling(["visitor:v", "customer:c"])
    'customer:c'
    """
    return tokens[0] if len(tokens) == 1 else min(tokens, key=telling)


def edges_of(tokens: Iterable[str], event_time_micros: int, event_hash: int) -> list[Tie]:
    """Returns an event's edges: every pair of its identifiers, the most telling pairs first.

    Every pair, not a star around one of them: where one link is refused, the others of the event still stand.

    Args:
        tokens: The identity tokens of the event, in any order, with any repeats.
        event_time_micros: When it happened.
        event_hash: `event_order.event_hash` of its event id.
    """
    ordered = sorted(set(tokens), key=telling)
    span = Span(event_time_micros, event_hash, event_time_micros)
    return [Tie(first, second, (span,)) for first, second in combinations(ordered, 2)]


def operator_edge(one: str, other: str, word: OperatorWord, event_time_micros: int, event_hash: int) -> Tie:
    """Returns what an operator says of two identifiers, as an edge.

    Raises:
        ValueError: Both are the same.
    """
    if one == other:
        message = "An operator's word is about two identifiers."
        raise ValueError(message)
    first, second = sorted((one, other), key=telling)
    return Tie(first, second, (), word, (event_time_micros, event_hash))


def join(ties: Iterable[Tie], days: int, known: Iterable[Tie] = ()) -> dict[tuple[str, str], Tie]:
    """Joins what is known of each pair.

    Args:
        ties: New edges, in any order, with any repeats.
        days: `IdentityLimits.shared_device_days`.
        known: What was kept of earlier ones.

    Returns:
        One tie per pair.
    """
    joined: dict[tuple[str, str], Tie] = {tie[:2]: tie for tie in known}
    for tie in ties:
        before = joined.get(tie[:2])
        joined[tie[:2]] = tie if before is None else _one(before, tie, days)
    return joined


def _one(one: Tie, other: Tie, days: int) -> Tie:
    """Joins two ties of a pair."""
    spans: tuple[Span, ...]
    if type_of(one.first) == CUSTOMER:
        spans = _united([*one.spans, *other.spans], days * _DAY)
    else:
        earliest = min([*one.spans, *other.spans], default=None)
        spans = () if earliest is None else (Span(*earliest[:2], earliest[0]),)
    said = max((one.word_key, one.word), (other.word_key, other.word))
    return Tie(one.first, one.second, spans, said[1], said[0])


_DAY: Final = 86_400 * 1_000_000


def _united(spans: Sequence[Span], reach: int) -> tuple[Span, ...]:
    """Unites spans that are at most `reach` apart: no window of that length can tell them from one."""
    united: list[Span] = []
    for span in sorted(spans):
        if united and span.start_time_micros <= united[-1].end_time_micros + reach:
            last = united[-1]
            united[-1] = last._replace(end_time_micros=max(last.end_time_micros, span.end_time_micros))
        else:
            united.append(span)
    return tuple(united)


def shared_since(ties: Iterable[Tie], token: str, customers: int, days: int) -> OrderKey | None:
    """Returns the event that showed an identifier to be a shared device; None while it is none.

    That is the first event in event order with which it was seen with more than `customers` customer ids in the `days`
    up to it, both ends included. From this event on the identifier links nobody; what it linked before, stands.

    Args:
        ties: All of the identifier.
        token: The identifier; a customer id is nobody's device.
        customers: How many it may be seen with.
        days: In how many days.
    """
    if type_of(token) == CUSTOMER:
        return None
    reach = days * _DAY
    active: list[Span] = []
    for span in sorted(span for tie in ties if type_of(tie.other(token)) == CUSTOMER for span in tie.spans):
        active = [earlier for earlier in active if earlier.end_time_micros + reach >= span.start_time_micros]
        active.append(span)
        if len(active) > customers:
            return span.start_time_micros, span.start_hash
    return None
