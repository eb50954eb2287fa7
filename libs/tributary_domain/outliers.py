"""Amounts that look wrong among their like: the modified z-score of their logarithms.

The one rule: an amount is compared with amounts of the same workspace, conversion name and currency only, and the
answer depends on the set of amounts, not on their order. It is a finding to be looked at, never a verdict.

    score = 0.6745 · (x - median) / MAD                      (Iglewicz & Hoaglin 1993)
    score = (x - median) / (1.253314 · mean deviation)       where MAD is 0: more than half the amounts are the same

with x the natural logarithm, because prices multiply. Median and MAD, unlike mean and standard deviation, are not moved
by the outlier itself: a plain z-score cannot reach 3 at all below 11 amounts.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

THRESHOLD: Final = 3.5
"""Scores beyond it, on either side, are outliers."""

MIN_AMOUNTS: Final = 30
"""With fewer, nothing is said."""

_CONSISTENT_MAD: Final = 0.6745
_CONSISTENT_MEAN_DEVIATION: Final = 1.253314


class AmountGroup(NamedTuple):
    """Amounts that may be compared."""

    workspace: str
    conversion_name: str
    currency_code: str


class StatedAmount(NamedTuple):
    """An amount and whose it is."""

    group: AmountGroup
    conversion_id: str
    amount_micros: int


@dataclass(frozen=True, slots=True, order=True)
class Outlier:
    """An amount far from its like."""

    group: AmountGroup
    conversion_id: str
    amount_micros: int
    score: float
    """Signed: below 0 it is unusually small. To a millionth, so that no machine's last bit shows."""
    typical_micros: int
    """The median of its group (geometric mean of the middle two), rounded."""
    compared_with: int
    """How many amounts of the group were looked at, itself included."""


def find_outliers(
    amounts: Iterable[StatedAmount], threshold: float = THRESHOLD, min_amounts: int = MIN_AMOUNTS
) -> list[Outlier]:
    """Returns the outliers of all groups.

    Args:
        amounts: In any order, of any groups; each conversion once. An amount of 0 or less has no logarithm: it is
            neither judged nor compared with.
        threshold: Score beyond which an amount is an outlier.
        min_amounts: How many a group must have.

    Returns:
        Sorted by group, then conversion id.
    """
    groups: dict[AmountGroup, list[StatedAmount]] = {}
    for amount in amounts:
        if amount.amount_micros > 0:
            groups.setdefault(amount.group, []).append(amount)
    found = []
    for group, members in sorted(groups.items()):
        if len(members) < max(min_amounts, 1):
            continue
        logs = [math.log(member.amount_micros) for member in members]
        typical = round(math.exp(_median(logs)))
        for member, score in zip(members, modified_z_scores(logs), strict=True):
            if abs(score) > threshold:
                outlier = Outlier(
                    group, member.conversion_id, member.amount_micros, round(score, 6), typical, len(members)
                )
                found.append(outlier)
    return sorted(found)


def modified_z_scores(values: Sequence[float]) -> list[float]:
    """Returns the score of each value; all 0 where all values are the same.

    Args:
        values: At least one, in any order.

    >>> [round(score, 4) for score in modified_z_scores([9.0, 10.0, 10.5, 11.0, 100.0])]
    [-2.0235, -0.6745, 0.0, 0.6745, 120.7355]
    """
    middle = _median(values)
    deviations = [abs(value - middle) for value in values]
    spread = _median(deviations) / _CONSISTENT_MAD
    if spread == 0:
        spread = math.fsum(deviations) / len(deviations) * _CONSISTENT_MEAN_DEVIATION
    return [(value - middle) / spread if spread else 0.0 for value in values]


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
