"""What changes an order that was told as several first cycles, as reconciliation derives it: what is each one's.

The one rule: as of `shared_adjustments`, and nothing of that is used: all that was said is gone through in the
order in which it happened, and each time anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

_TOTAL: Final = "RESTATEMENT"
_BACK: Final = "REVERSAL"
_GONE: Final = "RETRACTION"


class OrderPart(NamedTuple):
    """What one event says of an order."""

    conversion_id: str
    event_id: str
    time_micros: int
    event_hash: int
    is_observation: bool
    rank: int
    has_amount: bool
    amount_micros: int
    currency: str
    kind: str
    """Of an adjustment."""
    identity: str
    """Likewise: what two reports of one share."""
    is_of_order: bool = False
    """Likewise, of what stands in for a cycle whose person was erased: whether it is what that had of a change of the
    order, and is in what it is worth already."""
    is_named: bool = False
    """Likewise: whether that named it, too, and is no other's."""


class SeveralCycles(NamedTuple):
    """An order that was told as several first cycles."""

    plains: Collection[str]
    """What it is without the cycle."""
    cycles: Sequence[str]
    """In event order."""
    asked_for: Collection[str] = ()
    """Of these, those alone of which it is asked what changes them; empty: all."""


class Share(NamedTuple):
    """What of an adjustment that names no cycle changes one of several."""

    conversion_id: str
    event_id: str
    is_part: bool
    """Whether it is of another amount than was said."""
    amount_micros: int


class Shared(NamedTuple):
    """What becomes of what changes such orders."""

    lent: dict[str, str]
    """As of `Orders.lent`, where one cycle is left that was not taken back."""
    shares: list[Share]


def shared(orders: Iterable[SeveralCycles], parts: Iterable[OrderPart]) -> Shared:
    """Returns what changes the cycles of some orders.

    Args:
        orders: Those that were told as several first cycles.
        parts: Of all their conversions, what counts for anything.
    """
    said: dict[str, list[OrderPart]] = {}
    for part in sorted(parts, key=_place):
        said.setdefault(part.conversion_id, []).append(part)
    lent: dict[str, str] = {}
    shares: list[Share] = []
    for order in orders:
        books = [_Book(one, said.get(one, ())) for one in order.cycles]
        living = [book for book in books if not book.is_gone] or books[:1]
        if len(living) == 1:
            if not living[0].is_frozen and not order.asked_for:
                lent |= dict.fromkeys(order.plains, living[0].conversion_id)
            continue
        named = {(part.kind, part.identity) for book in living for part in book.adjusting}
        whole = [part for one in order.plains for part in said.get(one, ()) if not part.is_observation]
        whole.sort(key=_place)
        named.update(key for book in living for key in book.named)
        changes = [part for part in _once(whole) if (part.kind, part.identity) not in named]
        wanted = order.asked_for or {book.conversion_id for book in living if not book.is_frozen}
        shares += [one for one in _in_each_currency(living, changes) if one.conversion_id in wanted]
    return Shared(lent, shares)


class _Book:
    """What a cycle is worth by what names it."""

    def __init__(self, conversion_id: str, parts: Iterable[OrderPart]) -> None:
        parts = list(parts)
        self.conversion_id = conversion_id
        self.is_frozen = conversion_id.startswith("s1:")
        self.adjusting = _once(part for part in parts if not part.is_observation and not part.is_of_order)
        had = [part for part in parts if part.is_of_order and not part.is_named]
        self.had = {(part.kind, part.identity): part.amount_micros for part in had if part.has_amount}
        """Of what stands in for somebody: what it had of changes of the order."""
        self.named = {(part.kind, part.identity) for part in parts if part.is_named}
        """Likewise: which of these named it, too."""
        stating = [part for part in parts if part.is_observation and part.has_amount]
        best = max(stating, key=lambda part: part.rank, default=None)
        self.stated = 0 if best is None else max(0, best.amount_micros)
        self._value = None if best is None else best.amount_micros
        self.is_stated = best is not None and bool(best.currency)
        totals = [part.currency for part in self.adjusting if part.kind == _TOTAL]
        self.currency = best.currency if best is not None and best.currency else (totals or [""])[-1]
        self.is_gone = self._close(self.adjusting)[1] and not any(part.kind == _GONE for part in had)
        self.left = self.taken = 0
        self.totals: list[OrderPart] = []
        """What of a new total of the order is this one's."""
        self.given: list[OrderPart] = []
        """What was taken off it for the order, or given back."""
        self.given_before: list[OrderPart] = []
        """Likewise, what it is worth without that."""

    def settle(self, at: OrderPart) -> None:
        """Says what is left of it when something is taken off the order or given back, and what was taken so far.

        What names it comes first, whenever it was said, but for its own later totals, and what was said after these.
        """
        totals = [part for part in self.adjusting if part.kind == _TOTAL and self._counts(part)]
        end = min((_place(part) for part in totals if _place(part) > _place(at)), default=None)
        known = [part for part in (*self.adjusting, *self.totals) if end is None or _place(part) < end]
        begun = [_place(part) for part in (*totals, *self.totals) if end is None or _place(part) < end]
        since = max(begun, default=None)
        self.taken = _moved(self.given, since)
        self.left = self._close(known)[0] - self.taken
        self.taken += _moved(self.given_before, since)

    def _counts(self, part: OrderPart) -> bool:
        return not self.currency or part.currency in ("", self.currency)

    def _close(self, adjusting: Iterable[OrderPart]) -> tuple[int, bool]:
        value, off, is_gone = self._value, 0, False
        for part in sorted(filter(self._counts, adjusting), key=_place):
            if part.kind == _TOTAL:
                value, off, is_gone = part.amount_micros, 0, False
            elif part.kind == _GONE:
                is_gone = True
            elif value is not None and not part.has_amount:
                off = 0 if part.kind == _BACK else max(off, value)
            elif value is not None:
                off += -part.amount_micros if part.kind == _BACK else part.amount_micros
        return (0 if is_gone or value is None else max(0, value - off)), is_gone


def _moved(parts: Iterable[OrderPart], since: tuple[int, int, str] | None) -> int:
    some = [part for part in parts if since is None or _place(part) > since]
    return sum(-part.amount_micros if part.kind == _BACK else part.amount_micros for part in some)


def _place(part: OrderPart) -> tuple[int, int, str]:
    return part.time_micros, part.event_hash, part.event_id


def _once(parts: Iterable[OrderPart]) -> list[OrderPart]:
    """Returns adjustments, each once: the earliest report."""
    first: dict[tuple[str, str], OrderPart] = {}
    for part in parts:
        first.setdefault((part.kind, part.identity), part)
    return list(first.values())


def _in_each_currency(books: Sequence[_Book], whole: Sequence[OrderPart]) -> list[Share]:
    """Returns the shares of each: what is in a currency that none has is shown with the first, and changes nothing."""
    totals = [part.currency for part in whole if part.kind == _TOTAL]
    unsaid = next((book.currency for book in books if book.currency), (totals or [""])[-1])
    by_currency: dict[str, list[_Book]] = {}
    for book in books:
        by_currency.setdefault(book.currency or unsaid, []).append(book)
    found: list[Share] = []
    for currency, some in by_currency.items():
        for book in some:
            book.currency = currency
        found += _shares(some, [part for part in whole if not currency or part.currency in ("", currency)])
    foreign = [part for part in whole if part.currency and not by_currency.keys() & {"", part.currency}]
    for book in [book for book in books if book.is_stated][:1]:
        found += [_share(book, part, part.amount_micros) for part in foreign]
    return found


def _shares(books: Sequence[_Book], whole: Sequence[OrderPart]) -> list[Share]:
    totals = [at for at, part in enumerate(whole) if part.kind == _TOTAL]
    since = totals[-1] if totals else -1
    found: list[Share] = []
    if totals:
        takers, rest = _takers(books, whole[since])
        split = _in_proportion(rest, takers)
        found += [_share(book, whole[since], split[book.conversion_id]) for book in takers]
        for book in takers:
            book.totals.append(whole[since]._replace(amount_micros=split[book.conversion_id]))
    for part in whole[since + 1 :]:
        if part.kind == _GONE or not part.has_amount:
            found += [Share(book.conversion_id, part.event_id, False, 0) for book in books]
            continue
        for book in books:
            book.settle(part)
        takers, rest = _takers(books, part)
        is_back = part.kind == _BACK
        parts: dict[str, int] = dict.fromkeys((book.conversion_id for book in takers), 0)
        for book in reversed(takers) if is_back else takers:
            most = max(0, book.taken) if is_back else max(0, book.left)
            parts[book.conversion_id] = min(rest, most)
            rest -= min(rest, most)
        if takers:
            parts[takers[0 if is_back else -1].conversion_id] += rest
        for book in books:
            if book not in takers:
                book.given_before.append(part._replace(amount_micros=book.had[part.kind, part.identity]))
                continue
            moved = parts[book.conversion_id]
            book.given.append(part._replace(amount_micros=moved))
            if moved or (book is takers[0] and not part.amount_micros):
                found.append(_share(book, part, moved))
    return found


def _takers(books: Sequence[_Book], part: OrderPart) -> tuple[list[_Book], int]:
    """Returns who takes a part of a change of the order, and of what: who stands in for somebody had his already."""
    had = [book.had[part.kind, part.identity] for book in books if (part.kind, part.identity) in book.had]
    takers = [book for book in books if (part.kind, part.identity) not in book.had]
    return takers, part.amount_micros - sum(had)


def _share(book: _Book, part: OrderPart, amount_micros: int) -> Share:
    return Share(book.conversion_id, part.event_id, amount_micros != part.amount_micros, amount_micros)


def _in_proportion(amount: int, books: Sequence[_Book]) -> dict[str, int]:
    """Returns an amount in proportion to what was stated, to the micro: what is left over to the largest remainders."""
    weights = [book.stated for book in books]
    if not books:
        return {}
    if not any(weights):
        weights = [1] * len(books)
    exact = [Fraction(abs(amount) * weight, sum(weights)) for weight in weights]
    parts = [int(one) for one in exact]
    lacking = sorted(range(len(books)), key=lambda at: (parts[at] - exact[at], at))
    for at in lacking[: abs(amount) - sum(parts)]:
        parts[at] += 1
    return {book.conversion_id: part if amount >= 0 else -part for book, part in zip(books, parts, strict=True)}
