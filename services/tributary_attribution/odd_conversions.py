"""What is odd about conversions by their own events, as findings of a run: refunds of more than was paid, and the like.

The one rule: nothing is computed here. What is odd is in the state of a conversion, as it was credited, and is told
until it is there no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tributary_attribution.cut_answers import Answers
from tributary_domain.findings import ODD_CONVERSIONS, ONLY_COUNTED, Finding, FindingKind, finding
from tributary_storage.clickhouse.reconciliation_sources import OddConversion, OddConversions
from tributary_storage.clickhouse.reconciliation_staging import Scope

_KINDS: Final = {kind.lower(): kind for kind in ODD_CONVERSIONS}
"""By the words of the column."""


def odd_conversions(scope: Scope, found: Sequence[OddConversions], answers: Answers, now_micros: int) -> dict[str, int]:
    """Adds what is odd to the answers of a run; returns how many conversions are, by the name of what is.

    Args:
        scope: What the run speaks of.
        found: Conversions by what is odd about them, some of each named.
        answers: Take the findings.
        now_micros: When.
    """
    counts: dict[str, int] = {}
    for one in found:
        kind = _KINDS.get(one.what)
        if kind is None:
            continue  # nobody publishes that: the row is damaged, as its comparison with the ledger says
        counts[one.what] = one.number
        if kind not in ONLY_COUNTED:
            named = [_odd(scope, kind, conversion, now_micros) for conversion in one.named]
            answers.add(named, is_cut=len(named) < one.number)
    return counts


def _odd(scope: Scope, kind: FindingKind, one: OddConversion, now_micros: int) -> Finding:
    order = f"{one.store}/{one.order_id}" if one.store else one.order_id
    worth = f"told {one.original_micros} micros {one.currency}, now {one.value_micros}" if one.currency else "no value"
    return finding(
        scope.reconciliation_id,
        kind,
        ODD_CONVERSIONS[kind],
        conversion_id=one.conversion_id,
        actual=f"{f'{one.name} {order}'.strip()}: {worth}",
        find_micros=now_micros,
    )
