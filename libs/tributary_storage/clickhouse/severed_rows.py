"""The conversions of an erasure in ClickHouse: copied to random ids, and deleted.

The one rule: what is theirs goes, and is copied once. An order that somebody living tells again once it was destroyed
is not, though it has the same conversion id: rows tell by when they were published (`theirs`, in `statements`). Every
method may run twice, and raises `StorageUnavailableError` if ClickHouse does not answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from tributary_domain.erasures import Erasure, ErasureState
from tributary_domain.ids import person_id
from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

NONE: Final = ("-",)
"""What no id is: an empty list is no list to SQL."""
_NO_ATTEMPT: Final = ("-", 0)

_OF_CONVERSIONS: Final = (
    *("conversions", "conversion_revisions", "deliveries", "events_by_conversion", "reconciliation_findings"),
    "reconciled_conversions",
)
"""In the order of deleting: what is copied last goes first, for while copy and original are there, totals have both."""


class SeveredRows:
    """Copies and deletes them.

    Args:
        clickhouse: Through which; statements may take minutes.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def sever(self, erasure: Erasure) -> None:
        """Copies conversions, and what was sent of them, to random ids; the originals are still there.

        A later run copies of one that has a copy only what goes on from it: what begins anew came late, after it was
        destroyed, and the copy is frozen. An attempt that was under way goes on from it, whoever tells the order again.
        """
        if not erasure.ever_theirs:
            return
        values = await self._values(erasure)
        await self._clickhouse.execute(statement("erasure/sever_deliveries"), values)
        if erasure.conversion_ids:
            await self._clickhouse.execute(statement("erasure/sever_revisions"), values)  # last: totals have both now

    async def posted_in(self, erasure: Erasure, closed_through: date) -> list[str]:
        """Returns those of an erasure's conversions that reports of posting days until one have."""
        asked = {**await self._values(erasure), "closed_through": closed_through.isoformat()}
        return [row[0] for row in await self._clickhouse.execute(statement("erasure/posted_in_closed_books"), asked)]

    async def keep_postings(self, erasure: Erasure, posted: Sequence[str], posting_day: date) -> None:
        """Copies what was posted of conversions to random ids, and takes it back on a day; the originals are there."""
        own = {"conversions": list(posted), "taken_back": list(posted), "posting_day": posting_day.isoformat()}
        every = {"late": list(NONE), "late_from": [0]}  # a closed month has what began anew, too
        values = {**await self._values(erasure), **own, **every}
        await self._clickhouse.execute(statement("erasure/sever_revisions"), values)
        copied = {"workspace": erasure.workspace, "copies": await self.copies(erasure, posted)}
        await self._clickhouse.execute(statement("erasure/delete_kept_conversions"), copied)

    async def is_left(self, erasure: Erasure) -> bool:
        """Tells whether anything is published of conversions that is theirs: it came after they were deleted."""
        if not erasure.conversion_ids:
            return False
        [(number,)] = await self._clickhouse.execute(statement("erasure/unsevered"), await self._values(erasure))
        return bool(number)

    async def delete(self, erasure: Erasure) -> None:
        """Deletes conversions, and what was sent and found of them; of those told again what was sent before."""
        if not erasure.ever_theirs:
            return
        values = await self._values(erasure)
        for table in _OF_CONVERSIONS if erasure.conversion_ids else ("deliveries",):
            await self._clickhouse.execute(statement(f"erasure/delete_{table}"), values)

    async def attempts(self, erasure: Erasure) -> list[tuple[str, int]]:
        """Returns of which revisions attempts came late, though somebody told their conversions again: the person's."""
        if not erasure.told_again:
            return [_NO_ATTEMPT]
        since = dict(sorted(erasure.told_again, reverse=True))  # of one that is here twice, the first: what is sure
        asked = {"workspace": erasure.workspace, "again": list(since), "again_from": list(since.values())}
        rows = await self._clickhouse.execute(statement("erasure/attempts_of_told_again"), asked)
        return [(str(name), int(revision)) for name, revision in rows] or [_NO_ATTEMPT]

    async def copies(self, erasure: Erasure, names: Sequence[str]) -> list[str]:
        """Returns the random ids of conversions, in order."""
        first, second = erasure.secret
        asked = {"first": first, "second": second, "conversions": list(names), "touches": [*NONE]}
        [(copies, _)] = await self._clickhouse.execute(statement("erasure/random_ids"), asked)
        return list(copies)

    async def _values(self, erasure: Erasure) -> dict[str, Any]:
        """Returns values that say which of an erasure's conversions are the person's, though published since.

        And, of those that have a copy, from which revision on they began anew; and what came late of attempts.
        """
        values = {**values_of(erasure), "attempts": await self.attempts(erasure)}
        if erasure.state is ErasureState.REQUESTED or not erasure.conversion_ids:
            return values
        rows = await self._clickhouse.execute(statement("erasure/conversions_of_person"), values)
        late = await self.late(erasure)
        own = {"own": [row[0] for row in rows] or list(NONE)}
        return {**values, **own, "late": list(late) or list(NONE), "late_from": list(late.values()) or [0]}

    async def late(self, erasure: Erasure) -> dict[str, int]:
        """Returns, by conversion that has a copy, the first revision that begins anew after all that was copied.

        One that was copied in part, because a run stopped, has its own beginning before what is there of its copy. Of a
        first run none.
        """
        if erasure.state is ErasureState.REQUESTED or not erasure.conversion_ids:
            return {}
        names = erasure.conversion_ids
        copies = await self.copies(erasure, names)
        asked = {"workspace": erasure.workspace, "copies": copies}
        newest: dict[str, int] = dict(await self._clickhouse.execute(statement("erasure/newest_of_copies"), asked))
        of_copies = {name: newest[copy] for name, copy in zip(names, copies, strict=True) if copy in newest}
        if not of_copies:
            return {}
        begun = {"workspace": erasure.workspace, "conversions": list(of_copies)}
        late: dict[str, int] = {}
        for name, revision in await self._clickhouse.execute(statement("erasure/begun_anew"), begun):
            if revision > of_copies[name]:
                late[name] = min(revision, late.get(name, revision))
        return late


def values_of(erasure: Erasure) -> dict[str, Any]:
    """Returns an erasure as values of statements."""
    first, second = erasure.secret
    return {
        "workspace": erasure.workspace,
        "until": erasure.until_micros,
        "there_until": erasure.there_until_micros,
        "tokens": list(erasure.tokens),
        "token_list": list(erasure.tokens),
        "person_keys": [person_id(erasure.workspace, token) for token in erasure.tokens],
        "conversions": list(erasure.conversion_ids) or list(NONE),
        "own": list(NONE),
        "late": list(NONE),
        "late_from": [0],
        "attempts": [_NO_ATTEMPT],
        "event_ids": list(NONE),
        "taken_back": list(NONE),
        "posting_day": "1970-01-01",
        "orders_over": list(erasure.orders_over) or list(NONE),
        "removes": erasure.removes,
        "placed": [one for one, _, _ in erasure.places] or list(NONE),
        "places": [micros for _, _, micros in erasure.places] or [0],
        "first": first,
        "second": second,
    }
