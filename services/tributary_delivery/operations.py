"""What an operator does: pauses and resumes destinations, looks at deliveries, has them sent again.

The one rule: nothing is sent from here. What is to be sent again becomes a job, and goes the way of all jobs: as the
conversion is now, to who may have it and does not.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_PENDING,
    OUTCOME_CLASS_UNKNOWN,
    Delivery,
    DeliveryFilter,
    IneligibleReason,
    OutcomeClass,
)
from tributary.delivery.v1.delivery_pb2 import DeliveryState as States
from tributary.delivery.v1.delivery_service_pb2 import ReplayDeliveriesResponse
from tributary_runtime.clock import Clock
from tributary_runtime.errors import FieldViolation, InvalidRequestError
from tributary_runtime.time_ranges import read_time_range
from tributary_storage.clickhouse.sent_ledger import LEDGER_START, Key, WantedDeliveries, key_of
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.replayed_jobs import Replayed, ReplayedJobs, Wish
from tributary_storage.redis.waiting_jobs import FIRST_PLACE, Place, WaitingJob, WaitingJobs

MOST_IDS: Final = 1_000
MOST_REPLAYED: Final = 10_000
"""Deliveries of one request to send again."""
_PAGE: Final = 1_000
_WAITING: Final = "waiting"
Mark = tuple[str, Place]
"""A destination, and the last of what waits there that was told."""


class LedgerPages(Protocol):
    """What was sent, a page at a time."""

    async def page(self, wanted: WantedDeliveries, after: Key = LEDGER_START, limit: int = 100) -> list[Delivery]:
        """Returns deliveries, last attempted first.

        Raises:
            StorageUnavailableError: ClickHouse did not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """Some deliveries."""

    deliveries: list[Delivery]
    next_token: str
    """Empty at the end."""
    waiting: Sequence[Delivery] = ()
    """What waits to be sent, before them."""


class Operations:
    """The use cases.

    Args:
        ledger: What was sent.
        jobs: Where jobs are made that somebody asks for.
        clock: Tells when that was.
        queue: What waits.
    """

    def __init__(self, ledger: LedgerPages, jobs: ReplayedJobs, clock: Clock, queue: WaitingJobs) -> None:
        self._queue = queue
        self._ledger = ledger
        self._jobs = jobs
        self._clock = clock

    async def page(
        self, workspace: str, asked: DeliveryFilter, token: str, size: int, destination_ids: Sequence[str] = ()
    ) -> Page:
        """Returns a page: first what waits, then deliveries, last attempted first.

        What waits is told where it is asked for, by the names of conversions or as PENDING: by destination and when it
        is due.

        Args:
            workspace: Whose.
            asked: What is looked for: nothing that waits has an outcome, a reason or a time.
            token: Of the page before; empty: from the beginning.
            size: At most this many; what waits of conversions that are named comes beside it.
            destination_ids: All that are declared, in their order.

        Raises:
            InvalidRequestError: The filter cannot be, or the token is none.
            StorageUnavailableError: ClickHouse or the jobs did not answer.
        """
        wanted = wanted_deliveries(workspace, asked)
        lanes = [Lane(workspace, one) for one in destination_ids if asked.destination_id in ("", one)]
        if asked.outcomes or asked.ineligible_reasons or asked.HasField("time_range"):
            lanes = []
        waiting: Sequence[Delivery] = ()
        room = size
        if asked.conversion_ids:
            if not token and (not asked.states or DELIVERY_STATE_PENDING in asked.states):
                waiting = [_line_of(job) for lane in lanes for job in await self._queue.of(lane, asked.conversion_ids)]
        elif DELIVERY_STATE_PENDING in asked.states and (mark := _waiting_mark(token)) is not None:
            waiting, next_token = await self._waiting(lanes, mark, size)
            if next_token:
                return Page([], next_token, waiting)
            token, room = "", size - len(waiting)
        if not room:  # the next page begins with what was attempted
            return Page([], json.dumps(LEDGER_START), waiting)
        found = await self._ledger.page(wanted, _after(token), room + 1)
        shown = found[:room]
        return Page(shown, json.dumps(key_of(shown[-1])) if len(found) > room else "", waiting)

    async def _waiting(self, lanes: Sequence[Lane], mark: Mark, size: int) -> tuple[list[Delivery], str]:
        """Returns what waits after a mark, and the token of what comes next; "": that is all."""
        found: list[Delivery] = []
        for lane in lanes:
            if lane.destination < mark[0]:
                continue
            after: Place | None = mark[1] if lane.destination == mark[0] else FIRST_PLACE
            while after is not None:
                if len(found) >= size:
                    return found, json.dumps((_WAITING, lane.destination, *after))
                page = await self._queue.page(lane, after, size - len(found))
                found += [_line_of(one) for one in page.jobs]
                after = page.last
        return found, ""

    async def replay(
        self, workspace: str, asked: DeliveryFilter, *, dry_run: bool, risk_duplicates: bool, token: str = ""
    ) -> ReplayDeliveriesResponse:
        """Has deliveries sent again; each conversion once, whatever number of its revisions is named.

        Those that are sent meanwhile come before where the next call begins: none is met twice.

        Raises:
            InvalidRequestError: The filter is empty, or cannot be.
            StorageUnavailableError: A store did not answer; some may be planned.
        """
        if not asked.ListFields():
            violation = FieldViolation("filter", "Name at least one thing: all deliveries are sent again by nobody.")
            raise InvalidRequestError("The filter is empty.", [violation])
        named = DeliveryFilter()
        named.CopyFrom(asked)
        if not named.states:
            named.states.append(DELIVERY_STATE_DEAD)
        found, next_token = await self._all(wanted_deliveries(workspace, named), token)
        answer = ReplayDeliveriesResponse(matched=len(found), next_page_token=next_token)
        wishes: dict[Lane, dict[str, Wish]] = defaultdict(dict)
        for one in found:
            if one.outcome == OUTCOME_CLASS_UNKNOWN and not risk_duplicates:
                answer.uncertain += 1
                continue
            own, is_uncertain = wishes[Lane(workspace, one.destination_id)], one.outcome == OUTCOME_CLASS_UNKNOWN
            before = own.get(one.conversion_id, Wish(one.conversion_id, 0))
            revision, risks = max(before.revision, one.revision), before.risks_duplicates or is_uncertain
            own[one.conversion_id] = Wish(one.conversion_id, revision, risks)
        now_micros, counts = self._clock.unix_micros(), Counter[Replayed]()
        for lane, own in wishes.items():
            some = list(own.values())
            for start in range(0, len(some), _PAGE):
                page = some[start : start + _PAGE]
                counts.update(await self._jobs.plan(lane, page, now_micros, dry_run=dry_run))
        answer.planned, answer.waiting = counts[Replayed.PLANNED], counts[Replayed.WAITING]
        return answer

    async def _all(self, wanted: WantedDeliveries, token: str) -> tuple[list[Delivery], str]:
        """Returns as many as are dealt with at once, and where the others begin; "": there are none."""
        found: list[Delivery] = []
        after = _after(token)
        while len(found) < MOST_REPLAYED:
            page = await self._ledger.page(wanted, after, _PAGE)
            found += page
            if len(page) < _PAGE:
                return found, ""
            after = key_of(page[-1])
        return found, json.dumps(after)


def _line_of(job: WaitingJob) -> Delivery:
    line = Delivery(
        destination_id=job.lane.destination,
        conversion_id=job.conversion_id,
        revision=job.revision,
        state=DELIVERY_STATE_PENDING,
        attempts=job.attempts,
    )
    line.plan_time.FromMicroseconds(job.plan_micros)
    line.due_time.FromMicroseconds(job.due_micros)
    return line


def wanted_deliveries(workspace: str, asked: DeliveryFilter) -> WantedDeliveries:
    """Returns which deliveries a filter names.

    Raises:
        InvalidRequestError: It cannot be.
    """
    wrong = []
    if len(asked.conversion_ids) > MOST_IDS:
        wrong.append(FieldViolation("filter.conversion_ids", f"Name at most {MOST_IDS} conversions."))
    enums = {
        "states": (asked.states, States),
        "outcomes": (asked.outcomes, OutcomeClass),
        "ineligible_reasons": (asked.ineligible_reasons, IneligibleReason),
    }
    for name, (numbers, enum) in enums.items():
        if any(number not in enum.values() or not number for number in numbers):  # type: ignore[attr-defined]
            wrong.append(FieldViolation(f"filter.{name}", "Names a value that does not exist."))
    if wrong:
        raise InvalidRequestError("The filter cannot be.", wrong)
    wanted = WantedDeliveries(
        workspace,
        asked.destination_id,
        tuple(asked.conversion_ids),
        tuple(asked.states),
        tuple(asked.outcomes),
        tuple(asked.ineligible_reasons),
    )
    if not asked.HasField("time_range"):
        return wanted
    start_micros, end_micros = read_time_range(asked.time_range, "filter.time_range")
    return replace(
        wanted,
        start_micros=wanted.start_micros if start_micros is None else start_micros,
        end_micros=wanted.end_micros if end_micros is None else end_micros,
    )


def _waiting_mark(token: str) -> Mark | None:
    """Returns where a page begins among what waits; None: after all of it."""
    if not token:
        return "", FIRST_PLACE
    try:
        kind, destination, millis, conversion = json.loads(token)
        return (str(destination), (int(millis), str(conversion))) if kind == _WAITING else None
    except (ValueError, TypeError):
        return None  # of a page of the ledger, or none: whoever reads that says so


def _after(token: str) -> Key:
    if not token:
        return LEDGER_START
    try:
        at, destination, conversion, revision = json.loads(token)
        return int(at), str(destination), str(conversion), int(revision)
    except (ValueError, TypeError) as error:
        violation = FieldViolation("page_token", "Is no page token; send `next_page_token` of the page before.")
        raise InvalidRequestError("The page token cannot be read.", [violation]) from error
