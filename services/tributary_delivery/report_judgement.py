"""What a destination's report makes of the conversions of a request. Decides everything; keeps nothing.

A destination says of how many conversions why they do not count, and not which. One may be counted under several
reasons, so counts that add up to all do not make it all where the destination says that some are taken:

    none                               all are taken
    all, or that the request failed    all are refused: sent again if what they can be refused for passes, else dead;
                                       those that no reason is named for are refused without one, but for those that the
                                       destination has already
    that some failed, and no number    nobody knows which, nor how many: unclear
    some, of them for what passes      nobody knows which: all that it can be are sent again, whatever else was refused;
                                       what counts already is known by its id
    some, for reasons that stay        nobody knows which, and sending again mends nothing: unclear, counted by cause
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_REPORT_REJECTED,
    DELIVERY_REPORT_TAKEN,
    DELIVERY_REPORT_UNCLEAR,
    DELIVERY_STATE_DEAD,
    DELIVERY_STATE_SUPERSEDED,
    Delivery,
    DeliveryReport,
    OutcomeClass,
)
from tributary_delivery.destinations.destination import CONFIG, PERMANENT, RETRY, UNKNOWN
from tributary_delivery.destinations.reporting import NO_REASON_GIVEN, RequestReport
from tributary_domain.shares import split_exactly
from tributary_storage.redis.taken_back import Refusal

_PASSING: Final = frozenset({RETRY, CONFIG})
_CAREFUL_FIRST: Final = (CONFIG, RETRY, UNKNOWN, PERMANENT)
"""What is done where it is not known for which of some reasons one was refused."""
AGAIN_SECONDS: Final = 6 * 3_600.0
"""When what was refused for a reason that passes is sent again: a click that is too new is old enough by then."""
_EARLY_MICROS: Final = round(2 * AGAIN_SECONDS * 1e6)
"""What was older when it was sent was not refused for being too early: if it went again with those that were, it would
meet newer ones, and go again with them, for days."""
_MOST_AGE_MICROS: Final = 7 * 86_400 * 1_000_000
"""Of a revision that is sent again for a report: a reason that passes has passed by then, or never does."""
_MOST_CHARACTERS: Final = 256


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be done."""

    lines: list[Delivery] = field(default_factory=list)
    """Of the ledger, over those that there are."""
    again: list[Refusal] = field(default_factory=list)
    """What is to be sent again."""
    dead: list[Refusal] = field(default_factory=list)
    """What is not, by itself."""
    config: str = ""
    """Why the destination is to be left alone until its configuration is mended; "": it is not."""
    conversions: int = 0
    """How many the request held."""
    causes: dict[str, int] = field(default_factory=dict)
    """Of those that do not count, why; never more than `conversions` together: where the destination counts some under
    several reasons, each has its share."""


def judge(report: RequestReport, lines: Sequence[Delivery], now_micros: int, known: int = 0) -> Judgement:
    """Returns what a report makes of a request.

    Args:
        report: What the destination says.
        lines: What the ledger has of the request, taken and not reported on.
        now_micros: Now.
        known: How many it held, as was stored when it was read before; 0: it was not. Some of it may be reported on.
    """
    held = _held(report, max(known, len(lines)))
    report = _with_unnamed(report, held)
    counts = {reason: count for reason, (_, count) in report.refused.items()}
    refused = sum(counts.values())
    judged = Judgement(conversions=held, causes=_within(held, counts))
    classes = {kind for kind, _ in report.refused.values()}
    if not refused:
        judged.lines.extend(_line(one, DELIVERY_REPORT_TAKEN, "", now_micros) for one in lines)
    else:
        said = DELIVERY_REPORT_REJECTED if _are_all_refused(report, refused, held) else DELIVERY_REPORT_UNCLEAR
        is_one_reason = said == DELIVERY_REPORT_REJECTED and len(counts) == 1
        is_uncounted = counts == {NO_REASON_GIVEN: held}
        why = next(iter(counts)) if is_one_reason or is_uncounted else _summary(counts, held)
        for one in lines:
            _refuse(one, _kind_of(one, report, said), why, said, now_micros, judged)
    if CONFIG not in classes:
        return judged
    named = ", ".join(reason for reason, (kind, _) in report.refused.items() if kind == CONFIG)
    return Judgement(
        judged.lines, judged.again, judged.dead, f"It reported: {named}", judged.conversions, judged.causes
    )


def _held(report: RequestReport, sent: int) -> int:
    """Returns how many a request held: what is known best, for one reason may name more than there were."""
    named = [count for _, count in report.refused.values()]
    return max(report.records, sent) or max(named, default=0)


def _with_unnamed(report: RequestReport, held: int) -> RequestReport:
    """Returns a report that names all that it refuses, or may refuse: as a destination says it that does not count."""
    named = sum(count for _, count in report.refused.values())
    unnamed = 0
    if report.all_refused:
        unnamed = held - report.known - named
    elif report.all_refused is False and not named and not report.known:
        unnamed = held  # some of them
    if unnamed <= 0:
        return report
    unnamed += report.refused.get(NO_REASON_GIVEN, (UNKNOWN, 0))[1]
    return replace(report, refused={**report.refused, NO_REASON_GIVEN: (UNKNOWN, unnamed)})


def _are_all_refused(report: RequestReport, refused: int, held: int) -> bool:
    """Tells whether no conversion of a request counts, as the destination says or else as its counts do."""
    if report.all_refused is not None:
        return report.all_refused and not report.known
    return refused == held or (refused > held and len(report.refused) == 1)


def _within(held: int, counts: dict[str, int]) -> dict[str, int]:
    """Returns the counts, or what each is of those held where they name more than there were."""
    if sum(counts.values()) <= held:
        return counts
    return dict(zip(counts, split_exactly(held, list(counts.values())), strict=True))


def _kind_of(one: Delivery, report: RequestReport, said: DeliveryReport.ValueType) -> OutcomeClass.ValueType:
    """Returns what the reasons come to that one can be refused for: again if any passes, else the most careful."""
    kinds = {reason: kind for reason, (kind, _) in report.refused.items()}
    is_early = one.attempt_time.ToMicroseconds() - one.revision <= _EARLY_MICROS
    some_other = said == DELIVERY_REPORT_UNCLEAR or not kinds.keys() <= report.too_early
    if some_other and not is_early:
        kinds = {reason: kind for reason, kind in kinds.items() if reason not in report.too_early}
    return next((kind for kind in _CAREFUL_FIRST if kind in kinds.values()), PERMANENT)


def _refuse(
    one: Delivery,
    kind: OutcomeClass.ValueType,
    why: str,
    report: DeliveryReport.ValueType,
    now_micros: int,
    judged: Judgement,
) -> None:
    line = _line(one, report, why, now_micros)
    is_certain = report == DELIVERY_REPORT_REJECTED
    refusal = Refusal(one.conversion_id, one.revision, one.operation == DELIVERY_OPERATION_CREATE, is_certain)
    if kind in _PASSING and now_micros - one.revision <= _MOST_AGE_MICROS:
        judged.again.append(refusal)
        line.state = DELIVERY_STATE_SUPERSEDED  # by the attempt that follows
    elif is_certain:
        judged.dead.append(refusal)
        line.state = DELIVERY_STATE_DEAD
    if is_certain:
        line.outcome, line.message = kind, f"Taken, and refused later: {why}"[:1024]
    judged.lines.append(line)


def _line(one: Delivery, report: DeliveryReport.ValueType, why: str, now_micros: int) -> Delivery:
    line = Delivery()
    line.CopyFrom(one)
    line.report, line.report_reason = report, why[:_MOST_CHARACTERS]
    line.report_time.FromMicroseconds(now_micros)
    return line


def _summary(counts: dict[str, int], held: int) -> str:
    """Returns "3 CLICK_NOT_FOUND, 1 INVALID_GCLID of 50"."""
    return f"{', '.join(f'{count} {reason}' for reason, count in counts.items())} of {held}"
