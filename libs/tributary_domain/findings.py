"""Findings: what reconciliation holds against what is stored, by kind and likely cause.

The one rule: the id of a finding is made of what it is about, so that the same thing found again is the same finding.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

RECONCILIATION_GRACE_SECONDS: Final = 60
"""Conversions of people with younger events are left to the next run: the streaming may still be at them."""


class FindingKind(StrEnum):
    """What a finding is; the names of `tributary.attribution.v1.FindingKind`."""

    MISSING = "MISSING"
    EXTRA = "EXTRA"
    DIFFERENT = "DIFFERENT"
    LATE = "LATE"
    MERGED = "MERGED"
    MATCHED = "MATCHED"
    AMOUNT_DIFFERS = "AMOUNT_DIFFERS"
    MISSING_IN_CRM = "MISSING_IN_CRM"
    MISSING_HERE = "MISSING_HERE"
    NOT_YET_DUE = "NOT_YET_DUE"
    SPLIT_OR_MERGED = "SPLIT_OR_MERGED"
    OUTLIER = "OUTLIER"
    SUM_WRONG = "SUM_WRONG"
    UNMATCHED_ADJUSTMENT = "UNMATCHED_ADJUSTMENT"
    PENDING_VALUE = "PENDING_VALUE"
    ORDER_SPLIT = "ORDER_SPLIT"
    STAGES_MERGED = "STAGES_MERGED"
    OVER_REFUNDED = "OVER_REFUNDED"
    CURRENCY_MISMATCH = "CURRENCY_MISMATCH"
    VALUE_CONFLICT = "VALUE_CONFLICT"
    ADJUSTMENT_CONFLICT = "ADJUSTMENT_CONFLICT"
    ADJUSTED_WITHOUT_VALUE = "ADJUSTED_WITHOUT_VALUE"
    PARTS_MISSING = "PARTS_MISSING"
    PARTS_CONTRADICTORY = "PARTS_CONTRADICTORY"
    INCOMPLETE_JOURNEY = "INCOMPLETE_JOURNEY"


class FindingCause(StrEnum):
    """What most likely made a difference."""

    NONE = ""
    """It is no difference between stream and batch."""
    LOST_ROW = "LOST_ROW"
    """A revision of it was published, and its row is not in ClickHouse."""
    MISSING_CONVERSION = "MISSING_CONVERSION"
    """It was recorded and never credited."""
    EXTRA_CONVERSION = "EXTRA_CONVERSION"
    """It is stored, and nobody recorded an observation of it."""
    WRONG_VALUE = "WRONG_VALUE"
    """Its value, currency, or whether it counts."""
    WRONG_FACTS = "WRONG_FACTS"
    """Its time, name, order or observations."""
    DELETED_JOURNEY = "DELETED_JOURNEY"
    """Touches that should have earned it are not in the journey of its person."""
    STALE_PERSON = "STALE_PERSON"
    """It is another person's by now."""
    WRONG_CREDIT = "WRONG_CREDIT"
    """The journey is whole, and its credit is another all the same."""
    LOST_EVENT = "LOST_EVENT"
    """The row of an event that was accepted is not in ClickHouse."""
    LOST_REFUSAL = "LOST_REFUSAL"
    """The row of an event that was refused is not in ClickHouse."""


class Severity(StrEnum):
    """How bad a finding is, the worst first."""

    ERROR = "ERROR"
    """A promise is broken."""
    WARNING = "WARNING"
    """Somebody should look."""
    INFO = "INFO"
    """For completeness."""


class FindingState(StrEnum):
    """How far a finding is dealt with."""

    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    RESOLVED = "RESOLVED"


DEAL_KINDS: Final = (
    FindingKind.AMOUNT_DIFFERS,
    FindingKind.MISSING_IN_CRM,
    FindingKind.MISSING_HERE,
    FindingKind.NOT_YET_DUE,
    FindingKind.SPLIT_OR_MERGED,
)
"""What comes of a CRM's deals."""

ODD_CONVERSIONS: Final = {
    FindingKind.OVER_REFUNDED: "More was taken off than it was worth, or it was restated below zero: its value is 0.",
    FindingKind.CURRENCY_MISMATCH: "An adjustment in another currency was left out.",
    FindingKind.VALUE_CONFLICT: "Equally ranked sources state different values: the earliest counts.",
    FindingKind.ADJUSTMENT_CONFLICT: "One adjustment is reported with different amounts: the earliest counts.",
    FindingKind.ADJUSTED_WITHOUT_VALUE: "An amount was taken off or given back, and no source states a value.",
    FindingKind.PARTS_MISSING: "Parts that its value basis takes off were not sent: it is credited as sent.",
    FindingKind.PARTS_CONTRADICTORY: "Tax and shipping are more than the value itself, which is credited as 0.",
    FindingKind.INCOMPLETE_JOURNEY: "Not all of its window was kept when it was credited first.",
}
"""What is odd about a conversion by its own events, and what was made of that; the kinds are those of its state."""

ONLY_COUNTED: Final = (
    FindingKind.MATCHED,
    FindingKind.NOT_YET_DUE,
    FindingKind.PARTS_MISSING,
    FindingKind.INCOMPLETE_JOURNEY,
)
"""What a run counts and does not name: it is as it should be, or nothing is to be done about any one of them."""

COUNTED: Final = "counted"
NOT_COUNTED: Final = "not counted: another one counts in its place"
"""What is expected of a conversion that counts otherwise than the rule of its name says."""
_COUNTINGS: Final = (COUNTED, NOT_COUNTED)

AS_PUBLISHED: Final = "each revision as it was published"
"""What is expected of a conversion of which a row of the ledger says otherwise than was published."""

DIFFERENCE_KINDS: Final = (FindingKind.MISSING, FindingKind.DIFFERENT, FindingKind.LATE, FindingKind.MERGED)
"""What stream and batch say otherwise of a conversion."""

_SEVERITIES: Final = {
    FindingKind.MATCHED: Severity.INFO,
    FindingKind.NOT_YET_DUE: Severity.INFO,
    FindingKind.MISSING: Severity.ERROR,
    FindingKind.EXTRA: Severity.ERROR,
    FindingKind.DIFFERENT: Severity.ERROR,
    FindingKind.LATE: Severity.ERROR,
    FindingKind.MERGED: Severity.ERROR,
    FindingKind.SUM_WRONG: Severity.ERROR,
    FindingKind.ORDER_SPLIT: Severity.ERROR,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding."""

    finding_id: str
    reconciliation_id: str
    kind: FindingKind
    cause: FindingCause = FindingCause.NONE
    severity: Severity
    state: FindingState = FindingState.OPEN
    conversion_id: str = ""
    event_id: str = ""
    deal_id: str = ""
    match_step: str = ""
    message: str = ""
    """For people."""
    expected: str = ""
    actual: str = ""
    repair_revision: int = 0
    """The revision that repaired it; 0: none did."""
    find_micros: int = 0

    def in_state(self, state: FindingState) -> "Finding":
        """Returns it, dealt with so far."""
        return replace(self, state=state)

    def repaired(self, revision: int) -> "Finding":
        """Returns it as repaired by a revision."""
        return replace(self, state=FindingState.RESOLVED, repair_revision=revision)


def finding(
    reconciliation_id: str,
    kind: FindingKind,
    message: str,
    *,
    cause: FindingCause = FindingCause.NONE,
    conversion_id: str = "",
    event_id: str = "",
    deal_id: str = "",
    match_step: str = "",
    expected: str = "",
    actual: str = "",
    find_micros: int = 0,
) -> Finding:
    """Makes a finding; its id and severity follow from what it is about."""
    named = (conversion_id, deal_id, *([event_id] if event_id else []))
    # Several sums of one conversion may be wrong, both its value and whether it counts beside others, and both what it
    # is now and a revision of it.
    says_which = kind is FindingKind.SUM_WRONG or not any(named) or expected in (*_COUNTINGS, AS_PUBLISHED)
    about = "\x00".join((kind, cause, *named, message if says_which else ""))
    return Finding(
        finding_id="f1:" + hashlib.blake2b(about.encode(), digest_size=12).hexdigest(),
        reconciliation_id=reconciliation_id,
        kind=kind,
        cause=cause,
        severity=_SEVERITIES.get(kind, Severity.WARNING),
        conversion_id=conversion_id,
        event_id=event_id,
        deal_id=deal_id,
        match_step=match_step,
        message=message,
        expected=expected,
        actual=actual,
        find_micros=find_micros,
    )


def is_as_acknowledged(found: Finding, acknowledged: Finding) -> bool:
    """Tells whether a finding says what somebody acknowledged, and no more: else nobody has looked at it.

    What is usual moves with every order, so of an outlier its own amount is held against that. What is counted grows
    every day, so of numbers it is how far they are apart: nearer is no news, and further is.
    """
    if found.kind is FindingKind.OUTLIER:
        return found.actual == acknowledged.actual
    now, before = _distance(found), _distance(acknowledged)
    if now is None or before is None:
        return (found.expected, found.actual) == (acknowledged.expected, acknowledged.actual)
    return min(before, 0) <= now <= max(before, 0)


def _distance(one: Finding) -> int | None:
    """Returns how much more there is than expected; None: it is not said in numbers."""
    expected, actual = one.expected, one.actual.partition(";")[0]
    return int(actual) - int(expected) if expected.isdecimal() and actual.isdecimal() else None


def is_about_counting(one: Finding) -> bool:
    """Tells whether a difference is that a conversion counts otherwise than the rule of its name says."""
    return one.expected in _COUNTINGS


def is_about_ledger(one: Finding) -> bool:
    """Tells whether a difference is that a row of the ledger says otherwise than was published."""
    return one.expected == AS_PUBLISHED


def repaired_before(said: Mapping[str, Finding], found: Iterable[Finding], *, is_cut: bool) -> list[Finding]:
    """Returns what an attempt of a run noted before it mended it, and the next one does not find: as mended.

    Args:
        said: What was noted, by id, each with the revision that repairs it.
        found: What is found now.
        is_cut: Whether there may be more than that: then nobody knows of what is open still.
    """
    again = {one.finding_id for one in found}
    gone = [one for name, one in said.items() if name not in again]
    return [one if is_cut else one.repaired(one.repair_revision) for one in gone]


def is_about_others(one: Finding) -> bool:
    """Tells whether a difference is one beside other conversions of the person: without those nobody sees it."""
    return one.kind is FindingKind.MERGED or is_about_counting(one)


def cause_of(
    *,
    is_stored: bool,
    is_published: bool,
    has_other_value: bool,
    has_other_facts: bool,
    missing_touches: Collection[str],
    held_touches: Collection[str],
    has_lost_touches: bool = False,
) -> FindingCause:
    """Names the likely cause of a difference.

    Args:
        is_stored: Whether ClickHouse has a row of it.
        is_published: Whether the state store knows that it was published.
        has_other_value: Whether value, currency or counting differ.
        has_other_facts: Whether time, name, order or observations do.
        missing_touches: Touches that should share it and do not.
        held_touches: Touches that the journey in the state store holds.
        has_lost_touches: Whether touches share it whose events are not recorded any more.
    """
    if not is_stored:
        return FindingCause.LOST_ROW if is_published else FindingCause.MISSING_CONVERSION
    if has_other_value:
        return FindingCause.WRONG_VALUE
    if has_other_facts:
        return FindingCause.WRONG_FACTS
    if set(missing_touches) - set(held_touches):
        return FindingCause.DELETED_JOURNEY
    if has_lost_touches:
        return FindingCause.LOST_EVENT
    return FindingCause.WRONG_CREDIT
