"""What becomes of a statement of an outside system, given those known already.

The one rule: it depends on what was stated when, never on the order of arrival. Of one subject the newest statement
counts; the others stay, so that it can be said what was known then. Two of one time that differ contradict each other:
the first to be stored stays.
"""

from collections.abc import Hashable, Iterable, Mapping
from enum import StrEnum


class ImportOutcome(StrEnum):
    """The decision on one statement; `IMPORT_OUTCOME_<name>` in `ingestion.v1.ImportOutcome`."""

    STORED = "STORED"
    OUTDATED = "OUTDATED"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"
    REJECTED = "REJECTED"
    VALID = "VALID"


def outcome_of(
    stated_micros: int, content: Hashable, known: Iterable[Mapping[int, Hashable]], newest: Iterable[int]
) -> ImportOutcome:
    """Returns what becomes of a statement.

    Args:
        stated_micros: When it was stated.
        content: What it says.
        known: Per subject it is of, what is known of that very time: time -> content.
        newest: Per subject, when the newest known statement of it was made; 0: none.

    >>> outcome_of(5, "a", [{}], [9]), outcome_of(5, "a", [{5: "a"}], [5]), outcome_of(5, "a", [{5: "b"}], [5])
    (<ImportOutcome.OUTDATED: 'OUTDATED'>, <ImportOutcome.DUPLICATE: 'DUPLICATE'>, <ImportOutcome.CONFLICT: 'CONFLICT'>)
    """
    same = [contents.get(stated_micros) for contents in known]
    if any(other is not None and other != content for other in same):
        return ImportOutcome.CONFLICT
    if None not in same:  # of some subjects only: an earlier attempt broke off
        return ImportOutcome.DUPLICATE
    return ImportOutcome.OUTDATED if all(time > stated_micros for time in newest) else ImportOutcome.STORED
