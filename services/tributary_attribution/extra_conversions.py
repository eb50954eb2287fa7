"""Conversions that are stored and that no recorded event observed: named, and taken away where nobody published them.

The one rule: what was published once is never taken back because its events are gone. A row is taken away only if the
state store knows nothing of its conversion and there is no revision of it: then nothing was ever posted of it, sent, or
exported, so all else is as if it had never been there, and without it they agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import structlog

from tributary_domain.findings import Finding, FindingCause, FindingKind, finding
from tributary_storage.clickhouse.reconciliation_comparison import ExtraConversion, Settled
from tributary_storage.clickhouse.reconciliation_staging import Scope
from tributary_storage.clickhouse.revision_rows import RevisionRows
from tributary_storage.redis.conversions import Conversions, StoredConversion, conversion_key

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 1000


class Comparison(Protocol):
    """What a run has read, held against what is stored."""

    async def unobserved(self, scope: Scope, settled: Settled) -> list[ExtraConversion]:
        """Returns the stored conversions of the run's days that no recorded event observed.

        Raises:
            StorageUnavailableError: It did not answer.
        """
        ...


class Extra(NamedTuple):
    """What a run found."""

    found: list[Finding]
    """One per conversion; resolved where its row was taken away."""
    unpublished: frozenset[str]
    """Those of them that nobody published."""


class ExtraConversions:
    """Names and repairs them. May run twice, and beside the attribution that runs.

    Args:
        comparison: Finds them.
        conversions: Knows what is published.
        rows: Which revisions there are.
    """

    def __init__(self, comparison: Comparison, conversions: Conversions, rows: RevisionRows) -> None:
        self._comparison = comparison
        self._conversions = conversions
        self._rows = rows

    async def check(self, scope: Scope, settled: Settled, *, repairs: bool) -> Extra:
        """Returns what there is of them.

        Args:
            scope: The run, all events of which are read.
            settled: What is old enough to be looked at.
            repairs: Whether what nobody published is taken away.

        Raises:
            StorageUnavailableError: A store does not answer; run the same again.
        """
        stored = await self._comparison.unobserved(scope, settled)
        unpublished = await self._unpublished(scope.workspace, [one.conversion_id for one in stored])
        removed: set[str] = set()
        if unpublished and repairs:
            await self._rows.remove_unpublished(scope.workspace, unpublished, settled.accepted_until_micros)
            left = {one.conversion_id for one in await self._comparison.unobserved(scope, settled)}
            removed = unpublished - left
            log.warning("unpublished_conversions_removed", workspace=scope.workspace, conversions=len(removed))
        found = [_found(scope, one, settled) for one in stored]
        return Extra(
            [one.repaired(0) if one.conversion_id in removed else one for one in found], frozenset(unpublished)
        )

    async def _unpublished(self, workspace: str, conversion_ids: Sequence[str]) -> set[str]:
        """Returns those of some conversions that nobody published, nor is about to."""
        unknown: set[str] = set()
        for start in range(0, len(conversion_ids), _AT_ONCE):
            keys = {conversion_key(workspace, one): one for one in conversion_ids[start : start + _AT_ONCE]}
            known = await self._conversions.observe({key: {} for key in keys}, 0)
            unknown.update(keys[key] for key, one in known.items() if not _is_known(one))
        return unknown - (await self._rows.places(workspace, unknown)).keys()


def _is_known(stored: StoredConversion) -> bool:
    return bool(stored.revision or stored.published or stored.pending or stored.parts or stored.forward)


def _found(scope: Scope, one: ExtraConversion, settled: Settled) -> Finding:
    return finding(
        scope.reconciliation_id,
        FindingKind.EXTRA,
        "It is stored, and no recorded event observed it.",
        cause=FindingCause.EXTRA_CONVERSION,
        conversion_id=one.conversion_id,
        expected="nothing",
        actual=f"{one.name} {one.order_id}: {one.value_micros} micros {one.currency}",
        find_micros=settled.staged_micros,
    )
